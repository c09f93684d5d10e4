"""What a budget would give to the same tokens at another gamma."""

from __future__ import annotations

from dataclasses import replace

from clcrkit.budget import participation, project_truncated_simplex
from clcrkit.trace import Trace


def reallocated(trace: Trace, gamma: float) -> Trace:
    """The trace with budget, allocation, cutoff and participation at another gamma; all else is as traced."""
    if not trace.sparse:
        return replace(trace, gamma=gamma)
    budgets, allocations, cutoffs, shares = {}, {}, {}, {}
    for m, mask in trace.batch.masks.items():
        real = mask[:, None, :].expand_as(trace.activation[m])
        budgets[m] = gamma * trace.rho * mask.sum(1, keepdim=True)
        allocations[m], cutoffs[m] = project_truncated_simplex(trace.activation[m], budgets[m], real)
        shares[m] = participation(allocations[m], mask)
    return replace(trace, gamma=gamma, budget=budgets, allocation=allocations, cutoff=cutoffs, participation=shares)
