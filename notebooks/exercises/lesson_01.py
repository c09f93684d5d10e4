"""Exercises of lesson 1: a masked mean, a detector of order, a vote of two witnesses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Mean = Callable[[Tensor, Tensor], Tensor]
Follows = Callable[[Tensor, Tensor, int], Tensor]
Vote = Callable[[Tensor, Tensor], Tensor]


# --- masked_mean ------------------------------------------------------------------------------------------------

TWO = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [0.0, 0.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 4.0], [5.0, 5.0], [0.0, 0.0]]])
TWO_MASK = torch.tensor([[True, True, False, False], [True, True, True, False]])
TWO_MEANS = torch.tensor([[2.0, 4.0], [3.0, 3.0]])


def masked_mean_stub(tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean of each sample's real tokens; zeros for a sample that has none.

    tokens has shape (batch, token, feature), mask (batch, token), True where real; the result (batch, feature).
    """
    raise NotImplementedError


def masked_mean_solution(tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean of each sample's real tokens; zeros for a sample that has none.

    tokens has shape (batch, token, feature), mask (batch, token), True where real; the result (batch, feature).
    """
    total = (tokens * mask[..., None]).sum(1)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    return total / count


def _divides_by_the_real_ones(masked_mean: Mean) -> None:
    """the sum is divided by the number of real tokens"""
    message = "the mean is too small: divide by the number of real tokens, not by the padded length"
    expect_close(masked_mean(TWO.clone(), TWO_MASK), TWO_MEANS, message)


def _padding_has_no_say(masked_mean: Mean) -> None:
    """what lies in the padding does not matter"""
    message = "a number in the padding changed the mean: set padded tokens to 0 before you sum"
    expect_close(masked_mean(TWO + 100 * ~TWO_MASK[..., None], TWO_MASK), TWO_MEANS, message)


def _nothing_gives_zero(masked_mean: Mean) -> None:
    """a sample without any token"""
    found = masked_mean(TWO * 0, torch.zeros_like(TWO_MASK))
    message = "a sample without any real token gave nan: 0 / 0 needs a floor under the count, such as clamp(min=1)"
    expect(not isinstance(found, Tensor) or not bool(found.isnan().any()), message)
    expect_close(found, torch.zeros(2, 2), "a sample without any real token should give zeros")


def _mean_over_length(tokens: Tensor, mask: Tensor) -> Tensor:
    return (tokens * mask[..., None]).mean(1)


def _mean_with_padding(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def _mean_without_floor(tokens: Tensor, mask: Tensor) -> Tensor:
    return (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


masked_mean = Exercise(
    title="a mean that ignores padding",
    difficulty=1,
    importance=4,
    minutes=5,
    stub=masked_mean_stub,
    solution=masked_mean_solution,
    checks=[_divides_by_the_real_ones, _padding_has_no_say, _nothing_gives_zero],
    mistakes=[
        (_mean_over_length, "the mean is too small: divide by the number of real tokens, not by the padded length"),
        (_mean_with_padding, "a number in the padding changed the mean: set padded tokens to 0 before you sum"),
        (
            _mean_without_floor,
            "a sample without any real token gave nan: 0 / 0 needs a floor under the count, such as clamp(min=1)",
        ),
    ],
)


# --- follows ----------------------------------------------------------------------------------------------------


def follows_stub(first: Tensor, second: Tensor, distance: int) -> Tensor:
    """How well the best place shows `first` at t and `second` at t + distance: max over t of min(the two).

    Both are lanes of likeness of shape (batch, token); the result has shape (batch,). distance is at least 1.
    """
    raise NotImplementedError


def follows_solution(first: Tensor, second: Tensor, distance: int) -> Tensor:
    """How well the best place shows `first` at t and `second` at t + distance: max over t of min(the two).

    Both are lanes of likeness of shape (batch, token); the result has shape (batch,). distance is at least 1.
    """
    here, there = first[:, :-distance], second[:, distance:]
    return torch.minimum(here, there).amax(1)


def _lane(*entries: tuple[int, float]) -> Tensor:
    lane = torch.zeros(1, 8)
    for at, value in entries:
        lane[0, at] = value
    return lane


def _second_comes_later(follows: Follows) -> None:
    """`second` comes after `first`"""
    message = "`first` at 2 and `second` at 3 should give 1: is `second` the one that is looked for later?"
    expect_close(follows(_lane((2, 1.0)), _lane((3, 1.0)), 1), torch.ones(1), message)


def _order_counts(follows: Follows) -> None:
    """the wrong way round is nothing"""
    message = "`second` came before `first` and you gave more than 0: the best of each lane alone forgets the order"
    expect_close(follows(_lane((3, 1.0)), _lane((2, 1.0)), 1), torch.zeros(1), message)


def _distance_is_used(follows: Follows) -> None:
    """the distance is used"""
    message = "`second` lies 3 tokens after `first`, and that was missed: is `distance` used?"
    expect_close(follows(_lane((2, 1.0)), _lane((5, 1.0)), 3), torch.ones(1), message)


def _both_must_be_there(follows: Follows) -> None:
    """one alone is not enough"""
    message = "one of the two alone gave more than 0: take the smaller of both, not their sum or mean"
    expect_close(follows(_lane((2, 1.0)), _lane(), 1), torch.zeros(1), message)


def _two_opposites(follows: Follows) -> None:
    """two negative numbers are no match"""
    message = "two tokens that are the opposite of what is sought gave more than 0: is it a product?"
    expect_close(follows(_lane((2, -1.0)), _lane((3, -1.0)), 1), torch.zeros(1), message)


def _no_way_round(follows: Follows) -> None:
    """the sequence has an end"""
    message = "the last token and the first one are no neighbours: cut the lanes, do not roll them"
    expect_close(follows(_lane((7, 1.0)), _lane((0, 1.0)), 1), torch.zeros(1), message)


def _follows_backwards(first: Tensor, second: Tensor, distance: int) -> Tensor:
    return torch.minimum(first[:, distance:], second[:, :-distance]).amax(1)


def _follows_bag(first: Tensor, second: Tensor, distance: int) -> Tensor:
    return torch.minimum(first.amax(1), second.amax(1))


def _follows_next(first: Tensor, second: Tensor, distance: int) -> Tensor:
    return torch.minimum(first[:, :-1], second[:, 1:]).amax(1)


def _follows_mean(first: Tensor, second: Tensor, distance: int) -> Tensor:
    return ((first[:, :-distance] + second[:, distance:]) / 2).amax(1)


def _follows_product(first: Tensor, second: Tensor, distance: int) -> Tensor:
    return (first[:, :-distance] * second[:, distance:]).amax(1)


def _follows_rolled(first: Tensor, second: Tensor, distance: int) -> Tensor:
    return torch.minimum(first, second.roll(-distance, 1)).amax(1)


follows = Exercise(
    title="a detector of order",
    difficulty=2,
    importance=5,
    minutes=10,
    stub=follows_stub,
    solution=follows_solution,
    checks=[
        _second_comes_later,
        _both_must_be_there,
        _order_counts,
        _distance_is_used,
        _two_opposites,
        _no_way_round,
    ],
    mistakes=[
        (
            _follows_backwards,
            "`first` at 2 and `second` at 3 should give 1: is `second` the one that is looked for later?",
        ),
        (
            _follows_bag,
            "`second` came before `first` and you gave more than 0: the best of each lane alone forgets the order",
        ),
        (_follows_next, "`second` lies 3 tokens after `first`, and that was missed: is `distance` used?"),
        (_follows_mean, "one of the two alone gave more than 0: take the smaller of both, not their sum or mean"),
        (
            _follows_product,
            "two tokens that are the opposite of what is sought gave more than 0: is it a product?",
        ),
        (_follows_rolled, "the last token and the first one are no neighbours: cut the lanes, do not roll them"),
    ],
)


# --- vote -------------------------------------------------------------------------------------------------------


def vote_stub(first: Tensor, second: Tensor) -> Tensor:
    """The share of votes for 1 among the witnesses who speak; 0.5 where nobody does.

    first, second: claims of shape (batch,), each 0, 1 or -1 (silent). The result has shape (batch,).
    """
    raise NotImplementedError


def vote_solution(first: Tensor, second: Tensor) -> Tensor:
    """The share of votes for 1 among the witnesses who speak; 0.5 where nobody does.

    first, second: claims of shape (batch,), each 0, 1 or -1 (silent). The result has shape (batch,).
    """
    claims = torch.stack([first, second])
    speakers = (claims >= 0).sum(0)
    for_one = (claims == 1).sum(0)
    return torch.where(speakers > 0, for_one / speakers.clamp(min=1), 0.5)


def _both_speak(vote: Vote) -> None:
    """two witnesses who agree"""
    expect_close(
        vote(torch.tensor([0, 1]), torch.tensor([0, 1])),
        torch.tensor([0.0, 1.0]),
        "both said 0, then both said 1: the shares of votes for 1 are 0 and 1",
    )


def _a_conflict(vote: Vote) -> None:
    """two witnesses who disagree"""
    expect_close(
        vote(torch.tensor([0, 1]), torch.tensor([1, 0])),
        torch.tensor([0.5, 0.5]),
        "the witnesses disagree, so the share is 0.5: nobody has told you whom to believe",
    )


def _a_silent_one(vote: Vote) -> None:
    """a silent witness has no vote"""
    found = vote(torch.tensor([1, -1, 0]), torch.tensor([-1, 1, -1]))
    if isinstance(found, Tensor) and found.shape == (3,):
        expect(
            not torch.allclose(found.float(), torch.zeros(3)) and float(found.min()) >= 0,
            "silence was counted as the number -1: leave a witness of -1 out of the sum",
        )
    message = "one said 1 and the other was silent: divide by the number who speak, which is 1, not 2"
    expect_close(found, torch.tensor([1.0, 1.0, 0.0]), message)


def _nobody_speaks(vote: Vote) -> None:
    """nobody speaks"""
    found = vote(torch.tensor([-1]), torch.tensor([-1]))
    message = "where nobody speaks the share is 0.5: yours is nan or one-sided"
    expect(not isinstance(found, Tensor) or not bool(found.float().isnan().any()), message)
    expect_close(found, torch.tensor([0.5]), message)


def _vote_of_the_doubter(first: Tensor, second: Tensor) -> Tensor:
    return 1 - vote_solution(first, second)


def _vote_of_the_first(first: Tensor, second: Tensor) -> Tensor:
    alone = torch.where(first >= 0, first, second).float()
    return torch.where(alone >= 0, alone, 0.5)


def _vote_with_minus_one(first: Tensor, second: Tensor) -> Tensor:
    return (first + second) / 2


def _vote_by_two(first: Tensor, second: Tensor) -> Tensor:
    return ((first == 1).int() + (second == 1).int()) / 2


def _vote_by_none(first: Tensor, second: Tensor) -> Tensor:
    claims = torch.stack([first, second])
    return (claims == 1).sum(0) / (claims >= 0).sum(0)


vote = Exercise(
    title="a vote of two witnesses",
    difficulty=3,
    importance=4,
    minutes=10,
    stub=vote_stub,
    solution=vote_solution,
    checks=[_both_speak, _a_conflict, _a_silent_one, _nobody_speaks],
    mistakes=[
        (_vote_of_the_doubter, "both said 0, then both said 1: the shares of votes for 1 are 0 and 1"),
        (
            _vote_of_the_first,
            "the witnesses disagree, so the share is 0.5: nobody has told you whom to believe",
        ),
        (_vote_with_minus_one, "silence was counted as the number -1: leave a witness of -1 out of the sum"),
        (_vote_by_two, "one said 1 and the other was silent: divide by the number who speak, which is 1, not 2"),
        (_vote_by_none, "where nobody speaks the share is 0.5: yours is nan or one-sided"),
    ],
)
