"""The objective: task loss, and the terms that keep shared and private apart within and between levels.

[paper] L = L_task + lambda_inter L_inter + lambda_intra L_intra. L_intra: whitened cross-correlation, squared
Frobenius norm over the rank, between the private streams of each pair of modalities and between shared and
private of each modality, at every level. L_inter: cross-level private redundancy, cross-level
shared-to-private leakage, and a penalty on levels that disagree being open together.
[ours] A stream is a summary before its LayerNorm; a small ridge in the whitening; what independent streams of
so few samples would show on average is subtracted (`debias`); the form of the third inter-level term. L_intra
also takes the shared stream of one modality with the private stream of another: after the exchange a private
factor could come back by that door. Every term is a mean over its pairs, so the lambdas mean the same for any
number of levels and modalities.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from clcrkit.aggregation import Aggregated
from clcrkit.errors import DataError
from clcrkit.subspaces import at_least_float32


class Losses(NamedTuple):
    """The objective and its terms, each a scalar; `inter` is the sum of private, leakage and mix."""

    total: Float[Tensor, ""]
    task: Float[Tensor, ""]
    intra: Float[Tensor, ""]
    inter: Float[Tensor, ""]
    inter_private: Float[Tensor, ""]
    inter_leakage: Float[Tensor, ""]
    inter_mix: Float[Tensor, ""]


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
    level = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    eye = torch.eye(streams.shape[-1], dtype=streams.dtype, device=streams.device)
    # the constant keeps a stream that never varies (a dead unit, one sample) factorable
    factor, _ = torch.linalg.cholesky_ex(covariance + (ridge * level + 1e-8) * eye)
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT


def whitened_cross_correlation(
    streams: Float[Tensor, "stream sample rank"],
    present: Bool[Tensor, "stream sample"] | None = None,
    ranks: Float[Tensor, "stream"] | None = None,
    ridge: float = 1e-3,
    debias: bool = True,
) -> Float[Tensor, "stream stream"]:
    """How much every stream tells, linearly, about every other: ||C||_F^2 / rank for each pair.

    C is the cross-covariance of the two whitened streams over the samples both have. Where both have the same
    samples the value is the mean squared canonical correlation: 1 for a stream against itself, 0 for streams that
    share nothing. Estimated from few samples it is far above 0 even then; `debias` subtracts its exact mean over
    all ways to shuffle each stream's own samples, after which independent streams give 0 on average, and single
    values may lie below 0. For n samples in common to all it is tr(G_x) tr(G_y) / (n - 1), G the covariances of
    the whitened streams. Streams of less than full width are filled up with zeros and `ranks` gives their true
    ranks; the smaller of the two divides.
    """
    if present is None:
        present = torch.ones(streams.shape[:2], dtype=torch.bool, device=streams.device)
    white = whiten(streams, present, ridge)
    there = present.to(streams.dtype)
    together, count = there @ there.T, there.sum(1).clamp(min=1)
    spread = (count - 1).clamp(min=1)
    # centred over all its n samples, a stream has n - 1 degrees of freedom, and its share of them in the common ones
    degrees = together.clamp(min=1) * (spread[:, None] / count[:, None] * spread / count).sqrt()
    stream, sample, rank = white.shape
    flat = white.transpose(0, 1).reshape(sample, stream * rank)
    squared = (flat.T @ flat).square().unflatten(0, (stream, rank)).unflatten(2, (stream, rank))
    value = squared.sum((1, 3)) / degrees**2
    if debias:
        # shuffled, a sample has the stream's mean energy; two of them lean away from each other, as all sum to 0
        energy = white.square().sum((1, 2)) / count
        leaning = 1 + (together - 1).clamp(min=0) / (spread[:, None] * spread)
        value = value - together * leaning * energy[:, None] * energy / degrees**2
    ranks = streams.new_full((stream,), rank) if ranks is None else ranks
    return value / torch.minimum(ranks[:, None], ranks[None, :])


class StreamPairs(NamedTuple):
    """Which entries of the stream-by-stream matrix each term averages. Every mean over pairs has weights that sum to 1
    (or are all 0 where there is no such pair); `intra` is the sum of two means."""

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
    ahead = torch.ones(len(k), len(k)).triu(1).bool()
    private_pairs = both_private & ~same_m & same_l & ahead
    split_pairs = shared_private & same_l

    def mean(chosen: Tensor) -> Tensor:
        return chosen.float() / chosen.sum().clamp(min=1)

    return StreamPairs(
        intra=mean(private_pairs) + mean(split_pairs),
        private=mean(both_private & same_m & ~same_l & ahead),
        leakage=mean(shared_private & same_m & ~same_l),
    )


def regularisers(
    aggregated: Aggregated,
    masks: dict[str, Bool[Tensor, "batch _"]],
    ridge: float = 1e-3,
    debias: bool = True,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """L_intra, and the parts of L_inter: private redundancy, leakage, mix. In float32 at least, also under autocast.

    In training with several processes, of which each has a batch of the same size, the streams of all are whitened
    together: the first three values are those of the whole batch.
    """
    kinds = [list(aggregated.pooled_shared.values()), list(aggregated.pooled_private.values())]
    device = aggregated.level_gate.device
    with torch.autocast(device.type, enabled=False):
        ranks = tuple(x.shape[-1] for streams in kinds for x in streams)
        wide = [F.pad(at_least_float32(x), (0, max(ranks) - x.shape[-1])) for streams in kinds for x in streams]
        levels = wide[0].shape[1]
        streams = torch.stack(wide, dim=0).permute(0, 2, 1, 3).flatten(0, 1)
        here = torch.stack([mask.any(1) for mask in masks.values()])
        present = here.repeat_interleave(levels, 0).repeat(2, 1)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1 and torch.is_grad_enabled():
            streams, present = of_all_processes(streams, present)
        pairs, widths = _constants(len(masks), levels, ranks, streams.dtype, device)
        value = whitened_cross_correlation(streams, present, widths, ridge, debias)
        intra, private, leakage = ((weights * value).sum() for weights in pairs)
        return (
            intra,
            private,
            leakage,
            level_mix(at_least_float32(aggregated.level_gate), at_least_float32(aggregated.context)),
        )


@lru_cache
def _constants(
    modalities: int, levels: int, ranks: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[StreamPairs, Tensor]:
    """What is the same in every step: the weights of the pairs, and each stream's rank."""
    pairs = StreamPairs(*(weights.to(device, dtype) for weights in stream_pairs(modalities, levels)))
    return pairs, torch.tensor(ranks, dtype=dtype).repeat_interleave(levels).to(device)


def of_all_processes(
    streams: Float[Tensor, "stream sample rank"], present: Bool[Tensor, "stream sample"]
) -> tuple[Float[Tensor, "stream all rank"], Bool[Tensor, "stream all"]]:
    """The samples of every process, in the order of the processes; each must have as many.

    Every process then computes the same value, and its gradient reaches each stream once from every process: with
    gradients averaged over processes, as usual, the weights get the gradient of one process with the whole batch.
    """
    joined = torch.cat([streams, present[..., None].to(streams.dtype)], dim=-1)
    everyone = _Gathered.apply(joined)
    return everyone[..., :-1], everyone[..., -1] > 0


class _Gathered(torch.autograd.Function):
    """Every process's samples joined; its gradient is the sum of what all processes say of one's own samples."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        own = own.contiguous()
        pieces = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(pieces, own)
        return torch.cat(pieces, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size(), dim=1)[dist.get_rank()]


def level_mix(
    level_gate: Float[Tensor, "batch level"], context: Float[Tensor, "batch level rank"]
) -> Float[Tensor, ""]:
    """Levels that disagree being open together: sum over pairs of omega_l omega_k (1 - cos(context_l, context_k)),
    mean over the batch. [ours]"""
    direction = F.normalize(context, dim=-1)
    apart = 1 - direction @ direction.mT
    open_together = level_gate[:, :, None] * level_gate[:, None, :]
    return (open_together * apart).triu(1).sum((1, 2)).mean()


def task_loss(
    task: str, prediction: Float[Tensor, "batch output"], labels: Shaped[Tensor, "batch ..."]
) -> Float[Tensor, ""]:
    """[paper] Cross-entropy for 'classification', L1 for 'regression', binary cross-entropy for 'multilabel'.

    Raises DataError for labels of another kind or shape. That classes lie below `output` is not looked up here.
    """
    shape = tuple(prediction.shape if task == "multilabel" else prediction.shape[:1])
    floats = task != "classification"
    if tuple(labels.shape) != shape or labels.is_floating_point() != floats:
        kind = "floats" if floats else "integers"
        raise DataError(
            f"labels: {labels.dtype} of shape {tuple(labels.shape)}, but {task} needs {kind} of shape {shape}"
        )
    prediction = at_least_float32(prediction)
    if task == "classification":
        return F.cross_entropy(prediction, labels)
    if task == "regression":
        return F.l1_loss(prediction, labels.reshape(prediction.shape))
    return F.binary_cross_entropy_with_logits(prediction, labels)
