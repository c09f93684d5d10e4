"""The README's snippets run as they stand, are short, and print a test score that is better than chance."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent
README = HERE.parent / "README.md"


@pytest.mark.parametrize(("name", "better_than"), [("arrays", 0.6), ("frame", 0.6), ("ragged", -0.75)])
def test_a_snippet_runs_and_prints_a_test_score(name, better_than, tmp_path, monkeypatch, capsys):
    path = HERE / "readme" / f"{name}.py"
    assert sum(bool(line.strip()) for line in path.read_text().splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr().out.splitlines()[-1]
    score = re.search(r"test (?:accuracy )?(-?\d\.\d\d)", said)
    assert score is not None, said
    assert float(score[1]) > better_than
    if name == "arrays":
        assert "<html" in (tmp_path / "page.html").read_text()[:1000]


def test_the_readme_shows_the_first():
    assert (HERE / "readme" / "arrays.py").read_text() in README.read_text()
