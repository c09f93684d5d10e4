"""What a check says: a condition or a number that must hold, and the sentence for the learner where it does not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
