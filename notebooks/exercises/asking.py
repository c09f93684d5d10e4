"""The widgets of a prediction: one that asks, and words that change when the learner has committed a guess.

Beside its view, which needs a kernel, each holds its words as text and HTML: a stored notebook and a page show them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from ipywidgets import HTML, Button, HBox, RadioButtons, Text, VBox

from clcrkit.errors import ConfigError, DataError

Said = tuple[str, str]
"""The same words as plain text and as HTML."""

_alive: list[tuple[HTML, Callable[[], str]]] = []


class Shown(VBox):
    """Widgets in a column, with words for where no kernel is."""

    def __init__(self, children: Sequence[Any], words: Callable[[], Said]) -> None:
        self.words = words
        super().__init__(list(children))

    def __repr__(self) -> str:
        return self.words()[0]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        text, html = self.words()
        return {**super()._repr_mimebundle_(**kwargs), "text/plain": text, "text/html": html}


def asked(
    options: Sequence[str], commit: Callable[[Any], None], recorded: Callable[[], str], words: Callable[[], Said]
) -> Shown:
    """A choice or a field for a number, a button, and what was recorded. Nothing is chosen before the learner does."""
    said = _words_of(lambda: escape(recorded()))
    if options:
        control: Any = RadioButtons(options=list(options), value=None, layout={"width": "max-content"})
    else:
        control = Text(placeholder="a number", layout={"width": "12em"})

    def committed(*_: Any) -> None:
        try:
            commit(control.value if options else _as_number(control.value))
        except (ConfigError, DataError) as error:
            said.value = escape(str(error))

    button = Button(description="Commit", tooltip="Record this prediction", button_style="primary")
    button.on_click(committed)
    if not options:  # the Enter key
        control.on_msg(lambda _, content, __: committed() if content.get("event") == "submit" else None)
    return Shown([(VBox if options else HBox)([control, button]), said], words)


def live(words: Callable[[], Said]) -> Shown:
    """Words that are said anew whenever a guess is committed."""
    return Shown([_words_of(lambda: words()[1])], words)


def refresh() -> None:
    """Say everything anew."""
    for shown, words in _alive:
        shown.value = words()


def _words_of(words: Callable[[], str]) -> HTML:
    shown = HTML(words())
    _alive.append((shown, words))
    return shown


def _as_number(text: str) -> float | str:
    try:
        return float(text.replace(",", ".").strip())
    except ValueError:
        return text
