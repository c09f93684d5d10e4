"""Run the lessons as other processors would, and compare each cell's largest difference with its tolerance.

    python -m tests.notebooks.portability       all of them, an hour or less; writes portability.csv
    python -m tests.notebooks.portability notebooks/04*.ipynb     its rows there anew
    python -m tests.notebooks.portability notebooks/04*.ipynb --arithmetic default sse     only shown

What differs between processors is the order of sums and the instructions for them. torch, oneDNN, MKL and OpenBLAS can
each be held to older instructions by an environment variable, so that one machine can show what others would find.
A tolerance shall be at least twice the largest difference seen; the command fails where one is not, or a cell fails.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from nbformat import NotebookNode

from clcrkit.pages import read_notebook

STORED = Path(__file__).with_name("portability.csv")
REPORTS = Path("build/portability")
CODE = ("clcrkit", "notebooks/exercises")
MARGIN = 2.0
AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"  # others end at the first such instruction
ARITHMETICS: Mapping[str, Mapping[str, str]] = {
    "best, 1 thread": {"OMP_NUM_THREADS": "1"},
    "best, 2 threads": {"OMP_NUM_THREADS": "2"} | ({"OPENBLAS_CORETYPE": "SkylakeX"} if AVX512 else {}),
    "avx2, 2 threads": {"OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"},
    "avx2 everywhere": {
        "OMP_NUM_THREADS": "1",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "default": {"OMP_NUM_THREADS": "1", "ATEN_CPU_CAPABILITY": "default"},
    "sse": {
        "OMP_NUM_THREADS": "2",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Haswell",
    },
}
"""By name: what the environment holds. Variables that are not named are unset."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, store its rows if all arithmetics ran, and exit with 1 where a tolerance is too small."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks.portability", description=main.__doc__)
    parser.add_argument("notebook", type=Path, nargs="*")
    parser.add_argument("--arithmetic", nargs="+", choices=ARITHMETICS, default=list(ARITHMETICS))
    options = parser.parse_args(arguments)
    notebooks = options.notebook or sorted(Path("notebooks").glob("*.ipynb"))
    table = pd.DataFrame({name: differences(notebooks, name) for name in options.arithmetic}).fillna(0.0)
    allowed = tolerances(notebooks)
    table.insert(0, "tolerance", [allowed.get(cell, 0.0) for cell in table.index])
    table = table.rename_axis("cell").sort_index()
    seen = table.drop(columns="tolerance").max(axis=1)
    narrow = table[seen * MARGIN > table["tolerance"]]
    shown = table[(seen > 0) | (table["tolerance"] > 0)].assign(machine=machine())
    print(shown.to_string(float_format="%.2g"))
    print(f"{len(table)} cells; {len(shown)} differ or have a tolerance; {len(narrow)} have less than twice that:")
    print(narrow.to_string(float_format="%.2g") if len(narrow) else "none")
    if options.arithmetic == list(ARITHMETICS):
        stored = pd.read_csv(STORED, index_col="cell")
        anew = stored.index.str.split("/").str[0].isin([path.stem for path in notebooks])
        kept = stored[~anew & bool(options.notebook)]
        pd.concat([kept, shown]).sort_index().to_csv(STORED, float_format="%.3g")
    sys.exit(int(len(narrow) > 0))


def differences(notebooks: Sequence[Path], arithmetic: str) -> dict[str, float]:
    """The largest difference in each cell of these notebooks, by 'notebook/cell id'; inf where more than numbers differ
    or the cell failed or was not run. A run that passed is kept under build/portability, until the notebook, the
    library, the exercises or the versions change."""
    code = [x.read_text(encoding="utf-8") for folder in CODE for x in sorted(Path(folder).rglob("*.py"))]
    held = {name for settings in ARITHMETICS.values() for name in settings}
    environment = {name: value for name, value in os.environ.items() if name not in held}
    found: dict[str, float] = {}
    for path in notebooks:
        told = json.dumps([machine(), code, [(cell.source, cell.outputs) for cell in _code(path)]]).encode()
        report = REPORTS / f"{path.stem} {arithmetic} {hashlib.sha256(told).hexdigest()[:12]}.xml"
        if not report.exists():
            command = [sys.executable, "-m", "pytest", "--nbval", "-q", "--tb=no", f"--junitxml={report}", str(path)]
            settings = {**environment, **ARITHMETICS[arithmetic]}
            done = subprocess.run(command, env=settings, capture_output=True, text=True)
            if not report.exists():
                sys.exit(done.stdout + done.stderr)
            print(f"{arithmetic}, {path.stem}: {done.stdout.strip().splitlines()[-1]}", flush=True)
        cells = dict(_cells(report, path))
        found |= cells
        if np.inf in cells.values():
            report.unlink()
    return found


def machine() -> str:
    """What decides the arithmetic, as far as no environment variable does."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{capability}, torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}"


def _cells(report: Path, path: Path) -> Iterator[tuple[str, float]]:
    ids = [cell.id for cell in _code(path)]
    for case in ElementTree.parse(report).iter("testcase"):
        value = next((p.attrib["value"] for p in case.iter("property") if p.attrib["name"] == "difference"), None)
        failed = any(case.find(end) is not None for end in ("failure", "error", "skipped"))
        number = int(case.attrib["name"].removeprefix("Cell "))
        yield f"{path.stem}/{ids[number]}", float(value) if value is not None else float("inf") if failed else 0.0


def _code(path: Path) -> list[NotebookNode]:
    return [cell for cell in read_notebook(path).cells if cell.cell_type == "code"]


def tolerances(notebooks: Sequence[Path]) -> dict[str, float]:
    """The tolerance of each cell that has one, by 'notebook/cell id'."""
    return {
        f"{path.stem}/{cell.id}": cell.metadata["clcrkit"]["atol"]
        for path in notebooks
        for cell in _code(path)
        if "atol" in cell.metadata.get("clcrkit", {})
    }


if __name__ == "__main__":
    main()
