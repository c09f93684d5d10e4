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

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from clcrkit.budget import Allocation, TokenBudget, dense_allocation
from clcrkit.ops import all_true, at_each_level, key_padding_mask, on_host
from clcrkit.patching import Patches, patched_each
from clcrkit.subspaces import Subspaces


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

        Only funded queries are computed (`funded_tokens`). With `keep_attention` all are, and the attention weights
        are returned too, by modality; else the second result is empty.
        """
        key_value = torch.cat([self.key, self.value], dim=-1)  # (level, rank, 2 * rank)
        keys, values = {}, {}
        for m, x in shared.items():
            k, v = at_each_level(x, key_value).chunk(2, dim=-1)  # each (batch, level, token, rank)
            keys[m], values[m] = self._heads(k), self._heads(v)
        received, attention = {}, {}
        for m, x in shared.items():
            batch = x.shape[0]
            share = (
                masks[m][:, None].expand_as(allocation[m]).to(x.dtype) if self.budgeted == "speakers" else allocation[m]
            )
            funded = None if keep_attention else funded_tokens(share)
            if funded is not None:
                share = share.gather(2, funded)  # (batch, level, funded)
                rows = token_rows(funded, x.shape[2])
                x = x.transpose(0, 1).flatten(0, 2).index_select(0, rows)
                x = x.unflatten(0, (-1, *share.shape[::2])).transpose(0, 1)  # (batch, level, funded, rank)
            # from here levels and samples are one axis; `listener` is the funded tokens, or all
            query = self._heads(at_each_level(x, self.query))  # (level * batch, head, listener, feature)
            others = [n for n in shared if n != m]
            key = torch.cat([keys[n] for n in others], dim=-2)  # (level * batch, head, other token, feature)
            value = torch.cat([values[n] for n in others], dim=-2)
            key_mask = torch.cat([masks[n] for n in others], dim=-1)  # (batch, other token)
            # If no key is valid, all keys are unmasked to avoid NaN; the output is zeroed below.
            if self.budgeted == "listeners":
                bias = None
                any_key = key_mask.any(-1)[:, None].expand(-1, len(self.query))
                unmasked = (~key_padding_mask(key_mask)).repeat(len(self.query), 1)[:, None, None]
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
                # the mask has one row for all queries of a sample: one for each would be as large as the weights
                attn_mask = bias if bias is not None else None if all_true(key_mask) else unmasked
                mixed = F.scaled_dot_product_attention(query, key, value, attn_mask)
            # (level * batch, head, listener, feature) to (batch, level, listener, rank)
            joined = mixed.transpose(1, 2).flatten(2).unflatten(0, (-1, batch)).transpose(0, 1)
            output = (share * any_key[..., None])[..., None] * at_each_level(joined, self.out)
            if funded is not None:  # back to all tokens: (batch, level, token, rank)
                every = output.new_zeros(shared[m].transpose(0, 1).shape)
                output = every.flatten(0, 2).index_copy(0, rows, output.transpose(0, 1).flatten(0, 2))
                output = output.view_as(every).transpose(0, 1)
            received[m] = output
        return received, attention

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, level, token, rank) to (level * batch, head, token, feature), with rank = head * feature."""
        return x.transpose(0, 1).flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def funded_tokens(allocation: Float[Tensor, "batch level token"]) -> Int64[Tensor, "batch level funded"] | None:
    """Positions of the tokens with a share, or None where computing every query is as good.

    All rows have as many positions as the fullest row has funded tokens; shorter rows are filled up with tokens of
    share 0. None means that some row is fully funded, or that the count cannot be had for free: on a GPU the host
    would wait for it, and in a graph that is being compiled it would break the graph.
    """
    if not on_host(allocation):
        return None
    count = max(int((allocation > 0).sum(-1).max()), 1)
    return None if count == allocation.shape[-1] else (allocation <= 0).argsort(dim=-1, stable=True)[..., :count]


def token_rows(funded: Int64[Tensor, "batch level funded"], length: int) -> Int64[Tensor, "row"]:
    """These tokens as rows of (level, batch, token), which is how tokens lie in memory. Rows are copied as a whole,
    several times faster than features one by one."""
    rows = funded.transpose(0, 1).flatten(0, 1)
    return (rows + length * torch.arange(len(rows), device=rows.device)[:, None]).flatten()


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
