"""Predictions: the learner commits a guess before the truth is shown, and a later cell scores it.

Nothing is recorded before the learner commits. What a prediction shows until then is said in `Prediction.question` and
`Prediction.verdict`, and nowhere else: the stored notebooks hold exactly that, so that nbval compares these cells as
all others, and a page without a kernel asks, too, and then uncovers the answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from IPython.display import display

from clcrkit.errors import ConfigError
from exercises import progress
from exercises.asking import Said, asked, live, refresh

Number = int | float

OPEN = "not answered yet"
"""What the stored text of each prediction says."""


@dataclass
class Prediction:
    """One question. A number has `within`, the distance up to which a guess is right; a choice has `options`.

    shown: what comes with the truth, such as the table that it stands in."""

    name: str
    within: float | None = None
    options: tuple[str, ...] = ()
    guesses: list[Number | str] = field(default_factory=list)
    truth: Number | str | None = None
    shown: tuple[object, ...] = ()

    def commit(self, guess: Number | str | None) -> None:
        """Record a guess; the first one counts. Raises ConfigError for one that is no option or no finite number."""
        if self.options:
            if not isinstance(guess, str) or guess not in self.options:
                raise ConfigError(f"prediction '{self.name}': guess {guess!r}; choose one of {', '.join(self.options)}")
        else:
            guess = _number(guess, f"prediction '{self.name}': guess {guess!r}; a finite number is needed")
        self.guesses.append(guess)
        self.keep()
        refresh()

    def keep(self) -> None:
        """Write it into the learner's own file, where there is one."""
        if self.guesses:
            progress.note("predictions", self.name, {"guesses": self.guesses, "right_at_first": self.right_at_first})

    def is_right(self, guess: Number | str) -> bool:
        """Whether this guess is right, once the truth is known: equal for choices, within the tolerance for numbers."""
        if isinstance(guess, str) or isinstance(self.truth, str) or self.truth is None or self.within is None:
            return guess == self.truth
        # the slack is for decimal fractions: 0.3 is within 0.1 of 0.2
        return abs(guess - self.truth) <= self.within + 1e-9

    @property
    def right_at_first(self) -> bool | None:
        """Whether the first guess is right; None before the truth or the guess is known."""
        return self.is_right(self.guesses[0]) if self.guesses and self.truth is not None else None

    def question(self) -> Said:
        """What the cell that asks says: as text, and as HTML for where there is no kernel."""
        rule = f"right is at most {_plain(self.within)} away" if self.within else "one of: " + ", ".join(self.options)
        if self.guesses:
            return f'Prediction "{self.name}": {self.recorded()}', f"<p>{escape(self.recorded())}</p>"
        number = f'<label>A number ({escape(rule)}): <input type="text" inputmode="decimal" size="8"></label>'
        radio = f'<input type="radio" name="{escape(self.name)}">'
        choices = "<br>".join(f"<label>{radio} {escape(option)}</label>" for option in self.options)
        return (
            f'Prediction "{self.name}", {rule}: {OPEN}.',
            f"<fieldset><legend>Your prediction: {escape(self.name)}</legend>{choices or number}</fieldset>",
        )

    def recorded(self) -> str:
        """What the learner has committed."""
        if not self.guesses:
            return ""
        first, last = _plain(self.guesses[0]), _plain(self.guesses[-1])
        return f"Recorded: {last}." + (f" Your first guess, {first}, counts." if len(self.guesses) > 1 else "")

    def verdict(self) -> Said:
        """What the cell that scores says, as text and as HTML; the answer lies folded until there is a guess."""
        assert self.truth is not None
        truth = _plain(self.truth)
        if not self.guesses:
            return (
                f'Prediction "{self.name}": {OPEN}.',
                f"<details><summary>Uncover the answer: {escape(self.name)}</summary>"
                f"<p>It is {escape(truth)}.</p>{''.join(map(_html, self.shown))}</details>",
            )
        guess = self.guesses[-1]
        if isinstance(guess, str):
            wrong = f"you guessed {guess}, it is {truth}"
            said = f"Right: {truth}." if self.is_right(guess) else f"Not this time: {wrong}."
        else:
            facts = f"you guessed {_plain(guess)}, it is {truth}"
            away = f"{facts}, which is {_plain(abs(guess - float(self.truth)))} away"
            said = f"Right: {facts}." if self.is_right(guess) else f"Not this time: {away}."
        html = f"<p>{escape(said)}</p>{''.join(map(_html, self.shown))}"
        return "\n".join([said, *map(str, self.shown)]), html


_asked: dict[str, Prediction] = {}


def predict(name: str, *, within: Number | None = None, options: Sequence[str] = ()) -> None:
    """Ask for a prediction; the cell after it finds the truth and calls `score`.

    A number needs `within`, the distance up to which it counts as right, in the guess's own unit; a choice needs
    `options`. What was committed stays when the cell is run again. Raises ConfigError where neither is given.
    """
    prediction = Prediction(name, None if within is None else float(within), tuple(options))
    if not options and not (within and within > 0):
        raise ConfigError(f"prediction '{name}': within is {within}; a number above 0 is needed, or options")
    known = _asked.get(name)
    if known and (known.within, known.options) == (prediction.within, prediction.options):
        prediction = known
    elif not known:
        prediction.guesses = progress.load().get("predictions", {}).get(name, {}).get("guesses", [])
    _asked[name] = prediction
    display(asked(prediction.options, prediction.commit, prediction.recorded, prediction.question))


def score(name: str, truth: Number | str, *shown: object) -> None:
    """Compare the guess with the truth, a number or one of the options; the answer is folded until there is a guess.

    shown: texts, tables or tensors that tell the truth, too, and so lie in the same fold.

    Raises ConfigError where no prediction of this name was asked for, or one of another kind.
    """
    if name not in _asked:
        raise ConfigError(f"prediction '{name}': not asked yet; run the cell with predict() first")
    prediction = _asked[name]
    if prediction.options and truth not in prediction.options:
        raise ConfigError(f"prediction '{name}': the truth is {truth!r}; it is one of {', '.join(prediction.options)}")
    if not prediction.options:
        truth = _number(truth, f"prediction '{name}': the truth is {truth!r}, the guess is a number")
    prediction.truth, prediction.shown = truth, shown
    prediction.keep()
    display(live(prediction.verdict))


def scorecard() -> None:
    """Say how many of this lesson's predictions were made, and how many were right at the first try."""
    display(live(_card))


def _card() -> Said:
    made = [p for p in _asked.values() if p.guesses]
    right = sum(p.right_at_first is True for p in made)
    said = f"{len(made)} of {len(_asked)} predictions made, {right} right at the first try."
    if not made:
        said = f"{len(_asked)} predictions: {OPEN}."
    return said, f"<p>{said}</p>{progress.line()}"


def _number(value: Number | str | None, complaint: str) -> float:
    if value is None or isinstance(value, (str, bool)) or not math.isfinite(value):
        raise ConfigError(complaint)
    return float(value)


def _html(shown: object) -> str:
    """A table as it shows itself, anything else as its text."""
    table = getattr(shown, "_repr_html_", None)
    return table() if table else f"<pre>{escape(str(shown))}</pre>"


def _plain(value: Number | str | None) -> str:
    """A choice as it is, a number with at most 3 decimals, none of them needless."""
    return value if isinstance(value, str) else f"{value:.3f}".rstrip("0").rstrip(".")
