"""Plausible wrong answers, and what the learner is told: the right mistake, or the numbers and no false diagnosis.

A row of the tables in `wrong` is (old, new, told): the solution's code with `old` replaced by `new`, or, where `old` is
empty, `new` in place of the whole function. `told` is the name of the message that must come, flat; with a tilde before
it, where it is only a common mistake beside the numbers; or the words with which the message begins.
"""

import importlib
import pkgutil
import warnings
from collections import Counter

import pytest

from exercises import watching
from tests.exercises import wrong
from tests.exercises.soundness import refused
from tests.exercises.test_lessons import EXERCISES

TABLES = [importlib.import_module(f"tests.exercises.wrong.{m.name}") for m in pkgutil.iter_modules(wrong.__path__)]
ROWS = [(name, *row) for table in TABLES for name, rows in table.WRONG.items() for row in rows]


@pytest.mark.parametrize(("name", "old", "new", "told"), ROWS)
def test_a_wrong_answer_gets_the_right_words(name: str, old: str, new: str, told: str) -> None:
    module = importlib.import_module(f"exercises.{name.split('.')[0]}")
    exercise = getattr(module, name.split(".")[1])
    code = exercise.solution_cell.removesuffix(exercise.stub_cell.rpartition("\n\n\n")[2])
    assert old in code, f"the solution no longer has {old!r}"
    names = {**vars(watching), **vars(module)}
    answers = dict(vars(module))
    exec(
        f"from __future__ import annotations\n{code.replace(old, new) if old else f'{exercise.name} = {new}'}", answers
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about what the wrong answer does
        said = refused(exercise, answers[exercise.name])
    message = names.get(told.removeprefix("~"))
    if message is None:
        assert said.startswith(told)
    elif told.startswith("~"):
        assert said.endswith(f"A common mistake here: {message}")
    else:
        assert said == message


def test_each_exercise_has_five() -> None:
    count = Counter(name for name, *_ in ROWS)
    assert {str(parameter.id) for parameter in EXERCISES} == set(count)
    assert min(count.values()) >= 5
