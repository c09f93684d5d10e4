"""Every exercise of every lesson is sound: stub open, solution right, each planted mistake told apart."""

import importlib
import pkgutil

import pytest

import exercises
from exercises import Exercise
from tests.exercises.soundness import assert_exercise_is_sound

LESSONS = [m.name for m in pkgutil.iter_modules(exercises.__path__) if m.name.startswith("lesson_")]
EXERCISES = [
    pytest.param(name, value, id=f"{lesson}.{name}")
    for lesson in LESSONS
    for name, value in vars(importlib.import_module(f"exercises.{lesson}")).items()
    if isinstance(value, Exercise)
]


@pytest.mark.parametrize(("variable", "exercise"), EXERCISES)
def test_the_exercise_is_sound(variable: str, exercise: Exercise) -> None:
    assert variable == exercise.name, "the module's name for the exercise is not the learner's name for it"
    assert_exercise_is_sound(exercise)
