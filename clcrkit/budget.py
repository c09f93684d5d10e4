"""Token budgets: how much of the exchange each token gets.

[paper] Evidence e_t = ||h_sh,t||; a raw activation from it by a learnable scale and a level threshold; the
allocation is the Euclidean projection of the activations on the truncated simplex
{0 <= a <= 1, sum a <= B_l} with a learnable budget B_l.
[ours] activation = scale_l (e_t / sqrt(rank) - threshold_l), without a bound of its own, since the projection is one:
behind a sigmoid all activations had nearly the same height, and one lambda left 96 % of the tokens a share.
B_l = gamma * rho_l * (real tokens), with rho_l in (0, 1) learned and gamma a multiplier that the user turns at
inference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.ops import at_least_float32


def bisect(values: Float[Tensor, "*batch token"], budget: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The lambda >= 0 at which clip(values - lambda, 0, 1) sums to the budget, to float precision of its bracket."""
    high = values.amax(-1).clamp(min=0)
    low = torch.zeros_like(high)
    for _ in range(28 if values.dtype == torch.float32 else 58):
        middle = (low + high) / 2
        exceeds = (values - middle[..., None]).clamp_(0, 1).sum(-1) > budget
        low, high = torch.where(exceeds, middle, low), torch.where(exceeds, high, middle)
    return (low + high) / 2


def project_truncated_simplex(
    values: Float[Tensor, "*batch token"],
    budget: Float[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch token"] | None = None,
    bracket: Callable[[Tensor, Tensor], Tensor] = bisect,
) -> tuple[Float[Tensor, "*batch token"], Float[Tensor, "*batch"]]:
    """The point of {0 <= a <= 1, sum a <= budget} nearest to `values`, and the cut-off lambda that gives it.

    The point is clip(values - lambda, 0, 1) with one lambda >= 0 for each row: 0 where the budget does not bind, else
    such that the row sums to the budget (>= 0). Tokens outside the mask get 0 and do not count.

    `bracket`, outside the graph, approaches lambda, which settles the free set F: the tokens strictly between 0 and 1.
    One linear equation over F then gives lambda to float precision. Its derivative is the closed form: for an
    incoming gradient g, g - mean_F(g) on F for the values, and mean_F(g) for the budget.
    """
    if mask is not None:
        values = values.masked_fill(~mask, -1)  # below every cut-off, so the share is 0
    with torch.no_grad():
        binds = values.clamp(0, 1).sum(-1) > budget
        bracketed = bracket(values, budget)
        share = (values - bracketed[..., None]).clamp_(0, 1)
        # ones and zeros as floats, since sums of booleans are several times slower
        full = share.floor()
        free = share.ceil() - full
        full_count, free_count = full.sum(-1), free.sum(-1)
    solved = ((values * free).sum(-1) + full_count - budget) / free_count.clamp(min=1)
    cutoff = torch.where(binds, torch.where(free_count > 0, solved, bracketed), torch.zeros_like(solved))
    return (values - cutoff[..., None]).clamp(0, 1), cutoff


class Allocation(NamedTuple):
    """What the budget decided for one modality; the symbols are those of `Trace`."""

    evidence: Float[Tensor, "batch level token"]
    activation: Float[Tensor, "batch level token"]
    allocation: Float[Tensor, "batch level token"]
    budget: Float[Tensor, "batch level"]
    cutoff: Float[Tensor, "batch level"]


class TokenBudget(nn.Module):
    """From evidence to allocation, with scale, threshold and budget learned for each level.

    [ours] rho starts at 0.25, so that the budget binds from the first step: tokens compete, and rho has a gradient,
    only where it binds (cutoff > 0). The scale starts at 8: evidence varies by about a seventh of its mean within a
    sample, so about half of the tokens are funded. Where the budget binds, lambda makes up for any threshold, which
    then has no gradient; what decides is the cut, threshold + lambda / scale. The threshold starts at 0: from 0.5 it
    left whole levels without a funded token, from which no gradient leads back.
    """

    bracket = staticmethod(bisect)

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((levels,), math.log(8.0)))
        self.threshold = nn.Parameter(torch.zeros(levels))
        self.rho_logit = nn.Parameter(torch.full((levels,), -1.1))

    @property
    def rho(self) -> Float[Tensor, "level"]:
        """The budget as a share of the real tokens, in (0, 1)."""
        return self.rho_logit.sigmoid()

    def forward(
        self,
        shared: Float[Tensor, "batch level token rank"],
        mask: Bool[Tensor, "batch token"],
        gamma: float | Float[Tensor, ""] = 1.0,
        mute: Bool[Tensor, "batch level token"] | None = None,
    ) -> Allocation:
        """Allocate; `mute` marks tokens whose activation is set to 0, so that they get no share."""
        evidence = torch.linalg.vector_norm(at_least_float32(shared), dim=-1)
        real = mask[:, None, :].expand_as(evidence)
        height = evidence / shared.shape[-1] ** 0.5 - self.threshold[:, None]
        activation = self.log_scale.exp()[:, None] * height * real
        if mute is not None:
            activation = activation.masked_fill(mute, 0)
        budget = gamma * self.rho * mask.sum(1, keepdim=True)
        allocation, cutoff = project_truncated_simplex(activation, budget, real, self.bracket)
        return Allocation(evidence, activation, allocation, budget, cutoff)


def dense_allocation(
    shared: Float[Tensor, "batch level token rank"],
    mask: Bool[Tensor, "batch token"],
    gamma: float | Float[Tensor, ""] = 1.0,
    mute: Bool[Tensor, "batch level token"] | None = None,
) -> Allocation:
    """`TokenBudget.forward` without a budget: a share of 1 for every real token that is not muted, at any gamma."""
    evidence = torch.linalg.vector_norm(at_least_float32(shared), dim=-1)
    share = mask[:, None, :].expand_as(evidence).to(evidence.dtype)
    share = share if mute is None else share.masked_fill(mute, 0)
    full = mask.sum(1, keepdim=True).expand(evidence.shape[:2]).to(evidence.dtype)
    return Allocation(evidence, share, share, full, torch.zeros_like(full))


def participation(
    allocation: Float[Tensor, "batch level token"], mask: Bool[Tensor, "batch token"]
) -> Float[Tensor, "batch level"]:
    """r: the allocated share per real token, in [0, 1]; 0 where the modality is missing."""
    return allocation.sum(-1) / mask.sum(1, keepdim=True).clamp(min=1)


def spending(
    allocations: dict[str, Allocation], masks: dict[str, Bool[Tensor, "batch _"]], rho: Float[Tensor, "level"]
) -> dict[str, Float[Tensor, ""]]:
    """What became of the budget in a batch, for each level, counted from 1: 'rho 1', and the means over samples of the
    participation, the share of tokens that are funded and the cut-off lambda, of each the mean over the modalities that
    the sample has. All samples weigh the same, so that the mean of several processes is that of the whole batch."""
    here = torch.stack([mask.any(1) for mask in masks.values()])[..., None]  # (modality, batch, 1)
    figures = {"rho": rho}
    for name, values in (
        ("participation", [participation(a.allocation, masks[m]) for m, a in allocations.items()]),
        ("funded", [participation((a.allocation > 0).float(), masks[m]) for m, a in allocations.items()]),
        ("cutoff", [a.cutoff for a in allocations.values()]),
    ):
        figures[name] = ((torch.stack(values) * here).sum(0) / here.sum(0).clamp(min=1)).mean(0)
    return {f"{name} {i}": x for name, xs in figures.items() for i, x in enumerate(xs.detach().unbind(), 1)}
