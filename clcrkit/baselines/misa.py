"""MISA: every modality as a shared and a private vector, kept apart by losses instead of by construction."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.baselines.base import Baseline
from clcrkit.batch import Batch
from clcrkit.config import CLCRConfig
from clcrkit.model import make_head
from clcrkit.objective import Losses
from clcrkit.ops import key_padding_mask, masked_mean

# [ours] With the 0.3, 1 and 1 that the authors use on CMU-MOSI, with vectors of 128, nothing is learned at our widths:
# digits stay at chance. These weights were chosen on the digits' validation part.
DIFFERENCE, SIMILARITY, RECONSTRUCTION = 0.02, 0.1, 0.1
MOMENTS = 5


class MISA(Baseline):
    """Modality-invariant and -specific representations (Hazarika et al. 2020) of the pooled deepest levels.

    One encoder common to all modalities computes the shared vectors, one for each modality the private ones; a
    transformer layer mixes all of them, and CLCR's head reads its outputs side by side. A missing modality has zeros
    there, and is left out of every loss. Its terms are `difference`, `similarity` and `reconstruction`; their weights
    are the constants above, not the configuration's lambdas.
    """

    reads = ("shared_summary", "private_summary")

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        width = config.width

        def project() -> nn.Module:
            return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.LayerNorm(width))

        def squash() -> nn.Module:
            # the moments of the similarity loss are meant for values from 0 to 1
            return nn.Sequential(nn.Linear(width, width), nn.Sigmoid())

        self.project = nn.ModuleDict({m: project() for m in self.modalities})
        self.private = nn.ModuleDict({m: squash() for m in self.modalities})
        self.shared = squash()
        self.reconstruct = nn.ModuleDict({m: nn.Linear(width, width) for m in self.modalities})
        self.mixer = nn.TransformerEncoderLayer(width, config.heads, 4 * width, config.dropout, batch_first=True)
        self.head = make_head(2 * len(self.modalities) * width, config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        _, shared, private, present = self._split(batch)
        return self._fuse(shared, private, present)

    def named(self, batch: Batch) -> dict[str, Any]:
        """Tokens, and each modality's shared and private vector as its summaries."""
        _, shared, private, present = self._split(batch)
        summaries = {
            name: {m: (x[i] * present[i][:, None])[:, None] for i, m in enumerate(self.modalities)}
            for name, x in (("shared_summary", shared), ("private_summary", private))
        }
        return {**super().named(batch), **summaries}

    def decide(self, batch: Batch, named: Mapping[str, Any]) -> Float[Tensor, "batch output"]:
        shared, private = (torch.stack([x[:, 0] for x in named[name].values()]) for name in self.reads)
        return self._fuse(shared, private, torch.stack([batch.masks[m].any(1) for m in self.modalities]))

    def losses(self, batch: Batch) -> Losses:
        vectors, shared, private, present = self._split(batch)
        task = self.task_loss(self._fuse(shared, private, present), batch)
        pairs = list(combinations(range(len(self.modalities)), 2))
        zero = task.new_zeros(())
        difference = sum(
            (_difference(private[i], shared[i], present[i]) for i in range(len(self.modalities))),
            sum((_difference(private[i], private[j], present[i] & present[j]) for i, j in pairs), zero),
        )
        similarity = sum((_moment_discrepancy(shared[i], shared[j], present[i], present[j]) for i, j in pairs), zero)
        reconstructed = [self.reconstruct[m](p + s) for m, p, s in zip(self.modalities, private, shared, strict=True)]
        reconstruction = sum((_masked_mse(*each) for each in zip(reconstructed, vectors, present, strict=True)), zero)
        similarity = similarity / max(len(pairs), 1)
        reconstruction = reconstruction / len(self.modalities)
        total = task + DIFFERENCE * difference + SIMILARITY * similarity + RECONSTRUCTION * reconstruction
        terms = {"difference": difference, "similarity": similarity, "reconstruction": reconstruction}
        return Losses(total, task, terms)

    def _split(
        self, batch: Batch
    ) -> tuple[
        Float[Tensor, "modality batch width"],
        Float[Tensor, "modality batch width"],
        Float[Tensor, "modality batch width"],
        Bool[Tensor, "modality batch"],
    ]:
        """Each modality's vector, its shared and its private part, and which samples have the modality."""
        projected = {m: self.project[m](x) for m, x in self.pooled(batch).items()}
        private = torch.stack([self.private[m](x) for m, x in projected.items()])
        present = torch.stack([batch.masks[m].any(1) for m in self.modalities])
        vectors = torch.stack(list(projected.values()))
        return vectors, self.shared(vectors), private, present

    def _fuse(
        self,
        shared: Float[Tensor, "modality batch width"],
        private: Float[Tensor, "modality batch width"],
        present: Bool[Tensor, "modality batch"],
    ) -> Float[Tensor, "batch output"]:
        mask = present.T.repeat(1, 2)  # (batch, private and shared vectors)
        mixed = self.mixer(torch.cat([private, shared]).transpose(0, 1), src_key_padding_mask=key_padding_mask(mask))
        return self.head((mixed * mask[..., None]).flatten(1))


def _difference(
    a: Float[Tensor, "batch width"], b: Float[Tensor, "batch width"], present: Bool[Tensor, "batch"]
) -> Float[Tensor, ""]:
    """Mean square of the entries of A^T B, the columns centred over the present samples and the rows of length 1."""
    a, b = (F.normalize((x - masked_mean(x, present)) * present[:, None], dim=1, eps=1e-6) for x in (a, b))
    return (a.T @ b).square().mean()


def _moment_discrepancy(
    a: Float[Tensor, "batch width"],
    b: Float[Tensor, "batch width"],
    a_present: Bool[Tensor, "batch"],
    b_present: Bool[Tensor, "batch"],
) -> Float[Tensor, ""]:
    """CMD: distance of the means, plus the distances of the central moments of order 2 to 5; 0 where a side is
    empty."""
    a_mean, b_mean = masked_mean(a, a_present), masked_mean(b, b_present)
    distance = _length(a_mean - b_mean)
    for order in range(2, MOMENTS + 1):
        a_moment, b_moment = (
            masked_mean((a - a_mean) ** order, a_present),
            masked_mean((b - b_mean) ** order, b_present),
        )
        distance = distance + _length(a_moment - b_moment)
    return distance * (a_present.any() & b_present.any())


def _masked_mse(
    a: Float[Tensor, "batch width"], b: Float[Tensor, "batch width"], present: Bool[Tensor, "batch"]
) -> Float[Tensor, ""]:
    return masked_mean((a - b).square(), present).mean()


def _length(x: Float[Tensor, "width"]) -> Float[Tensor, ""]:
    # the gradient of a square root at 0 is infinite
    return (x.square().sum() + 1e-12).sqrt()
