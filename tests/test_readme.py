"""The README's snippets run as they stand, are short, and print a test score that is better than chance.

Its Chinese translation has the same code, numbers, links and verdicts, and names the text that it translates.
"""

from __future__ import annotations

import hashlib
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
CHINESE = HERE.parent / "README.zh.md"
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
VERDICTS = {"holds": "成立", "does not": "不成立", "no difference": "无差异", "cannot tell": "无法判断", "·": "·"}


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


def sections(path: Path) -> list[str]:
    return re.split(r"^## .*\n", path.read_text(encoding="utf-8").split("\n\n", 2)[2], flags=re.M)


def test_the_translation_has_the_same_code_numbers_and_links() -> None:
    for english, chinese in zip(sections(README), sections(CHINESE), strict=True):
        assert FENCE.findall(chinese) == FENCE.findall(english)
        texts = [FENCE.sub("", text) for text in (english, chinese)]
        links = [re.findall(r"\]\((.*?)\)", text) for text in texts]
        assert links[1] == links[0]
        prose = [re.sub(r"\]\(.*?\)|<!--.*?-->", "]", text) for text in texts]
        code = [set(re.findall(r"`[^`]+`", text)) for text in prose]
        assert code[0] <= code[1]
        numbers = [Counter(re.findall(r"[+-]?\d*\.?\d+", re.sub(r"`[^`]+`", "", text))) for text in prose]
        assert numbers[1] == numbers[0]


def test_the_translation_has_the_same_verdicts() -> None:
    def cells(path: Path) -> list[list[str]]:
        table = re.search(r"^\|.*MMMO \| MOSI \|\n\|[-|]+\n((?:\|.*\n)+)", path.read_text(encoding="utf-8"), re.M)
        assert table is not None
        return [[cell.strip() for cell in row.strip("|").split("|")[1:]] for row in table[1].splitlines()]

    assert cells(CHINESE) == [[VERDICTS[cell] for cell in row] for row in cells(README)]


def test_the_translation_is_of_this_text() -> None:
    digest = hashlib.sha256(README.read_bytes()).hexdigest()[:16]
    line = f"<!-- README.md {digest} -->"
    assert CHINESE.read_text(encoding="utf-8").endswith(f"{line}\n"), (
        f"README.md has changed: bring README.zh.md up to date, and let its last line be {line}"
    )
