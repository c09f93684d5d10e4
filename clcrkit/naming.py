"""A trace of any model: what it can name of its pass, and the rest left out. All [ours].

The explorer and the analyses read a `Trace`, which is CLCR's. Another model has some of it: tokens and attention, say,
but no gates. `trace_of` makes a trace of what is named; `Trace.absent` says what is not, and the explorer leaves it
out. So a model of any kind is shown by a method `trace` of a few lines (`Traceable`), such as those of the baselines.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.errors import DataError
from clcrkit.tasks import task_named
from clcrkit.trace import Trace

BY_MODALITY = ("tokens", "shared", "private", "exchanged", "attention", "shared_summary", "private_summary")
OF_THE_SAMPLE = ("level_gate", "modality_gate", "private_gate", "shared_code", "private_code")


@runtime_checkable
class Traceable(Protocol):
    """A model that can be looked into: `trace(batch)` gives what it can name of its pass."""

    def trace(self, data: Any) -> Trace: ...


@public
def trace_of(batch: Batch, task: str, prediction: Float[Tensor, "batch output"], **named: Any) -> Trace:
    """A trace of one pass of any model, of what it names.

    task: a name of `tasks.TASKS`. named: fields of `Trace` in the shapes that stand there, of BY_MODALITY for all
    modalities of the batch, and of OF_THE_SAMPLE; a model without levels has 1. What is not named holds zeros, uniform
    gates and a share of 1 for every token, and is in `absent`.
    Raises DataError for other names, modalities and numbers of samples.
    """
    task_named(task)
    for name, value in {"prediction": prediction, **named}.items():
        if name not in ("prediction", *BY_MODALITY, *OF_THE_SAMPLE):
            raise DataError(
                f"{name}: no field that a model can name; there are {', '.join(BY_MODALITY + OF_THE_SAMPLE)}"
            )
        if name in BY_MODALITY and (not isinstance(value, dict) or tuple(value) != batch.modalities):
            raise DataError(f"{name}: a tensor for each of {', '.join(batch.modalities)}, in this order, is needed")
        if any(len(x) != len(batch) for x in (value.values() if isinstance(value, dict) else [value])):
            raise DataError(f"{name}: not as many samples as the batch, which has {len(batch)}")
    there = torch.stack([mask.any(1) for mask in batch.masks.values()], 1).to(prediction)
    levels = _size(named, (*BY_MODALITY, "level_gate"), 1)
    ranks = {
        "tokens": _size(named, ("tokens",), -1),
        **dict.fromkeys(
            ("shared", "exchanged"), _size(named, ("shared", "exchanged", "shared_summary", "shared_code"), -1)
        ),
        "private": _size(named, ("private", "private_summary", "private_code"), -1),
    }
    ones, none = prediction.new_ones(len(batch), levels), prediction.new_zeros(len(batch), levels)
    filled: dict[str, Any] = {"threshold": none, "scale": ones, "rho": ones, "attention": {}}
    filled["level_gate"] = ones / levels
    filled["modality_gate"], filled["private_gate"] = there / there.sum(1, keepdim=True), there
    filled["shared_code"] = prediction.new_zeros(len(batch), ranks["shared"])
    filled["private_code"] = prediction.new_zeros(len(batch), ranks["private"])
    for m, mask in batch.masks.items():
        share = mask[:, None].expand(-1, levels, -1).to(prediction)
        own = {"evidence": 0 * share, "activation": share, "allocation": share, "cutoff": none}
        own |= {"budget": share.sum(2), "participation": share.amax(2)}
        own |= {name: share.new_zeros(*share.shape, rank) for name, rank in ranks.items()}
        own |= {f"{name}_summary": share.new_zeros(len(batch), levels, ranks[name]) for name in ("shared", "private")}
        for name, value in own.items():
            filled.setdefault(name, {})[m] = value
    absent = tuple(name for name in (*BY_MODALITY, *OF_THE_SAMPLE) if name not in named)
    parts = {**filled, **named}
    return Trace(
        batch=batch, gamma=1.0, task=task, sparse=False, prediction=prediction, absent=("allocation", *absent), **parts
    )


def _size(named: dict[str, Any], names: tuple[str, ...], axis: int) -> int:
    """The length of an axis in whatever is named of these, or 1."""
    values = [named[name] for name in names if name in named]
    return next((int((next(iter(v.values())) if isinstance(v, dict) else v).shape[axis]) for v in values), 1)
