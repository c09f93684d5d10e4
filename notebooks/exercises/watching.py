"""A learner's function as a check calls it: on copies of its input, with each call kept, so that it can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from exercises.expecting import ExerciseError

Function = Callable[..., Any]

NONE = "your function returned None: is the `return` missing?"
PAIR = "your function returned values and indices, a pair, as `.max(dim)` does: take `.values`, or use `.amax(dim)`"
IN_PLACE = "your function changed its input: work on a copy, without `+=`, `[...] =` or a method that ends with `_`"


class Call(NamedTuple):
    """One call of the learner's function: what it got, the state of the random numbers, what it returned."""

    values: tuple[Any, ...]
    named: dict[str, Any]
    random: Tensor
    result: Any

    def repeated(self, function: Function, seed: int | None = None) -> Any:
        """What a function returns for the same input and random numbers, or for those of another seed."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random) if seed is None else torch.manual_seed(seed)
            return function(*copied(self.values), **copied(self.named))


class Watched:
    """The learner's function during one check. Raises ExerciseError for what no exercise allows.

    calls     the calls that returned something
    raised    the error with which a call ended, if one did
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self.calls: list[Call] = []
        self.raised: Exception | None = None

    def __call__(self, *values: Any, **named: Any) -> Any:
        given, random = copied((values, named)), torch.get_rng_state()
        try:
            result = self.function(*given[0], **given[1])
        except Exception as error:
            self.raised = error
            raise
        if result is None:
            raise ExerciseError(NONE)
        if type(result).__module__ == "torch.return_types":
            raise ExerciseError(PAIR)
        if not same(given, (values, named)):
            raise ExerciseError(IN_PLACE)
        self.calls.append(Call(copied(values), copied(named), random, result))
        return result

    def is_like(self, function: Function) -> bool | None:
        """Whether the function returns the same in each call; None where a call cannot be repeated."""
        try:
            if not all(same(call.repeated(self.function), call.result) for call in self.calls):
                return None
        except Exception:  # such as the name of a file that is gone
            return None
        try:
            return bool(self.calls) and all(same(call.repeated(function), call.result, 1e-5) for call in self.calls)
        except Exception:
            return False


def copied(value: Any) -> Any:
    """Copies of the tensors in it, so that no answer spoils what the next check needs."""
    if isinstance(value, Tensor):
        return value if value.requires_grad else value.clone()
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple) else value


def same(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    """Whether two values are of one kind and shape, and equal within the tolerance; nan equals nan."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        one, other = torch.as_tensor(one), torch.as_tensor(other)
        if one.shape != other.shape or (one.dtype == torch.bool) != (other.dtype == torch.bool):
            return False
        return torch.allclose(one.double(), other.double(), tolerance, tolerance, equal_nan=True)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key], tolerance) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(same(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return same(torch.tensor(one), torch.tensor(other), tolerance)
    return one is other or bool(one == other)
