"""What every exercise must show: its checks tell the stub, the solution and each planted mistake apart."""

import contextlib
import inspect
import io
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from exercises import Exercise, ExerciseError


def assert_exercise_is_sound(exercise: Exercise) -> None:
    """The stub is open, the solution passes, each mistake gets its own message, no check is idle."""
    stub, said = run_stub(exercise)
    assert said.startswith(f"{exercise.name}: not attempted yet."), "the stub is not open"
    assert inspect.signature(stub, eval_str=True) == inspect.signature(exercise.solution, eval_str=True)
    assert inspect.getdoc(stub) == inspect.getdoc(exercise.solution)
    passed = f"{exercise.name}: all {len(exercise.checks)} checks passed."
    for _ in range(2):  # the first run must leave nothing behind that the second one needs
        assert printed(exercise, exercise.solution) == passed

    assert len(exercise.mistakes) >= 3, f"{len(exercise.mistakes)} mistakes; at least 3 are needed"
    messages = [message for _, message in exercise.mistakes]
    assert len(set(messages)) == len(messages), "two mistakes share one message"
    for wrong, message in exercise.mistakes:
        assert refused(exercise, wrong) == message, f"{wrong.__name__} got another message than: {message}"

    mechanisms = [mechanism for mechanism, _ in exercise.checks]
    assert len(set(mechanisms)) == len(mechanisms), "two checks share one mechanism"
    caught = {_failing_check(exercise, wrong) for wrong, _ in exercise.mistakes}
    idle = [mechanism for mechanism in mechanisms if mechanism not in caught]
    assert not idle, f"no planted mistake fails {idle}"


def run_stub(exercise: Exercise) -> tuple[Callable[..., Any], str]:
    """The learner's untouched function or class, and what its cell prints."""
    names = {**vars(sys.modules[exercise.solution.__module__]), "lesson": SimpleNamespace(**{exercise.name: exercise})}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(exercise.stub_cell, names)
    return names[exercise.name], output.getvalue()


def printed(exercise: Exercise, answer: object) -> str:
    """What `exercise.check` prints for the answer."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exercise.check(answer)
    return output.getvalue().strip()


def refused(exercise: Exercise, answer: object) -> str:
    """The message for a wrong answer, without the place."""
    try:
        said = printed(exercise, answer)
    except ExerciseError as error:
        return error.reason
    raise AssertionError(f"a wrong answer was accepted: {said}")


def _failing_check(exercise: Exercise, wrong: object) -> str:
    try:
        printed(exercise, wrong)
    except ExerciseError as error:
        number = int(str(error).split("check ")[1].split(" ")[0])
        return exercise.checks[number - 1][0]
    return ""
