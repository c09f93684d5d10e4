"""Exercises that check themselves: one mechanism at a time, with a message that names the likely mistake."""

from __future__ import annotations

import inspect
import linecache
import re
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from clcrkit.errors import ConfigError


class ExerciseError(AssertionError):
    """What is wrong with an answer, in words for the learner. Jupyter shows the message without a traceback."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [str(self)]


def expect(condition: bool | Tensor, message: str) -> None:
    """Raise ExerciseError with the message unless the condition holds."""
    if not bool(condition):
        raise ExerciseError(message)


def expect_close(actual: Any, expected: Tensor | float | int, message: str, tolerance: float = 1e-5) -> None:
    """Raise ExerciseError with the message unless the learner's result equals `expected` up to the tolerance.

    A result of the wrong kind or shape, or one that is not finite, gets a message of its own that says so.
    """
    wanted = torch.as_tensor(expected)
    if not isinstance(actual, (Tensor, float, int)):
        raise ExerciseError(f"your result is of type {type(actual).__name__}; a tensor is needed")
    got = torch.as_tensor(actual)
    if got.shape != wanted.shape:
        raise ExerciseError(f"your result has shape {tuple(got.shape)}; it should be {tuple(wanted.shape)}")
    if not got.isfinite().all():
        raise ExerciseError("your result holds nan or inf")
    expect(torch.allclose(got.double(), wanted.double(), rtol=tolerance, atol=tolerance), message)


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise: its task's card, its stub and solution as real code, and the checks with their own tests.

    title                           what is built, as in the notebook's heading
    difficulty, importance          1 to 5
    minutes                         of the learner's time
    stub, solution                  functions or classes named `<name>_stub` and `<name>_solution`. A stub raises
                                    a bare NotImplementedError where the learner shall write
    checks                          functions that take the learner's function or class. Each isolates one
                                    mechanism, has a docstring that names it, and calls `expect`, `expect_close`
    mistakes                        wrong answers, each with exactly the message that it must get
    """

    title: str
    difficulty: int
    importance: int
    minutes: int
    stub: Callable[..., Any]
    solution: Callable[..., Any]
    checks: Sequence[Callable[[Any], None]]
    mistakes: Sequence[tuple[Callable[..., Any], str]]

    def __post_init__(self) -> None:
        for field in ("difficulty", "importance"):
            if getattr(self, field) not in range(1, 6):
                raise ConfigError(f"exercise '{self.title}': {field} is {getattr(self, field)}; 1 to 5 are allowed")
        if self.stub.__name__ != f"{self.name}_stub" or self.solution.__name__ != f"{self.name}_solution":
            raise ConfigError(
                f"exercise '{self.title}': stub and solution are named {self.stub.__name__} and "
                f"{self.solution.__name__}; <name>_stub and <name>_solution are needed"
            )
        for check in self.checks:
            if not check.__doc__:
                raise ConfigError(f"exercise '{self.title}': {check.__name__} has no docstring to name its mechanism")

    @property
    def name(self) -> str:
        """What the learner's function or class is called."""
        return self.stub.__name__.removesuffix("_stub")

    def __repr__(self) -> str:
        return f"Exercise({self.name})"

    @property
    def header(self) -> str:
        """The first lines of the task's cell."""
        return (
            f"### Exercise: {self.title}\n\n"
            f"Difficulty {self.difficulty}/5 · importance {self.importance}/5 · {self.minutes} minutes"
        )

    @property
    def stub_cell(self) -> str:
        """The learner's code cell, untouched: the stub, and the call that checks it."""
        return f"{self._code(self.stub)}\n\n\n{self._call}"

    @property
    def solution_cell(self) -> str:
        """The same cell, solved."""
        return f"{self._code(self.solution)}\n\n\n{self._call}"

    @property
    def folded_solution(self) -> str:
        """The solution as a folded Markdown cell."""
        code = self._code(self.solution)
        return f"<details><summary>Solution</summary>\n\n```python\n{code}\n```\n\n</details>"

    def check(self, answer: Callable[..., Any]) -> None:
        """Try the learner's function or class and print how many checks it passed, or that it is still open.

        Raises ExerciseError with the message of the first check that fails.
        """
        for number, check in enumerate(self.checks, start=1):
            place = f"{self.name}, check {number} of {len(self.checks)} ({self._mechanism(check)})"
            try:
                # seeded, and without touching the notebook's own random numbers
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(0)
                    check(_returning(answer) if inspect.isfunction(answer) else answer)
            except ExerciseError as error:
                raise ExerciseError(error.reason, place) from None
            except Exception as error:  # anything may happen in a learner's code
                if isinstance(error, NotImplementedError) and not error.args:
                    so_far = f"{number - 1} of {len(self.checks)} checks passed, then an open part"
                    state = so_far if number > 1 else "not attempted yet"
                    print(f"{self.name}: {state}. Fill in the cell and run it again.")
                    return
                raise ExerciseError(_explained(error, answer), place) from None
        print(f"{self.name}: all {len(self.checks)} checks passed.")

    @property
    def _call(self) -> str:
        # every lesson imports its module of exercises under this name
        return f"lesson.{self.name}.check({self.name})"

    @staticmethod
    def _mechanism(check: Callable[..., Any]) -> str:
        return (inspect.getdoc(check) or "").splitlines()[0].rstrip(".")

    def _code(self, source: Callable[..., Any]) -> str:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(source))).strip()
        return re.sub(rf"\b{re.escape(self.name)}_(stub|solution)\b", self.name, text)


def _returning(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*values: Any, **named: Any) -> Any:
        result = function(*values, **named)
        expect(result is not None, "your function returned None: is the `return` missing?")
        return result

    return called


def _explained(error: Exception, answer: Callable[..., Any]) -> str:
    """The error, and the line of the learner's code that raised it where there is one."""
    what = f"your code raised {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    files = {code.co_filename for code in _code_objects(answer)}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files and frame.lineno is not None:
            line = (frame.line or linecache.getline(frame.filename, frame.lineno)).strip()
            return f"{what.rstrip(': ')}\n  in line {frame.lineno} of your cell: {line}"
    return what.rstrip(": ")


def _code_objects(answer: Any) -> list[CodeType]:
    functions = vars(answer).values() if inspect.isclass(answer) else [answer]
    return [f.__code__ for f in map(inspect.unwrap, filter(callable, functions)) if inspect.isfunction(f)]
