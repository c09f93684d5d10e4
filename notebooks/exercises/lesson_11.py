"""Exercises of lesson 11: the interval of a mean, pairs, an honest choice of the epoch, groups kept apart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Interval = Callable[[Tensor, float], tuple[float, float]]
PairedInterval = Callable[[Tensor, Tensor, float], tuple[float, float]]
TestScore = Callable[[Tensor, Tensor], float]
HoldOut = Callable[[Tensor, int], Tensor]


def _expect_interval(got: object, low: float, high: float, message: str) -> None:
    expect(isinstance(got, tuple) and len(got) == 2, "a pair (low, high) is needed")
    assert isinstance(got, tuple)
    expect_close(torch.tensor([float(v) for v in got]), torch.tensor([low, high]), message, 1e-4)


# --- interval ---------------------------------------------------------------------------------------------------


def interval_stub(values: Tensor, quantile: float) -> tuple[float, float]:
    """Low and high end of the interval of the mean. values: (seed,); quantile: Student's t for that many seeds."""
    raise NotImplementedError


def interval_solution(values: Tensor, quantile: float) -> tuple[float, float]:
    """Low and high end of the interval of the mean. values: (seed,); quantile: Student's t for that many seeds."""
    half = float(quantile * values.std() / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half


_MIDDLE = "equal values leave no doubt: both ends are the mean itself"
_ROOT = "the mean of n values varies sqrt(n) times less than one value: divide by the root of their number"
_BESSEL = "the spread is measured from the same values' mean: divide the squares by n - 1, as Tensor.std does"
_QUANTILE = "twice the quantile makes twice the interval: it multiplies the standard error"


def _equal_values(interval: Interval) -> None:
    """equal values"""
    _expect_interval(interval(torch.full((4,), 0.7), 3.182), 0.7, 0.7, _MIDDLE)


def _quantile_multiplies(interval: Interval) -> None:
    """another quantile"""
    values = torch.tensor([0.0, 1.0, 2.0])
    narrow, wide = interval(values, 1.0), interval(values, 2.0)
    expect_close(wide[1] - wide[0], 2 * (narrow[1] - narrow[0]), _QUANTILE, 1e-4)


def _many_values(interval: Interval) -> None:
    """a hundred values"""
    values = torch.arange(100.0)
    low, high = interval(values, 1.0)
    expect(high - low < 30, _ROOT)


def _few_values(interval: Interval) -> None:
    """two values"""
    _expect_interval(interval(torch.tensor([0.0, 2.0]), 1.0), 0.0, 2.0, _BESSEL)


def _range(values: Tensor, quantile: float) -> tuple[float, float]:
    return 0.0, float(values.max())


def _of_one_value(values: Tensor, quantile: float) -> tuple[float, float]:
    half = float(quantile * values.std())
    return float(values.mean()) - half, float(values.mean()) + half


def _biased(values: Tensor, quantile: float) -> tuple[float, float]:
    half = float(quantile * values.std(correction=0) / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half


def _always_two(values: Tensor, quantile: float) -> tuple[float, float]:
    half = float(2 * values.std() / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half


interval = Exercise(
    title="the interval of a mean",
    difficulty=1,
    importance=5,
    minutes=5,
    stub=interval_stub,
    solution=interval_solution,
    checks=[_equal_values, _quantile_multiplies, _many_values, _few_values],
    mistakes=[(_range, _MIDDLE), (_always_two, _QUANTILE), (_of_one_value, _ROOT), (_biased, _BESSEL)],
)


# --- paired_interval --------------------------------------------------------------------------------------------


def paired_interval_stub(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    """The interval of first - second. Both (seed,), in the same order of seeds; quantile: of Student's t."""
    raise NotImplementedError


def paired_interval_solution(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    """The interval of first - second. Both (seed,), in the same order of seeds; quantile: of Student's t."""
    apart = first - second
    half = float(quantile * apart.std() / len(apart) ** 0.5)
    return float(apart.mean()) - half, float(apart.mean()) + half


_SIGN = "first - second: where the first is 1 higher everywhere, the difference is +1"
_PAIRED = "the seeds differ a lot and the models by 0.1 in each: subtract seed by seed first, and then take the spread"
_UNPAIRED_SPREAD = "the models' own differences vary, so the interval has a width: take the spread of the differences"
_DIVIDED = (
    "the mean difference of 4 pairs is twice as sure as one: divide the spread by the root of the number of pairs"
)


def _sign_is_first_minus_second(paired_interval: PairedInterval) -> None:
    """the first is higher by 1"""
    low, high = paired_interval(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0]), 1.0)
    expect(low + high > 0, _SIGN)


def _seeds_cancel(paired_interval: PairedInterval) -> None:
    """seeds that differ a lot"""
    hard = torch.tensor([0.1, 0.5, 0.9, 0.3])
    got = paired_interval(hard + 0.1, hard, 3.182)
    _expect_interval(got, 0.1, 0.1, _PAIRED)


def _differences_vary(paired_interval: PairedInterval) -> None:
    """differences of 0 and 2"""
    low, high = paired_interval(torch.tensor([1.0, 3.0, 1.0, 3.0]), torch.tensor([1.0, 1.0, 1.0, 1.0]), 1.0)
    expect(high - low > 1e-3, _UNPAIRED_SPREAD)


def _root_of_the_pairs(paired_interval: PairedInterval) -> None:
    """four pairs"""
    got = paired_interval(torch.tensor([1.0, 3.0, 1.0, 3.0]), torch.ones(4), 1.0)
    half = torch.tensor([0.0, 2, 0, 2]).std().item() / 2
    _expect_interval(got, 1 - half, 1 + half, _DIVIDED)


def _turned(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    return paired_interval_solution(second, first, quantile)


def _as_if_unpaired(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    half = float(quantile * ((first.var() + second.var()) / len(first)) ** 0.5)
    return float((first - second).mean()) - half, float((first - second).mean()) + half


def _without_width(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    return float((first - second).mean()), float((first - second).mean())


def _not_divided(first: Tensor, second: Tensor, quantile: float) -> tuple[float, float]:
    apart = first - second
    return float(apart.mean() - quantile * apart.std()), float(apart.mean() + quantile * apart.std())


paired_interval = Exercise(
    title="the interval of a paired difference",
    difficulty=2,
    importance=5,
    minutes=8,
    stub=paired_interval_stub,
    solution=paired_interval_solution,
    checks=[_sign_is_first_minus_second, _seeds_cancel, _differences_vary, _root_of_the_pairs],
    mistakes=[
        (_turned, _SIGN),
        (_as_if_unpaired, _PAIRED),
        (_without_width, _UNPAIRED_SPREAD),
        (_not_divided, _DIVIDED),
    ],
)


# --- reported_score ---------------------------------------------------------------------------------------------


def reported_score_stub(valid: Tensor, test: Tensor) -> float:
    """The test accuracy to report. valid, test: (epoch,), accuracies after each epoch; earlier wins a tie."""
    raise NotImplementedError


def reported_score_solution(valid: Tensor, test: Tensor) -> float:
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


def _test_does_not_choose(reported_score: TestScore) -> None:
    """the test part is best elsewhere"""
    expect(abs(reported_score(torch.tensor([0.5, 0.8, 0.7]), torch.tensor([0.9, 0.6, 0.7])) - 0.9) > 1e-6, _LEAK)


def _best_not_last(reported_score: TestScore) -> None:
    """an earlier epoch is best"""
    expect(abs(reported_score(torch.tensor([0.5, 0.8, 0.7]), torch.tensor([0.4, 0.6, 0.3])) - 0.3) > 1e-6, _LAST)


def _the_test_is_reported(reported_score: TestScore) -> None:
    """what is reported"""
    expect_close(reported_score(torch.tensor([0.5, 0.8, 0.7]), torch.tensor([0.4, 0.6, 0.3])), 0.6, _WRONG_PART)


def _ties_without_the_test(reported_score: TestScore) -> None:
    """two equal epochs"""
    expect_close(reported_score(torch.tensor([0.8, 0.5, 0.8]), torch.tensor([0.2, 0.3, 0.6])), 0.2, _TIE)


def _best_of_the_test(valid: Tensor, test: Tensor) -> float:
    return float(test.max())


def _last_epoch(valid: Tensor, test: Tensor) -> float:
    return float(test[-1])


def _validation_score(valid: Tensor, test: Tensor) -> float:
    return float(valid.max())


def _ties_by_test(valid: Tensor, test: Tensor) -> float:
    return float(test[valid == valid.max()].max())


reported_score = Exercise(
    title="which epoch counts",
    difficulty=1,
    importance=5,
    minutes=5,
    stub=reported_score_stub,
    solution=reported_score_solution,
    checks=[_test_does_not_choose, _best_not_last, _the_test_is_reported, _ties_without_the_test],
    mistakes=[
        (_best_of_the_test, _LEAK),
        (_last_epoch, _LAST),
        (_validation_score, _WRONG_PART),
        (_ties_by_test, _TIE),
    ],
)


# --- hold_out ---------------------------------------------------------------------------------------------------


def hold_out_stub(groups: Tensor, count: int) -> Tensor:
    """Which samples are held out: (sample,), bool. groups: (sample,), integers; `count` random groups, all of each."""
    raise NotImplementedError


def hold_out_solution(groups: Tensor, count: int) -> Tensor:
    """Which samples are held out: (sample,), bool. groups: (sample,), integers; `count` random groups, all of each."""
    names = groups.unique()
    chosen = names[torch.randperm(len(names))[:count]]
    return torch.isin(groups, chosen)


_TORN = "a group is in both parts: hold out groups, not samples"
_COUNT = "the number of held-out groups is not `count`: each group counts once, however many samples it has"
_NAMES = "groups may have any numbers, such as 40 and 7: draw from the numbers that are there"
_RANDOM = "ten draws held out the same groups: draw them at random"
_GROUPS = torch.tensor([7, 7, 7, 40, 40, 3, 3, 3, 3, 3, 12, 5])


def _none_is_torn(hold_out: HoldOut) -> None:
    """no group in both parts"""
    for _ in range(10):
        out = hold_out(_GROUPS, 2).bool()
        expect(out.shape == _GROUPS.shape, f"shape {tuple(out.shape)}, but one value for each of 12 samples is needed")
        expect(not set(_GROUPS[out].tolist()) & set(_GROUPS[~out].tolist()), _TORN)


def _names_are_drawn(hold_out: HoldOut) -> None:
    """groups with any numbers"""
    expect(all(bool(hold_out(torch.tensor([100, 100, 200, 300]), 2).any()) for _ in range(10)), _NAMES)


def _count_counts_groups(hold_out: HoldOut) -> None:
    """the number of groups"""
    for _ in range(10):
        out = hold_out(_GROUPS, 2).bool()
        expect(len(_GROUPS[out].unique()) == 2, _COUNT)


def _at_random(hold_out: HoldOut) -> None:
    """ten draws"""
    drawn = {tuple(hold_out(_GROUPS, 2).tolist()) for _ in range(10)}
    expect(len(drawn) > 1, _RANDOM)


def _samples_held_out(groups: Tensor, count: int) -> Tensor:
    out = torch.zeros(len(groups), dtype=torch.bool)
    out[torch.randperm(len(groups))[: 2 * count]] = True
    return out


def _from_zero(groups: Tensor, count: int) -> Tensor:
    return torch.isin(groups, torch.randperm(13)[:count])


def _weighted_by_size(groups: Tensor, count: int) -> Tensor:
    return torch.isin(groups, groups[torch.randperm(len(groups))[:count]])


def _first_ones(groups: Tensor, count: int) -> Tensor:
    return torch.isin(groups, groups.unique()[:count])


hold_out = Exercise(
    title="hold out whole groups",
    difficulty=2,
    importance=4,
    minutes=8,
    stub=hold_out_stub,
    solution=hold_out_solution,
    checks=[_none_is_torn, _names_are_drawn, _count_counts_groups, _at_random],
    mistakes=[(_samples_held_out, _TORN), (_from_zero, _NAMES), (_weighted_by_size, _COUNT), (_first_ones, _RANDOM)],
)
