"""Early fusion: one pool of tokens from all modalities, one transformer over it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clcrkit.aggregation import weighted_mean
from clcrkit.baselines.base import Baseline
from clcrkit.batch import Batch
from clcrkit.hierarchy import hidden_keys, transformer_block
from clcrkit.model import CLCRConfig, make_head


class EarlyFusion(Baseline):
    """The deepest tokens of CLCR's encoders, marked by modality, in one pool under two transformer layers; the
    mean over all of them goes to CLCR's head."""

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        width = config.width
        self.marks = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in self.modalities})
        self.mixer = nn.ModuleList(transformer_block(width, config.heads, config.dropout) for _ in range(2))
        self.head = make_head(width, config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        masks = torch.cat([batch.masks[m] for m in self.modalities], dim=1)
        pool = torch.cat([tokens + self.marks[m] for m, tokens in self.deepest(batch).items()], dim=1)
        hidden = hidden_keys(masks)
        for layer in self.mixer:
            pool = layer(pool, src_key_padding_mask=hidden)
        return self.head(weighted_mean(pool, masks.to(pool.dtype)))
