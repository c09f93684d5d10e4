"""Late fusion: every modality is encoded and pooled on its own; they meet in the head."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clcrkit.baselines.base import Baseline
from clcrkit.batch import Batch
from clcrkit.config import CLCRConfig
from clcrkit.model import make_head


class LateFusion(Baseline):
    """CLCR's encoders, their deepest level averaged over tokens, joined, and CLCR's head.

    With one modality this is that modality alone. A missing modality's mean is zero.
    """

    reads = ("private_summary",)

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        self.head = make_head(config.width * len(self.modalities), config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        return self.head(torch.cat(list(self.pooled(batch).values()), dim=-1))

    def named(self, batch: Batch) -> dict[str, Any]:
        """Tokens, and each modality's mean as its private summary: nothing is shared before the head."""
        return {**super().named(batch), "private_summary": {m: x[:, None] for m, x in self.pooled(batch).items()}}
