"""Recorded predictions: the learner commits a guess before the truth is shown, and the next cell scores it.

Guesses stay in memory. They are written to a file only where the learner names one (`scorecard(path)`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clcrkit.errors import ConfigError

Number = int | float


@dataclass
class Prediction:
    """One guess. `within` is the tolerance of a number; `truth` is None until the guess is scored."""

    guess: Number | str
    within: Number | None
    truth: Number | str | None = None

    @property
    def right(self) -> bool:
        """Whether the scored guess is right: equal for choices, within the tolerance for numbers."""
        if isinstance(self.guess, str) or isinstance(self.truth, str) or self.truth is None:
            return self.guess == self.truth
        assert self.within is not None
        # the slack is for decimal fractions: 0.3 is within 0.1 of 0.2
        return abs(self.guess - self.truth) <= self.within + 1e-9


_recorded: dict[str, Prediction] = {}


def predict(
    name: str, guess: Number | str, *, within: Number | None = None, options: Sequence[str] | None = None
) -> None:
    """Record a guess and say so; the cell after it shows the truth and calls `score`.

    A number needs `within`, the distance up to which it counts as right, in the guess's own unit. A choice
    needs `options`. A second call with the same name replaces the guess. Raises ConfigError for a guess that
    is none of the options or not a finite number.
    """
    if options is not None:
        if guess not in options:
            raise ConfigError(f"prediction '{name}': guess {guess!r}; choose one of {', '.join(options)}")
        _recorded[name] = Prediction(str(guess), None)
        print(f"Recorded: {guess}.")
        return
    if isinstance(guess, (str, bool)) or not math.isfinite(guess):
        raise ConfigError(f"prediction '{name}': guess {guess!r}; a finite number is needed")
    if within is None or not within > 0:
        raise ConfigError(f"prediction '{name}': within is {within}; a number above 0 is needed")
    _recorded[name] = Prediction(float(guess), float(within))
    print(f"Recorded: {_plain(guess)}. Right means: no more than {_plain(within)} away.")


def score(name: str, truth: Number | str) -> None:
    """Compare the recorded guess with the truth, in one sentence. `truth` is a number or one of the options.

    Raises ConfigError where no guess of this name, or a guess of another kind, was recorded.
    """
    if name not in _recorded:
        raise ConfigError(f"prediction '{name}': no guess recorded yet; run the cell with predict() first")
    prediction = _recorded[name]
    guess = prediction.guess
    if isinstance(guess, str):
        if not isinstance(truth, str):
            raise ConfigError(f"prediction '{name}': the truth is {truth!r}, the guess was one of several options")
        prediction.truth = truth
        print(f"Right: {truth}." if prediction.right else f"Not this time: you guessed {guess}, it is {truth}.")
        return
    if isinstance(truth, str) or not math.isfinite(truth):
        raise ConfigError(f"prediction '{name}': the truth is {truth!r}, the guess was a number")
    prediction.truth = float(truth)
    facts = f"you guessed {_plain(guess)}, it is {_plain(truth)}"
    if prediction.right:
        print(f"Right: {facts}.")
    else:
        print(f"Not this time: {facts}, which is {_plain(abs(guess - float(truth)))} away.")


def scorecard(path: str | os.PathLike[str] | None = None) -> None:
    """Say how many of the scored guesses were right; with a path, also write them there as JSON."""
    scored = {name: p for name, p in _recorded.items() if p.truth is not None}
    print(f"{sum(p.right for p in scored.values())} of {len(scored)} predictions were right.")
    if path is not None:
        Path(path).write_text(json.dumps({name: asdict(p) for name, p in scored.items()}, indent=2) + "\n")


def _plain(number: Number) -> str:
    """At most 3 decimals, none of them needless."""
    return f"{number:.3f}".rstrip("0").rstrip(".")
