"""Exercises of lesson 13: a verdict by rule, what noise takes away, whom the gate follows, how many seeds it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Decide = Callable[[Tensor, Tensor, float], str]
NoiseMargin = Callable[[Tensor, Tensor], float]
LeaderMargin = Callable[[Tensor, Tensor], Tensor]
Quantile = Callable[[int], float]
SeedsNeeded = Callable[[float, float, Quantile], int]


@partial(Exercise, "a verdict by rule", difficulty=1, importance=5, minutes=5)
def decide(low: Tensor, high: Tensor, margin: float) -> str:
    """'holds', 'does not', 'no difference' or 'cannot tell'. low, high: (difference,), the ends of the intervals that
    the claim needs above 0, all of them; margin: a smaller difference is none."""
    if (high < 0).any():
        return "does not"
    if (low > 0).all():
        return "holds"
    return "no difference" if ((low > -margin) & (high < margin)).any() else "cannot tell"


_ALL = "one interval is above 0 and one holds 0: the claim needs all of them above"
_AROUND = "an interval that holds 0 decides nothing, whatever its middle: it neither supports nor refutes"
_REFUTED = "one difference is surely below 0: the claim needs all above, so it is refuted"
_ABOVE = "all intervals are above 0, so the answer is 'holds', whatever the margin"
_NONE = "the whole interval lies within the margin: whatever the difference is, it is none worth having"
_MISSING = "with one seed there is no interval (nan), and nothing can be told"


@decide.case("one above, one around 0")
def _needs_all(answer: Decide) -> None:
    expect(answer(torch.tensor([0.1, -0.1]), torch.tensor([0.3, 0.2]), 0.02) != "holds", _ALL)


@decide.case("around 0")
def _around_zero(answer: Decide) -> None:
    expect(answer(torch.tensor([-0.1]), torch.tensor([0.5]), 0.02) == "cannot tell", _AROUND)
    expect(answer(torch.tensor([-0.5]), torch.tensor([0.1]), 0.02) == "cannot tell", _AROUND)
    expect(answer(torch.tensor([-0.3]), torch.tensor([0.3]), 0.02) == "cannot tell", _AROUND)


@decide.case("all above 0")
def _holds(answer: Decide) -> None:
    expect(answer(torch.tensor([0.1, 0.01]), torch.tensor([0.3, 0.2]), 0.02) == "holds", _ABOVE)


@decide.case("one above, one below 0")
def _one_refutes(answer: Decide) -> None:
    expect(answer(torch.tensor([0.1, -0.3]), torch.tensor([0.3, -0.1]), 0.02) == "does not", _REFUTED)


@decide.case("close around 0")
def _close_to_zero(answer: Decide) -> None:
    expect(answer(torch.tensor([-0.01]), torch.tensor([0.015]), 0.02) == "no difference", _NONE)
    expect(answer(torch.tensor([0.1, -0.01]), torch.tensor([0.3, 0.015]), 0.02) == "no difference", _NONE)


@decide.case("no interval")
def _no_interval(answer: Decide) -> None:
    nothing = torch.tensor([torch.nan])
    expect(answer(nothing, nothing, 0.02) == "cannot tell", _MISSING)


def _small(low: Tensor, high: Tensor, margin: float) -> bool:
    return bool(((low > -margin) & (high < margin)).any())


def _if_any(low: Tensor, high: Tensor, margin: float) -> str:
    if (low > 0).any():
        return "holds"
    return "does not" if (high < 0).any() else "no difference" if _small(low, high, margin) else "cannot tell"


def _by_the_middle(low: Tensor, high: Tensor, margin: float) -> str:
    if _small(low, high, margin):
        return "no difference"
    return "holds" if ((low + high) / 2 > 0.1).all() else "does not" if (low + high < 0).any() else "cannot tell"


def _beyond_the_margin(low: Tensor, high: Tensor, margin: float) -> str:
    if (high < 0).any():
        return "does not"
    if (low > margin).all():
        return "holds"
    return "no difference" if _small(low, high, margin) else "cannot tell"


def _if_all_below(low: Tensor, high: Tensor, margin: float) -> str:
    if (low > 0).all():
        return "holds"
    return "does not" if (high < 0).all() else "no difference" if _small(low, high, margin) else "cannot tell"


def _without_margin(low: Tensor, high: Tensor, margin: float) -> str:
    return "does not" if (high < 0).any() else "holds" if (low > 0).all() else "cannot tell"


def _unless_below(low: Tensor, high: Tensor, margin: float) -> str:
    if (high < 0).any():
        return "does not"
    if _small(low, high, margin):
        return "no difference"
    return "cannot tell" if (low <= 0).any() else "holds"


decide.mistakes = [
    (_if_any, _ALL),
    (_by_the_middle, _AROUND),
    (_beyond_the_margin, _ABOVE),
    (_if_all_below, _REFUTED),
    (_without_margin, _NONE),
    (_unless_below, _MISSING),
]


@partial(Exercise, "who loses least under noise", difficulty=2, importance=4, minutes=6)
def noise_margin(clean: Tensor, noisy: Tensor) -> float:
    """How much less the first model loses than the rival that loses least. Both (model, seed): scores without and
    with noise; the first row is the model, the others are its rivals."""
    loss = (clean - noisy).mean(dim=1)
    return float(loss[1:].min() - loss[0])


_LEFT = "0.9 to 0.7 is a loss of 0.2, and 0.5 to 0.4 one of 0.1: what counts is the loss, not what is left"
_TURN = "the rival loses 0.2 and the model 0.1: it loses 0.1 less, which is a margin of +0.1"
_LEAST = "one rival loses 0.05 and the other 0.3: the claim must hold against the one that loses least"


@noise_margin.case("a weak model that loses little")
def _losses_count(answer: NoiseMargin) -> None:
    result = answer(torch.tensor([[0.5], [0.9]]), torch.tensor([[0.4], [0.7]]))
    expect(abs(result + 0.3) > 1e-4, _LEFT)


@noise_margin.case("a rival that loses more")
def _sign(answer: NoiseMargin) -> None:
    expect_close(answer(torch.tensor([[0.5], [0.9]]), torch.tensor([[0.4], [0.7]])), 0.1, _TURN)


@noise_margin.case("two rivals")
def _strongest_rival(answer: NoiseMargin) -> None:
    clean = torch.full((3, 2), 0.9)
    noisy = torch.tensor([[0.7, 0.9], [0.8, 0.9], [0.5, 0.7]])
    expect_close(answer(clean, noisy), -0.05, _LEAST)


def _mean_rival(clean: Tensor, noisy: Tensor) -> float:
    loss = (clean - noisy).mean(dim=1)
    return float(loss[1:].mean() - loss[0])


noise_margin.mistakes = [
    (lambda clean, noisy: float(noisy[0].mean() - noisy[1:].mean(dim=1).max()), _LEFT),
    (lambda clean, noisy: -noise_margin.solution(clean, noisy), _TURN),
    (_mean_rival, _LEAST),
]


@partial(Exercise, "does the gate follow the leader", difficulty=3, importance=4, minutes=10)
def leader_margin(alone: Tensor, gates: Tensor) -> Tensor:
    """For each seed: the gate of the leading modality minus the highest of the others, (seed,).

    alone: (modality,), validation scores of each modality alone; gates: (seed, modality)."""
    leader = int(alone.argmax())
    others = [m for m in range(len(alone)) if m != leader]
    return gates[:, leader] - gates[:, others].amax(dim=1)


_CIRCLE = "the gates chose their own leader, so the margin can never be below 0: `alone` says who leads"
_TURNED = "the sign is turned round: it is the leader's gate minus the highest of the others"
_SELF = "the leader is among 'the others': its margin to itself is 0"
_HIGHEST = "0.4 against 0.5 and 0.1 is not ahead: compare with the highest of the others, not with their mean"
_SEEDS = "each seed has its own margin: do not average the gates over seeds first"


@leader_margin.case("a gate on the wrong modality")
def _not_in_a_circle(answer: LeaderMargin) -> None:
    gates = torch.tensor([[0.1, 0.8, 0.1], [0.6, 0.1, 0.3]])
    result = answer(torch.tensor([0.9, 0.5, 0.3]), gates)
    expect(result.shape != (2,) or bool(result[0] < 0), _CIRCLE)


@leader_margin.case("a gate on the right modality")
def _margin_can_be_positive(answer: LeaderMargin) -> None:
    expect(bool((answer(torch.tensor([0.9, 0.5]), torch.tensor([[0.8, 0.2]])) > 0).all()), _SELF)


@leader_margin.case("two seeds")
def _every_seed(answer: LeaderMargin) -> None:
    result = answer(torch.tensor([0.9, 0.5]), torch.tensor([[0.6, 0.4], [0.8, 0.2]]))
    expect(result.shape == (2,), _SEEDS)
    expect_close(result, torch.tensor([0.2, 0.6]), "the margins of the two seeds are 0.2 and 0.6")


@leader_margin.case("three modalities")
def _against_the_highest(answer: LeaderMargin) -> None:
    result = answer(torch.tensor([0.9, 0.5, 0.1]), torch.tensor([[0.4, 0.5, 0.1]]))
    expect_close(result, torch.tensor([-0.1]), _HIGHEST)


def _by_gates(alone: Tensor, gates: Tensor) -> Tensor:
    two = gates.topk(2, dim=1).values
    return two[:, 0] - two[:, 1]


def _against_the_mean(alone: Tensor, gates: Tensor) -> Tensor:
    leader = int(alone.argmax())
    others = [m for m in range(len(alone)) if m != leader]
    return gates[:, leader] - gates[:, others].mean(dim=1)


leader_margin.mistakes = [
    (_by_gates, _CIRCLE),
    (lambda alone, gates: -leader_margin.solution(alone, gates), _TURNED),
    (lambda alone, gates: gates[:, int(alone.argmax())] - gates.amax(dim=1), _SELF),
    (lambda alone, gates: leader_margin.solution(alone, gates.mean(dim=0, keepdim=True)), _SEEDS),
    (_against_the_mean, _HIGHEST),
]


@partial(Exercise, "how many seeds it takes", difficulty=2, importance=4, minutes=8)
def seeds_needed(std: float, effect: float, quantile: Callable[[int], float]) -> int:
    """The smallest number of seeds, from 2 on, whose interval reaches less than `effect` to each side.

    std: standard deviation of the paired differences; quantile: Student's t by degrees of freedom."""
    seeds = 2
    while quantile(seeds - 1) * std / seeds**0.5 >= effect:
        seeds += 1
    return seeds


_TWO = "without any spread two seeds are enough, and fewer have no interval"
_SHRINKS = "with a quantile of 2 and a spread equal to the effect, 5 seeds are needed: 2 / sqrt(5) is below 1"
_FREEDOM = "n seeds have n - 1 degrees of freedom, and the quantile is looked up anew for each n"
_FALLING = {1: 100.0, 2: 50.0, 3: 10.0, 4: 2.0}


@seeds_needed.case("no spread")
def _no_spread(answer: SeedsNeeded) -> None:
    expect(answer(0.0, 0.1, lambda freedom: 2.0) == 2, _TWO)


@seeds_needed.case("a constant quantile")
def _root(answer: SeedsNeeded) -> None:
    expect(answer(3.0, 3.0, lambda freedom: 2.0) == 5, _SHRINKS)


@seeds_needed.case("a falling quantile")
def _degrees(answer: SeedsNeeded) -> None:
    expect(answer(1.0, 1.0, lambda freedom: _FALLING.get(freedom, 2.0)) == 5, _FREEDOM)
    expect(answer(1.0, 6.0, lambda freedom: _FALLING.get(freedom, 2.0)) == 4, _FREEDOM)


def _seeds_as_freedom(std: float, effect: float, quantile: Quantile) -> int:
    seeds = 2
    while quantile(seeds) * std / seeds**0.5 >= effect:
        seeds += 1
    return seeds


seeds_needed.mistakes = [
    (lambda std, effect, quantile: max(1, math.floor((quantile(4) * std / effect) ** 2) + 1), _TWO),
    (lambda std, effect, quantile: max(2, math.floor(quantile(10) * std / effect) + 1), _SHRINKS),
    (_seeds_as_freedom, _FREEDOM),
]
