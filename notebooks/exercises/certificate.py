"""A page to print: the lessons, the exercises solved in each, and the predictions that were right at the first try."""

from __future__ import annotations

import os
from datetime import date
from html import escape
from pathlib import Path

from clcrkit.files import write_text
from exercises import progress

_STYLE = """
@page { size: A4; margin: 18mm; }
body { font-family: Georgia, serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }
h1, p { text-align: center; }
.name { font-size: 1.8rem; margin: 1.5rem 0; }
table { width: 100%; border-collapse: collapse; margin: 2rem 0; }
th, td { padding: 0.3rem 0.5rem; border-bottom: 1px solid #777; text-align: right; }
th:first-child { text-align: left; font-weight: normal; }
thead th, thead th:first-child { font-weight: bold; }
tr { break-inside: avoid; }
"""


def certificate(name: str, path: str | os.PathLike[str] = "certificate.html", day: date | None = None) -> Path:
    """Write the page in the learner's name, and return its path: open it in a browser and print it.

    It says what was done so far, from the file that `progress.keep()` began. Raises DataError where it cannot write.
    """
    told = progress.rows()
    body = "".join(
        f'<tr><th scope="row">{escape(row.title)}</th><td>{row.solved} of {row.exercises}</td>'
        f"<td>{row.right_at_first} of {row.predictions}</td></tr>"
        for row in told
    )
    done = sum(row.solved == row.exercises and row.predicted == row.predictions for row in told)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Certificate: {escape(name)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>'
        f'<h1>CLCR, built from scratch</h1><p class="name">{escape(name)}</p>'
        f"<p>has completed {done} of {len(told)} lessons.</p>"
        '<table><thead><tr><th scope="col">Lesson</th><th scope="col">Exercises solved</th>'
        f'<th scope="col">Predictions right at the first try</th></tr></thead><tbody>{body}</tbody></table>'
        f"<p>{(day or date.today()).isoformat()}</p></main></body></html>\n"
    )
    write_text(Path(path), page)
    return Path(path)
