"""The objective: task loss, and the terms that keep shared and private apart within and between levels.

[paper] L = L_task + lambda_inter L_inter + lambda_intra L_intra. L_intra: whitened cross-correlation between the
private streams of each pair of modalities and between shared and private of each modality, at every level. L_inter:
cross-level private redundancy, cross-level shared-to-private leakage, and a penalty on levels that disagree being
open together.
[ours] The squared Frobenius norm over the rank; a stream is a summary before its LayerNorm; a small ridge in the
whitening; the value that independent streams of so few samples would have is subtracted (`debias`); the form of the
third inter-level term. L_intra also takes the shared stream of one modality with the private stream of another,
because after the exchange a private factor could return through it. Every term is a mean over its pairs, so the
lambdas mean the same for any number of levels and modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from clcrkit.aggregation import Aggregated
from clcrkit.distributed import all_gather, several_processes
from clcrkit.ops import at_least_float32


class Losses(NamedTuple):
    """What a model minimises: `total`, made of the task loss and of `terms` that each model names; all scalars.

    CLCR's terms are `intra`, `inter`, and the three parts of which `inter` is the sum: `inter_private`,
    `inter_leakage`, `inter_mix`. Terms are not weighted; `total` is. `figures` are no part of it, only worth watching:
    CLCR's are those of `budget.spending`.
    """

    total: Float[Tensor, ""]
    task: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]
    figures: Mapping[str, Float[Tensor, ""]] = MappingProxyType({})

    def by_name(self) -> dict[str, Float[Tensor, ""]]:
        """total, task and all terms."""
        return {"total": self.total, "task": self.task, **self.terms}


def whiten(
    streams: Float[Tensor, "stream sample rank"], present: Bool[Tensor, "stream sample"], ridge: float = 1e-3
) -> Float[Tensor, "stream sample rank"]:
    """Centre each stream over its present samples and make its covariance the identity; absent samples are 0.

    `ridge` is added to the covariance's diagonal, as a share of its mean, so that streams with fewer samples
    than rank stay finite. The whitening is by Cholesky factor; a rotation of it changes no Frobenius norm.
    """
    weight = present.to(streams.dtype)[..., None]
    count = weight.sum(1, keepdim=True)
    centred = (streams - (streams * weight).sum(1, keepdim=True) / count.clamp(min=1)) * weight
    covariance = centred.mT @ centred / (count - 1).clamp(min=1)
    variance = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    eye = torch.eye(streams.shape[-1], dtype=streams.dtype, device=streams.device)
    # the constant keeps the covariance of a stream that never varies (a dead unit, one sample) positive definite
    factor, _ = torch.linalg.cholesky_ex(covariance + (ridge * variance + 1e-8) * eye)
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT


def whitened_cross_correlation(
    streams: Float[Tensor, "stream sample rank"],
    present: Bool[Tensor, "stream sample"] | None = None,
    ranks: Float[Tensor, "stream"] | None = None,
    ridge: float = 1e-3,
    debias: bool = True,
) -> Float[Tensor, "stream stream"]:
    """Linear dependence of every pair of streams: ||C||_F^2 / rank, C the cross-covariance of the whitened streams.

    C is taken over the samples that both streams have. Where both have the same samples the value is the mean squared
    canonical correlation: 1 for a stream against itself, 0 for uncorrelated streams.

    Estimated from few samples it is far above 0 even for independent streams. `debias` subtracts its exact mean over
    all permutations of each stream's own samples; independent streams then give 0 on average, and single values may
    be below 0. For n samples in common to all it is tr(G_x) tr(G_y) / (n - 1), G the covariances of the whitened
    streams.

    Streams of less than full width are padded with zeros; `ranks` gives their true ranks, of which the smaller
    divides.
    """
    if present is None:
        present = torch.ones(streams.shape[:2], dtype=torch.bool, device=streams.device)
    white = whiten(streams, present, ridge)
    weight = present.to(streams.dtype)
    common, count = weight @ weight.T, weight.sum(1).clamp(min=1)  # (stream, stream), (stream)
    free = (count - 1).clamp(min=1)
    # n centred samples have n - 1 degrees of freedom; of these, the common samples have their share
    degrees = common.clamp(min=1) * (free[:, None] / count[:, None] * free / count).sqrt()
    stream, sample, rank = white.shape
    if sample**2 <= stream * rank**2:
        # ||X^T Y||^2 = <X X^T, Y Y^T>: with few samples, their inner products are far fewer than those of all columns
        gram = (white @ white.mT).flatten(1)  # (stream, sample * sample)
        squared = gram @ gram.T
    else:
        columns = white.transpose(0, 1).flatten(1)  # (sample, stream * rank)
        squared = (columns.T @ columns).square().reshape(stream, rank, stream, rank).sum((1, 3))
    value = squared / degrees**2
    if debias:
        # Permuted, every sample has the stream's mean squared length. Centred samples are negatively correlated
        # (-1 / (n - 1)), since they sum to zero; `correction` is the effect of that on the sum over common samples.
        energy = white.square().sum((1, 2)) / count
        correction = 1 + (common - 1).clamp(min=0) / (free[:, None] * free)
        value = value - common * correction * energy[:, None] * energy / degrees**2
    ranks = streams.new_full((stream,), rank) if ranks is None else ranks
    return value / torch.minimum(ranks[:, None], ranks[None, :])


class StreamPairs(NamedTuple):
    """The weight of each entry of the stream-by-stream matrix in each term. A mean over pairs has weights that sum to
    1 (or are all 0 where there is no such pair); `intra` is the sum of two means."""

    intra: Float[Tensor, "stream stream"]
    private: Float[Tensor, "stream stream"]
    leakage: Float[Tensor, "stream stream"]


def stream_pairs(modalities: int, levels: int) -> StreamPairs:
    """Streams are ordered kind (shared, private), then modality, then level."""
    kind, modality, level = torch.meshgrid(
        torch.arange(2), torch.arange(modalities), torch.arange(levels), indexing="ij"
    )
    k, m, lv = kind.flatten(), modality.flatten(), level.flatten()
    same_m, same_l = m[:, None] == m, lv[:, None] == lv
    both_private = (k[:, None] == 1) & (k == 1)
    shared_private = (k[:, None] == 0) & (k == 1)
    upper = torch.ones(len(k), len(k)).triu(1).bool()  # each unordered pair once

    def mean(pairs: Tensor) -> Tensor:
        return pairs.float() / pairs.sum().clamp(min=1)

    return StreamPairs(
        intra=mean(both_private & ~same_m & same_l & upper) + mean(shared_private & same_l),
        private=mean(both_private & same_m & ~same_l & upper),
        leakage=mean(shared_private & same_m & ~same_l),
    )


def regularisers(
    aggregated: Aggregated,
    masks: dict[str, Bool[Tensor, "batch _"]],
    ridge: float = 1e-3,
    debias: bool = True,
) -> dict[str, Float[Tensor, ""]]:
    """CLCR's terms by name, as in `Losses`. In float32 at least, also under autocast. `CLCR.losses` adds them up.

    In training with several processes, whose batches are of the same size, the streams of all are whitened together:
    all but `inter_mix` are then those of the joined batch, and `inter_mix` is a mean over samples anyway.
    """
    pooled = [*aggregated.pooled_shared.values(), *aggregated.pooled_private.values()]
    device = aggregated.level_gate.device
    with torch.autocast(device.type, enabled=False):
        ranks = tuple(x.shape[-1] for x in pooled)
        padded = [F.pad(at_least_float32(x), (0, max(ranks) - x.shape[-1])) for x in pooled]
        levels = padded[0].shape[1]
        streams = torch.stack(padded).permute(0, 2, 1, 3).flatten(0, 1)  # (kind * modality * level, batch, rank)
        present = torch.stack([mask.any(1) for mask in masks.values()]).repeat_interleave(levels, 0).repeat(2, 1)
        if torch.is_grad_enabled() and several_processes():
            joined = all_gather(torch.cat([streams, present[..., None].to(streams.dtype)], dim=-1))
            streams, present = joined[..., :-1], joined[..., -1] > 0
        pairs, stream_ranks = _constants(len(masks), levels, ranks, streams.dtype, device)
        value = whitened_cross_correlation(streams, present, stream_ranks, ridge, debias)
        intra, private, leakage = ((weights * value).sum() for weights in pairs)
        mix = level_mix(at_least_float32(aggregated.level_gate), at_least_float32(aggregated.context))
        return {
            "intra": intra,
            "inter": private + leakage + mix,
            "inter_private": private,
            "inter_leakage": leakage,
            "inter_mix": mix,
        }


@lru_cache
def _constants(
    modalities: int, levels: int, ranks: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[StreamPairs, Tensor]:
    """The weights of the pairs and each stream's rank, which are the same in every step."""
    pairs = StreamPairs(*(weights.to(device, dtype) for weights in stream_pairs(modalities, levels)))
    return pairs, torch.tensor(ranks, dtype=dtype).repeat_interleave(levels).to(device)


def level_mix(
    level_gate: Float[Tensor, "batch level"], context: Float[Tensor, "batch level rank"]
) -> Float[Tensor, ""]:
    """[ours] The penalty on levels that disagree being open together: the mean over the batch of the sum over pairs of
    levels of omega_l omega_k (1 - cos(context_l, context_k))."""
    direction = F.normalize(context, dim=-1)
    disagreement = 1 - direction @ direction.mT  # (batch, level, level)
    open_together = level_gate[:, :, None] * level_gate[:, None, :]
    return (open_together * disagreement).triu(1).sum((1, 2)).mean()
