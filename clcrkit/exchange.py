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
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from clcrkit.budget import Allocation, TokenBudget, everyone
from clcrkit.hierarchy import all_true, at_each_level, on_host
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

        Only funded queries are computed (`funded_tokens`). With `keep_attention` all are, and the weights come back
        too, by modality; else the second result is empty.
        """
        spoken = torch.cat([self.key, self.value], dim=-1)
        pairs = {m: at_each_level(x, spoken).chunk(2, dim=-1) for m, x in shared.items()}
        keys = {m: self._heads(k) for m, (k, _) in pairs.items()}
        values = {m: self._heads(v) for m, (_, v) in pairs.items()}
        received, attention = {}, {}
        for m, x in shared.items():
            share, samples = allocation[m], x.shape[0]
            asking = None if keep_attention else funded_tokens(share)
            if asking is not None:
                share = share.gather(2, asking)
                asking = asking[..., None].expand(-1, -1, -1, x.shape[-1])
                x = x.gather(2, asking)
            q = self._heads(at_each_level(x, self.query))
            others = [n for n in shared if n != m]
            k, v = (torch.cat([source[n] for n in others], dim=-2) for source in (keys, values))
            heard = torch.cat([masks[n] for n in others], dim=-1)
            anyone = heard.any(-1)
            # a softmax over nothing is NaN: where nobody speaks all are let in, and the result is dropped
            allowed = (heard | ~anyone[:, None]).repeat(len(self.query), 1)[:, None, None]
            if keep_attention:
                logits = (q / q.shape[-1] ** 0.5) @ k.mT
                weights = logits.masked_fill_(~allowed, -torch.inf).softmax(-1)
                mixed = weights @ v
                weights = weights.unflatten(0, (-1, samples)).transpose(0, 1)
                attention[m] = weights * (masks[m] & anyone[:, None])[:, None, None, :, None]
            else:
                # the mask stays one row for each sample and level: for each query it would be as large as the weights
                mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=None if all_true(heard) else allowed)
            joined = mixed.transpose(1, 2).flatten(2).unflatten(0, (-1, samples)).transpose(0, 1)
            given = (share * anyone[:, None, None])[..., None] * at_each_level(joined, self.out)
            received[m] = given if asking is None else given.new_zeros(shared[m].shape).scatter(2, asking, given)
        return received, attention

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, level, token, feature) to (level * batch, head, token, feature / heads)."""
        return x.transpose(0, 1).flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def funded_tokens(allocation: Float[Tensor, "batch level token"]) -> Int64[Tensor, "batch level funded"] | None:
    """Positions of the tokens with a share, as many in each row as the fullest row has; None where that is all.

    Rows with fewer are filled up with tokens of share 0. On a GPU the host would have to wait for that count, and a
    graph that is being compiled would break, so there every query is computed: no bound on the count is known
    beforehand, since a small budget can be spread over all tokens.
    """
    if not on_host(allocation):
        return None
    count = max(int((allocation > 0).sum(-1).max()), 1)
    return None if count == allocation.shape[-1] else allocation.topk(count, dim=-1).indices


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
        self.subspaces = Subspaces(modalities, levels, width, rank, private_rank)
        self.budget = TokenBudget(levels) if sparse and exchange else None
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
            decide = everyone if self.budget is None else self.budget
            allocations[m] = decide(x, masks[m], gamma, muted)
        if self.exchange is None:
            return Exchanged(shared, private, shared, allocations, {})
        shares = {m: decided.allocation for m, decided in allocations.items()}
        received, attention = self.exchange(shared, masks, shares, keep_attention)
        exchanged = {m: shared[m] + received[m] for m in shared}
        return Exchanged(shared, private, exchanged, allocations, attention)
