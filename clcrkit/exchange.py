"""IntraCED, the intra-level co-exchange domain: attention between modalities, level by level, in shared coordinates.

[paper] Each modality queries the shared tokens of the others only, and its budget scales what it receives:
out_t = allocation_t Attention(Q_t, K of the others, V of the others).
The formula scales the listener's output; the prose says that the budget bounds how many tokens enter the exchange pool,
which are the speakers'. With `budgeted="speakers"` a token's share weighs it as a key instead (log allocation is added
to its logits, so that an unfunded token is not heard), and with "both" each token is weighed on either side.
[ours] Queries, keys, values and output all live in shared coordinates, so no private channel can reach another
modality, whatever the weights are. The projections are common to all modalities, as the shared frame is. A residual
connection adds what is received to what the token already held.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from clcrkit.budget import Allocation, TokenBudget, dense_allocation
from clcrkit.ops import all_true, at_each_level, key_padding_mask, on_host
from clcrkit.patching import Patches, patched_each
from clcrkit.subspaces import Subspaces

SHORT = 250  # tokens; [ours] up to here one call of attention for all rows is faster (tests/benchmarks)


class Exchange(nn.Module):
    """Multi-head attention from each modality's tokens to the tokens of all others, separately at every level."""

    def __init__(self, levels: int, rank: int, heads: int, budgeted: str = "listeners") -> None:
        super().__init__()
        self.heads, self.budgeted = heads, budgeted
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
        patches: Patches | None = None,
    ) -> tuple[dict[str, Float[Tensor, "batch level _ rank"]], dict[str, Float[Tensor, "batch level head _ _"]]]:
        """What each token receives: zero where its allocation is zero or no other modality is present.

        Only funded queries are computed, or all where that is as good (`funded_tokens`). With `keep_attention` all
        are, and the attention weights are returned too, by modality; else the second result is empty.
        """
        key_value = torch.cat([self.key, self.value], dim=-1)  # (level, rank, 2 * rank)
        keys, values = {}, {}
        for m, x in shared.items():
            k, v = at_each_level(x, key_value).chunk(2, dim=-1)  # each (batch, level, token, rank)
            keys[m], values[m] = self._heads(k), self._heads(v)
        received, attention = {}, {}
        for m, x in shared.items():
            batch = x.shape[0]
            others = [n for n in shared if n != m]
            key = torch.cat([keys[n] for n in others], dim=-2)  # (level * batch, head, other token, feature)
            value = torch.cat([values[n] for n in others], dim=-2)
            key_mask = torch.cat([masks[n] for n in others], dim=-1)  # (batch, other token)
            # If no key is valid, all keys are unmasked to avoid NaN; the output is zeroed below.
            if self.budgeted == "listeners":
                bias = None
                any_key = key_mask.any(-1)[:, None].expand(-1, x.shape[1])
                unmasked = (~key_padding_mask(key_mask)).repeat(x.shape[1], 1)[:, None, None]
            else:
                spoken = torch.cat([allocation[n] for n in others], dim=-1)  # (batch, level, other token)
                any_key = (spoken > 0).any(-1)
                silent = (spoken <= 0) & any_key[..., None]
                bias = (
                    spoken.clamp(min=1e-6)
                    .log()
                    .masked_fill(silent, -torch.inf)
                    .transpose(0, 1)
                    .flatten(0, 1)[:, None, None]
                )
            share = allocation[m] if self.budgeted != "speakers" else masks[m][:, None]
            share = share * any_key[..., None].to(x.dtype)
            # the mask has one row for all queries of a sample: one for each would be as large as the weights
            attn_mask = bias if bias is not None else None if all_true(key_mask) else unmasked
            funded = None if keep_attention else funded_tokens(share)
            if funded is not None:
                received[m] = self._few(x, share, funded, key, value, attn_mask)
                continue
            query = self._heads(at_each_level(x, self.query))  # (level * batch, head, token, feature)
            if keep_attention:
                logits = (query / query.shape[-1] ** 0.5) @ key.mT  # (level * batch, head, token, other token)
                logits = logits.masked_fill_(~unmasked, -torch.inf) if bias is None else logits + bias
                weights = logits.softmax(-1)
                kept = weights.unflatten(0, (-1, batch)).transpose(0, 1)  # (batch, level, head, token, other token)
                listens = masks[m][:, None] & any_key[..., None]  # (batch, level, token)
                attention[m] = kept * listens[:, :, None, :, None]
                if patches is not None:
                    pairs = listens[:, :, None, :, None] & key_mask[:, None, None, None]
                    attention[m] = patches.apply("attention", m, attention[m], pairs.expand_as(kept))
                    weights = attention[m].transpose(0, 1).flatten(0, 1)
                mixed = weights @ value
            else:
                mixed = F.scaled_dot_product_attention(query, key, value, attn_mask)
            # (level * batch, head, token, feature) to (batch, level, token, rank)
            joined = mixed.transpose(1, 2).flatten(2).unflatten(0, (-1, batch)).transpose(0, 1)
            received[m] = share[..., None] * at_each_level(joined, self.out)
        return received, attention

    def _few(
        self,
        x: Float[Tensor, "batch level token rank"],
        share: Float[Tensor, "batch level token"],
        funded: Funded,
        key: Float[Tensor, "level*batch head other feature"],
        value: Float[Tensor, "level*batch head other feature"],
        attn_mask: Shaped[Tensor, "level*batch 1 1 other"] | None,
    ) -> Float[Tensor, "batch level token rank"]:
        """What the funded tokens receive, and zero elsewhere. Their queries lie one behind the other, so that no row
        pays for a fuller one; rows with as many of them as the row before share one call of attention."""
        rows, counts = funded
        runs = [(count, len(list(run))) for count, run in groupby(counts)]
        together = [n for _, n in runs]
        per_level = [sum(counts[first : first + len(x)]) for first in range(0, len(counts), len(x))]
        query = _at_its_level(x.transpose(0, 1).flatten(0, 2).index_select(0, rows), self.query, per_level)
        query = query.unflatten(-1, (self.heads, -1)).transpose(0, 1)  # (head, funded, feature)
        pieces = zip(
            _split(query, [count * n for count, n in runs], dim=1),
            _split(key, together),
            _split(value, together),
            [None] * len(runs) if attn_mask is None else _split(attn_mask, together),
            together,
            strict=True,
        )
        mixed = [
            F.scaled_dot_product_attention(q.unflatten(1, (n, -1)).transpose(0, 1), k, v, mask)
            for q, k, v, mask, n in pieces
        ]  # each (row, head, funded token, feature)
        joined = _joined([part.transpose(1, 2).flatten(2).flatten(0, 1) for part in mixed])  # (funded, rank)
        flat = share.transpose(0, 1).flatten()
        output = flat.index_select(0, rows)[:, None] * _at_its_level(joined, self.out, per_level)
        every = output.new_zeros(len(flat), output.shape[-1]).index_copy(0, rows, output)
        return every.view(x.transpose(0, 1).shape).transpose(0, 1)

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, level, token, rank) to (level * batch, head, token, feature), with rank = head * feature."""
        return x.transpose(0, 1).flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Funded(NamedTuple):
    """The tokens with a share. `rows`: their places among all of (level, batch, token), which is how tokens lie in
    memory, so that whole rows of features are copied; `counts`: how many each sample has at each level."""

    rows: Int64[Tensor, "funded"]
    counts: list[int]  # (level * batch)


def funded_tokens(allocation: Float[Tensor, "batch level token"]) -> Funded | None:
    """The tokens with a share, or None where computing every query is as good.

    Up to SHORT tokens, all rows have as many as the fullest one, filled up with tokens of share 0: one call of
    attention for all costs less than one for each. None means that each token is funded, or that the count cannot be
    had for free: on a GPU the host would wait for it, and in a graph that is being compiled it would break the graph.
    """
    if not on_host(allocation):
        return None
    shares = allocation.transpose(0, 1).flatten(0, 1)  # (level * batch, token)
    counts = (shares > 0).sum(-1).clamp(min=1)
    if shares.shape[-1] <= SHORT:
        counts = counts.amax().expand_as(counts)
    first = torch.arange(shares.shape[-1], device=shares.device) < counts[:, None]
    if first.all():
        return None
    order = (shares <= 0).argsort(dim=-1, stable=True)
    places = order + shares.shape[-1] * torch.arange(len(order), device=order.device)[:, None]
    return Funded(places[first], counts.tolist())


def _at_its_level(
    packed: Float[Tensor, "funded rank"], weight: Float[Tensor, "level rank rank"], per_level: list[int]
) -> Float[Tensor, "funded rank"]:
    """`at_each_level` for tokens one behind the other, of which each level has so many."""
    if len(set(per_level)) == 1:
        return (packed.unflatten(0, (len(weight), -1)) @ weight).flatten(0, 1)
    return torch.cat([part @ w for part, w in zip(packed.split(per_level), weight.unbind(), strict=True)])


def _split(x: Tensor, sizes: list[int], dim: int = 0) -> Sequence[Tensor]:
    """x.split, but x itself where there is one piece: the gradient of a split is a copy."""
    return x.split(sizes, dim) if len(sizes) > 1 else [x]


def _joined(pieces: list[Tensor]) -> Tensor:
    return torch.cat(pieces) if len(pieces) > 1 else pieces[0]


class Exchanged(NamedTuple):
    """The output of IntraCED, by modality; `attention` is empty unless it was asked for."""

    shared: dict[str, Float[Tensor, "batch level _ rank"]]
    private: dict[str, Float[Tensor, "batch level _ private_rank"]]
    exchanged: dict[str, Float[Tensor, "batch level _ rank"]]
    allocations: dict[str, Allocation]
    attention: dict[str, Float[Tensor, "batch level head _ _"]]


class IntraCED(nn.Module):
    """Split, budget and exchange at every level.

    sparse=False replaces the budget by a share of 1 for every real token (dense exchange);
    exchange=False leaves out both budget and exchange and keeps the split (the ablation 'no IntraCED').
    split=False leaves out the frames too: both streams are the level tokens themselves.
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
        budgeted: str = "listeners",
        split: bool = True,
    ) -> None:
        super().__init__()
        self.subspaces = Subspaces(modalities, levels, width, rank, private_rank) if split else None
        self.budget = TokenBudget(levels) if sparse and exchange else None
        self.exchange = Exchange(levels, rank, heads, budgeted) if exchange else None

    def forward(
        self,
        tokens: dict[str, Float[Tensor, "batch level _ width"]],
        masks: dict[str, Bool[Tensor, "batch _"]],
        gamma: float | Float[Tensor, ""] = 1.0,
        mute: dict[str, Bool[Tensor, "batch level _"]] | None = None,
        keep_attention: bool = False,
        patches: Patches | None = None,
    ) -> Exchanged:
        shared, private = (tokens, tokens) if self.subspaces is None else self.subspaces(tokens)
        shared = patched_each(patches, "shared", shared, masks)
        private = patched_each(patches, "private", private, masks)
        allocate = dense_allocation if self.budget is None else self.budget
        allocations = {m: allocate(x, masks[m], gamma, (mute or {}).get(m)) for m, x in shared.items()}
        shares = patched_each(patches, "allocation", {m: a.allocation for m, a in allocations.items()}, masks)
        if patches is not None:  # torch 2.8 cannot compile `_replace`
            allocations = {m: a._replace(allocation=shares[m]) for m, a in allocations.items()}
        exchanged, attention = shared, {}
        if self.exchange is not None:
            received, attention = self.exchange(shared, masks, shares, keep_attention, patches)
            exchanged = {m: shared[m] + received[m] for m in shared}
        exchanged = patched_each(patches, "exchanged", exchanged, masks)
        return Exchanged(shared, private, exchanged, allocations, attention)
