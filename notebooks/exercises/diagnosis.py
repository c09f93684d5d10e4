"""What is wrong with an answer: named only where it is known, told by its numbers where it is not.

An exercise knows wrong answers, each with a message. A check's message is a guess at one of them. It is a diagnosis if
that wrong answer returns what the learner's function returned, in every call of the check. If another one does, and
passes all earlier checks, its message is taken. If none does, the learner sees the result, the right one, and the guess
as a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from exercises.watching import Call, Function, Watched, same

_MOST = 12
"""Numbers that a message shows of one value."""


def diagnosis(
    reason: str,
    tried: Watched,
    solution: Function,
    mistakes: Sequence[tuple[Function, str]],
    possible: Callable[[Function], bool],
) -> str:
    """The reason for the learner, from what the check said; `possible` tells which mistakes pass all earlier checks."""
    last = tried.calls[-1] if tried.calls else None
    if last is not None and (said := unlike(last, solution, shapes=False)):
        return said
    known = [wrong for wrong, message in mistakes if message == reason]
    if last is None or any(tried.is_like(wrong) is not False for wrong in known):
        return reason
    for wrong, message in mistakes:
        if tried.is_like(wrong) and possible(wrong):
            return message
    if known and (said := unlike(last, solution, shapes=True)):
        return said
    facts = next((told for call in tried.calls if (told := _facts(call, solution))), "")
    if known:
        return f"{facts or 'your result is not right'}. A common mistake here: {reason}"
    return f"{reason} ({facts})" if facts else reason


def unlike(call: Call, solution: Function, shapes: bool) -> str | None:
    """In words, how a result differs in kind, or also in shape, from the solution's; None where it does not."""
    try:
        wanted = call.repeated(solution)
    except Exception:  # this input is not for a second call
        return None
    return _unlike(call.result, wanted, shapes)


def _unlike(result: Any, wanted: Any, shapes: bool) -> str | None:
    told = f"your function returned {_kind(result)}; it should return {_kind(wanted)}"
    if isinstance(wanted, tuple):
        if not isinstance(result, tuple) or len(result) != len(wanted):
            return told
        parts = [_unlike(a, b, shapes) for a, b in zip(result, wanted, strict=True)]
        return next((f"value {n} of {len(parts)}: {said}" for n, said in enumerate(parts, 1) if said), None)
    if isinstance(wanted, dict):
        if not isinstance(result, dict) or result.keys() != wanted.keys():
            return told
        return next((said for key in wanted if (said := _unlike(result[key], wanted[key], shapes))), None)
    if isinstance(wanted, Tensor):
        fits = isinstance(result, Tensor) or (isinstance(result, (int, float)) and wanted.ndim == 0)
        return None if fits and (not shapes or torch.as_tensor(result).shape == wanted.shape) else told
    if isinstance(wanted, (int, float)):
        return (
            None if isinstance(result, (int, float)) or (isinstance(result, Tensor) and result.numel() == 1) else told
        )
    return None if isinstance(result, type(wanted)) else told


def _facts(call: Call, solution: Function) -> str:
    """The call, what it returned and what it should; nothing where it is right or too long to read."""
    try:
        wanted = call.repeated(solution)
        if same(call.result, wanted, 1e-4) or not all(same(wanted, call.repeated(solution, seed)) for seed in range(3)):
            return ""  # right, or random, and then there is no single right one
    except Exception:
        return ""
    result, right, given = _shown(call.result), _shown(wanted), [_shown(value) for value in call.values]
    if result is None or right is None:
        return ""
    where = f"{solution.__name__}({', '.join(map(str, given))})" if all(given) else "your result"
    return f"{where} is {result}; it should be {right}"


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"{len(value)} values"
    if isinstance(value, dict):
        return f"a dict with the keys {', '.join(map(repr, value))}"
    return "a number" if isinstance(value, (int, float)) else f"a value of type {type(value).__name__}"


def _shown(value: Any) -> str | None:
    """A short text of numbers and words, None where it is none."""
    if isinstance(value, Tensor):
        return _shown(value.tolist()) if value.numel() <= _MOST else None
    if isinstance(value, (list, tuple)):
        parts = [_shown(part) for part in value]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    if isinstance(value, (bool, str)):
        return repr(value)
    return f"{round(value, 6) + 0.0:.4g}" if isinstance(value, (int, float)) else None
