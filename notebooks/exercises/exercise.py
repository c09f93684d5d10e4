"""Exercises that check themselves: one mechanism at a time, with a message that names the likely mistake."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from clcrkit.errors import ConfigError

Check = Callable[[Any], None]


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
    target = torch.as_tensor(expected)
    if not isinstance(actual, (Tensor, float, int)):
        raise ExerciseError(f"your result is of type {type(actual).__name__}; a tensor is needed")
    result = torch.as_tensor(actual)
    if result.shape != target.shape:
        raise ExerciseError(f"your result has shape {tuple(result.shape)}; it should be {tuple(target.shape)}")
    if not result.isfinite().all():
        raise ExerciseError("your result holds nan or inf")
    expect(torch.allclose(result.double(), target.double(), rtol=tolerance, atol=tolerance), message)


@dataclass(eq=False)
class Exercise:
    """One exercise: its task's card, its solution as real code, and the checks with their own tests.

    title                           what is built, as in the notebook's heading
    solution                        a function or class under the learner's name
    difficulty, importance          1 to 5
    minutes                         of the learner's time
    checks                          a mechanism in a few words, and a function that takes the learner's function or
                                    class, tries this one mechanism and calls `expect` and `expect_close`
    mistakes                        wrong answers, each with exactly the message that it must get

    As a decorator of the solution, with cases below it:

        @partial(Exercise, "project on the truncated simplex", difficulty=3, importance=5, minutes=15)
        def project(values: Tensor, budget: float) -> Tensor: ...

        @project.case("a budget of 2")
        def _spends_two(answer: Callable[..., Tensor]) -> None: ...
    """

    title: str
    solution: Callable[..., Any]
    difficulty: int
    importance: int
    minutes: int
    checks: list[tuple[str, Check]] = field(default_factory=list)
    mistakes: Sequence[tuple[Callable[..., Any], str]] = ()

    def __post_init__(self) -> None:
        for scale in ("difficulty", "importance"):
            if getattr(self, scale) not in range(1, 6):
                raise ConfigError(f"exercise '{self.title}': {scale} is {getattr(self, scale)}; 1 to 5 are allowed")

    def case(self, mechanism: str) -> Callable[[Check], Check]:
        """Decorator: add a check. Checks run in the order in which they stand, and the first that fails speaks.

        Raises ConfigError for a mechanism without words.
        """
        if not mechanism.strip():
            raise ConfigError(f"exercise '{self.title}': a case names no mechanism; a few words are needed")

        def added(check: Check) -> Check:
            self.checks.append((mechanism, check))
            return check

        return added

    @property
    def name(self) -> str:
        """What the learner's function or class is called."""
        return self.solution.__name__

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
        """The learner's code cell, untouched: the solution with its bodies left open, and the call that checks it."""
        return f"{_opened(self._code)}\n\n\n{self._call}"

    @property
    def solution_cell(self) -> str:
        """The same cell, solved."""
        return f"{self._code}\n\n\n{self._call}"

    @property
    def folded_solution(self) -> str:
        """The solution as a folded Markdown cell."""
        return f"<details><summary>Solution</summary>\n\n```python\n{self._code}\n```\n\n</details>"

    def check(self, answer: Callable[..., Any]) -> None:
        """Try the learner's function or class and print how many checks it passed, or that it is still open.

        Raises ExerciseError with the message of the first check that fails.
        """
        for number, (mechanism, check) in enumerate(self.checks, start=1):
            place = f"{self.name}, check {number} of {len(self.checks)} ({mechanism})"
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

    @property
    def _code(self) -> str:
        """The solution's source text, without its decorators."""
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(self.solution))).strip()
        return "\n".join(source.splitlines()[_definition(source).lineno - 1 :])


def _definition(code: str) -> ast.FunctionDef | ast.ClassDef:
    node = ast.parse(code).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return node


def _opened(code: str) -> str:
    """The function, or each method of the class, with signature and docstring and nothing done."""
    lines = code.splitlines()
    node = _definition(code)
    functions = [node] if isinstance(node, ast.FunctionDef) else node.body
    for function in reversed(functions):  # from the end, so that the line numbers before it stay right
        if isinstance(function, ast.FunctionDef):
            first = function.body[0]
            start = first.lineno - 1 if ast.get_docstring(function) is None else first.end_lineno
            lines[start : function.end_lineno] = [" " * first.col_offset + "raise NotImplementedError"]
    return "\n".join(lines)


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
