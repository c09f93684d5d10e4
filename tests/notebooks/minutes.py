"""How long each notebook took under nbval, kernel start included, beside the minutes it promises.

python -m tests.notebooks.minutes build/notebooks.xml     fails where one broke its promise
"""

import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

from clcrkit.pages import read_notebook
from tests.notebooks import gates

FOLDER = Path(__file__).parents[2] / "notebooks"


def seconds(report: Path) -> dict[str, float]:
    """Seconds of each notebook, by name, from pytest's JUnit report."""
    spent: dict[str, float] = defaultdict(float)
    for case in ET.parse(report).iter("testcase"):
        # nbval calls its cases notebooks.07_objective.ipynb
        spent[case.get("classname", "").removesuffix(".ipynb").rpartition(".")[2]] += float(case.get("time", 0))
    return dict(sorted(spent.items()))


def main(arguments: list[str]) -> int:
    """Print the table; the exit status is 1 where a promise was not kept or a notebook is missing."""
    spent, broken = seconds(Path(arguments[0])), []
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = read_notebook(path)
        if path.stem not in spent:
            broken.append(f"{path.stem}: not in the report")
            continue
        print(f"{path.stem:32} {spent[path.stem]:6.1f} s of {60 * (gates.promised_minutes(notebook) or 0):g}")
        if path.stem not in gates.NOT_LESSONS:
            broken += gates.minutes_kept(path.stem, notebook, spent[path.stem])
    print("\n".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
