"""Exercises of lesson 10: integrated gradients, Shapley values, and the removal of tokens in an order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Function = Callable[[Tensor], Tensor]
Along = Callable[[Function, Tensor, Tensor, int], Tensor]
Worth = Callable[[frozenset[int]], float]
Share = Callable[[Worth, int], Tensor]
Keep = Callable[[Tensor, Tensor, float], Tensor]


@partial(Exercise, "integrated gradients", difficulty=3, importance=5, minutes=15)
def along_the_line(f: Callable[[Tensor], Tensor], x: Tensor, blank: Tensor, steps: int) -> Tensor:
    """Integrated gradients of f from blank to x, both (feature,), by the midpoints of equal steps: (feature,)."""
    total = torch.zeros_like(x)
    for step in range(steps):
        point = blank + (step + 0.5) / steps * (x - blank)
        point = point.detach().requires_grad_()
        total = total + torch.autograd.grad(f(point), point)[0]
    return (x - blank) * total / steps


_FACTOR = "for f = 3a at a = 2 the result is 6, not 3: the mean gradient still has to be multiplied by x - blank"
_MEAN = "more steps made the result larger: divide the sum of the gradients by the number of steps"
_PATH = "for f = a * b the result is half of each: the gradient at the end of the line alone is not enough"
_MIDDLE = "one step on f = a * a must take the gradient in the middle of the line, not at one of its ends"
_START = "with a blank of 1 and x of 3 the line is 2 long and begins at 1, not at 0"


def _line(f: Function, along: Along, x: list[float], blank: list[float] | None = None, steps: int = 4) -> Tensor:
    return along(f, torch.tensor(x), torch.zeros(len(x)) if blank is None else torch.tensor(blank), steps)


@along_the_line.case("a linear function")
def _linear(answer: Along) -> None:
    expect_close(_line(lambda v: 3 * v[0], answer, [2.0], steps=1), torch.tensor([6.0]), _FACTOR)


@along_the_line.case("more steps on a linear function")
def _more_steps(answer: Along) -> None:
    expect_close(_line(lambda v: -3 * v[0], answer, [2.0], steps=5), torch.tensor([-6.0]), _MEAN)


@along_the_line.case("a product")
def _product(answer: Along) -> None:
    expect_close(_line(lambda v: v[0] * v[1], answer, [1.0, 2.0], steps=40), torch.tensor([1.0, 1.0]), _PATH, 0.1)


@along_the_line.case("a square, in one step")
def _midpoint(answer: Along) -> None:
    expect_close(_line(lambda v: v[0] * v[0], answer, [2.0], steps=1), torch.tensor([4.0]), _MIDDLE)


@along_the_line.case("a line that does not begin at zero")
def _other_blank(answer: Along) -> None:
    expect_close(_line(lambda v: v[0] * v[0], answer, [3.0], [1.0]), torch.tensor([8.0]), _START)


def _gradient_at(f: Function, point: Tensor) -> Tensor:
    point = point.detach().requires_grad_()
    return torch.autograd.grad(f(point), point)[0]


def _mean_gradient(f: Function, x: Tensor, blank: Tensor, steps: int) -> Tensor:
    points = [blank + (s + 0.5) / steps * (x - blank) for s in range(steps)]
    return torch.stack([_gradient_at(f, point) for point in points]).mean(0)


def _right_ends(f: Function, x: Tensor, blank: Tensor, steps: int) -> Tensor:
    points = [blank + (s + 1) / steps * (x - blank) for s in range(steps)]
    return (x - blank) * torch.stack([_gradient_at(f, point) for point in points]).mean(0)


along_the_line.mistakes = [
    (_mean_gradient, _FACTOR),
    (lambda f, x, blank, steps: (x - blank) * steps * _mean_gradient(f, x, blank, steps), _MEAN),
    (lambda f, x, blank, steps: (x - blank) * _gradient_at(f, x), _PATH),
    (_right_ends, _MIDDLE),
    (lambda f, x, blank, steps: x * _mean_gradient(f, x, torch.zeros_like(x), steps), _START),
]


@partial(Exercise, "Shapley values", difficulty=3, importance=4, minutes=15)
def fair_share(worth: Callable[[frozenset[int]], float], players: int) -> Tensor:
    """Shapley values of the players 0, 1, ...: (player,). worth(a frozenset of players) is what they reach together."""
    orders = list(permutations(range(players)))
    share = torch.zeros(players)
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            share[player] += worth(before | {player}) - worth(before)
    return share / len(orders)


_GAIN = "a player gets what the set gains when it joins: subtract the worth before"
_ORDERS = "the values do not sum to the worth of all: divide the sum over orders by the number of orders"
_LAST = "two copies of one thing are worth 1 together and 1 alone, so each gets 0.5, not what is lost without it"
_FIRST = "0 and 1 reach 1 together only, so each gets 0.5, not what it reaches alone"
_SETS = "the values do not sum to the worth of all: orders are equally likely, sets of players are not"


@fair_share.case("an empty set that is worth something")
def _a_gain_counts(answer: Share) -> None:
    expect_close(answer(lambda s: 5.0 + 2.0 * len(s), 1), torch.tensor([2.0]), _GAIN)


@fair_share.case("players that add up")
def _orders_are_averaged(answer: Share) -> None:
    expect_close(answer(lambda s: float(sum(p + 1 for p in s)), 3), torch.tensor([1.0, 2.0, 3.0]), _ORDERS)


@fair_share.case("two copies")
def _copies_share(answer: Share) -> None:
    expect(answer(lambda s: float(len(s) > 0), 2).abs().max() > 0.1, _LAST)


@fair_share.case("two halves")
def _both_are_needed(answer: Share) -> None:
    expect_close(answer(lambda s: float(len(s) == 2), 2), torch.tensor([0.5, 0.5]), _FIRST)


@fair_share.case("player 0 with any of two others")
def _sets_are_weighted(answer: Share) -> None:
    result = answer(lambda s: float(0 in s and len(s) > 1), 3)
    expect_close(result, torch.tensor([2 / 3, 1 / 6, 1 / 6]), _SETS)


def _arrivals(worth: Worth, players: int) -> list[list[float]]:
    """For each player its gains, over all orders."""
    gains: list[list[float]] = [[] for _ in range(players)]
    for order in permutations(range(players)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            gains[player].append(worth(before | {player}) - worth(before))
    return gains


def _whole_worth(worth: Worth, players: int) -> Tensor:
    shares = torch.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        for place, player in enumerate(order):
            shares[player] += worth(frozenset(order[: place + 1])) / len(orders)
    return shares


def _what_is_lost(worth: Worth, players: int) -> Tensor:
    everyone = frozenset(range(players))
    return torch.tensor([worth(everyone) - worth(everyone - {p}) for p in range(players)])


def _mean_over_sets(worth: Worth, players: int) -> Tensor:
    shares = []
    for player in range(players):
        others = [p for p in range(players) if p != player]
        sets = {frozenset(order[:n]) for order in permutations(others) for n in range(players)}
        shares.append(sum(worth(s | {player}) - worth(s) for s in sets) / len(sets))
    return torch.tensor(shares)


fair_share.mistakes = [
    (_whole_worth, _GAIN),
    (lambda worth, players: torch.tensor([sum(gains) for gains in _arrivals(worth, players)]), _ORDERS),
    (_what_is_lost, _LAST),
    (lambda worth, players: torch.tensor([worth(frozenset({p})) - worth(frozenset()) for p in range(players)]), _FIRST),
    (_mean_over_sets, _SETS),
]


@partial(Exercise, "remove the most important tokens", difficulty=2, importance=4, minutes=10)
def keep_after(mask: Tensor, score: Tensor, share: float) -> Tensor:
    """The mask after the given share of the real tokens, those with the largest scores, is removed. All (token,)."""
    count = round(share * int(mask.sum()))
    order = score.masked_fill(~mask, -torch.inf).argsort(descending=True)
    remaining = mask.clone()
    remaining[order[:count]] = False
    return remaining


_INVERTED = "the result marks the tokens that are left, as a mask does, not those that are removed"
_SMALLEST = "the tokens with the smallest scores were removed; the largest go first"
_TOO_MANY = "half of four real tokens are two tokens: padding does not count"
_PADDING = "a padded position was removed in place of a real token: its score must not matter"


def _half(keep_after: Keep, mask: list[bool], score: list[float]) -> Tensor:
    return keep_after(torch.tensor(mask), torch.tensor(score), 0.5)


@keep_after.case("a quarter of eight tokens")
def _a_mask_marks_what_stays(answer: Keep) -> None:
    result = answer(torch.ones(8, dtype=torch.bool), torch.arange(8.0), 0.25)
    expect(int(result.sum()) != 2, _INVERTED)


@keep_after.case("two tokens")
def _largest_go_first(answer: Keep) -> None:
    expect(bool((_half(answer, [True, True], [0.9, 0.1]) == torch.tensor([False, True])).all()), _SMALLEST)


@keep_after.case("four real tokens, two of padding")
def _padding_is_not_counted(answer: Keep) -> None:
    result = _half(answer, [True, True, True, True, False, False], [0.9, 0.8, 0.7, 0.6, 0.0, 0.0])
    expect(int(result.sum()) == 2, _TOO_MANY)


@keep_after.case("padding with a large score")
def _padding_is_not_removed(answer: Keep) -> None:
    result = _half(answer, [True, True, False, False], [0.9, 0.8, 7.0, 7.0])
    expect(bool((result == torch.tensor([False, True, False, False])).all()), _PADDING)


def _of_all_positions(mask: Tensor, score: Tensor, share: float) -> Tensor:
    remaining = mask.clone()
    remaining[score.masked_fill(~mask, -torch.inf).argsort(descending=True)[: round(share * len(mask))]] = False
    return remaining


def _padding_too(mask: Tensor, score: Tensor, share: float) -> Tensor:
    remaining = mask.clone()
    remaining[score.argsort(descending=True)[: round(share * int(mask.sum()))]] = False
    return remaining


keep_after.mistakes = [
    (lambda mask, score, share: mask & ~keep_after.solution(mask, score, share), _INVERTED),
    (lambda mask, score, share: keep_after.solution(mask, -score, share), _SMALLEST),
    (_of_all_positions, _TOO_MANY),
    (_padding_too, _PADDING),
]
