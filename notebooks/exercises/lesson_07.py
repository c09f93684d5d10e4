"""Exercises of lesson 7: whitening, the debiased cross-correlation, the pairs of a term, the gates' penalty."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from exercises import Exercise, expect, expect_close

Whitener = Callable[[Tensor], Tensor]
Correlation = Callable[[Tensor, Tensor], Tensor]
Pairs = Callable[[int, int], Tensor]
Penalty = Callable[[Tensor, Tensor], Tensor]


# --- make_white ---------------------------------------------------------------------------------------------------


def make_white_stub(x: Tensor) -> Tensor:
    """Centre the stream and make its covariance the identity. Shape (sample, rank), in and out."""
    raise NotImplementedError


def make_white_solution(x: Tensor) -> Tensor:
    """Centre the stream and make its covariance the identity. Shape (sample, rank), in and out."""
    centred = x - x.mean(dim=0)
    covariance = centred.T @ centred / (len(x) - 1)
    factor = torch.linalg.cholesky(covariance)
    return torch.linalg.solve_triangular(factor, centred.T, upper=False).T


def _stream(samples: int, rank: int) -> Tensor:
    """A stream whose coordinates vary together, with a mean that is not 0."""
    random = torch.Generator().manual_seed(samples + rank)
    mix = torch.eye(rank) + 0.5 * torch.rand(rank, rank, generator=random).triu(1)
    return torch.randn(samples, rank, generator=random) @ mix * torch.arange(1, rank + 1) + 5


def _is_centred(make_white: Whitener) -> None:
    """each coordinate has mean 0"""
    message = "the means are not 0: take each coordinate's mean over the samples away first"
    expect_close(make_white(_stream(20, 2)).mean(dim=0), torch.zeros(2), message, tolerance=1e-4)


def _narrows(make_white: Whitener) -> None:
    """a wide coordinate becomes narrower"""
    wide = torch.tensor([[-9.0], [0.0], [9.0]])
    expect(make_white(wide).std() < 9, "a wide stream became wider: solve with L, do not multiply by it")


def _counts_one_less(make_white: Whitener) -> None:
    """the variance is 1"""
    message = "the variances are all off by the same small factor: divide by samples - 1, not by samples"
    expect_close(make_white(_stream(4, 1)).var(dim=0), torch.ones(1), message, tolerance=1e-4)


def _untangles(make_white: Whitener) -> None:
    """different coordinates no longer vary together"""
    x = _stream(50, 3)
    before, after = torch.corrcoef(x.T), torch.cov(make_white(x).T)
    same = torch.allclose(before, after, atol=1e-3)
    expect(not same, "the coordinates still vary together: dividing each by its own standard deviation is not enough")


def _is_identity(make_white: Whitener) -> None:
    """the covariance is the identity"""
    message = "not the identity: L meets one sample at a time, as a column. Solve on centred.T, then transpose back"
    expect_close(torch.cov(make_white(_stream(50, 3)).T), torch.eye(3), message, tolerance=1e-3)


def _not_centred(x: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(x.T).reshape(x.shape[1], -1)), x.T, upper=False
    ).T


def _multiplied(x: Tensor) -> Tensor:
    return (x - x.mean(0)) @ torch.linalg.cholesky(torch.cov(x.T).reshape(x.shape[1], -1)).T


def _by_samples(x: Tensor) -> Tensor:
    return make_white_solution(x) * (len(x) / (len(x) - 1)) ** 0.5


def _standardised(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0)


def _wrong_side(x: Tensor) -> Tensor:
    factor = torch.linalg.cholesky(torch.cov(x.T).reshape(x.shape[1], -1))
    return (x - x.mean(0)) @ torch.linalg.inv(factor)


make_white = Exercise(
    title="whiten a stream",
    difficulty=2,
    importance=5,
    minutes=10,
    stub=make_white_stub,
    solution=make_white_solution,
    checks=[_is_centred, _narrows, _counts_one_less, _untangles, _is_identity],
    mistakes=[
        (_not_centred, "the means are not 0: take each coordinate's mean over the samples away first"),
        (_multiplied, "a wide stream became wider: solve with L, do not multiply by it"),
        (_by_samples, "the variances are all off by the same small factor: divide by samples - 1, not by samples"),
        (
            _standardised,
            "the coordinates still vary together: dividing each by its own standard deviation is not enough",
        ),
        (
            _wrong_side,
            "not the identity: L meets one sample at a time, as a column. Solve on centred.T, then transpose back",
        ),
    ],
)


# --- debiased -----------------------------------------------------------------------------------------------------


def debiased_stub(x: Tensor, y: Tensor) -> Tensor:
    """||C||^2 / rank of two centred streams, minus its mean over all shuffles. Shape (sample, rank), both; a scalar."""
    raise NotImplementedError


def debiased_solution(x: Tensor, y: Tensor) -> Tensor:
    """||C||^2 / rank of two centred streams, minus its mean over all shuffles. Shape (sample, rank), both; a scalar."""
    samples, rank = x.shape
    cross = x.T @ y / (samples - 1)
    energy_x = x.square().sum() / (samples - 1)
    energy_y = y.square().sum() / (samples - 1)
    return (cross.square().sum() - energy_x * energy_y / (samples - 1)) / rank


def _white(samples: int, rank: int) -> Tensor:
    x = torch.randn(samples, rank, generator=torch.Generator().manual_seed(rank)).double()
    return make_white_solution(x)


def _subtracts_something(debiased: Correlation) -> None:
    """a stream against itself gives less than 1"""
    x = _white(9, 1)
    expect(
        debiased(x, x) < 0.99, "a stream against itself gives 1 or more: what shuffled streams show is not subtracted"
    )


def _squares(debiased: Correlation) -> None:
    """with many samples, half the rank in common gives a half"""
    # the columns of a white stream with 200 samples are uncorrelated, so C is known: diag(1, 1, 0, 0)
    x = _white(200, 6)
    value = debiased(x[:, [0, 1, 2, 3]], x[:, [0, 1, 4, 5]])
    expect(value < 1, "two of four directions in common gave more than 1: is the division by the rank missing?")
    message = "two of four directions in common gave another share than a half: square the norm (the sum of squares)"
    expect(abs(float(value) - 0.5) < 0.05, message)


def _is_zero_over_shuffles(debiased: Correlation) -> None:
    """the mean over all shuffles of white streams is 0"""
    x, y = torch.tensor([[-1.0], [0.0], [1.0]]), torch.tensor([[-1.0], [0.0], [1.0]])
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    values = [float(debiased(x, y[order])) for order in orders]
    message = "the mean over the six shuffles of three samples is not 0: every count here is samples - 1"
    expect_close(sum(values) / 6, 0.0, message)


def _knows_the_energy(debiased: Correlation) -> None:
    """streams that a ridge has left smaller than white"""
    x = 0.5 * _white(9, 2)
    message = "right for white streams only: a ridge leaves less, so use tr(G_x) tr(G_y), not rank * rank"
    expect_close(debiased(x, x), debiased_solution(x, x), message)


def _plain(x: Tensor, y: Tensor) -> Tensor:
    return (x.T @ y / (len(x) - 1)).square().sum() / x.shape[1]


def _no_rank(x: Tensor, y: Tensor) -> Tensor:
    return debiased_solution(x, y) * x.shape[1]


def _no_square(x: Tensor, y: Tensor) -> Tensor:
    return (x.T @ y / (len(x) - 1)).norm() / x.shape[1] - x.shape[1] / (len(x) - 1)


def _samples_in_the_bias(x: Tensor, y: Tensor) -> Tensor:
    return _plain(x, y) - x.shape[1] / len(x)


def _constant_bias(x: Tensor, y: Tensor) -> Tensor:
    return _plain(x, y) - x.shape[1] / (len(x) - 1)


debiased = Exercise(
    title="subtract what chance shows",
    difficulty=3,
    importance=5,
    minutes=10,
    stub=debiased_stub,
    solution=debiased_solution,
    checks=[_subtracts_something, _squares, _is_zero_over_shuffles, _knows_the_energy],
    mistakes=[
        (_plain, "a stream against itself gives 1 or more: what shuffled streams show is not subtracted"),
        (_no_rank, "two of four directions in common gave more than 1: is the division by the rank missing?"),
        (
            _no_square,
            "two of four directions in common gave another share than a half: square the norm (the sum of squares)",
        ),
        (
            _samples_in_the_bias,
            "the mean over the six shuffles of three samples is not 0: every count here is samples - 1",
        ),
        (
            _constant_bias,
            "right for white streams only: a ridge leaves less, so use tr(G_x) tr(G_y), not rank * rank",
        ),
    ],
)


# --- redundancy_pairs ---------------------------------------------------------------------------------------------


def redundancy_pairs_stub(modalities: int, levels: int) -> Tensor:
    """True for each pair of private streams of one modality at two levels, once. Shape (stream, stream), bool."""
    raise NotImplementedError


def redundancy_pairs_solution(modalities: int, levels: int) -> Tensor:
    """True for each pair of private streams of one modality at two levels, once. Shape (stream, stream), bool."""
    streams = [(k, m, lv) for k in range(2) for m in range(modalities) for lv in range(levels)]
    chosen = torch.zeros(len(streams), len(streams), dtype=torch.bool)
    for i, (kind_i, modality_i, level_i) in enumerate(streams):
        for j, (kind_j, modality_j, level_j) in enumerate(streams):
            private = kind_i == 1 and kind_j == 1
            chosen[i, j] = i < j and private and modality_i == modality_j and level_i != level_j
    return chosen


def _one_modality(redundancy_pairs: Pairs) -> Tensor:
    """One modality, two levels: streams sh 0, sh 1, pr 0, pr 1."""
    chosen = redundancy_pairs(1, 2)
    expect(
        isinstance(chosen, Tensor) and chosen.shape == (4, 4), "for 1 modality and 2 levels a 4 x 4 matrix is needed"
    )
    return chosen.bool()


def _no_diagonal(redundancy_pairs: Pairs) -> None:
    """a stream is no pair with itself"""
    message = "a stream is paired with itself: the two levels must differ"
    expect(not _one_modality(redundancy_pairs).diagonal().any(), message)


def _only_private(redundancy_pairs: Pairs) -> None:
    """shared streams take no part"""
    message = "a shared stream is among the pairs: both must be private (kind 1)"
    expect(not _one_modality(redundancy_pairs)[:2].any(), message)


def _once(redundancy_pairs: Pairs) -> None:
    """each pair once"""
    chosen = _one_modality(redundancy_pairs)
    expect(not (chosen & chosen.T).any(), "each pair is there twice, as (i, j) and as (j, i): keep i < j")


def _one_at_a_time(redundancy_pairs: Pairs) -> None:
    """modalities are not mixed"""
    message = "with two modalities and one level there is no such pair, but you have some: compare the modalities"
    expect(not redundancy_pairs(2, 1).any(), message)


def _in_order(redundancy_pairs: Pairs) -> None:
    """the order of the streams: kind, then modality, then level"""
    message = "the pairs are at other places for two modalities: streams go by kind, then modality, then level"
    expect_close(redundancy_pairs(2, 3).float(), redundancy_pairs_solution(2, 3).float(), message)


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
    return redundancy_pairs_solution(modalities, levels) | redundancy_pairs_solution(modalities, levels).T


def _any_modality(modalities: int, levels: int) -> Tensor:
    kind, _, _ = _grid(modalities, levels)
    return (_same(kind) & (kind == 1)).triu(1)


def _level_first(modalities: int, levels: int) -> Tensor:
    order = torch.arange(2 * modalities * levels).reshape(2, modalities, levels).transpose(1, 2).flatten()
    return redundancy_pairs_solution(modalities, levels)[order][:, order]


redundancy_pairs = Exercise(
    title="choose the pairs of a term",
    difficulty=3,
    importance=3,
    minutes=15,
    stub=redundancy_pairs_stub,
    solution=redundancy_pairs_solution,
    checks=[_no_diagonal, _only_private, _once, _one_at_a_time, _in_order],
    mistakes=[
        (_with_itself, "a stream is paired with itself: the two levels must differ"),
        (_any_kind, "a shared stream is among the pairs: both must be private (kind 1)"),
        (_twice, "each pair is there twice, as (i, j) and as (j, i): keep i < j"),
        (
            _any_modality,
            "with two modalities and one level there is no such pair, but you have some: compare the modalities",
        ),
        (
            _level_first,
            "the pairs are at other places for two modalities: streams go by kind, then modality, then level",
        ),
    ],
)


# --- mix_penalty --------------------------------------------------------------------------------------------------


def mix_penalty_stub(level_gate: Tensor, context: Tensor) -> Tensor:
    """L_mix. level_gate: (batch, level), context: (batch, level, rank); a scalar, the mean over the batch."""
    raise NotImplementedError


def mix_penalty_solution(level_gate: Tensor, context: Tensor) -> Tensor:
    """L_mix. level_gate: (batch, level), context: (batch, level, rank); a scalar, the mean over the batch."""
    direction = F.normalize(context, dim=-1)
    apart = 1 - direction @ direction.mT
    together = level_gate[:, :, None] * level_gate[:, None, :]
    return (together * apart).triu(1).sum(dim=(1, 2)).mean()


HALVES = torch.tensor([[0.5, 0.5]])


def _agreeing_levels_are_free(mix_penalty: Penalty) -> None:
    """levels that agree cost nothing"""
    same = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    message = "two levels that agree cost something: it is 1 - cos that is to be paid, not cos"
    expect_close(mix_penalty(HALVES, same), 0.0, message)


def _only_the_direction_counts(mix_penalty: Penalty) -> None:
    """the length of a context does not count"""
    longer = torch.tensor([[[3.0, 0.0], [2.0, 0.0]]])
    message = "a longer context changed the penalty: normalise before you multiply"
    expect_close(mix_penalty(HALVES, longer), 0.0, message)


def _each_pair_once(mix_penalty: Penalty) -> None:
    """two levels at a right angle, both half open"""
    apart = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    value = mix_penalty(HALVES, apart)
    expect(abs(float(value) - 0.5) > 1e-4, "twice too much: each pair of levels is to be counted once")
    expect_close(value, 0.25, "two half-open levels at a right angle cost 0.5 * 0.5 * 1: are both gates multiplied in?")


def _is_a_mean(mix_penalty: Penalty) -> None:
    """the same sample twice"""
    apart = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).expand(2, 2, 2)
    expect_close(
        mix_penalty(HALVES.expand(2, 2), apart), 0.25, "two equal samples cost another sum than one: take the mean"
    )


def _rewards_distance(level_gate: Tensor, context: Tensor) -> Tensor:
    direction = F.normalize(context, dim=-1)
    together = level_gate[:, :, None] * level_gate[:, None, :]
    return (together * (direction @ direction.mT)).triu(1).sum(dim=(1, 2)).mean()


def _unnormalised(level_gate: Tensor, context: Tensor) -> Tensor:
    together = level_gate[:, :, None] * level_gate[:, None, :]
    return (together * (1 - context @ context.mT)).triu(1).sum(dim=(1, 2)).mean()


def _both_orders(level_gate: Tensor, context: Tensor) -> Tensor:
    return 2 * mix_penalty_solution(level_gate, context)


def _without_gates(level_gate: Tensor, context: Tensor) -> Tensor:
    return 4 * mix_penalty_solution(level_gate, context)


def _summed(level_gate: Tensor, context: Tensor) -> Tensor:
    return len(context) * mix_penalty_solution(level_gate, context)


mix_penalty = Exercise(
    title="a price for open levels that disagree",
    difficulty=2,
    importance=4,
    minutes=10,
    stub=mix_penalty_stub,
    solution=mix_penalty_solution,
    checks=[_agreeing_levels_are_free, _only_the_direction_counts, _each_pair_once, _is_a_mean],
    mistakes=[
        (_rewards_distance, "two levels that agree cost something: it is 1 - cos that is to be paid, not cos"),
        (_unnormalised, "a longer context changed the penalty: normalise before you multiply"),
        (_both_orders, "twice too much: each pair of levels is to be counted once"),
        (
            _without_gates,
            "two half-open levels at a right angle cost 0.5 * 0.5 * 1: are both gates multiplied in?",
        ),
        (_summed, "two equal samples cost another sum than one: take the mean"),
    ],
)
