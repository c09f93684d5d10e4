"""Late fusion: every modality is encoded and pooled on its own; they meet in the head."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clcrkit.aggregation import weighted_mean
from clcrkit.baselines.base import Baseline
from clcrkit.batch import Batch
from clcrkit.hierarchy import HierarchyEncoder
from clcrkit.model import CLCRConfig, make_head


class LateFusion(Baseline):
    """CLCR's encoders, their deepest level averaged over tokens, joined, and CLCR's head.

    With one modality this is that modality alone. A missing modality's mean is zero.
    """

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        self.encoders = nn.ModuleDict(
            {
                m: HierarchyEncoder(x.size, x.ids, config.width, config.levels, config.dropout)
                for m, x in self.inputs.items()
            }
        )
        self.head = make_head(config.width * len(self.modalities), config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        pooled = []
        for m, encoder in self.encoders.items():
            mask = batch.masks[m]
            pooled.append(weighted_mean(encoder(batch.tokens[m], mask)[:, -1], mask.to(torch.float32)))
        return self.head(torch.cat(pooled, dim=-1))
