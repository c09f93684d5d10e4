"""InterCAD, the inter-level co-aggregation domain: from tokens at all levels to one shared and one private code.

[paper] Mean-pooled tokens; an MLP with softmax and learned anchors weighs the levels; attention with a global context
as query and the modalities' shared summaries as keys weighs the modalities; eta_m = sigmoid(w^T LayerNorm(W p_m))
gates each modality's private summary ('confidence-gated aggregation').
[ours] How anchors meet the context (joined, one MLP for all levels); the LayerNorm on the summaries; the shared
summary weighted by the allocation, so that unfunded tokens do not dilute it; the head reads the shared code level by
level, before the sum over levels, since levels that share the same few coordinates hide each other; the mean over
modalities as the global context, and linear maps for query and keys; the private code as the gated *mean*, which
divides by the sum of eta and so keeps only its proportions (the plain gated sum is as near to the text); missing
modalities leave every mean and softmax; and level gates that start uniform: from a random start they closed on the
first level that helped, and a long-range factor was learned late or not at all.

The LayerNorm is a gate of its own: all summaries leave it with one length, so that a loud mark makes a claim beside it
small. In narrow codes modality and private gates are needed without it, with it hardly
(`data/results/narrow_worlds.csv`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.ops import masked_mean, weighted_mean
from clcrkit.patching import Patches, patched, patched_each


class Aggregated(NamedTuple):
    """The output of InterCAD. `pooled_*` are the summaries before their LayerNorm. `level_codes` are the parts of which
    the shared code is the sum."""

    pooled_shared: dict[str, Float[Tensor, "batch level rank"]]
    pooled_private: dict[str, Float[Tensor, "batch level private_rank"]]
    shared_summary: dict[str, Float[Tensor, "batch level rank"]]
    private_summary: dict[str, Float[Tensor, "batch level private_rank"]]
    context: Float[Tensor, "batch level rank"]
    level_gate: Float[Tensor, "batch level"]
    modality_gate: Float[Tensor, "batch modality"]
    private_gate: Float[Tensor, "batch modality"]
    level_codes: Float[Tensor, "batch level rank"]
    shared_code: Float[Tensor, "batch rank"]
    private_code: Float[Tensor, "batch private_rank"]


class InterCAD(nn.Module):
    """Summaries, level gates, modality gates and private gates. gates=False makes all of them uniform.

    weighted=False: shared summaries are plain means. private_sum=True: the private code is a sum, not a mean.
    normed=False: summaries are scaled and shifted only.
    """

    def __init__(
        self,
        levels: int,
        rank: int,
        private_rank: int,
        gates: bool = True,
        weighted: bool = True,
        private_sum: bool = False,
        normed: bool = True,
    ) -> None:
        super().__init__()
        self.gates, self.weighted, self.private_sum = gates, weighted, private_sum
        self.shared_norm = LevelNorm(levels, rank, normed)
        self.private_norm = LevelNorm(levels, private_rank, normed)
        if not gates:
            return
        self.anchors = nn.Parameter(torch.randn(levels, rank) / rank**0.5)
        self.level_mlp = nn.Sequential(nn.Linear(2 * rank, rank), nn.GELU(), nn.Linear(rank, 1))
        nn.init.zeros_(self.level_mlp[-1].weight)  # type: ignore[arg-type]
        self.modality_query = nn.Linear(rank, rank, bias=False)
        self.modality_key = nn.Linear(rank, rank, bias=False)
        self.private_mlp = nn.Sequential(
            nn.Linear(private_rank, private_rank, bias=False),
            nn.LayerNorm(private_rank),
            nn.Linear(private_rank, 1),
        )

    def gate_parameters(self) -> list[nn.Parameter]:
        """What decides the gates alone: all but the scales and shifts of the summaries."""
        return [p for name, p in self.named_parameters() if name.split(".")[0] not in ("shared_norm", "private_norm")]

    def forward(
        self,
        exchanged: dict[str, Float[Tensor, "batch level _ rank"]],
        private: dict[str, Float[Tensor, "batch level _ private_rank"]],
        allocation: dict[str, Float[Tensor, "batch level _"]],
        masks: dict[str, Bool[Tensor, "batch _"]],
        patches: Patches | None = None,
    ) -> Aggregated:
        weight = allocation if self.weighted else {m: mask[:, None].float() for m, mask in masks.items()}
        pooled_shared = {m: weighted_mean(x, weight[m]) for m, x in exchanged.items()}
        pooled_private = {m: masked_mean(x, masks[m][:, None]) for m, x in private.items()}
        present = {m: mask.any(1)[:, None, None] for m, mask in masks.items()}
        shared_summary = {m: self.shared_norm(x) * present[m] for m, x in pooled_shared.items()}
        private_summary = {m: self.private_norm(x) * present[m] for m, x in pooled_private.items()}
        there = {m: here[:, 0, 0] for m, here in present.items()}
        shared_summary = patched_each(patches, "shared_summary", shared_summary, there)
        private_summary = patched_each(patches, "private_summary", private_summary, there)
        s = torch.stack(list(shared_summary.values()), dim=1)  # (batch, modality, level, rank)
        p = torch.stack(list(private_summary.values()), dim=1)
        here = torch.cat(list(present.values()), dim=1).squeeze(-1)  # (batch, modality)

        context = s.sum(1) / here.sum(1).clamp(min=1)[:, None, None]
        level_gate = patched(patches, "level_gate", self._level_gate(context))
        s_bar = torch.einsum("bl,bmlk->bmk", level_gate, s)
        p_bar = torch.einsum("bl,bmlk->bmk", level_gate, p)
        modality_gate = patched(patches, "modality_gate", self._modality_gate(s_bar, here), here)
        private_gate = patched(patches, "private_gate", self._private_gate(p_bar, here), here)
        level_codes = torch.einsum("bm,bl,bmlk->blk", modality_gate, level_gate, s)
        level_codes = patched(patches, "level_codes", level_codes)
        private_sum = torch.einsum("bm,bmk->bk", private_gate, p_bar)
        private_code = private_sum if self.private_sum else weighted_mean(p_bar, private_gate)
        return Aggregated(
            pooled_shared,
            pooled_private,
            shared_summary,
            private_summary,
            context,
            level_gate,
            modality_gate,
            private_gate,
            level_codes,
            shared_code=level_codes.sum(1),
            private_code=patched(patches, "private_code", private_code),
        )

    def _level_gate(self, context: Tensor) -> Tensor:
        """omega: softmax over levels of an MLP on each level's context joined with its anchor."""
        if not self.gates:
            return context.new_full(context.shape[:2], 1 / context.shape[1])
        joined = torch.cat([context, self.anchors.expand_as(context)], dim=-1)
        return self.level_mlp(joined).squeeze(-1).softmax(-1)

    def _modality_gate(self, s_bar: Tensor, present: Tensor) -> Tensor:
        """pi: scaled dot product of the mean summary with each modality's; missing ones get 0."""
        weight = present.to(s_bar.dtype)
        count = weight.sum(1, keepdim=True).clamp(min=1)
        if not self.gates:
            return weight / count
        query, key = self.modality_query(s_bar.sum(1) / count), self.modality_key(s_bar)
        logits = torch.einsum("bk,bmk->bm", query, key) / s_bar.shape[-1] ** 0.5
        return logits.masked_fill(~present, -1e4).softmax(-1) * present

    def _private_gate(self, p_bar: Tensor, present: Tensor) -> Tensor:
        """eta = sigmoid(w^T LayerNorm(W p)); missing modalities get 0."""
        if not self.gates:
            return present.to(p_bar.dtype)
        return self.private_mlp(p_bar).squeeze(-1).sigmoid() * present


class LevelNorm(nn.Module):
    """LayerNorm over the last axis, with a scale and a shift of its own for each level; normed=False: these alone."""

    def __init__(self, levels: int, rank: int, normed: bool = True) -> None:
        super().__init__()
        self.normed = normed
        self.scale = nn.Parameter(torch.ones(levels, rank))
        self.shift = nn.Parameter(torch.zeros(levels, rank))

    def forward(self, x: Float[Tensor, "batch level rank"]) -> Float[Tensor, "batch level rank"]:
        return (F.layer_norm(x, x.shape[-1:]) if self.normed else x) * self.scale + self.shift
