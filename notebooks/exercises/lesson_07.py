"""Exercises of lesson 7: whitening, the debiased cross-correlation, the pairs of a term, the gates' penalty."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from exercises import Exercise, expect, expect_close

Whitener = Callable[[Tensor], Tensor]
Correlation = Callable[[Tensor, Tensor], Tensor]
Pairs = Callable[[int, int], Tensor]
Penalty = Callable[[Tensor, Tensor], Tensor]


@partial(Exercise, "whiten a stream", difficulty=2, importance=5, minutes=10)
def make_white(x: Tensor) -> Tensor:
    """Centre the stream and make its covariance the identity. Shape (sample, rank), in and out."""
    centred = x - x.mean(dim=0)
    covariance = centred.T @ centred / (len(x) - 1)
    factor = torch.linalg.cholesky(covariance)
    return torch.linalg.solve_triangular(factor, centred.T, upper=False).T


_NOT_CENTRED = "the means are not 0: subtract each coordinate's mean over the samples first"
_MULTIPLIED = "a wide stream became wider: solve with L, do not multiply by it"
_BY_SAMPLES = "the variances are all off by the same small factor: divide by samples - 1, not by samples"
_STANDARDISED = "the coordinates still vary together: dividing each by its own standard deviation is not enough"
_WRONG_SIDE = "not the identity: L meets one sample at a time, as a column. Solve on centred.T, then transpose back"


def _stream(samples: int, rank: int) -> Tensor:
    """A stream whose coordinates vary together, with a mean that is not 0."""
    random = torch.Generator().manual_seed(samples + rank)
    mix = torch.eye(rank) + 0.5 * torch.rand(rank, rank, generator=random).triu(1)
    return torch.randn(samples, rank, generator=random) @ mix * torch.arange(1, rank + 1) + 5


@make_white.case("each coordinate has mean 0")
def _is_centred(answer: Whitener) -> None:
    expect_close(answer(_stream(20, 2)).mean(dim=0), torch.zeros(2), _NOT_CENTRED, tolerance=1e-4)


@make_white.case("a wide coordinate becomes narrower")
def _narrows(answer: Whitener) -> None:
    wide = torch.tensor([[-9.0], [0.0], [9.0]])
    expect(answer(wide).std() < 9, _MULTIPLIED)


@make_white.case("the variance is 1")
def _counts_one_less(answer: Whitener) -> None:
    expect_close(answer(_stream(4, 1)).var(dim=0), torch.ones(1), _BY_SAMPLES, tolerance=1e-4)


@make_white.case("different coordinates no longer vary together")
def _untangles(answer: Whitener) -> None:
    x = _stream(50, 3)
    before, after = torch.corrcoef(x.T), torch.cov(answer(x).T)
    same = torch.allclose(before, after, atol=1e-3)
    expect(not same, _STANDARDISED)


@make_white.case("the covariance is the identity")
def _is_identity(answer: Whitener) -> None:
    expect_close(torch.cov(answer(_stream(50, 3)).T), torch.eye(3), _WRONG_SIDE, tolerance=1e-3)


def _not_centred(x: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(x.T).reshape(x.shape[1], -1)), x.T, upper=False
    ).T


def _wrong_side(x: Tensor) -> Tensor:
    factor = torch.linalg.cholesky(torch.cov(x.T).reshape(x.shape[1], -1))
    return (x - x.mean(0)) @ torch.linalg.inv(factor)


make_white.mistakes = [
    (_not_centred, _NOT_CENTRED),
    (lambda x: (x - x.mean(0)) @ torch.linalg.cholesky(torch.cov(x.T).reshape(x.shape[1], -1)).T, _MULTIPLIED),
    (lambda x: make_white.solution(x) * (len(x) / (len(x) - 1)) ** 0.5, _BY_SAMPLES),
    (lambda x: (x - x.mean(0)) / x.std(0), _STANDARDISED),
    (_wrong_side, _WRONG_SIDE),
]


@partial(Exercise, "subtract what chance shows", difficulty=3, importance=5, minutes=10)
def debiased(x: Tensor, y: Tensor) -> Tensor:
    """||C||^2 / rank of two centred streams, minus its mean over all shuffles. Shape (sample, rank), both; a scalar."""
    samples, rank = x.shape
    cross = x.T @ y / (samples - 1)
    energy_x = x.square().sum() / (samples - 1)
    energy_y = y.square().sum() / (samples - 1)
    return (cross.square().sum() - energy_x * energy_y / (samples - 1)) / rank


_PLAIN = "a stream against itself gives 1 or more: the mean over shuffled streams is not subtracted"
_NO_RANK = "two of four directions in common gave more than 1: is the division by the rank missing?"
_NO_SQUARE = "two of four directions in common did not give a half: square the norm (the sum of squares)"
_SAMPLES_IN_THE_BIAS = "the mean over the six shuffles of three samples is not 0: every count here is samples - 1"
_CONSTANT_BIAS = "right for white streams only: a ridge leaves less, so use tr(G_x) tr(G_y), not rank * rank"


def _white(samples: int, rank: int) -> Tensor:
    x = torch.randn(samples, rank, generator=torch.Generator().manual_seed(rank)).double()
    return make_white.solution(x)


@debiased.case("a stream against itself gives less than 1")
def _subtracts_something(answer: Correlation) -> None:
    x = _white(9, 1)
    expect(answer(x, x) < 0.99, _PLAIN)


@debiased.case("with many samples, half the rank in common gives a half")
def _squares(answer: Correlation) -> None:
    # the columns of a white stream with 200 samples are uncorrelated, so C is known: diag(1, 1, 0, 0)
    x = _white(200, 6)
    value = answer(x[:, [0, 1, 2, 3]], x[:, [0, 1, 4, 5]])
    expect(value < 1, _NO_RANK)
    expect(abs(float(value) - 0.5) < 0.05, _NO_SQUARE)


@debiased.case("the mean over all shuffles of white streams is 0")
def _is_zero_over_shuffles(answer: Correlation) -> None:
    x, y = torch.tensor([[-1.0], [0.0], [1.0]]), torch.tensor([[-1.0], [0.0], [1.0]])
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    values = [float(answer(x, y[order])) for order in orders]
    expect_close(sum(values) / 6, 0.0, _SAMPLES_IN_THE_BIAS)


@debiased.case("streams that a ridge leaves with less variance than white ones")
def _knows_the_energy(answer: Correlation) -> None:
    x = 0.5 * _white(9, 2)
    expect_close(answer(x, x), debiased.solution(x, x), _CONSTANT_BIAS)


def _plain(x: Tensor, y: Tensor) -> Tensor:
    return (x.T @ y / (len(x) - 1)).square().sum() / x.shape[1]


debiased.mistakes = [
    (_plain, _PLAIN),
    (lambda x, y: debiased.solution(x, y) * x.shape[1], _NO_RANK),
    (lambda x, y: (x.T @ y / (len(x) - 1)).norm() / x.shape[1] - x.shape[1] / (len(x) - 1), _NO_SQUARE),
    (lambda x, y: _plain(x, y) - x.shape[1] / len(x), _SAMPLES_IN_THE_BIAS),
    (lambda x, y: _plain(x, y) - x.shape[1] / (len(x) - 1), _CONSTANT_BIAS),
]


@partial(Exercise, "choose the pairs of a term", difficulty=3, importance=3, minutes=15)
def redundancy_pairs(modalities: int, levels: int) -> Tensor:
    """True for each pair of private streams of one modality at two levels, once. Shape (stream, stream), bool."""
    streams = [(k, m, lv) for k in range(2) for m in range(modalities) for lv in range(levels)]
    chosen = torch.zeros(len(streams), len(streams), dtype=torch.bool)
    for i, (kind_i, modality_i, level_i) in enumerate(streams):
        for j, (kind_j, modality_j, level_j) in enumerate(streams):
            private = kind_i == 1 and kind_j == 1
            chosen[i, j] = i < j and private and modality_i == modality_j and level_i != level_j
    return chosen


_WITH_ITSELF = "a stream is paired with itself: the two levels must differ"
_ANY_KIND = "a shared stream is among the pairs: both must be private (kind 1)"
_TWICE = "each pair appears twice, as (i, j) and as (j, i): keep i < j"
_ANY_MODALITY = "with two modalities and one level there is no such pair, but you have some: compare the modalities"
_LEVEL_FIRST = "the pairs are at wrong places for two modalities: streams go by kind, then modality, then level"


def _one_modality(redundancy_pairs: Pairs) -> Tensor:
    """One modality, two levels: streams sh 0, sh 1, pr 0, pr 1."""
    chosen = redundancy_pairs(1, 2)
    expect(
        isinstance(chosen, Tensor) and chosen.shape == (4, 4), "for 1 modality and 2 levels a 4 x 4 matrix is needed"
    )
    expect(chosen.dtype == torch.bool, "the matrix holds True and False: its dtype is torch.bool")
    return chosen


@redundancy_pairs.case("a stream is no pair with itself")
def _no_diagonal(answer: Pairs) -> None:
    expect(not _one_modality(answer).diagonal().any(), _WITH_ITSELF)


@redundancy_pairs.case("shared streams take no part")
def _only_private(answer: Pairs) -> None:
    expect(not _one_modality(answer)[:2].any(), _ANY_KIND)


@redundancy_pairs.case("each pair once")
def _once(answer: Pairs) -> None:
    chosen = _one_modality(answer)
    expect(not (chosen & chosen.T).any(), _TWICE)


@redundancy_pairs.case("modalities are not mixed")
def _one_at_a_time(answer: Pairs) -> None:
    expect(not answer(2, 1).any(), _ANY_MODALITY)


@redundancy_pairs.case("the order of the streams: kind, then modality, then level")
def _in_order(answer: Pairs) -> None:
    expect_close(answer(2, 3).float(), redundancy_pairs.solution(2, 3).float(), _LEVEL_FIRST)


def _grid(modalities: int, levels: int) -> tuple[Tensor, Tensor, Tensor]:
    places = torch.meshgrid(torch.arange(2), torch.arange(modalities), torch.arange(levels), indexing="ij")
    kind, modality, level = (place.flatten() for place in places)
    return kind, modality, level


def _same(x: Tensor) -> Tensor:
    return x[:, None] == x


def _with_itself(modalities: int, levels: int) -> Tensor:
    kind, modality, _ = _grid(modalities, levels)
    return (_same(kind) & _same(modality) & (kind == 1)).triu()


def _any_kind(modalities: int, levels: int) -> Tensor:
    kind, modality, level = _grid(modalities, levels)
    return (_same(kind) & _same(modality) & ~_same(level)).triu(1)


def _twice(modalities: int, levels: int) -> Tensor:
    return redundancy_pairs.solution(modalities, levels) | redundancy_pairs.solution(modalities, levels).T


def _any_modality(modalities: int, levels: int) -> Tensor:
    kind, _, _ = _grid(modalities, levels)
    return (_same(kind) & (kind == 1)).triu(1)


def _level_first(modalities: int, levels: int) -> Tensor:
    order = torch.arange(2 * modalities * levels).reshape(2, modalities, levels).transpose(1, 2).flatten()
    return redundancy_pairs.solution(modalities, levels)[order][:, order]


redundancy_pairs.mistakes = [
    (_with_itself, _WITH_ITSELF),
    (_any_kind, _ANY_KIND),
    (_twice, _TWICE),
    (_any_modality, _ANY_MODALITY),
    (_level_first, _LEVEL_FIRST),
]


@partial(Exercise, "a price for open levels that disagree", difficulty=2, importance=4, minutes=10)
def mix_penalty(level_gate: Tensor, context: Tensor) -> Tensor:
    """L_mix. level_gate: (batch, level), context: (batch, level, rank); a scalar, the mean over the batch."""
    direction = F.normalize(context, dim=-1)
    apart = 1 - direction @ direction.mT
    together = level_gate[:, :, None] * level_gate[:, None, :]
    return (together * apart).triu(1).sum(dim=(1, 2)).mean()


_REWARDS_DISTANCE = "two levels that agree cost something: the penalty is 1 - cos, not cos"
_UNNORMALISED = "a longer context changed the penalty: normalise before you multiply"
_BOTH_ORDERS = "twice too much: count each pair of levels once"
_WITHOUT_GATES = "two half-open levels at a right angle cost 0.5 * 0.5 * 1: are both gates multiplied in?"
_SUMMED = "two equal samples cost more than one: take the mean over the batch"
HALVES = torch.tensor([[0.5, 0.5]])


@mix_penalty.case("levels that agree cost nothing")
def _agreeing_levels_are_free(answer: Penalty) -> None:
    same = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    expect_close(answer(HALVES, same), 0.0, _REWARDS_DISTANCE)


@mix_penalty.case("the length of a context does not count")
def _only_the_direction_counts(answer: Penalty) -> None:
    longer = torch.tensor([[[3.0, 0.0], [2.0, 0.0]]])
    expect_close(answer(HALVES, longer), 0.0, _UNNORMALISED)


@mix_penalty.case("two levels at a right angle, both half open")
def _each_pair_once(answer: Penalty) -> None:
    apart = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    value = answer(HALVES, apart)
    expect(abs(float(value) - 0.5) > 1e-4, _BOTH_ORDERS)
    expect_close(value, 0.25, _WITHOUT_GATES)


@mix_penalty.case("the same sample twice")
def _is_a_mean(answer: Penalty) -> None:
    apart = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).expand(2, 2, 2)
    expect_close(answer(HALVES.expand(2, 2), apart), 0.25, _SUMMED)


def _rewards_distance(level_gate: Tensor, context: Tensor) -> Tensor:
    direction = F.normalize(context, dim=-1)
    together = level_gate[:, :, None] * level_gate[:, None, :]
    return (together * (direction @ direction.mT)).triu(1).sum(dim=(1, 2)).mean()


def _unnormalised(level_gate: Tensor, context: Tensor) -> Tensor:
    together = level_gate[:, :, None] * level_gate[:, None, :]
    return (together * (1 - context @ context.mT)).triu(1).sum(dim=(1, 2)).mean()


mix_penalty.mistakes = [
    (_rewards_distance, _REWARDS_DISTANCE),
    (_unnormalised, _UNNORMALISED),
    (lambda level_gate, context: 2 * mix_penalty.solution(level_gate, context), _BOTH_ORDERS),
    (lambda level_gate, context: 4 * mix_penalty.solution(level_gate, context), _WITHOUT_GATES),
    (lambda level_gate, context: len(context) * mix_penalty.solution(level_gate, context), _SUMMED),
]
