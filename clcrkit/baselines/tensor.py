"""Tensor fusion: all products of features of different modalities, through a weight tensor of low rank."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clcrkit.arguments import checked
from clcrkit.baselines.base import Baseline
from clcrkit.batch import Batch
from clcrkit.config import MOST_WIDTH, CLCRConfig
from clcrkit.errors import check_range
from clcrkit.model import make_head


class TensorFusion(Baseline):
    """Low-rank multimodal fusion (Liu et al. 2018) of the pooled deepest levels, then CLCR's head.

    Each modality's vector is extended by a 1, and a linear map is applied to the outer product of all of them; its
    weight tensor is a sum of `rank` products of one factor for each modality, so the outer product is never made.
    A missing modality's vector is (0, ..., 0, 1): only the products without it remain. [ours] The factors' last
    rows, which meet that 1, start at 1, so that each modality counts on its own from the first step.
    """

    reads = ("shared_code",)

    @checked
    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None, rank: int = 4) -> None:
        super().__init__(config, modalities)
        check_range("rank", rank, 1, MOST_WIDTH)
        width = config.width
        start = torch.cat([torch.zeros(rank, width, width), torch.ones(rank, 1, width)], dim=1)
        scale = torch.cat([torch.ones(width, 1), torch.zeros(1, 1)]) / width**0.5
        self.factors = nn.ParameterDict(
            {m: nn.Parameter(start + scale * torch.randn_like(start)) for m in self.modalities}
        )
        self.head = make_head(width, config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        return self.head(reduce(torch.mul, self._factored(batch).values()).sum(1))

    def _factored(self, batch: Batch) -> dict[str, Float[Tensor, "batch rank width"]]:
        """Each modality's part of the products."""
        extended = {m: torch.cat([x, x.new_ones(len(x), 1)], dim=-1) for m, x in self.pooled(batch).items()}
        return {m: torch.einsum("bi,rio->bro", x, self.factors[m]) for m, x in extended.items()}

    def named(self, batch: Batch) -> dict[str, Any]:
        """Tokens; each modality's mean as its private summary, and its part of the products, summed over the rank, as
        its shared one; the sum of the products as shared code."""
        factored = self._factored(batch)
        return {
            **super().named(batch),
            "private_summary": {m: x[:, None] for m, x in self.pooled(batch).items()},
            "shared_summary": {m: x.sum(1)[:, None] for m, x in factored.items()},
            "shared_code": reduce(torch.mul, factored.values()).sum(1),
        }
