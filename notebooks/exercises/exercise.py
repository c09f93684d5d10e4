"""Exercises that check themselves: one mechanism at a time, with a message that names the likely mistake."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any

import torch

from clcrkit.errors import ConfigError
from exercises import progress
from exercises.diagnosis import diagnosis, unlike
from exercises.expecting import ExerciseError
from exercises.watching import Watched

Check = Callable[[Any], None]


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

    def check(self, answer: Any) -> None:
        """Try the learner's function or class and print how many checks it passed, or that it is still open.

        Raises ExerciseError with the message of the first check that fails.
        """
        if not callable(answer):
            raise ExerciseError(f"a function or class is needed, and {answer!r} is none", self.name)
        for number, (mechanism, check) in enumerate(self.checks, start=1):
            place = f"{self.name}, check {number} of {len(self.checks)} ({mechanism})"
            tried = None if inspect.isclass(answer) else Watched(answer)
            try:
                _seeded(check, tried or answer)
            except ExerciseError as error:
                reason = error.reason
                if tried:
                    possible = partial(self._passes, checks=number - 1)
                    reason = diagnosis(reason, tried, self.solution, self.mistakes, possible)
                raise ExerciseError(reason, place) from None
            except Exception as error:  # anything may happen in a learner's code
                if isinstance(error, NotImplementedError) and not error.args:
                    so_far = f"{number - 1} of {len(self.checks)} checks passed, then an open part"
                    state = so_far if number > 1 else "not attempted yet"
                    print(f"{self.name}: {state}. Fill in the cell and run it again.")
                    return
                if tried and error is not tried.raised:  # the check stumbled over the result
                    said = unlike(tried.calls[-1], self.solution, shapes=True) if tried.calls else None
                    raise ExerciseError(said or f"your result cannot be used ({_told(error)})", place) from None
                raise ExerciseError(_explained(error, answer), place) from None
        print(f"{self.name}: all {len(self.checks)} checks passed.")
        progress.note("exercises", f"{self.solution.__module__.rpartition('.')[2]}.{self.name}", True)

    def _passes(self, wrong: Callable[..., Any], checks: int) -> bool:
        """Whether a known wrong answer passes the first checks, as the learner's did."""
        try:
            for _, check in self.checks[:checks]:
                _seeded(check, Watched(wrong))
        except Exception:
            return False
        return True

    @property
    def _call(self) -> str:
        # every lesson imports its module of exercises under this name
        return f"lesson.{self.name}.check({self.name})"

    @property
    def _code(self) -> str:
        """The solution's source text, without its decorators."""
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(self.solution))).strip()
        return "\n".join(source.splitlines()[_definition(source).lineno - 1 :])


def _seeded(check: Check, answer: Any) -> None:
    """Run a check with its own random numbers; the notebook's stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        check(answer)


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


def _told(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _explained(error: Exception, answer: Callable[..., Any]) -> str:
    """The error, and the line of the learner's code that raised it where there is one."""
    what = f"your code raised {_told(error)}"
    files = {code.co_filename for code in _code_objects(answer)}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files and frame.lineno is not None:
            line = (frame.line or linecache.getline(frame.filename, frame.lineno)).strip()
            return f"{what}\n  in line {frame.lineno} of your cell: {line}"
    return what


def _code_objects(answer: Any) -> list[CodeType]:
    functions = vars(answer).values() if inspect.isclass(answer) else [answer]
    return [f.__code__ for f in map(inspect.unwrap, filter(callable, functions)) if inspect.isfunction(f)]
