"""The course as a site: every lesson a page with the outputs that its notebook stores.

    python notebooks/site/build.py build/site           (--run trains first, so that every output is new;
                                                         --playground adds that page, which `make playground` writes)

Sphinx and MyST-NB make the pages: contents, search, previous and next work from the disk, and nothing is fetched from
elsewhere. Here the notebooks are only prepared for them: a plotly figure becomes data that `site.js` draws with one
plotly.js for all pages, above a still picture for readers without scripts.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from plotly.offline import get_plotlyjs

from clcrkit.pages import FRAMES, WRAPPED, execute, read_notebook

HERE = Path(__file__).parent
NOTEBOOKS, ROOT = HERE.parent, HERE.parents[1]
PLOTLY, SVG = "application/vnd.plotly.v1+json", "image/svg+xml"
TEXTS = ("reproducing.md", "notation.md", "glossary.md")
# below the cell of lesson 0 that tells of it
EMBEDDED = """

<p><a href="playground.html">Open the playground on a page of its own</a></p>
<iframe src="playground.html" title="The CLCR playground" loading="lazy"
 style="width: 100%; height: 900px; border: 0"></iframe>
"""


def main(arguments: list[str] | None = None) -> int:
    """Build the site and return Sphinx's exit code; a warning, such as a link that leads nowhere, is an error."""
    from sphinx.cmd.build import main as sphinx

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("site", type=Path)
    parser.add_argument("--run", action="store_true", help="run the lessons first, instead of using stored outputs")
    parser.add_argument("--playground", type=Path, help="the playground's page, to be part of the site")
    options = parser.parse_args(arguments)
    source = options.site.with_name(f"{options.site.name}-source")
    for folder in (source, options.site):
        shutil.rmtree(folder, ignore_errors=True)
    prepare(source, options.run, options.playground is not None)
    code = int(sphinx(["-q", "-W", "--keep-going", "-j", "auto", str(source), str(options.site)]))
    if options.playground:
        shutil.copy(options.playground, options.site / "playground.html")
    return code


def prepare(source: Path, run: bool = False, playground: bool = False) -> None:
    """Everything that Sphinx reads, in one folder."""
    static = source / "_static"
    static.mkdir(parents=True)
    shutil.copy(HERE / "site.css", static)
    (static / "site.js").write_text(WRAPPED + FRAMES + (HERE / "site.js").read_text(encoding="utf-8"), encoding="utf-8")
    (static / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    shutil.copy(HERE / "conf.py", source)
    shutil.copy(NOTEBOOKS / "explorer.webp", source)
    lessons = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = read_notebook(path)
        notebook = execute(notebook, path.parent) if run else notebook
        lessons.append(path.stem)
        for cell in notebook.cells:
            show(cell)
            if playground and cell.id == "playground":
                cell.source += EMBEDDED
        nbformat.write(notebook, source / path.name)
    for name in TEXTS:
        (source / name).write_text(linked((NOTEBOOKS / name).read_text(encoding="utf-8")), encoding="utf-8")
    index = linked((NOTEBOOKS / "README.md").read_text(encoding="utf-8"))
    play = '\n<p><a href="playground.html">The playground</a>: make a digit, and a trained CLCR answers at once.</p>\n'
    index += play if playground else ""
    (source / "index.md").write_text(index + kept_progress() + contents(lessons), encoding="utf-8")
    (source / "api.md").write_text((ROOT / "clcrkit" / "README.md").read_text(encoding="utf-8"), encoding="utf-8")


def kept_progress() -> str:
    """The table of the learner's progress, for whoever keeps it and builds the site for themselves."""
    sys.path.insert(0, str(NOTEBOOKS))
    from exercises import progress

    return f"\n## Your progress\n\n{pages_linked(progress.index()[1])}\n" if progress.load() else ""


def contents(lessons: list[str]) -> str:
    """Sphinx's list of all pages, for the side bar and for previous and next."""
    pages = "\n".join([*lessons, "reproducing", "notation", "glossary", "API <api>"])
    return f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def linked(text: str) -> str:
    """Markdown whose links to README.md lead to the index, and those to the library to the page of its API."""
    return text.replace("](README.md", "](index.md").replace("](../clcrkit/README.md", "](api.md")


def pages_linked(told: str) -> str:
    """HTML whose links to notebooks lead to their pages."""
    return re.sub(r'href="(\w+)\.ipynb"', r'href="\1.html"', told)


def show(cell: NotebookNode) -> None:
    """Change a cell for the site: code can be folded, figures are data for site.js."""
    cell.source = linked(cell.source) if cell.cell_type == "markdown" else cell.source
    if cell.cell_type != "code":
        return
    outputs = []
    for output in cell.outputs:
        data = output.get("data", {})
        if PLOTLY in data:
            output["data"] = {"text/html": figure(data[PLOTLY], data.get("image/png", ""))}
        elif SVG in data:
            output["data"] = {"text/html": data[SVG]}  # in the page, where a reader can select its words
        elif "text/html" in data:
            data["text/html"] = pages_linked(data["text/html"].replace("<th></th>", "<td></td>"))  # no heading
        outputs.append(output)
    cell.outputs = outputs


def figure(plotted: dict[str, Any], still: str) -> str:
    """A figure as data for site.js, with its still for readers without scripts."""
    layout = plotted["layout"]
    said = html.escape(described(plotted))
    height = int(layout.get("height") or 420)
    packed = json.dumps({"data": plotted["data"], "layout": layout}, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<figure class="plot" style="height: {height}px"><figcaption class="unseen">{said}</figcaption>'
        f'<script type="application/json">{packed}</script>'
        f'<noscript><img alt="{said}" src="data:image/png;base64,{still}"></noscript></figure>'
    )


def described(plotted: dict[str, Any]) -> str:
    """What a figure shows, in words: its title, its axes, and the names of what is drawn."""
    layout = plotted["layout"]
    axes = [(name, axis) for name, axis in layout.items() if re.match(r"[xy]axis\d*$", name)]
    titles = {name: axis.get("title", {}).get("text") for name, axis in axes}
    panels = [note["text"] for note in layout.get("annotations", []) if note.get("text")]
    parts = [layout.get("title", {}).get("text") or "A figure"]
    for what, names in (
        ("horizontal", [t for name, t in titles.items() if name[0] == "x" and t]),
        ("vertical", [t for name, t in titles.items() if name[0] == "y" and t]),
        ("panels and notes", panels),
        ("drawn", [trace["name"] for trace in plotted["data"] if trace.get("name")]),
    ):
        if names:
            parts.append(f"{what}: {', '.join(dict.fromkeys(names))}")
    return re.sub(r"<[^>]*>", " ", "; ".join(parts))


if __name__ == "__main__":
    sys.exit(main())
