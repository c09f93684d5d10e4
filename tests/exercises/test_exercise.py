"""The exercise frame, tried with two demo exercises and with frames that are broken on purpose."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from torch import Tensor

from clcrkit.errors import ConfigError
from exercises import Exercise, ExerciseError, expect_close, watching
from exercises.diagnosis import unlike
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
        ({"mistakes": [*demo.center.mistakes[:2], (demo.center_and_scale, demo.ALONE)]}, "another message"),
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
    assert refused(demo.center, lambda values: values.mean(3)).startswith("your code raised IndexError: Dimension")
    assert refused(demo.center, lambda values: values[:1]).startswith("your result has shape (1,); it should be (2,)")
    assert refused(demo.center, lambda values: values * math.nan) == (
        "your result holds nan or inf "
        "(center([[1, 2, 6], [0, 0, 0]]) is [[nan, nan, nan], [nan, nan, nan]]; it should be [[-2, -1, 3], [0, 0, 0]])"
    )
    with pytest.raises(ExerciseError, match="of type list; a tensor is needed"):
        expect_close([1.0], torch.ones(1), "unused")


def _in_place(values: Tensor) -> Tensor:
    values -= values.mean(dim=1, keepdim=True)
    return values


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            lambda values: values.mean(),
            "your function returned a tensor of shape (); it should return a tensor of shape (2, 3)",
        ),
        (
            lambda values: values.tolist(),
            "your function returned a value of type list; it should return a tensor of shape (2, 3)",
        ),
        (lambda values: (values, values), "your function returned 2 values; it should return a tensor of shape (2, 3)"),
        (lambda values: values.max(1), watching.PAIR),
        (
            lambda values: "centered",
            "your function returned a value of type str; it should return a tensor of shape (2, 3)",
        ),
        (_in_place, watching.IN_PLACE),
    ],
)
def test_a_check_that_stumbles_says_what_came_back(answer: Any, reason: str) -> None:
    assert refused(demo.center, answer) == reason


@pytest.mark.parametrize(
    ("result", "wanted", "told"),
    [
        (torch.ones(2), (1.0, 2.0), ("a tensor of shape (2,)", "2 values")),
        ((1, 2, 3), (1.0, 2.0), ("3 values", "2 values")),
        ({"a": 1}, {"a": 1, "b": 2}, ("a dict with the keys 'a'", "a dict with the keys 'a', 'b'")),
        ("0.5", 0.5, ("a value of type str", "a number")),
        (True, "holds", ("a number", "a value of type str")),
        (torch.ones(1), torch.ones(2), ("a tensor of shape (1,)", "a tensor of shape (2,)")),
        (torch.ones(1), 1.0, None),
        (1.0, torch.ones(()), None),
    ],
)
def test_each_kind_of_result_is_told_from_the_others(result: Any, wanted: Any, told: tuple[str, str] | None) -> None:
    watched = watching.Watched(lambda: result)
    watched()
    expected = told and f"your function returned {told[0]}; it should return {told[1]}"
    assert unlike(watched.calls[0], lambda: wanted, shapes=True) == expected
    inside = watching.Watched(lambda: (0.0, result))
    inside()
    expected = told and f"value 2 of 2: {expected}"
    assert unlike(inside.calls[0], lambda: (0.0, wanted), shapes=True) == expected


def test_a_mistake_is_named_only_where_it_is_known() -> None:
    # the check says GLOBAL for both, but only the first takes one mean away
    assert refused(demo.center, lambda values: values - values.mean()) == demo.GLOBAL
    said = refused(demo.center, lambda values: values + 1)
    assert said == (
        "center([[1, 2, 6], [0, 0, 0]]) is [[2, 3, 7], [1, 1, 1]]; it should be [[-2, -1, 3], [0, 0, 0]]. "
        f"A common mistake here: {demo.GLOBAL}"
    )


def test_another_known_mistake_is_recognised() -> None:
    # the first check, which says GLOBAL, fails; the result is that of the answer planted for the third
    planted = [*demo.center.mistakes, (lambda values: values * 2, "you doubled")]
    assert refused(dataclasses.replace(demo.center, mistakes=planted), lambda values: values * 2) == "you doubled"


def test_a_call_that_cannot_be_repeated_leaves_the_message_as_it_is() -> None:
    calls = []

    def once(values: Tensor) -> Tensor:
        calls.append(values)
        return values + len(calls)

    assert refused(demo.center, once) == demo.GLOBAL


def test_an_answer_that_is_no_function_is_named() -> None:
    assert "a function or class is needed, and 3 is none" in refused(demo.center, 3)


def test_a_check_that_stumbles_over_a_result_of_the_right_shape_shows_no_traceback() -> None:
    def check(answer: Any) -> None:
        raise KeyError("inner")

    broken = dataclasses.replace(demo.center, checks=[("a check", check)])
    assert refused(broken, demo.center.solution) == "your result cannot be used (KeyError: 'inner')"


def test_what_a_check_holds_is_safe_from_the_answer() -> None:
    before = demo.VALUES.clone()
    refused(demo.center, _in_place)
    assert demo.VALUES.equal(before)


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
