"""Predictions: the sentence is exact, the tolerance is kept, nothing is written unless asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clcrkit.errors import ConfigError
from exercises import predict, prediction, score, scorecard


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prediction, "_recorded", {})
    monkeypatch.chdir(tmp_path)


def test_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    predict("accuracy", guess=0.7, within=0.1)
    score("accuracy", 0.62)
    score("accuracy", 0.45)
    assert capsys.readouterr().out.splitlines() == [
        "Recorded: 0.7. Right means: no more than 0.1 away.",
        "Right: you guessed 0.7, it is 0.62.",
        "Not this time: you guessed 0.7, it is 0.45, which is 0.25 away.",
    ]


def test_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    predict("leak", guess="yes", options=["yes", "no"])
    score("leak", "no")
    predict("leak", guess="no", options=["yes", "no"])
    score("leak", "no")
    assert capsys.readouterr().out.splitlines() == [
        "Recorded: yes.",
        "Not this time: you guessed yes, it is no.",
        "Recorded: no.",
        "Right: no.",
    ]


@given(truth=st.integers(-1000, 1000), off=st.integers(-1000, 1000), within=st.integers(1, 500))
def test_right_is_within_the_tolerance_to_the_last_hundredth(truth: int, off: int, within: int) -> None:
    # hundredths: what a learner types, and what binary fractions cannot hold
    guess = prediction.Prediction((truth + off) / 100, within / 100, truth / 100)
    assert guess.right == (abs(off) <= within)


def test_the_scorecard_writes_only_where_it_is_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict("one", guess=1, within=0.5)
    predict("two", guess="a", options=["a", "b"])
    predict("never scored", guess=3, within=1)
    score("one", 1.2)
    score("two", "b")
    scorecard()
    assert list(tmp_path.iterdir()) == []
    scorecard(tmp_path / "mine.json")
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 2 predictions were right."
    assert json.loads((tmp_path / "mine.json").read_text()) == {
        "one": {"guess": 1.0, "within": 0.5, "truth": 1.2},
        "two": {"guess": "a", "within": None, "truth": "b"},
    }


@pytest.mark.parametrize(
    ("guess", "rules", "message"),
    [
        ("maybe", {"options": ["yes", "no"]}, "guess 'maybe'; choose one of yes, no"),
        (float("nan"), {"within": 1}, "guess nan; a finite number is needed"),
        ("0.5", {"within": 1}, "guess '0.5'; a finite number is needed"),
        (1, {}, "within is None; a number above 0 is needed"),
        (1, {"within": 0}, "within is 0; a number above 0 is needed"),
    ],
)
def test_a_guess_that_makes_no_sense_is_refused(guess: Any, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        predict("p", guess, **rules)
    with pytest.raises(ConfigError, match="'p': no guess recorded yet"):
        score("p", 1)


@pytest.mark.parametrize(
    ("guess", "rules", "truth", "message"),
    [
        (1, {"within": 1}, "yes", "the truth is 'yes', the guess was a number"),
        ("a", {"options": ["a"]}, 1, "the truth is 1, the guess was one of several options"),
    ],
)
def test_truth_and_guess_are_of_one_kind(guess: Any, rules: dict[str, Any], truth: Any, message: str) -> None:
    predict("p", guess, **rules)
    with pytest.raises(ConfigError, match=message):
        score("p", truth)
