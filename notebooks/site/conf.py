"""Sphinx's settings for the course's site. `build.py` copies this beside the pages, and runs Sphinx."""

from clcrkit.pages import math_to_mathml

project, author = "clcrkit", "the clcrkit authors"
html_title = "clcrkit: a course on shared and private information"
extensions = ["myst_nb"]
root_doc = "index"
exclude_patterns = ["exercises"]

nb_execution_mode = "off"  # the pages show what the notebooks store
nb_merge_streams = True
nb_number_source_lines = False
myst_enable_extensions = ["amsmath", "dollarmath", "deflist", "html_image"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "misc.highlighting_failure"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("plotly.min.js", {"defer": "defer"}), ("site.js", {"defer": "defer"})]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it would fetch pages, which a page from the disk may not
html_show_copyright = False
html_math_renderer = "mathml"


def setup(app):
    """Formulas as MathML, which browsers draw themselves."""

    def inline(writer, node):
        writer.body.append(math_to_mathml(node.astext(), display=False))
        raise nodes.SkipNode

    def block(writer, node):
        writer.body.append(f'<div class="math">{math_to_mathml(node.astext(), display=True)}</div>')
        raise nodes.SkipNode

    from docutils import nodes

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
