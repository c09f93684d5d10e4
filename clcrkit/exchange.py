"""IntraCED, the intra-level co-exchange domain: modalities listen to each other, level by level, in shared coordinates.

[paper] Each modality queries the shared tokens of the others only, and receives as much as its budget funds:
out_t = allocation_t Attention(Q_t, K of the others, V of the others).
[ours] Queries, keys, values and output all live in shared coordinates, so no private channel can reach another
modality, whatever the weights are; the projections are common to all modalities, as the shared frame is; and a
residual connection keeps what a token knew.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.budget import Allocation, TokenBudget
from clcrkit.subspaces import Subspaces


class Exchange(nn.Module):
    """Multi-head attention from each modality's tokens to the tokens of all others, separately at every level."""

    def __init__(self, levels: int, rank: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Parameter(torch.empty(levels, rank, rank)) for _ in range(4))
        for weight in (self.query, self.key, self.value, self.out):
            for level in range(levels):
                nn.init.xavier_uniform_(weight[level])

    def forward(
        self,
        shared: dict[str, Float[Tensor, "batch level _ rank"]],
        masks: dict[str, Bool[Tensor, "batch _"]],
        allocation: dict[str, Float[Tensor, "batch level _"]],
        keep_attention: bool = False,
    ) -> tuple[dict[str, Float[Tensor, "batch level _ rank"]], dict[str, Float[Tensor, "batch level head _ _"]]]:
        """What each token receives: zero where its allocation is zero or where nobody else speaks.

        With `keep_attention` the weights come back too, by modality; else fused attention is used, which
        never makes them, and the second result is empty.
        """
        queries = {m: self._heads(x @ self.query) for m, x in shared.items()}
        keys = {m: self._heads(x @ self.key) for m, x in shared.items()}
        values = {m: self._heads(x @ self.value) for m, x in shared.items()}
        received, attention = {}, {}
        for m, q in queries.items():
            others = [n for n in shared if n != m]
            k, v = (torch.cat([source[n] for n in others], dim=-2) for source in (keys, values))
            heard = torch.cat([masks[n] for n in others], dim=-1)[:, None, None, None, :]
            anyone = heard.any(-1, keepdim=True)
            # a softmax over nothing is NaN: where nobody speaks all are let in, and the result is dropped
            allowed = heard | ~anyone
            if keep_attention:
                logits = q @ k.mT / q.shape[-1] ** 0.5
                weights = logits.masked_fill(~allowed, -torch.inf).softmax(-1) * anyone
                attention[m] = weights * masks[m][:, None, None, :, None]
                mixed = weights @ v
            else:
                mixed = _fused_attention(q, k, v, allowed) * anyone
            joined = mixed.transpose(2, 3).flatten(-2)
            received[m] = allocation[m][..., None] * (joined @ self.out)
        return received, attention

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, level, token, rank) to (batch, level, head, token, rank / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(2, 3)


def _fused_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Attention with batch and level folded into one axis, as the fused kernels want it.

    The mask stays one row for each sample and level: for each query it would be as large as the weights.
    """
    allowed = allowed.expand(-1, q.shape[1], -1, -1, -1).flatten(0, 1)
    folded = F.scaled_dot_product_attention(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), attn_mask=allowed)
    return folded.unflatten(0, q.shape[:2])


class Exchanged(NamedTuple):
    """What IntraCED makes of the level tokens; all by modality."""

    shared: dict[str, Float[Tensor, "batch level _ rank"]]
    private: dict[str, Float[Tensor, "batch level _ private_rank"]]
    exchanged: dict[str, Float[Tensor, "batch level _ rank"]]
    allocations: dict[str, Allocation]
    attention: dict[str, Float[Tensor, "batch level head _ _"]]


class IntraCED(nn.Module):
    """Split, budget and exchange at every level.

    sparse=False replaces the budget by a share of 1 for every real token (dense exchange);
    exchange=False leaves out budget and exchange both (the ablation 'no IntraCED').
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        levels: int,
        width: int,
        rank: int,
        private_rank: int,
        heads: int,
        sparse: bool = True,
        exchange: bool = True,
    ) -> None:
        super().__init__()
        self.sparse = sparse
        self.subspaces = Subspaces(modalities, levels, width, rank, private_rank)
        self.budget = TokenBudget(levels)
        self.exchange = Exchange(levels, rank, heads) if exchange else None

    def forward(
        self,
        tokens: dict[str, Float[Tensor, "batch level _ width"]],
        masks: dict[str, Bool[Tensor, "batch _"]],
        gamma: float = 1.0,
        mute: dict[str, Bool[Tensor, "batch level _"]] | None = None,
        keep_attention: bool = False,
    ) -> Exchanged:
        shared, private = self.subspaces(tokens)
        allocations = {}
        for m, x in shared.items():
            muted = (mute or {}).get(m)
            decided = self.budget(x, masks[m], gamma, muted)
            if not self.sparse or self.exchange is None:
                everyone = masks[m][:, None, :].expand_as(decided.allocation).to(decided.allocation.dtype)
                everyone = everyone if muted is None else everyone.masked_fill(muted, 0)
                full = masks[m].sum(1, keepdim=True).expand_as(decided.budget).to(everyone.dtype)
                decided = Allocation(decided.evidence, everyone, everyone, full, torch.zeros_like(full))
            allocations[m] = decided
        if self.exchange is None:
            return Exchanged(shared, private, shared, allocations, {})
        shares = {m: decided.allocation for m, decided in allocations.items()}
        received, attention = self.exchange(shared, masks, shares, keep_attention)
        exchanged = {m: shared[m] + received[m] for m in shared}
        return Exchanged(shared, private, exchanged, allocations, attention)
