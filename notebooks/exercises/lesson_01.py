"""Exercises of lesson 1: a masked mean, a detector of order, a vote of two witnesses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Mean = Callable[[Tensor, Tensor], Tensor]
Follows = Callable[[Tensor, Tensor, int], Tensor]
Vote = Callable[[Tensor, Tensor], Tensor]


TWO = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [0.0, 0.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 4.0], [5.0, 5.0], [0.0, 0.0]]])
TWO_MASK = torch.tensor([[True, True, False, False], [True, True, True, False]])
TWO_MEANS = torch.tensor([[2.0, 4.0], [3.0, 3.0]])


@partial(Exercise, "a mean that ignores padding", difficulty=1, importance=4, minutes=5)
def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean of each sample's real tokens; zeros for a sample that has none.

    tokens has shape (batch, token, feature), mask (batch, token), True where real; the result (batch, feature).
    """
    total = (tokens * mask[..., None]).sum(1)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    return total / count


_MEAN_OVER_LENGTH = "the mean is too small: divide by the number of real tokens, not by the padded length"
_MEAN_OF_THE_BATCH = (
    "each sample has its own number of real tokens, and you divided by that of all: mask.sum(1, keepdim=True)"
)
_MEAN_WITH_PADDING = "a number in the padding changed the mean: set padded tokens to 0 before you sum"
_MEAN_WITHOUT_FLOOR = (
    "a sample without any real token gave nan: 0 / 0 needs a floor under the count, such as clamp(min=1)"
)


@masked_mean.case("the sum is divided by the number of real tokens")
def _divides_by_the_real_ones(answer: Mean) -> None:
    expect_close(answer(TWO, TWO_MASK), TWO_MEANS, _MEAN_OVER_LENGTH)


@masked_mean.case("values in the padding do not matter")
def _padding_has_no_say(answer: Mean) -> None:
    expect_close(answer(TWO + 100 * ~TWO_MASK[..., None], TWO_MASK), TWO_MEANS, _MEAN_WITH_PADDING)


@masked_mean.case("a sample without any token")
def _nothing_gives_zero(answer: Mean) -> None:
    result = answer(TWO * 0, torch.zeros_like(TWO_MASK))
    expect(not isinstance(result, Tensor) or not bool(result.isnan().any()), _MEAN_WITHOUT_FLOOR)
    expect_close(result, torch.zeros(2, 2), "a sample without any real token should give zeros")


masked_mean.mistakes = [
    (lambda tokens, mask: (tokens * mask[..., None]).mean(1), _MEAN_OVER_LENGTH),
    (lambda tokens, mask: (tokens * mask[..., None]).sum(1) / mask.sum(), _MEAN_OF_THE_BATCH),
    (lambda tokens, mask: tokens.sum(1) / mask.sum(1, keepdim=True).clamp(min=1), _MEAN_WITH_PADDING),
    (lambda tokens, mask: (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), _MEAN_WITHOUT_FLOOR),
]


@partial(Exercise, "a detector of order", difficulty=2, importance=5, minutes=10)
def follows(first: Tensor, second: Tensor, distance: int) -> Tensor:
    """How well the best place shows `first` at t and `second` at t + distance: max over t of min(the two).

    Both are lanes of likeness of shape (batch, token); the result has shape (batch,). distance is at least 1.
    """
    here, there = first[:, :-distance], second[:, distance:]
    return torch.minimum(here, there).amax(1)


_FOLLOWS_BACKWARDS = "`first` at 2 and `second` at 3 should give 1: does your `second` come later?"
_FOLLOWS_BAG = "`second` came before `first` and you gave more than 0: the best of each lane alone forgets the order"
_FOLLOWS_NEXT = "`second` lies 3 tokens after `first`, and that was missed: is `distance` used?"
_FOLLOWS_MEAN = "one of the two alone gave more than 0: take the smaller of both, not their sum or mean"
_FOLLOWS_PRODUCT = "two negative values gave more than 0: take the smaller of both, not their product"
_FOLLOWS_ROLLED = "the last token and the first one are not neighbours: cut the lanes, do not roll them"


def _lane(*entries: tuple[int, float]) -> Tensor:
    lane = torch.zeros(1, 8)
    for at, value in entries:
        lane[0, at] = value
    return lane


@follows.case("`second` comes after `first`")
def _second_comes_later(answer: Follows) -> None:
    expect_close(answer(_lane((2, 1.0)), _lane((3, 1.0)), 1), torch.ones(1), _FOLLOWS_BACKWARDS)


@follows.case("one alone is not enough")
def _both_must_be_there(answer: Follows) -> None:
    expect_close(answer(_lane((2, 1.0)), _lane(), 1), torch.zeros(1), _FOLLOWS_MEAN)


@follows.case("the wrong order gives 0")
def _order_counts(answer: Follows) -> None:
    expect_close(answer(_lane((3, 1.0)), _lane((2, 1.0)), 1), torch.zeros(1), _FOLLOWS_BAG)


@follows.case("the distance is used")
def _distance_is_used(answer: Follows) -> None:
    expect_close(answer(_lane((2, 1.0)), _lane((5, 1.0)), 3), torch.ones(1), _FOLLOWS_NEXT)


@follows.case("two negative values are no match")
def _two_opposites(answer: Follows) -> None:
    expect_close(answer(_lane((2, -1.0)), _lane((3, -1.0)), 1), torch.zeros(1), _FOLLOWS_PRODUCT)


@follows.case("the sequence has an end")
def _no_way_round(answer: Follows) -> None:
    expect_close(answer(_lane((7, 1.0)), _lane((0, 1.0)), 1), torch.zeros(1), _FOLLOWS_ROLLED)


def _follows_backwards(first: Tensor, second: Tensor, distance: int) -> Tensor:
    return torch.minimum(first[:, distance:], second[:, :-distance]).amax(1)


follows.mistakes = [
    (_follows_backwards, _FOLLOWS_BACKWARDS),
    (lambda first, second, distance: torch.minimum(first.amax(1), second.amax(1)), _FOLLOWS_BAG),
    (lambda first, second, distance: torch.minimum(first[:, :-1], second[:, 1:]).amax(1), _FOLLOWS_NEXT),
    (lambda first, second, distance: ((first[:, :-distance] + second[:, distance:]) / 2).amax(1), _FOLLOWS_MEAN),
    (lambda first, second, distance: (first[:, :-distance] * second[:, distance:]).amax(1), _FOLLOWS_PRODUCT),
    (lambda first, second, distance: torch.minimum(first, second.roll(-distance, 1)).amax(1), _FOLLOWS_ROLLED),
]


@partial(Exercise, "a vote of two witnesses", difficulty=3, importance=4, minutes=10)
def vote(first: Tensor, second: Tensor) -> Tensor:
    """The share of votes for 1 among the witnesses who speak; 0.5 where nobody does.

    first, second: claims of shape (batch,), each 0, 1 or -1 (silent). The result has shape (batch,).
    """
    claims = torch.stack([first, second])
    speakers = (claims >= 0).sum(0)
    for_one = (claims == 1).sum(0)
    return torch.where(speakers > 0, for_one / speakers.clamp(min=1), 0.5)


_VOTE_OF_THE_DOUBTER = "both said 0, then both said 1: the shares of votes for 1 are 0 and 1"
_VOTE_OF_THE_FIRST = "the witnesses disagree, so the share is 0.5: nobody has told you whom to believe"
_VOTE_WITH_MINUS_ONE = "silence was counted as the number -1: leave a witness of -1 out of the sum"
_VOTE_BY_TWO = "one said 1 and the other was silent: divide by the number of witnesses who speak, 1, not 2"
_VOTE_BY_NONE = "where nobody speaks the share is 0.5; yours is nan or another number"


@vote.case("two witnesses who agree")
def _both_speak(answer: Vote) -> None:
    expect_close(
        answer(torch.tensor([0, 1]), torch.tensor([0, 1])),
        torch.tensor([0.0, 1.0]),
        _VOTE_OF_THE_DOUBTER,
    )


@vote.case("two witnesses who disagree")
def _a_conflict(answer: Vote) -> None:
    expect_close(
        answer(torch.tensor([0, 1]), torch.tensor([1, 0])),
        torch.tensor([0.5, 0.5]),
        _VOTE_OF_THE_FIRST,
    )


@vote.case("a silent witness has no vote")
def _a_silent_one(answer: Vote) -> None:
    result = answer(torch.tensor([1, -1, 0]), torch.tensor([-1, 1, -1]))
    if isinstance(result, Tensor) and result.shape == (3,):
        expect(
            not torch.allclose(result.float(), torch.zeros(3)) and float(result.min()) >= 0,
            _VOTE_WITH_MINUS_ONE,
        )
    expect_close(result, torch.tensor([1.0, 1.0, 0.0]), _VOTE_BY_TWO)


@vote.case("nobody speaks")
def _nobody_speaks(answer: Vote) -> None:
    result = answer(torch.tensor([-1]), torch.tensor([-1]))
    expect(not isinstance(result, Tensor) or not bool(result.float().isnan().any()), _VOTE_BY_NONE)
    expect_close(result, torch.tensor([0.5]), _VOTE_BY_NONE)


def _vote_of_the_first(first: Tensor, second: Tensor) -> Tensor:
    alone = torch.where(first >= 0, first, second).float()
    return torch.where(alone >= 0, alone, 0.5)


def _vote_by_none(first: Tensor, second: Tensor) -> Tensor:
    claims = torch.stack([first, second])
    return (claims == 1).sum(0) / (claims >= 0).sum(0)


vote.mistakes = [
    (lambda first, second: 1 - vote.solution(first, second), _VOTE_OF_THE_DOUBTER),
    (_vote_of_the_first, _VOTE_OF_THE_FIRST),
    (lambda first, second: (first + second) / 2, _VOTE_WITH_MINUS_ONE),
    (lambda first, second: ((first == 1).int() + (second == 1).int()) / 2, _VOTE_BY_TWO),
    (_vote_by_none, _VOTE_BY_NONE),
]
