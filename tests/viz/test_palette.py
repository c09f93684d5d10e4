"""All drawers take their colours from one place."""

from __future__ import annotations

import re
from pathlib import Path

import clcrkit.viz
from clcrkit.viz import palette

VIZ = Path(clcrkit.viz.__file__).parent
CSS = (VIZ / "explorer" / "explorer.css").read_text(encoding="utf-8")
PAGES = {"#fff", "#000", "#ffffff", "#14171c"}  # what lies behind the pictures


def colors(text: str) -> set[str]:
    return {color.lower() for color in re.findall(r"#[0-9a-fA-F]{3,8}\b", text)}


def test_no_drawer_has_colours_of_its_own() -> None:
    drawers = [path for path in VIZ.rglob("*.py") if path.name != "palette.py"]
    modules = list((VIZ / "explorer" / "js").glob("*.js"))
    assert len(drawers) > 10
    assert len(modules) > 20
    for path in [*drawers, *modules]:
        if "node_modules" not in path.parts:
            assert colors(path.read_text(encoding="utf-8")) <= PAGES, path.name


def test_the_style_sheet_agrees_with_the_palette() -> None:
    light, dark = (re.search(rf"^{selector} \{{(.*?)^\}}", CSS, re.M | re.S) for selector in
                   (r"\.clcr", r'\.clcr\[data-theme="dark"\]'))  # fmt: skip
    assert light
    assert dark
    for block, shades in ((light[1], palette.EXPLORER["light"]), (dark[1], palette.EXPLORER["dark"])):
        assert re.search(r"--ink: .*(#\w+)\)\);", block)[1] == shades["ink"]  # type: ignore[index]
        assert re.search(r"--warn: (#\w+);", block)[1] == shades["warning"]  # type: ignore[index]


def test_categories_and_modalities_differ_on_both_pages() -> None:
    for shades in (palette.EXPLORER["light"], palette.EXPLORER["dark"]):
        assert len(set(shades["categories"])) == len(shades["categories"])
        assert len(set(shades["modalities"])) == len(shades["modalities"])
    assert set(palette.EXPLORER["light"]["categories"]) == set(palette.LINES)
