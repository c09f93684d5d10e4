"""Early fusion: the tokens of all modalities in one sequence, under one transformer."""

from __future__ import annotations

import torch
from jaxtyping import Float
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

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        width = config.width
        self.marks = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in self.modalities})
        self.mixer = nn.ModuleList(transformer_block(width, config.heads, config.dropout) for _ in range(2))
        self.head = make_head(width, config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        masks = torch.cat([batch.masks[m] for m in self.modalities], dim=1)
        pool = torch.cat([tokens + self.marks[m] for m, tokens in self.deepest(batch).items()], dim=1)
        padding = key_padding_mask(masks)
        for layer in self.mixer:
            pool = layer(pool, src_key_padding_mask=padding)
        return self.head(masked_mean(pool, masks))
