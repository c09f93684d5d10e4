"""What a budget would give to the same tokens at another gamma, and what a model would say then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from clcrkit.batch import Batch
from clcrkit.budget import participation, project_truncated_simplex
from clcrkit.trace import Trace


@runtime_checkable
class Rerunnable(Protocol):
    """What live what-if needs of a model: one more pass, at another gamma and with tokens muted."""

    def trace(
        self,
        batch: Batch,
        *,
        gamma: float = ...,
        mute: dict[str, Bool[Tensor, "batch level token"]] | None = ...,
        attention: bool = ...,
    ) -> Trace: ...


def rerun(
    trace: Trace,
    rows: Sequence[int],
    model: Rerunnable | None,
    gamma: float,
    muted: Sequence[tuple[str, int, int]] = (),
    *,
    attention: bool = False,
) -> Trace:
    """These samples at another gamma, with tokens muted (modality, level, token): as traced where neither differs.
    Without a model only the allocation follows (`reallocated`). Attention is left out unless asked for."""
    if model is None or (gamma == trace.gamma and not muted):
        return reallocated((trace if attention else replace(trace, attention={})).select(rows), gamma)
    mute = {m: torch.zeros(len(rows), *a.shape[1:], dtype=torch.bool) for m, a in trace.activation.items()}
    for modality, level, token in muted:
        mute[modality][:, level, token] = True
    batch = trace.batch.select(rows)
    with torch.no_grad():
        return model.trace(batch, gamma=gamma, mute=mute if muted else None, attention=attention).to("cpu")


def reallocated(trace: Trace, gamma: float) -> Trace:
    """The trace with budget, allocation, cutoff and participation at another gamma; all else is as traced."""
    if not trace.sparse or gamma == trace.gamma:
        return replace(trace, gamma=gamma)
    budgets, allocations, cutoffs, shares = {}, {}, {}, {}
    for m, mask in trace.batch.masks.items():
        real = mask[:, None, :].expand_as(trace.activation[m])
        budgets[m] = gamma * trace.rho * mask.sum(1, keepdim=True)
        allocations[m], cutoffs[m] = project_truncated_simplex(trace.activation[m], budgets[m], real)
        shares[m] = participation(allocations[m], mask)
    return replace(trace, gamma=gamma, budget=budgets, allocation=allocations, cutoff=cutoffs, participation=shares)
