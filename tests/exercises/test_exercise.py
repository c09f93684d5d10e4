"""The exercise frame, tried with two demo exercises and with frames that are broken on purpose."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from torch import Tensor

from clcrkit.errors import ConfigError
from exercises import Exercise, ExerciseError, expect_close
from tests.exercises import demo
from tests.exercises.soundness import assert_exercise_is_sound, printed, refused


@pytest.mark.parametrize("exercise", [demo.center, demo.Gate])
def test_the_demo_exercises_are_sound(exercise: Exercise) -> None:
    assert_exercise_is_sound(exercise)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"checks": demo.center.checks[:1]}, "a wrong answer was accepted"),
        ({"mistakes": demo.center.mistakes[:2]}, "at least 3 are needed"),
        ({"mistakes": [*demo.center.mistakes[:2], (demo.center_and_scale, demo.CHANGED)]}, "another message"),
        ({"mistakes": [demo.center.mistakes[0]] * 3}, "share one message"),
        (
            {"checks": [*demo.center.checks, ("nothing", lambda answer: None)]},
            r"no planted mistake fails \['nothing'\]",
        ),
        ({"checks": [("nothing", lambda answer: None), *demo.center.checks]}, "the stub is not open"),
        ({"checks": demo.center.checks * 2}, "two checks share one mechanism"),
    ],
)
def test_an_unsound_exercise_is_found(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        assert_exercise_is_sound(dataclasses.replace(demo.center, **change))


def test_a_solution_that_is_wrong_is_found() -> None:
    def center(values: Tensor) -> Tensor:
        return values

    with pytest.raises(ExerciseError, match="one mean for all rows"):
        assert_exercise_is_sound(dataclasses.replace(demo.center, solution=center))


def test_messages_name_the_place_and_the_mechanism() -> None:
    with pytest.raises(ExerciseError) as error:
        demo.center.check(demo.center_and_scale)
    assert str(error.value) == f"center, check 2 of 3 (differences within a row stay as they are): {demo.SCALED}"
    assert error.value.__suppress_context__


def test_common_slips_have_messages_of_their_own() -> None:
    assert refused(demo.center, lambda values: None) == "your function returned None: is the `return` missing?"
    assert refused(demo.center, lambda values: values.mean()).startswith("your code raised IndexError: Dimension")
    assert refused(demo.center, lambda values: values[:1]) == "your result has shape (1,); it should be (2,)"
    assert refused(demo.center, lambda values: values * math.nan) == "your result holds nan or inf"
    with pytest.raises(ExerciseError, match="of type list; a tensor is needed"):
        expect_close([1.0], torch.ones(1), "unused")


def test_an_error_in_the_answer_names_the_line() -> None:
    def center(values: Tensor) -> Tensor:
        rows = values.shape[0]
        return values / rows.missing  # type: ignore[attr-defined]

    reason = refused(demo.center, center)
    line = center.__code__.co_firstlineno + 2
    assert reason.startswith("your code raised AttributeError: 'int' object has no attribute 'missing'\n")
    assert f"in line {line} of your cell: return values / rows.missing" in reason


def test_a_half_done_answer_is_open_not_wrong() -> None:
    calls = []

    def center(values: Tensor) -> Tensor:
        calls.append(values)
        if len(calls) > 1:
            raise NotImplementedError
        return demo.center.solution(values)

    assert printed(demo.center, center) == (
        "center: 1 of 3 checks passed, then an open part. Fill in the cell and run it again."
    )


def test_an_error_of_torch_is_no_open_stub() -> None:
    def center(values: Tensor) -> Tensor:
        raise NotImplementedError("no kernel for this type")

    assert "your code raised NotImplementedError: no kernel for this type" in refused(demo.center, center)


def test_checks_leave_the_notebooks_random_numbers_alone() -> None:
    def center(values: Tensor) -> Tensor:
        torch.rand(3)
        return demo.center.solution(values)

    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    printed(demo.center, center)
    assert torch.rand(2).equal(expected)


def test_stub_and_solution_are_one_cell_under_the_learners_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.center.stub_cell == (
        "def center(values: Tensor) -> Tensor:\n"
        '    """Take the mean of each row away. Shape (row, column), in and out."""\n'
        "    raise NotImplementedError\n\n\n"
        "lesson.center.check(center)"
    )
    assert demo.Gate.stub_cell == (
        "class Gate(nn.Module):\n"
        '    """A learnable weight in (0, 1) for each column."""\n\n'
        "    def __init__(self, columns: int) -> None:\n"
        "        raise NotImplementedError\n\n"
        "    def forward(self, values: Tensor) -> Tensor:\n"
        '        """Shape (row, column), in and out."""\n'
        "        raise NotImplementedError\n\n\n"
        "lesson.Gate.check(Gate)"
    )
    space: dict[str, Any] = {"Tensor": Tensor, "nn": torch.nn, "torch": torch, "lesson": demo}
    for exercise in (demo.center, demo.Gate):
        exec(exercise.solution_cell, space)  # what the learner's cell does
        assert capsys.readouterr().out == f"{exercise.name}: all 3 checks passed.\n"
        assert exercise.solution_cell.split("\n\n\n")[0] in exercise.folded_solution
    assert demo.Gate.header == "### Exercise: a gate for each column\n\nDifficulty 2/5 · importance 4/5 · 10 minutes"


def test_jupyter_shows_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.user_ns.update(exercise=demo.center, answer=demo.center_by_one_mean)
    shell.run_cell("exercise.check(answer)")
    shown = capsys.readouterr()
    assert (shown.out + shown.err).strip() == f"center, check 1 of 3 (each row sums to 0): {demo.GLOBAL}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"difficulty": 6}, "difficulty is 6; 1 to 5 are allowed"),
        ({"importance": 0}, "importance is 0; 1 to 5 are allowed"),
    ],
)
def test_a_badly_described_exercise_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(demo.center, **change)


def test_a_case_must_name_its_mechanism() -> None:
    with pytest.raises(ConfigError, match="'center the rows': a case names no mechanism"):
        demo.center.case(" ")
