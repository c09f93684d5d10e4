"""Exercises of lesson 4: the projection on the truncated simplex, its gradient, and participation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

ShareAt = Callable[[Tensor, float], Tensor]
Project = Callable[[Tensor, float], Tensor]
PullBack = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Spent = Callable[[Tensor, Tensor], Tensor]


# --- share_at ---------------------------------------------------------------------------------------------------


def share_at_stub(values: Tensor, cutoff: float) -> Tensor:
    """What each token gets at this cut-off. Shape (token,), in and out."""
    raise NotImplementedError


def share_at_solution(values: Tensor, cutoff: float) -> Tensor:
    """What each token gets at this cut-off. Shape (token,), in and out."""
    return (values - cutoff).clamp(0, 1)


_KEPT = "0.8 at a cut-off of 0.3 gets 0.5: the cut-off is taken away from the value, it does not only select"
_BELOW = "a token below the cut-off got a negative share: the smallest share is 0"
_ORDER = "1.9 at a cut-off of 1.2 gets 0.7: take the cut-off away first, clip after that"
_ABOVE = "1.9 at a cut-off of 0.3 gets 1: the largest share is 1"


def _cutoff_is_taken_away(share_at: ShareAt) -> None:
    """a token above the cut-off"""
    expect_close(share_at(torch.tensor([0.8]), 0.3), torch.tensor([0.5]), _KEPT)


def _nothing_below(share_at: ShareAt) -> None:
    """a token below the cut-off"""
    expect_close(share_at(torch.tensor([0.2]), 0.3), torch.tensor([0.0]), _BELOW)


def _clip_comes_last(share_at: ShareAt) -> None:
    """a value above 1"""
    expect_close(share_at(torch.tensor([1.9]), 1.2), torch.tensor([0.7]), _ORDER)


def _one_at_most(share_at: ShareAt) -> None:
    """the cap"""
    expect_close(share_at(torch.tensor([1.9]), 0.3), torch.tensor([1.0]), _ABOVE)


def _only_selected(values: Tensor, cutoff: float) -> Tensor:
    return torch.where(values > cutoff, values, 0.0)


def _no_floor(values: Tensor, cutoff: float) -> Tensor:
    return (values - cutoff).clamp(max=1)


def _clipped_first(values: Tensor, cutoff: float) -> Tensor:
    return (values.clamp(0, 1) - cutoff).clamp(0, 1)


def _no_cap(values: Tensor, cutoff: float) -> Tensor:
    return (values - cutoff).relu()


share_at = Exercise(
    title="shares at a given cut-off",
    difficulty=1,
    importance=5,
    minutes=3,
    stub=share_at_stub,
    solution=share_at_solution,
    checks=[_cutoff_is_taken_away, _nothing_below, _clip_comes_last, _one_at_most],
    mistakes=[(_only_selected, _KEPT), (_no_floor, _BELOW), (_clipped_first, _ORDER), (_no_cap, _ABOVE)],
)


# --- project ----------------------------------------------------------------------------------------------------


def project_stub(values: Tensor, budget: float) -> Tensor:
    """The nearest point of {0 <= a <= 1, sum a <= budget}. Shape (token,), in and out."""
    raise NotImplementedError


def project_solution(values: Tensor, budget: float) -> Tensor:
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
_SLACK = "the budget was 2 and the tokens asked for 0.7, yet their shares changed: the cut-off is never below 0"
_SCALED = "0.9, 0.6 and 0.5 kept their ratios, not their differences: take the same cut-off from each, do not scale"
_ONCE = "one token fell below the cut-off and the rest does not spend the budget: the cut-off must be found again"
_BRACKET = "with values near 5 the shares overspend: the search for the cut-off must reach up to the largest value"
_CAP = "a token got more than 1: the cap belongs into the sum that you compare with the budget"


def _spends_two(project: Project) -> None:
    """a budget of 2"""
    expect_close(project(torch.tensor([0.9, 0.8, 0.7, 0.6]), 2.0).sum(), 2.0, _SUM, 1e-4)


def _slack_changes_nothing(project: Project) -> None:
    """a budget that is not used up"""
    expect_close(project(torch.tensor([0.4, 0.3]), 2.0), torch.tensor([0.4, 0.3]), _SLACK, 1e-4)


def _differences_stay(project: Project) -> None:
    """the same cut-off for each token"""
    expect_close(project(torch.tensor([0.9, 0.6, 0.5]), 1.1), torch.tensor([0.6, 0.3, 0.2]), _SCALED, 1e-4)


def _weak_are_cut(project: Project) -> None:
    """a weak token"""
    expect_close(project(torch.tensor([0.9, 0.8, 0.05]), 1.0), torch.tensor([0.55, 0.45, 0.0]), _ONCE, 1e-4)


def _large_values(project: Project) -> None:
    """values far above 1"""
    expect_close(project(torch.tensor([5.0, 4.9, 0.2]), 0.5), torch.tensor([0.3, 0.2, 0.0]), _BRACKET, 1e-4)


def _capped(project: Project) -> None:
    """the cap of 1"""
    expect_close(project(torch.tensor([3.0, 0.6, 0.5]), 1.8), torch.tensor([1.0, 0.45, 0.35]), _CAP, 1e-4)


def _normalised(values: Tensor, budget: float) -> Tensor:
    return values / values.sum()


def _always_spent(values: Tensor, budget: float) -> Tensor:
    low, high = -float(len(values)), float(values.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (values - middle).clamp(0, 1).sum() > budget else (low, middle)
    return (values - high).clamp(0, 1)


def _scaled(values: Tensor, budget: float) -> Tensor:
    return values * min(1.0, budget / float(values.sum()))


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


project = Exercise(
    title="project on the truncated simplex",
    difficulty=3,
    importance=5,
    minutes=15,
    stub=project_stub,
    solution=project_solution,
    checks=[_spends_two, _slack_changes_nothing, _differences_stay, _weak_are_cut, _large_values, _capped],
    mistakes=[
        (_normalised, _SUM),
        (_always_spent, _SLACK),
        (_scaled, _SCALED),
        (_one_shot, _ONCE),
        (_searched_to_one, _BRACKET),
        (_uncapped, _CAP),
    ],
)


# --- pull_back --------------------------------------------------------------------------------------------------


def pull_back_stub(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    """The loss's gradient for the values, shape (token,), and for the budget, shape (). The budget is used up."""
    raise NotImplementedError


def pull_back_solution(share: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor]:
    """The loss's gradient for the values, shape (token,), and for the budget, shape (). The budget is used up."""
    free = (share > 0) & (share < 1)
    mean = incoming[free].mean()
    return torch.where(free, incoming - mean, 0.0), mean


_CUT = "a token that is cut off got a gradient: nudging its value changes no share"
_FULL = "a token whose share is 1 got a gradient: nudging its value changes no share"
_CONSTANT = "the gradients of the free tokens do not sum to 0: the cut-off moves with the values, too"
_MEAN = "the mean runs over the free tokens only, not over all"
_BUDGET = "one more unit of budget is divided among the free tokens: its gradient is their mean, not their sum"


def _cut_tokens_are_still(pull_back: PullBack) -> None:
    """a token that is cut off"""
    values, _ = pull_back(torch.tensor([0.6, 0.4, 0.0]), torch.tensor([1.0, 3.0, 8.0]))
    expect_close(values[2], 0.0, _CUT)


def _full_tokens_are_still(pull_back: PullBack) -> None:
    """a token with a share of 1"""
    values, _ = pull_back(torch.tensor([1.0, 0.6, 0.4]), torch.tensor([4.0, 1.0, 3.0]))
    expect_close(values[0], 0.0, _FULL)


def _cutoff_moves(pull_back: PullBack) -> None:
    """three free tokens"""
    values, _ = pull_back(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([1.0, 2.0, 6.0]))
    expect_close(values, torch.tensor([-2.0, -1.0, 3.0]), _CONSTANT)


def _mean_over_free(pull_back: PullBack) -> None:
    """free tokens among others"""
    values, _ = pull_back(torch.tensor([1.0, 0.6, 0.3, 0.0]), torch.tensor([4.0, 1.0, 3.0, 8.0]))
    expect_close(values, torch.tensor([0.0, -1.0, 1.0, 0.0]), _MEAN)


def _budget_gets_the_mean(pull_back: PullBack) -> None:
    """the budget"""
    _, budget = pull_back(torch.tensor([1.0, 0.6, 0.3, 0.0]), torch.tensor([4.0, 1.0, 3.0, 8.0]))
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


pull_back = Exercise(
    title="the gradient in closed form",
    difficulty=4,
    importance=4,
    minutes=15,
    stub=pull_back_stub,
    solution=pull_back_solution,
    checks=[_cut_tokens_are_still, _full_tokens_are_still, _cutoff_moves, _mean_over_free, _budget_gets_the_mean],
    mistakes=[
        (_everyone, _CUT),
        (_funded, _FULL),
        (_still_cutoff, _CONSTANT),
        (_mean_of_all, _MEAN),
        (_summed, _BUDGET),
    ],
)


# --- spent_part -------------------------------------------------------------------------------------------------


def spent_part_stub(share: Tensor, mask: Tensor) -> Tensor:
    """Allocated share for each real token. Both (batch, token), the mask bool; the result is (batch,)."""
    raise NotImplementedError


def spent_part_solution(share: Tensor, mask: Tensor) -> Tensor:
    """Allocated share for each real token. Both (batch, token), the mask bool; the result is (batch,)."""
    return share.sum(dim=1) / mask.sum(dim=1).clamp(min=1)


_COUNTED = "shares of 0.5 and 0.1 of 2 tokens are 0.3 a token: add the shares, do not count who got one"
_PADDED = "padding was counted as tokens: divide by the real tokens, which the mask marks"
_MISSING = "a modality without any real token has a participation of 0; 0 / 0 is nan"


def _shares_are_added(spent_part: Spent) -> None:
    """two real tokens"""
    got = spent_part(torch.tensor([[0.5, 0.1]]), torch.tensor([[True, True]]))
    expect_close(got, torch.tensor([0.3]), _COUNTED)


def _padding_is_left_out(spent_part: Spent) -> None:
    """two real tokens and two of padding"""
    got = spent_part(torch.tensor([[0.5, 0.1, 0.0, 0.0]]), torch.tensor([[True, True, False, False]]))
    expect_close(got, torch.tensor([0.3]), _PADDED)


def _missing_is_zero(spent_part: Spent) -> None:
    """a missing modality"""
    got = spent_part(torch.zeros(2, 2), torch.tensor([[True, True], [False, False]]))
    expect(bool(got.isfinite().all()) and bool((got == 0).all()), _MISSING)


def _head_count(share: Tensor, mask: Tensor) -> Tensor:
    return (share > 0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def _with_padding(share: Tensor, mask: Tensor) -> Tensor:
    return share.mean(dim=1)


def _unguarded(share: Tensor, mask: Tensor) -> Tensor:
    return share.sum(dim=1) / mask.sum(dim=1)


spent_part = Exercise(
    title="participation",
    difficulty=2,
    importance=3,
    minutes=5,
    stub=spent_part_stub,
    solution=spent_part_solution,
    checks=[_shares_are_added, _padding_is_left_out, _missing_is_zero],
    mistakes=[(_head_count, _COUNTED), (_with_padding, _PADDED), (_unguarded, _MISSING)],
)
