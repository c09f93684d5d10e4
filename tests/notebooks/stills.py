"""Still pictures in stored outputs, for viewers that run no scripts.

    python -m tests.notebooks.stills [NOTEBOOK...]        (all of notebooks/ where none is named)

Every plotly figure and every SVG that a cell shows gets an image/png beside it, drawn by Chromium. GitHub, nbviewer and
an untrusted notebook show that. `tests.notebooks.execute` does the same after each run.
"""

from __future__ import annotations

import argparse
import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from playwright.sync_api import Page, sync_playwright
from plotly.offline import get_plotlyjs

from clcrkit.pages import read_notebook
from tests import chromium

PLOTLY = "application/vnd.plotly.v1+json"
PNG, SVG = "image/png", "image/svg+xml"
WIDTH, HEIGHT = 700, 420  # of a figure that does not say
MAX_BYTES = 100_000
_PAGE = "<!doctype html><meta charset=utf-8><style>body { margin: 0; background: white }</style><div id=picture></div>"
_DRAW = """async ([data, layout, width, height]) => {
    const shown = {...layout, width, height};
    const traces = data.map(({uid, ...trace}) => trace);  // plotly fails to clear one whose name has a blank
    return await Plotly.toImage({data: traces, layout: shown}, {format: "png", width, height});
}"""


def main(arguments: list[str] | None = None) -> None:
    """Draw the stills of the named notebooks, or of all, anew."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks.stills", description=main.__doc__)
    parser.add_argument("notebook", type=Path, nargs="*")
    for path in parser.parse_args(arguments).notebook or sorted(Path("notebooks").glob("*.ipynb")):
        notebook = read_notebook(path)
        print(f"{path}: {draw(notebook)} stills")
        scratch = path.with_suffix(".ipynb.part")
        nbformat.write(notebook, scratch)
        os.replace(scratch, path)


def outputs(notebook: NotebookNode) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cell's id and the data of each output that needs a still."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if {PLOTLY, SVG} & set(output.get("data", {})):
                yield cell.id, output.data


def draw(notebook: NotebookNode) -> int:
    """Give every output that needs one its still, and return their number."""
    pictures = [data for _, data in outputs(notebook)]
    if not pictures:
        return 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_content(_PAGE)
        page.add_script_tag(content=get_plotlyjs())
        for data in pictures:
            data[PNG] = _png(page, data)
        browser.close()
    return len(pictures)


def _png(page: Page, data: dict[str, Any]) -> str:
    """The picture in base64, with one pixel for each of the screen's: JupyterLab shows it as large as it is."""
    return _figure(page, data[PLOTLY]) if PLOTLY in data else _svg(page, data[SVG])


def _figure(page: Page, figure: dict[str, Any]) -> str:
    layout = figure["layout"]
    size = int(layout.get("width") or WIDTH), int(layout.get("height") or HEIGHT)
    url: str = page.evaluate(_DRAW, [figure["data"], layout, *size])
    return url.partition(",")[2]


def _svg(page: Page, svg: str) -> str:
    page.locator("#picture").evaluate("(place, svg) => { place.innerHTML = svg; }", svg)
    return base64.b64encode(page.locator("#picture svg").first.screenshot()).decode()


if __name__ == "__main__":
    main()
