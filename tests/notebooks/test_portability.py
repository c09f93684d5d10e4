"""The table of other processors: what differs, what fails and what was not run is in it, beside what was stored."""

from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.notebooks import portability

ROOT = Path(__file__).parents[2]


def stored(source: str, text: str, cell: str) -> nbformat.NotebookNode:
    made = new_code_cell(source, id=cell, outputs=[new_output("stream", name="stdout", text=text)], execution_count=1)
    made.metadata["clcrkit"] = {"atol": 0.05}
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With two arithmetics, and something stored of two lessons."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    arithmetics = {"one": {"OMP_NUM_THREADS": "1"}, "two": {"OMP_NUM_THREADS": "2"}}
    monkeypatch.setattr(portability, "ARITHMETICS", arithmetics)
    monkeypatch.setattr(portability, "STORED", tmp_path / "stored.csv")
    rows = {
        cell: {"tolerance": 0.1, **dict.fromkeys(arithmetics, 0.0), "machine": "old"} for cell in ("other/x", "small/x")
    }
    pd.DataFrame.from_dict(rows, orient="index").rename_axis("cell").to_csv(portability.STORED)
    return tmp_path


def run(source: str, text: str) -> tuple[Any, Any]:
    """The exit status, and by arithmetic what is said of the one cell."""
    nbformat.write(new_notebook(cells=[stored(source, text, "cell")]), "small.ipynb")
    with pytest.raises(SystemExit) as ended:
        portability.main(["small.ipynb"])
    table = pd.read_csv(portability.STORED, index_col="cell")
    assert list(table.index) == ["other/x", "small/cell"]  # in place of what was stored of this lesson
    assert list(table["machine"]) == ["old", portability.machine()]
    return ended.value.code, dict(table.loc["small/cell", list(portability.ARITHMETICS)])


@pytest.mark.usefixtures("folder")
def test_what_differs_is_in_its_column_and_may_be_half_of_the_tolerance() -> None:
    source = "import os\nprint('score', 0.5 + 0.04 * (os.environ['OMP_NUM_THREADS'] == '2'))"
    assert run(source, "score 0.5\n") == (1, pytest.approx({"one": 0, "two": 0.04}))


def test_what_fails_is_no_small_difference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portability, "ARITHMETICS", {"one": {"OMP_NUM_THREADS": "1"}})
    assert run("raise SystemError", "") == (1, {"one": np.inf})
    assert not list((folder / portability.REPORTS).glob("*.xml"))  # or the next call would not try again


def test_what_was_not_run_is_no_small_difference(tmp_path: Path) -> None:
    cells = [stored("1", "", "ran"), stored("2", "", "not")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "small.ipynb")
    report = tmp_path / "report.xml"
    report.write_text('<r><testcase name="Cell 0"/><testcase name="Cell 1"><skipped/></testcase></r>')
    assert dict(portability._cells(report, tmp_path / "small.ipynb")) == {"small/ran": 0.0, "small/not": np.inf}
