"""Early fusion: the tokens of all modalities in one sequence, under one transformer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.baselines.base import Baseline
from clcrkit.batch import Batch
from clcrkit.config import CLCRConfig
from clcrkit.hierarchy import transformer_block
from clcrkit.model import make_head
from clcrkit.ops import key_padding_mask, masked_mean


class EarlyFusion(Baseline):
    """The deepest tokens of CLCR's encoders, each with a learned vector of its modality added, joined into one
    sequence under two transformer layers; the mean over all tokens goes to CLCR's head."""

    reads = ("shared_code",)

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        width = config.width
        self.marks = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in self.modalities})
        self.mixer = nn.ModuleList(transformer_block(width, config.heads, config.dropout) for _ in range(2))
        self.head = make_head(width, config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        *_, (pool, _) = self._mixed(batch)
        return self.head(masked_mean(pool, self._masks(batch)))

    def _masks(self, batch: Batch) -> Bool[Tensor, "batch all"]:
        return torch.cat([batch.masks[m] for m in self.modalities], dim=1)

    def _mixed(self, batch: Batch) -> Iterator[tuple[Float[Tensor, "batch all width"], nn.Module | None]]:
        """The joined sequence as each layer finds it, with the layer; last as the last one leaves it."""
        pool = torch.cat([tokens + self.marks[m] for m, tokens in self.deepest(batch).items()], dim=1)
        padding = key_padding_mask(self._masks(batch))
        for layer in self.mixer:
            yield pool, layer
            pool = layer(pool, src_key_padding_mask=padding)
        yield pool, None

    def named(self, batch: Batch) -> dict[str, Any]:
        """Tokens; what they are after the mixing as exchanged, its mean as shared summary, that of all as shared
        code; and the last layer's attention to the tokens of other modalities, whose rest is on the own ones."""
        masks, (*_, (before, last), (pool, _)) = self._masks(batch), self._mixed(batch)
        assert isinstance(last, nn.TransformerEncoderLayer)
        query = last.norm1(before)
        about: dict[str, Any] = {"key_padding_mask": key_padding_mask(masks), "average_attn_weights": False}
        weights = last.self_attn(query, query, query, **about)[1] * masks[:, None, :, None]  # (batch, head, all, all)
        lengths = [batch.masks[m].shape[1] for m in self.modalities]
        rows, mixed, attention = weights.split(lengths, 2), (pool * masks[..., None]).split(lengths, 1), {}
        for i, m in enumerate(self.modalities):
            columns = [c for j, c in enumerate(rows[i].split(lengths, 3)) if j != i]
            attention[m] = torch.cat(columns, 3)[:, None] if columns else rows[i][:, None, :, :, :0]
        exchanged = dict(zip(self.modalities, mixed, strict=True))
        return {
            **super().named(batch),
            "exchanged": {m: x[:, None] for m, x in exchanged.items()},
            "attention": attention,
            "shared_summary": {m: masked_mean(x, batch.masks[m])[:, None] for m, x in exchanged.items()},
            "shared_code": masked_mean(pool, masks),
        }
