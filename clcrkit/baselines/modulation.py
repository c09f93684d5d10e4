"""Concatenation, and OGM-GE: concatenation whose dominant modality learns more slowly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from clcrkit.baselines.late import LateFusion
from clcrkit.batch import Batch
from clcrkit.config import CLCRConfig
from clcrkit.distributed import several_processes
from clcrkit.errors import ConfigError
from clcrkit.objective import Losses
from clcrkit.ops import masked_mean

ALPHA = 0.8


class Concatenation(LateFusion):
    """Late fusion with one linear layer for a head: what papers call concat.

    Its logits are a sum of one term for each modality."""

    head: nn.Linear

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        self.head = nn.Linear(config.width * len(self.modalities), config.outputs)

    def contributions(self, pooled: Mapping[str, Float[Tensor, "batch width"]]) -> dict[str, Tensor]:
        """Each modality's term of the logits, (batch, output); the bias is divided equally."""
        weights = self.head.weight.chunk(len(self.modalities), dim=1)
        share = self.head.bias / len(self.modalities)
        return {m: pooled[m] @ weight.T + share for m, weight in zip(self.modalities, weights, strict=True)}


class OGMGE(Concatenation):
    """Concatenation under on-the-fly gradient modulation with generalisation enhancement (Peng et al., CVPR 2022).

    A modality's confidence is the sum over the batch of the probability that its own term gives the true class. Where
    its ratio to the other modality's is above 1, the gradients of its encoder are multiplied by
    1 - tanh(ALPHA * ratio). Then Gaussian noise of each gradient's own standard deviation is added, in all encoders.
    [ours] With more than two modalities the ratio is to the mean of the others; all encoder weights are modulated, in
    every epoch, and those with two axes or more get noise; ALPHA, which the authors leave to the user. Raises
    ConfigError for a task other than classification, where confidence is not defined."""

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__(config, modalities)
        if config.task != "classification" or len(self.modalities) < 2:
            raise ConfigError(
                f"OGM-GE: {len(self.modalities)} modalities and {config.task}, but it compares two or more modalities' "
                f"probabilities of the true class; concat is the same model without modulation"
            )

    def losses(self, batch: Batch) -> Losses:
        """The task loss, whose gradients are modulated in training. Raises DataError as `Task.loss` does."""
        if not self.training:
            return super().losses(batch)
        batch = self.ready(batch)
        factors = {m: torch.ones((), device=self.head.weight.device) for m in self.modalities}
        pooled = {}
        for m, encoder in self.encoders.items():
            weights = {name: _Modulated.apply(p, factors[m]) for name, p in encoder.named_parameters()}
            tokens = functional_call(encoder, weights, (batch.tokens[m], batch.masks[m]))
            pooled[m] = masked_mean(tokens[:, -1], batch.masks[m])
        task = self.task_loss(self.head(torch.cat(list(pooled.values()), dim=-1)), batch)
        for m, factor in self.coefficients(pooled, batch).items():
            factors[m].copy_(factor)  # before the backward pass, which reads it
        return Losses(task, task, {})

    @torch.no_grad()
    def coefficients(
        self, pooled: Mapping[str, Float[Tensor, "batch width"]], batch: Batch
    ) -> dict[str, Float[Tensor, ""]]:
        """What the gradients of each modality's encoder are multiplied by, in (0, 1]."""
        assert batch.labels is not None
        rows = torch.arange(len(batch.labels), device=batch.labels.device)
        terms = self.contributions(pooled).values()
        confidence = torch.stack([term.float().softmax(-1)[rows, batch.labels].sum() for term in terms])
        if several_processes():
            dist.all_reduce(confidence)
        ratio = confidence / ((confidence.sum() - confidence) / (len(confidence) - 1))
        factor = torch.where(ratio > 1, 1 - torch.tanh(ALPHA * ratio), 1.0)
        return dict(zip(self.modalities, factor, strict=True))


class _Modulated(torch.autograd.Function):
    """The weight itself; its gradient times a factor that is filled in before the backward pass, and noise."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, factor: Tensor) -> Tensor:
        ctx.factor = factor
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        scaled = gradient * ctx.factor.to(gradient.dtype)
        if gradient.ndim >= 2 and gradient.numel() > 1:
            scaled = scaled + torch.randn_like(gradient) * (gradient.std() + 1e-8)
        return scaled, None
