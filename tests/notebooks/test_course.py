"""The course's index, notation and glossary say what the notebooks and the library hold."""

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

from clcrkit import CLCRConfig, Trace
from clcrkit.experiments import benchmark
from clcrkit.experiments.published import BENCHMARKS
from clcrkit.pages import read_notebook
from clcrkit.subspaces import Subspaces
from clcrkit.tasks import Task
from tests.notebooks import gates

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
CLASSES = {"Trace": Trace, "CLCRConfig": CLCRConfig, "Subspaces": Subspaces, "Task": Task}


def test_the_index_has_every_lesson_with_the_minutes_it_promises() -> None:
    rows = re.findall(r"^\| \[.*?\]\((.*?)\) \| ([\d.]+) \| (.*?) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert [name for name, _, _ in rows] == [path.name for path in LESSONS]
    for (name, minutes, builds_on), path in zip(rows, LESSONS, strict=True):
        notebook = read_notebook(path)
        assert float(minutes) == gates.promised_minutes(notebook), name
        line = re.search(r"^\*\*Builds on:\*\* (.*)$", notebook.cells[0].source, re.MULTILINE)
        assert line is not None
        assert set(re.findall(r"\((\d\d_\w+\.ipynb)\)", builds_on)) <= set(re.findall(r"\((\d\d_.*?)\)", line[1])), name


def test_the_notation_names_what_exists() -> None:
    text = (FOLDER / "notation.md").read_text()
    names = re.findall(r"`([\w.]+)`", text.split("|---|", 1)[1])
    assert len(names) > 20
    for name in names:
        owner, _, attribute = name.rpartition(".")
        if owner in CLASSES:
            kind = CLASSES[owner]
            known = {f.name for f in fields(kind)} if hasattr(kind, "__dataclass_fields__") else set()
            assert attribute in known or hasattr(kind, attribute), name
        else:
            module, _, thing = name.rpartition(".")
            assert hasattr(importlib.import_module(module), thing) or importlib.import_module(name), name


def test_every_field_of_a_trace_is_in_the_notation() -> None:
    text = (FOLDER / "notation.md").read_text()
    not_symbols = {"batch", "task", "sparse", "exchanged", "threshold", "scale", "absent"}
    assert [f.name for f in fields(Trace) if f.name not in not_symbols and f"`Trace.{f.name}`" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "reproducing.md", "notation.md", "glossary.md"])
def test_links_lead_to_files(name: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)", (FOLDER / name).read_text()):
        assert (FOLDER / link).exists(), link


def test_reproducing_has_every_benchmark_and_options_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    text = (FOLDER / "reproducing.md").read_text()
    for table in (text.split("## 2.")[0], text.split("## 3.")[1].split("## 4.")[0]):
        assert [name for name in BENCHMARKS if f"`{name}`" not in table] == []
    with pytest.raises(SystemExit):
        benchmark.main(["--help"])
    assert set(re.findall(r"(--[a-z]+)", text)) <= set(re.findall(r"(--[a-z]+)", capsys.readouterr().out))


def test_the_glossary_is_in_the_order_of_the_alphabet() -> None:
    terms = re.findall(r"^## (.*)$", (FOLDER / "glossary.md").read_text(), re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(terms, key=str.lower)
