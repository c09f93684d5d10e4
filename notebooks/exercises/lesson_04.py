"""Exercises of lesson 4: the projection on the truncated simplex, its gradient, and participation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

ShareAt = Callable[[Tensor, float], Tensor]
Project = Callable[[Tensor, float], Tensor]
PullBack = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Spent = Callable[[Tensor, Tensor], Tensor]


@partial(Exercise, "shares at a given cut-off", difficulty=1, importance=5, minutes=3)
def share_at(values: Tensor, cutoff: float) -> Tensor:
    """What each token gets at this cut-off. Shape (token,), in and out."""
    return (values - cutoff).clamp(0, 1)


_KEPT = "0.8 at a cut-off of 0.3 should get 0.5: subtract the cut-off from the value; it does not only select"
_BELOW = "a token below the cut-off got a negative share: the smallest share is 0"
_ORDER = "1.9 at a cut-off of 1.2 should get 0.7: subtract the cut-off first, then clip"
_ABOVE = "1.9 at a cut-off of 0.3 should get 1 and got more: no share is above 1"


@share_at.case("a token above the cut-off")
def _cutoff_is_taken_away(answer: ShareAt) -> None:
    expect_close(answer(torch.tensor([0.8]), 0.3), torch.tensor([0.5]), _KEPT)


@share_at.case("a token below the cut-off")
def _nothing_below(answer: ShareAt) -> None:
    expect_close(answer(torch.tensor([0.2]), 0.3), torch.tensor([0.0]), _BELOW)


@share_at.case("a value above 1")
def _clip_comes_last(answer: ShareAt) -> None:
    expect_close(answer(torch.tensor([1.9]), 1.2), torch.tensor([0.7]), _ORDER)


@share_at.case("the cap")
def _one_at_most(answer: ShareAt) -> None:
    expect_close(answer(torch.tensor([1.9]), 0.3), torch.tensor([1.0]), _ABOVE)


share_at.mistakes = [
    (lambda values, cutoff: torch.where(values > cutoff, values, 0.0), _KEPT),
    (lambda values, cutoff: (values - cutoff).clamp(max=1), _BELOW),
    (lambda values, cutoff: (values.clamp(0, 1) - cutoff).clamp(0, 1), _ORDER),
    (lambda values, cutoff: (values - cutoff).relu(), _ABOVE),
]


@partial(Exercise, "project on the truncated simplex", difficulty=3, importance=5, minutes=15)
def project(values: Tensor, budget: float) -> Tensor:
    """The nearest point of {0 <= a <= 1, sum a <= budget}. Shape (token,), in and out."""
    if values.clamp(0, 1).sum() <= budget:
        return values.clamp(0, 1)
    low, high = 0.0, float(values.max())
    for _ in range(40):
        middle = (low + high) / 2
        if (values - middle).clamp(0, 1).sum() > budget:
            low = middle
        else:
            high = middle
    return (values - high).clamp(0, 1)


_SUM = "your shares do not sum to the budget, which was 2: did you normalise them to 1?"
_COARSE = "the budget is missed by a little: the search for the cut-off stopped early; halve 40 times"
_SLACK = "the budget was 2 and the tokens asked for 0.7, yet it was spent: the cut-off is never below 0"
_SCALED = "0.9, 0.6 and 0.5 kept their ratios, not their differences: subtract the same cut-off from each, do not scale"
_ONCE = "one token fell below the cut-off and the others do not use up the budget: compute the cut-off anew"
_BRACKET = "with values near 5 the shares overspend: the search for the cut-off must reach up to the largest value"
_CAP = "a token got more than 1: the cap belongs in the sum that you compare with the budget"


@project.case("a budget of 2")
def _spends_two(answer: Project) -> None:
    spent = answer(torch.tensor([0.9, 0.8, 0.7, 0.6]), 2.0).sum()
    expect_close(spent, 2.0, _SUM, 0.03)
    expect_close(spent, 2.0, _COARSE, 1e-4)


@project.case("a budget that is not used up")
def _slack_changes_nothing(answer: Project) -> None:
    expect_close(answer(torch.tensor([0.4, 0.3]), 2.0), torch.tensor([0.4, 0.3]), _SLACK, 1e-4)


@project.case("the same cut-off for each token")
def _differences_stay(answer: Project) -> None:
    expect_close(answer(torch.tensor([0.9, 0.6, 0.5]), 1.1), torch.tensor([0.6, 0.3, 0.2]), _SCALED, 1e-4)


@project.case("a weak token")
def _weak_are_cut(answer: Project) -> None:
    expect_close(answer(torch.tensor([0.9, 0.8, 0.05]), 1.0), torch.tensor([0.55, 0.45, 0.0]), _ONCE, 1e-4)


@project.case("values far above 1")
def _large_values(answer: Project) -> None:
    expect_close(answer(torch.tensor([5.0, 4.9, 0.2]), 0.5), torch.tensor([0.3, 0.2, 0.0]), _BRACKET, 1e-4)


@project.case("the cap of 1")
def _capped(answer: Project) -> None:
    expect_close(answer(torch.tensor([3.0, 0.6, 0.5]), 1.8), torch.tensor([1.0, 0.45, 0.35]), _CAP, 1e-4)
    clipped = "where the budget is not used up, too, a share lies between 0 and 1"
    expect_close(answer(torch.tensor([1.2, 0.3, -0.2]), 2.0), torch.tensor([1.0, 0.3, 0.0]), clipped, 1e-4)


def _always_spent(values: Tensor, budget: float) -> Tensor:
    low, high = -float(len(values)), float(values.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (values - middle).clamp(0, 1).sum() > budget else (low, middle)
    return (values - high).clamp(0, 1)


def _one_shot(values: Tensor, budget: float) -> Tensor:
    excess = (values.sum() - budget).clamp(min=0)
    return (values - excess / len(values)).clamp(0, 1)


def _searched_to_one(values: Tensor, budget: float) -> Tensor:
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (values - middle).clamp(0, 1).sum() > budget else (low, middle)
    return (values - low).clamp(0, 1)


def _uncapped(values: Tensor, budget: float) -> Tensor:
    low, high = 0.0, float(values.max())
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (values - middle).relu().sum() > budget else (low, middle)
    return (values - low).relu()


project.mistakes = [
    (lambda values, budget: values / values.sum(), _SUM),
    (_always_spent, _SLACK),
    (lambda values, budget: values * min(1.0, budget / float(values.sum())), _SCALED),
    (_one_shot, _ONCE),
    (_searched_to_one, _BRACKET),
    (_uncapped, _CAP),
]


@partial(Exercise, "the gradient in closed form", difficulty=4, importance=4, minutes=15)
def pull_back(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    """The loss's gradient for the values, shape (token,), and for the budget, shape (). The budget is used up."""
    free = (share > 0) & (share < 1)
    mean = incoming[free].mean()
    return torch.where(free, incoming - mean, 0.0), mean


_CUT = "a token that is cut off got a gradient: nudging its value changes no share"
_FULL = "a token whose share is 1 got a gradient: nudging its value changes no share"
_CONSTANT = "the gradients of the free tokens do not sum to 0: the cut-off moves with the values, too"
_MEAN = "the mean runs over the free tokens only, not over all"
_BUDGET = "one more unit of budget is divided among the free tokens: its gradient is their mean, not their sum"


@pull_back.case("a token that is cut off")
def _cut_tokens_are_still(answer: PullBack) -> None:
    values, _ = answer(torch.tensor([0.6, 0.4, 0.0]), torch.tensor([1.0, 3.0, 8.0]))
    expect_close(values[2], 0.0, _CUT)


@pull_back.case("a token with a share of 1")
def _full_tokens_are_still(answer: PullBack) -> None:
    values, _ = answer(torch.tensor([1.0, 0.6, 0.4]), torch.tensor([4.0, 1.0, 3.0]))
    expect_close(values[0], 0.0, _FULL)


@pull_back.case("three free tokens")
def _cutoff_moves(answer: PullBack) -> None:
    values, _ = answer(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([1.0, 2.0, 6.0]))
    expect_close(values, torch.tensor([-2.0, -1.0, 3.0]), _CONSTANT)


@pull_back.case("free tokens among others")
def _mean_over_free(answer: PullBack) -> None:
    values, _ = answer(torch.tensor([1.0, 0.6, 0.3, 0.0]), torch.tensor([4.0, 1.0, 3.0, 8.0]))
    expect_close(values, torch.tensor([0.0, -1.0, 1.0, 0.0]), _MEAN)


@pull_back.case("the budget")
def _budget_gets_the_mean(answer: PullBack) -> None:
    _, budget = answer(torch.tensor([1.0, 0.6, 0.3, 0.0]), torch.tensor([4.0, 1.0, 3.0, 9.0]))
    expect_close(budget, 2.0, _BUDGET)


def _everyone(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    mean = incoming[(share > 0) & (share < 1)].mean()
    return incoming - mean, mean


def _funded(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    funded = share > 0
    mean = incoming[funded].mean()
    return torch.where(funded, incoming - mean, 0.0), mean


def _still_cutoff(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    free = (share > 0) & (share < 1)
    return torch.where(free, incoming, 0.0), incoming[free].mean()


def _mean_of_all(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    free = (share > 0) & (share < 1)
    return torch.where(free, incoming - incoming.mean(), 0.0), incoming[free].mean()


def _summed(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    free = (share > 0) & (share < 1)
    return torch.where(free, incoming - incoming[free].mean(), 0.0), incoming[free].sum()


pull_back.mistakes = [
    (_everyone, _CUT),
    (_funded, _FULL),
    (_still_cutoff, _CONSTANT),
    (_mean_of_all, _MEAN),
    (_summed, _BUDGET),
]


@partial(Exercise, "participation", difficulty=2, importance=3, minutes=5)
def spent_part(share: Tensor, mask: Tensor) -> Tensor:
    """Allocated share for each real token. Both (batch, token), the mask bool; the result is (batch,)."""
    return share.sum(dim=1) / mask.sum(dim=1).clamp(min=1)


_COUNTED = "shares of 0.5 and 0.1 of 2 tokens are 0.3 a token: add the shares, do not count the tokens that have one"
_PADDED = "padding was counted as tokens: divide by the real tokens, which the mask marks"
_MISSING = "a modality without any real token has a participation of 0; 0 / 0 is nan"


@spent_part.case("two real tokens")
def _shares_are_added(answer: Spent) -> None:
    result = answer(torch.tensor([[0.5, 0.1]]), torch.tensor([[True, True]]))
    expect_close(result, torch.tensor([0.3]), _COUNTED)


@spent_part.case("two real tokens and two of padding")
def _padding_is_left_out(answer: Spent) -> None:
    result = answer(torch.tensor([[0.5, 0.1, 0.0, 0.0]]), torch.tensor([[True, True, False, False]]))
    expect_close(result, torch.tensor([0.3]), _PADDED)


@spent_part.case("a missing modality")
def _missing_is_zero(answer: Spent) -> None:
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    result = answer(torch.tensor([[0.5, 0.1], [0.4, 0.0], [0.0, 0.0]]), mask)
    expect(bool(result.isfinite().all()), _MISSING)
    expect_close(result, torch.tensor([0.3, 0.4, 0.0]), "each row of the batch has its own number of real tokens")


spent_part.mistakes = [
    (lambda share, mask: (share > 0).sum(dim=1) / mask.sum(dim=1).clamp(min=1), _COUNTED),
    (lambda share, mask: share.mean(dim=1), _PADDED),
    (lambda share, mask: share.sum(dim=1) / mask.sum(dim=1), _MISSING),
]
