"""A page from a notebook is opened from the disk in a real browser: it asks nothing from outside and shows all."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import sync_playwright

from clcrkit.errors import DataError
from clcrkit.pages import main, math_to_mathml, to_html
from tests import chromium

FORMULAS = r"""
Inline $\lVert h_{\mathrm{sh},t}\rVert_2 \le B_\ell$ and **bold** prose, $a*b*c$, 5 dollars.

$$\alpha = \operatorname*{arg\,min}_{0 \le a \le 1} \tfrac12 \lVert a - \tilde a \rVert_2^2
\quad \sum_{t=1}^{T} \hat a_t \in \mathbb{R}, \qquad
f(x) = \begin{cases} 0 & x < 0 \\ x & \text{otherwise} \end{cases}$$

\begin{align*} a &= b + c \\ &= d \end{align*}

<details><summary>Hint</summary>

Remember that $x \ge 0$.

```python
x = max(x, 0)
```

</details>
"""

OUTPUTS = """
import os
import plotly.graph_objects as go
from IPython.display import display
from ipywidgets import IntSlider
from tqdm.auto import tqdm

for _ in tqdm(range(3)):
    pass
class Explorer:
    def _repr_mimebundle_(self, **kwargs):
        embedded = os.environ.get("CLCRKIT_EMBED_PAGES")
        view = {"version_major": 2, "version_minor": 0, "model_id": "gone"}
        return {
            "text/plain": "Explorer()",
            "text/html": f"<iframe srcdoc='<p id=inner>embedded: {embedded}</p>'></iframe>",
            "application/vnd.jupyter.widget-view+json": view,
        }
display(Explorer())
display(IntSlider(description="a slider without a page"))
figure = go.Figure(go.Scatter(x=[0, 1, 2], y=[1, 0, 2], mode="markers"))
figure.update_layout(title="A figure")
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page with blanks")
    cells = [new_markdown_cell(FORMULAS), new_code_cell(OUTPUTS), new_markdown_cell("Play.", id="playground")]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "p"}})
    nbformat.write(notebook, folder / "tiny.ipynb")
    before = (folder / "tiny.ipynb").read_bytes()
    main([str(folder / "tiny.ipynb"), str(folder / "build" / "tiny.html"), "--playground", "play.html"])
    assert (folder / "tiny.ipynb").read_bytes() == before
    return folder / "build" / "tiny.html"


def test_the_page_names_no_outside_resource(page: Path) -> None:
    html = re.sub(
        r'<script nonce="[^"]*">/\*\*\s*\* plotly\.js.*?</script>', "", page.read_text(encoding="utf-8"), flags=re.S
    )
    assert len(html) < 2_000_000, "plotly.js was not cut out: the rest of this test would prove nothing"
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'\s>]+""", html)
    assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*", html)


@pytest.mark.skipif(chromium.find() is None and sys.platform != "linux", reason=chromium.MISSING)
def test_the_page_works_from_the_disk(page: Path) -> None:
    asked, errors = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        tab = browser.new_page(viewport={"width": 1100, "height": 900})
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(page.as_uri())
        tab.locator(".js-plotly-plot .gtitle").wait_for()
        tab.screenshot(path=page.with_suffix(".png"), full_page=True)

        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
        assert errors == []
        assert tab.locator(".scatterlayer .point").count() == 3
        assert tab.locator("math").count() == 5
        assert "$" not in tab.locator("main").inner_text()
        assert all(
            box["width"] > 10
            for box in tab.evaluate(
                "[...document.querySelectorAll('math')].slice(0, 4).map(e => e.getBoundingClientRect().toJSON())"
            )
        )
        assert tab.frame_locator("iframe").locator("#inner").inner_text() == "embedded: 1"
        assert tab.get_by_text("A widget: run the notebook to use it.").count() == 1  # not the progress bar
        assert tab.get_by_role("link", name="Open the playground").get_attribute("href") == "play.html"
        fold = tab.get_by_text("x = max(x, 0)")
        assert not fold.is_visible()
        tab.get_by_text("Hint").click()
        assert fold.is_visible()
        # a live figure, not a picture: hovering over a point shows its values
        tab.locator(".scatterlayer .point").nth(1).hover(force=True)
        tab.locator(".hoverlayer .hovertext").wait_for(state="attached")
        browser.close()


def test_plotly_is_inlined_only_where_a_figure_needs_it() -> None:
    html = to_html(new_notebook(cells=[new_markdown_cell("no figure")]), "plain")
    assert len(html) < 2_000_000
    assert "<title>plain</title>" in html


@pytest.mark.parametrize(
    ("tex", "seen"),
    [
        (r"\operatorname{softmax}", "softmax"),
        (r"\begin{cases}0&x\\1&y\end{cases}", "<mtable"),
        (r"\mathbb{R}^d", "\u211d"),
        (r"\begin{aligned}a&=b\\&=c\end{aligned}", "<mtable"),
        (r"\operatorname*{min}_x", '<mi mathvariant="normal">m</mi>'),
        (r"\left(", r"<code>\left(</code>"),
        (r"\text{a</math><script>}", "<mtext>a&lt;/math&gt;&lt;script&gt;</mtext>"),
        (r"\href{javascript:alert(1)}{x}", "<mrow><mrow><mi>x</mi></mrow></mrow>"),
        (r"a < b", "<mo>&lt;</mo>"),
    ],
)
def test_typical_formulas(tex: str, seen: str) -> None:
    assert seen in math_to_mathml(tex, display=True)


def test_a_file_that_is_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "bad.ipynb").write_text("{}")
    with pytest.raises(DataError, match=r"bad\.ipynb: not a notebook"):
        main([str(tmp_path / "bad.ipynb"), str(tmp_path / "bad.html")])
    with pytest.raises(DataError, match=r"none\.ipynb: not a notebook"):
        main([str(tmp_path / "none.ipynb"), str(tmp_path / "bad.html")])
