"""Exercises of lesson 11: the interval of a mean, pairs, an honest choice of the epoch, groups kept apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Interval = Callable[[Tensor, float], tuple[float, float]]
PairedInterval = Callable[[Tensor, Tensor, float], tuple[float, float]]
TestScore = Callable[[Tensor, Tensor], float]
HoldOut = Callable[[Tensor, int], Tensor]


def _expect_interval(result: object, low: float, high: float, message: str) -> None:
    expect(isinstance(result, tuple) and len(result) == 2, "a pair (low, high) is needed")
    assert isinstance(result, tuple)
    expect_close(torch.tensor([float(v) for v in result]), torch.tensor([low, high]), message, 1e-4)


@partial(Exercise, "the interval of a mean", difficulty=1, importance=5, minutes=5)
def interval(values: Tensor, quantile: float) -> tuple[float, float]:
    """Low and high end of the interval of the mean. values: (seed,); quantile: Student's t for that many seeds."""
    half = float(quantile * values.std() / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half


_MIDDLE = "equal values leave no doubt: both ends are the mean itself"
_ROOT = "the mean of n values varies sqrt(n) times less than one value: divide by the root of their number"
_BESSEL = "the spread is measured from the same values' mean: divide the squares by n - 1, as Tensor.std does"
_QUANTILE = "twice the quantile makes twice the interval: it multiplies the standard error"


@interval.case("equal values")
def _equal_values(answer: Interval) -> None:
    _expect_interval(answer(torch.full((4,), 0.7), 3.182), 0.7, 0.7, _MIDDLE)


@interval.case("another quantile")
def _quantile_multiplies(answer: Interval) -> None:
    values = torch.tensor([0.0, 1.0, 2.0])
    narrow, wide = answer(values, 1.0), answer(values, 2.0)
    expect_close(wide[1] - wide[0], 2 * (narrow[1] - narrow[0]), _QUANTILE, 1e-4)


@interval.case("a hundred values")
def _many_values(answer: Interval) -> None:
    values = torch.arange(100.0)
    low, high = answer(values, 1.0)
    expect(high - low < 30, _ROOT)


@interval.case("three values")
def _few_values(answer: Interval) -> None:
    _expect_interval(answer(torch.tensor([0.0, 0.0, 3.0]), 1.0), 0.0, 2.0, _BESSEL)


def _of_one_value(values: Tensor, quantile: float) -> tuple[float, float]:
    half = float(quantile * values.std())
    return float(values.mean()) - half, float(values.mean()) + half


def _biased(values: Tensor, quantile: float) -> tuple[float, float]:
    half = float(quantile * values.std(correction=0) / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half


def _always_two(values: Tensor, quantile: float) -> tuple[float, float]:
    half = float(2 * values.std() / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half


interval.mistakes = [
    (lambda values, quantile: (0.0, float(values.max())), _MIDDLE),
    (_always_two, _QUANTILE),
    (_of_one_value, _ROOT),
    (_biased, _BESSEL),
]


@partial(Exercise, "the interval of a paired difference", difficulty=2, importance=5, minutes=8)
def paired_interval(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    """The interval of first - second. Both (seed,), in the same order of seeds; quantile: of Student's t."""
    apart = first - second
    half = float(quantile * apart.std() / len(apart) ** 0.5)
    return float(apart.mean()) - half, float(apart.mean()) + half


_SIGN = "first - second: where the first is 1 higher everywhere, the difference is +1"
_PAIRED = "the seeds differ a lot and the models by 0.1 in each: subtract seed by seed first, then take the spread"
_UNPAIRED_SPREAD = "the models' own differences vary, so the interval has a width: take the spread of the differences"
_DIVIDED = (
    "the mean of 4 differences varies half as much as one of them: divide the spread by the root of the number of pairs"
)


@paired_interval.case("the first is higher by 1")
def _sign_is_first_minus_second(answer: PairedInterval) -> None:
    high, low = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0])
    expect(sum(answer(high, low, 1.0)) > 0 > sum(answer(low, high, 1.0)), _SIGN)


@paired_interval.case("seeds that differ a lot")
def _seeds_cancel(answer: PairedInterval) -> None:
    hard = torch.tensor([0.1, 0.5, 0.9, 0.3])
    result = answer(hard + 0.1, hard, 3.182)
    _expect_interval(result, 0.1, 0.1, _PAIRED)


@paired_interval.case("differences of 0 and 2")
def _differences_vary(answer: PairedInterval) -> None:
    low, high = answer(torch.tensor([1.0, 3.0, 1.0, 3.0]), torch.tensor([1.0, 1.0, 1.0, 1.0]), 1.0)
    expect(high - low > 1e-3, _UNPAIRED_SPREAD)


@paired_interval.case("four pairs")
def _root_of_the_pairs(answer: PairedInterval) -> None:
    result = answer(torch.tensor([1.0, 3.0, 1.0, 3.0]), torch.ones(4), 3.0)
    half = 3 * torch.tensor([0.0, 2, 0, 2]).std().item() / 2
    _expect_interval(result, 1 - half, 1 + half, _DIVIDED)


def _as_if_unpaired(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    half = float(quantile * ((first.var() + second.var()) / len(first)) ** 0.5)
    return float((first - second).mean()) - half, float((first - second).mean()) + half


def _not_divided(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    apart = first - second
    return float(apart.mean() - quantile * apart.std()), float(apart.mean() + quantile * apart.std())


paired_interval.mistakes = [
    (lambda first, second, quantile: paired_interval.solution(second, first, quantile), _SIGN),
    (_as_if_unpaired, _PAIRED),
    (
        lambda first, second, quantile: (float((first - second).mean()), float((first - second).mean())),
        _UNPAIRED_SPREAD,
    ),
    (_not_divided, _DIVIDED),
]


@partial(Exercise, "which epoch counts", difficulty=1, importance=5, minutes=5)
def reported_score(valid: Tensor, test: Tensor) -> float:
    """The test accuracy to report. valid, test: (epoch,), accuracies after each epoch; earlier wins a tie."""
    best = 0
    for epoch in range(len(valid)):
        if valid[epoch] > valid[best]:
            best = epoch
    return float(test[best])


_LEAK = "the test part chose the epoch: its best value is not what a user would have got"
_LAST = "the last epoch was reported, though the validation part says that an earlier one is better"
_WRONG_PART = "the validation part chooses, but the test part is reported"
_TIE = "epochs 1 and 3 are equal on the validation part: the earlier one wins, without a look at the test part"


@reported_score.case("the test part is best elsewhere")
def _test_does_not_choose(answer: TestScore) -> None:
    expect(abs(answer(torch.tensor([0.5, 0.6, 0.8, 0.4]), torch.tensor([0.3, 0.9, 0.6, 0.7])) - 0.9) > 1e-6, _LEAK)


@reported_score.case("an earlier epoch is best")
def _best_not_last(answer: TestScore) -> None:
    expect(abs(answer(torch.tensor([0.5, 0.8, 0.7]), torch.tensor([0.4, 0.6, 0.3])) - 0.3) > 1e-6, _LAST)


@reported_score.case("what is reported")
def _the_test_is_reported(answer: TestScore) -> None:
    expect_close(answer(torch.tensor([0.5, 0.8, 0.7]), torch.tensor([0.4, 0.6, 0.3])), 0.6, _WRONG_PART)


@reported_score.case("two equal epochs")
def _ties_without_the_test(answer: TestScore) -> None:
    expect_close(answer(torch.tensor([0.8, 0.5, 0.8]), torch.tensor([0.2, 0.3, 0.6])), 0.2, _TIE)


reported_score.mistakes = [
    (lambda valid, test: float(test.max()), _LEAK),
    (lambda valid, test: float(test[-1]), _LAST),
    (lambda valid, test: float(valid.max()), _WRONG_PART),
    (lambda valid, test: float(test[valid == valid.max()].max()), _TIE),
]


@partial(Exercise, "hold out whole groups", difficulty=2, importance=4, minutes=8)
def hold_out(groups: Tensor, count: int) -> Tensor:
    """Which samples are held out: (sample,), bool. groups: (sample,), integers; `count` random groups, all of each."""
    names = groups.unique()
    chosen = names[torch.randperm(len(names))[:count]]
    return torch.isin(groups, chosen)


_TORN = "a group is in both parts: hold out groups, not samples"
_COUNT = "the number of held-out groups is not `count`: each group counts once, however many samples it has"
_NAMES = "groups may have any numbers, such as 40 and 7: draw from the numbers that are there"
_RANDOM = "ten draws held out the same groups: draw them at random"
_GROUPS = torch.tensor([7, 7, 7, 40, 40, 3, 3, 3, 3, 3, 12, 5])


@hold_out.case("no group in both parts")
def _none_is_torn(answer: HoldOut) -> None:
    for _ in range(10):
        out = answer(_GROUPS, 2).bool()
        expect(out.shape == _GROUPS.shape, f"shape {tuple(out.shape)}, but one value for each of 12 samples is needed")
        expect(not set(_GROUPS[out].tolist()) & set(_GROUPS[~out].tolist()), _TORN)


@hold_out.case("groups with any numbers")
def _names_are_drawn(answer: HoldOut) -> None:
    expect(all(bool(answer(torch.tensor([100, 100, 200, 300]), 2).any()) for _ in range(10)), _NAMES)


@hold_out.case("the number of groups")
def _count_counts_groups(answer: HoldOut) -> None:
    for _ in range(10):
        out = answer(_GROUPS, 2).bool()
        expect(len(_GROUPS[out].unique()) == 2, _COUNT)


@hold_out.case("ten draws")
def _at_random(answer: HoldOut) -> None:
    drawn = {tuple(answer(_GROUPS, 2).tolist()) for _ in range(10)}
    expect(len(drawn) > 1, _RANDOM)


def _samples_held_out(groups: Tensor, count: int) -> Tensor:
    out = torch.zeros(len(groups), dtype=torch.bool)
    out[torch.randperm(len(groups))[: 2 * count]] = True
    return out


hold_out.mistakes = [
    (_samples_held_out, _TORN),
    (lambda groups, count: torch.isin(groups, torch.randperm(13)[:count]), _NAMES),
    (lambda groups, count: torch.isin(groups, groups[torch.randperm(len(groups))[:count]]), _COUNT),
    (lambda groups, count: torch.isin(groups, groups.unique()[:count]), _RANDOM),
]
