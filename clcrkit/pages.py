"""Pages: a notebook, executed and written as one HTML file that needs neither network nor kernel.

In a page only our own scripts run, plotly's and the explorer's, by its content security policy: text, formulas and
outputs that a stranger wrote are shown, and no script in them runs.

python -m clcrkit.pages notebooks/00_tour.ipynb build/tour.html
"""

from __future__ import annotations

import argparse
import copy
import os
import secrets
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import tostring

from clcrkit.errors import DataError, require
from clcrkit.files import write_text
from clcrkit.viz.explorer.html import allowed_script

for _library in ("nbconvert", "latex2mathml", "plotly"):
    require(_library, "lessons")

import nbformat  # noqa: E402
import plotly.io  # noqa: E402
from jinja2 import pass_context  # noqa: E402
from jupyter_client.kernelspec import KernelSpecManager  # noqa: E402
from jupyter_client.manager import AsyncKernelManager  # noqa: E402
from latex2mathml.converter import convert_to_element  # noqa: E402
from markupsafe import escape  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from nbconvert import HTMLExporter  # noqa: E402
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath  # noqa: E402
from nbformat import NotebookNode  # noqa: E402
from plotly.offline import get_plotlyjs  # noqa: E402

_WIDGET = "application/vnd.jupyter.widget-view+json"
_PLOTLY = "application/vnd.plotly.v1+json"
_SVG = "image/svg+xml"
_NEEDS_KERNEL = "<p><em>A widget: run the notebook to use it.</em></p>"

# A title in lines of at most so many letters: plotly cuts off what is wider than the figure. The site has it, too.
WRAPPED = r"""
function wrapped(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1) && (lines.at(-1) + word).length > width) lines.push("");
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return lines.join("<br>");
}
"""

# Frames as high as the explorer or the playground in them. The site has it, too, where a frame may be ready before the
# script, and is asked.
FRAMES = """
addEventListener("message", ({ data, source }) => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === source && data?.clcrkitHeight > 0) frame.style.height = `${data.clcrkitHeight}px`;
});
for (const frame of document.querySelectorAll("iframe")) frame.contentWindow.postMessage("height", "*");
"""

# Figures in the colours of the reader's system, with titles that fit.
_SCRIPT = (
    WRAPPED
    + FRAMES
    + r"""
const dark = matchMedia("(prefers-color-scheme: dark)");
const original = new Map();
function fit(paper = false) {
  const [ink, lines] = dark.matches && !paper ? ["#d4d8de", "#3b4048"] : ["#2a3f5f", "#e3e7ee"];
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const { title, annotations = [] } = plot.layout;
    if (!original.has(plot)) original.set(plot, [title?.text ?? "", annotations.map((note) => note.text)]);
    const changes = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", "font.color": ink };
    Object.assign(changes, paper ? { width: 600 } : { width: null, autosize: true });
    const narrow = plot.clientWidth < 600 && !paper;
    const room = narrow ? { t: 110, l: 56, r: 16 } : { t: undefined, l: undefined, r: undefined };
    for (const [side, size] of Object.entries(room)) changes[`margin.${side}`] = size;
    changes["title.y"] = narrow ? 0.9 : undefined;
    changes["title.yanchor"] = narrow ? "top" : undefined;
    const [said, notes] = original.get(plot);
    if (said) changes["title.text"] = narrow ? wrapped(said, plot.clientWidth / 9) : said;
    const columns = Object.keys(plot._fullLayout).filter((key) => /^xaxis\d*$/.test(key)).length;
    notes.forEach((text, i) => {
      changes[`annotations[${i}].text`] = narrow ? wrapped(text ?? "", plot.clientWidth / 9 / columns) : text;
    });
    for (const axis of Object.keys(plot._fullLayout).filter((key) => /^[xy]axis\d*$/.test(key)))
      for (const part of ["gridcolor", "zerolinecolor", "linecolor"]) changes[`${axis}.${part}`] = lines;
    Plotly.relayout(plot, changes);
  }
}
dark.addEventListener("change", () => fit());
addEventListener("DOMContentLoaded", () => fit());
addEventListener("resize", () => fit());
addEventListener("beforeprint", () => fit(true));
addEventListener("afterprint", () => fit());
"""
)

# The lab template without what it would load from elsewhere: require.js, MathJax, mermaid, widget manager.
_TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  main { max-width: 72rem; margin: 0 auto; }
  math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", math; font-size: 1.1em; }
  math[display="block"] { margin: 0.8em 0; }
  details { margin: 0.6em 0; }
  summary { cursor: pointer; }
  .jp-Notebook pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .jp-RenderedHTMLCommon a:link, .jp-RenderedHTMLCommon a:visited { text-decoration: underline; }
  .jp-RenderedHTMLCommon table { display: block; width: fit-content; max-width: 100%; overflow-x: auto; }
  @media (max-width: 46em) {
    body.jp-Notebook { padding: 4px; }
    .jp-Cell { padding: 2px; }
    .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  }
  .still { display: none; }
  @media print {
    .still { display: block; break-inside: avoid; }
    iframe { display: none; }
  }
</style>
{{ resources.include_css("static/theme-dark.css") | replace("<style"|safe, resources.dark|safe) }}
<style>
  :root { --jp-cell-prompt-not-active-opacity: 1; --jp-mirror-editor-comment-color: #2f6464;
          --jp-mirror-editor-number-color: #006600; --jp-mirror-editor-operator-color: #8a1fd1; }
  @media screen and (prefers-color-scheme: dark) {
    :root { --jp-mirror-editor-comment-color: #8fb8b8; --jp-mirror-editor-number-color: #7fd67f;
            --jp-mirror-editor-operator-color: #d39bff; }
  }
</style>
<script nonce="{{ resources.nonce }}">{{ resources.script }}</script>
{% if resources.plotlyjs %}<script nonce="{{ resources.nonce }}">{{ resources.plotlyjs }}</script>{% endif %}
{%- endblock -%}
"""

# 'unsafe-eval' is for the scripts that are let in: plotly makes the code of its fast charts at run time
_POLICY = (
    '<head><meta http-equiv="Content-Security-Policy" content="script-src \'nonce-{nonce}\' {explorer} '
    "'unsafe-eval'; object-src 'none'; base-uri 'none'; form-action 'none'\">"
)

_UNSAFE = ("href", "style", "class", "id")  # attributes that TeX can set, and that do more than show a formula

# latex2mathml's gaps, in words that it knows
_KNOWN_TO_CONVERTER = {r"\lVert": r"\|", r"\rVert": r"\|", r"\lvert": "|", r"\rvert": "|"}
_KNOWN_TO_CONVERTER |= {r"\operatorname*": r"\mathrm", "{aligned}": "{align*}"}


def main(arguments: list[str] | None = None) -> None:
    """Execute the notebook, write the page, print what the cells tagged 'headline' printed, and the page's path."""
    parser = argparse.ArgumentParser(prog="python -m clcrkit.pages", description=main.__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--playground", help="where the playground's page will be; the tour then links to it")
    options = parser.parse_args(arguments)
    executed = execute(read_notebook(options.notebook), options.notebook.parent, {"CLCRKIT_EMBED_PAGES": "1"})
    for cell in executed.cells:
        if options.playground and cell.id == "playground":
            cell.source += f"\n\n[Open the playground]({options.playground})"
    write_text(options.page, to_html(executed, options.page.stem))
    outputs = [o for cell in executed.cells if "headline" in cell.metadata.get("tags", []) for o in cell.outputs]
    print(*(o.text.strip() for o in outputs if o.get("name") == "stdout"), options.page.resolve(), sep="\n")


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in the file. Raises DataError where there is none."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)  # reading only logs what is wrong
        return notebook
    except Exception as error:  # of a stranger's file nbformat raises whatever it meets
        raise DataError(f"{path}: not a notebook that can be read ({error})") from error


def execute(notebook: NotebookNode, folder: Path, environment: Mapping[str, str] | None = None) -> NotebookNode:
    """A copy of the notebook with fresh outputs, run in `folder` by this very Python, headless.

    Raises nbclient's CellExecutionError at the first cell that fails without the tag `raises-exception`.
    """
    executed = copy.deepcopy(notebook)
    client = NotebookClient(
        executed,
        kernel_manager_class=_NativeKernel,
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, **(environment or {})})
    return executed


def to_html(notebook: NotebookNode, title: str) -> str:
    """The executed notebook as one self-contained HTML page; plotly figures stay interactive."""
    shown = copy.deepcopy(notebook)
    figures, nonce = 0, secrets.token_urlsafe(16)
    for cell in shown.cells:
        if cell.cell_type == "code":
            outputs = []
            for output in cell.outputs:
                data = output.get("data", {})
                if _PLOTLY in data:
                    figures += 1
                    data[_PLOTLY].get("layout", {}).pop("width", None)  # as wide as the page
                    html = plotly.io.to_html(
                        data[_PLOTLY],
                        config={"displaylogo": False, "responsive": True},
                        include_plotlyjs=False,
                        full_html=False,
                        auto_play=False,
                        validate=False,
                        div_id=f"figure-{figures}",
                    )
                    output["data"] = {"text/html": html.replace("<script", f'<script nonce="{nonce}"', 1)}
                if "text/html" in data:
                    data["text/html"] = data["text/html"].replace("<th></th>", "<td></td>")  # a corner is no heading
                if _SVG in data and "<iframe" in data.get("text/html", ""):
                    data["text/html"] += f'<div class="still">{data[_SVG]}</div>'  # for paper
                elif data.pop(_WIDGET, None) is not None and not {"text/html", _SVG} & set(data):
                    if "%|" in data.get("text/plain", ""):
                        continue  # a progress bar says nothing once all is done
                    output["data"] = {"text/html": _NEEDS_KERNEL}  # better than the widget's Python text
                outputs.append(output)
            cell.outputs = outputs
    exporter = _PageExporter(raw_template=_TEMPLATE, exclude_anchor_links=True)
    resources = {"metadata": {"name": title}, "nonce": nonce, "plotlyjs": get_plotlyjs() if figures else ""}
    resources |= {"script": _SCRIPT, "dark": '<style media="screen and (prefers-color-scheme: dark)"'}
    page = str(exporter.from_notebook_node(shown, resources)[0])
    return page.replace("<head>", _POLICY.format(nonce=nonce, explorer=allowed_script()), 1)


def math_to_mathml(tex: str, display: bool) -> str:
    """One formula as MathML, which browsers draw themselves; the TeX text where it cannot be converted."""
    text = tex
    for word, replacement in _KNOWN_TO_CONVERTER.items():
        text = text.replace(word, replacement)
    try:
        element = convert_to_element(text.strip(), display="block" if display else "inline")
        for part in element.iter():
            part.text = part.text and unescape(part.text)  # the converter writes symbols as entities
            allowed = {name: unescape(value) for name, value in part.items() if name not in _UNSAFE}
            part.attrib.clear()
            part.attrib.update(allowed)
        return tostring(element, encoding="unicode")
    except Exception:  # the converter's errors share no base; a raw formula is better than no page
        return f"<code>{escape(tex)}</code>"


class _NativeKernel(AsyncKernelManager):
    """This very Python's kernel. Without kernel folders only that is left: a kernel of the same name in the user's
    home, which may belong to another environment, is not picked up."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), **settings)


class _MathRenderer(IPythonRenderer):
    """nbconvert's Markdown renderer with formulas as MathML instead of text for MathJax."""

    def inline_math(self, body: str) -> str:
        return math_to_mathml(body, display=False)

    def block_math(self, body: str) -> str:
        return math_to_mathml(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        return math_to_mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display=True)

    def _html_embed_images(self, html: str) -> str:
        # The base class parses each piece of raw HTML alone and so closes a <details> at once.
        return super()._html_embed_images(html) if "<img" in html else html


class _PageExporter(HTMLExporter):
    """The notebook's Markdown, with images embedded and formulas as MathML."""

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        folder = context.get("resources", {}).get("metadata", {}).get("path", "")
        renderer = _MathRenderer(
            escape=False, attachments=attachments, embed_images=True, path=folder, exclude_anchor_links=True
        )
        return MarkdownWithMath(renderer=renderer).render(source)


if __name__ == "__main__":
    main()
