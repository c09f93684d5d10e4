"""Exercises of lesson 10: integrated gradients, Shapley values, and the removal of tokens in an order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Function = Callable[[Tensor], Tensor]
Along = Callable[[Function, Tensor, Tensor, int], Tensor]
Worth = Callable[[frozenset[int]], float]
Share = Callable[[Worth, int], Tensor]
Keep = Callable[[Tensor, Tensor, float], Tensor]


# --- along_the_line ---------------------------------------------------------------------------------------------


def along_the_line_stub(f: Callable[[Tensor], Tensor], x: Tensor, blank: Tensor, steps: int) -> Tensor:
    """Integrated gradients of f from blank to x, both (feature,), by the midpoints of equal steps: (feature,)."""
    raise NotImplementedError


def along_the_line_solution(f: Callable[[Tensor], Tensor], x: Tensor, blank: Tensor, steps: int) -> Tensor:
    """Integrated gradients of f from blank to x, both (feature,), by the midpoints of equal steps: (feature,)."""
    total = torch.zeros_like(x)
    for step in range(steps):
        point = blank + (step + 0.5) / steps * (x - blank)
        point = point.detach().requires_grad_()
        total = total + torch.autograd.grad(f(point), point)[0]
    return (x - blank) * total / steps


_FACTOR = "for f = 3a at a = 2 the result is 6, not 3: the mean gradient still has to be multiplied by the way gone"
_MEAN = "more steps made the result larger: divide the sum of the gradients by the number of steps"
_PATH = "for f = a * b the result is half of each: gradients at the end of the line alone do not do"
_MIDDLE = "one step on f = a * a must ask the gradient in the middle of the line, not at one of its ends"
_START = "with a blank of 1 and x of 3 the line is 2 long and begins at 1, not at 0"


def _line(f: Function, along: Along, x: list[float], blank: list[float] | None = None, steps: int = 4) -> Tensor:
    return along(f, torch.tensor(x), torch.zeros(len(x)) if blank is None else torch.tensor(blank), steps)


def _linear(along: Along) -> None:
    """a linear function"""
    expect_close(_line(lambda v: 3 * v[0], along, [2.0], steps=1), torch.tensor([6.0]), _FACTOR)


def _more_steps(along: Along) -> None:
    """more steps on a linear function"""
    expect_close(_line(lambda v: 3 * v[0], along, [2.0], steps=5), torch.tensor([6.0]), _MEAN)


def _product(along: Along) -> None:
    """a product"""
    expect_close(_line(lambda v: v[0] * v[1], along, [1.0, 2.0], steps=40), torch.tensor([1.0, 1.0]), _PATH, 0.1)


def _midpoint(along: Along) -> None:
    """a square, in one step"""
    expect_close(_line(lambda v: v[0] * v[0], along, [2.0], steps=1), torch.tensor([4.0]), _MIDDLE)


def _other_blank(along: Along) -> None:
    """a line that does not begin at zero"""
    expect_close(_line(lambda v: v[0] * v[0], along, [3.0], [1.0]), torch.tensor([8.0]), _START)


def _gradient_at(f: Function, point: Tensor) -> Tensor:
    point = point.detach().requires_grad_()
    return torch.autograd.grad(f(point), point)[0]


def _mean_gradient(f: Function, x: Tensor, blank: Tensor, steps: int) -> Tensor:
    points = [blank + (s + 0.5) / steps * (x - blank) for s in range(steps)]
    return torch.stack([_gradient_at(f, point) for point in points]).mean(0)


def _summed(f: Function, x: Tensor, blank: Tensor, steps: int) -> Tensor:
    return (x - blank) * steps * _mean_gradient(f, x, blank, steps)


def _at_the_end(f: Function, x: Tensor, blank: Tensor, steps: int) -> Tensor:
    return (x - blank) * _gradient_at(f, x)


def _right_ends(f: Function, x: Tensor, blank: Tensor, steps: int) -> Tensor:
    points = [blank + (s + 1) / steps * (x - blank) for s in range(steps)]
    return (x - blank) * torch.stack([_gradient_at(f, point) for point in points]).mean(0)


def _from_zero(f: Function, x: Tensor, blank: Tensor, steps: int) -> Tensor:
    return x * _mean_gradient(f, x, torch.zeros_like(x), steps)


along_the_line = Exercise(
    title="integrated gradients",
    difficulty=3,
    importance=5,
    minutes=15,
    stub=along_the_line_stub,
    solution=along_the_line_solution,
    checks=[_linear, _more_steps, _product, _midpoint, _other_blank],
    mistakes=[
        (_mean_gradient, _FACTOR),
        (_summed, _MEAN),
        (_at_the_end, _PATH),
        (_right_ends, _MIDDLE),
        (_from_zero, _START),
    ],
)


# --- fair_share -------------------------------------------------------------------------------------------------


def fair_share_stub(worth: Callable[[frozenset[int]], float], players: int) -> Tensor:
    """Shapley values of the players 0, 1, ...: (player,). worth(a frozenset of players) is what they reach together."""
    raise NotImplementedError


def fair_share_solution(worth: Callable[[frozenset[int]], float], players: int) -> Tensor:
    """Shapley values of the players 0, 1, ...: (player,). worth(a frozenset of players) is what they reach together."""
    orders = list(permutations(range(players)))
    share = torch.zeros(players)
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            share[player] += worth(before | {player}) - worth(before)
    return share / len(orders)


_GAIN = "who comes gets what the set gains by the arrival: take the worth before away"
_ORDERS = "the values do not sum to the worth of all: divide the sum over orders by the number of orders"
_LAST = "two copies of one thing are worth 1 together and 1 alone, so each gets 0.5, not what is lost without it"
_FIRST = "0 and 1 reach 1 together only, so each gets 0.5, not what it reaches alone"
_SETS = "the values do not sum to the worth of all: orders are equally likely, sets of players are not"


def _a_gain_counts(fair_share: Share) -> None:
    """an empty set that is worth something"""
    expect_close(fair_share(lambda s: 5.0 + 2.0 * len(s), 1), torch.tensor([2.0]), _GAIN)


def _orders_are_averaged(fair_share: Share) -> None:
    """players that add up"""
    expect_close(fair_share(lambda s: float(sum(p + 1 for p in s)), 3), torch.tensor([1.0, 2.0, 3.0]), _ORDERS)


def _copies_share(fair_share: Share) -> None:
    """two copies"""
    expect(fair_share(lambda s: float(len(s) > 0), 2).abs().max() > 0.1, _LAST)


def _both_are_needed(fair_share: Share) -> None:
    """two halves"""
    expect_close(fair_share(lambda s: float(len(s) == 2), 2), torch.tensor([0.5, 0.5]), _FIRST)


def _sets_are_weighted(fair_share: Share) -> None:
    """player 0 with any of two others"""
    got = fair_share(lambda s: float(0 in s and len(s) > 1), 3)
    expect_close(got, torch.tensor([2 / 3, 1 / 6, 1 / 6]), _SETS)


def _arrivals(worth: Worth, players: int) -> list[list[float]]:
    """For each player its gains, over all orders."""
    gains: list[list[float]] = [[] for _ in range(players)]
    for order in permutations(range(players)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            gains[player].append(worth(before | {player}) - worth(before))
    return gains


def _whole_worth(worth: Worth, players: int) -> Tensor:
    found = torch.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        for place, player in enumerate(order):
            found[player] += worth(frozenset(order[: place + 1])) / len(orders)
    return found


def _undivided(worth: Worth, players: int) -> Tensor:
    return torch.tensor([sum(gains) for gains in _arrivals(worth, players)])


def _what_is_lost(worth: Worth, players: int) -> Tensor:
    everyone = frozenset(range(players))
    return torch.tensor([worth(everyone) - worth(everyone - {p}) for p in range(players)])


def _what_it_reaches(worth: Worth, players: int) -> Tensor:
    return torch.tensor([worth(frozenset({p})) - worth(frozenset()) for p in range(players)])


def _mean_over_sets(worth: Worth, players: int) -> Tensor:
    found = []
    for player in range(players):
        others = [p for p in range(players) if p != player]
        sets = {frozenset(order[:n]) for order in permutations(others) for n in range(players)}
        found.append(sum(worth(s | {player}) - worth(s) for s in sets) / len(sets))
    return torch.tensor(found)


fair_share = Exercise(
    title="Shapley values",
    difficulty=3,
    importance=4,
    minutes=15,
    stub=fair_share_stub,
    solution=fair_share_solution,
    checks=[_a_gain_counts, _orders_are_averaged, _copies_share, _both_are_needed, _sets_are_weighted],
    mistakes=[
        (_whole_worth, _GAIN),
        (_undivided, _ORDERS),
        (_what_is_lost, _LAST),
        (_what_it_reaches, _FIRST),
        (_mean_over_sets, _SETS),
    ],
)


# --- keep_after -------------------------------------------------------------------------------------------------


def keep_after_stub(mask: Tensor, score: Tensor, share: float) -> Tensor:
    """The mask after the given share of the real tokens, those with the largest scores, is removed. All (token,)."""
    raise NotImplementedError


def keep_after_solution(mask: Tensor, score: Tensor, share: float) -> Tensor:
    """The mask after the given share of the real tokens, those with the largest scores, is removed. All (token,)."""
    count = round(share * int(mask.sum()))
    order = score.masked_fill(~mask, -torch.inf).argsort(descending=True)
    kept = mask.clone()
    kept[order[:count]] = False
    return kept


_INVERTED = "the result marks the tokens that are left, as a mask does, not those that are removed"
_SMALLEST = "the tokens with the smallest scores were removed; the largest go first"
_TOO_MANY = "half of two real tokens is one token: padding does not count"
_PADDING = "a padded position was removed in place of a real token: its score must not matter"
_IN_PLACE = "the mask you were given has changed: work on a copy"


def _half(keep_after: Keep, mask: list[bool], score: list[float]) -> Tensor:
    return keep_after(torch.tensor(mask), torch.tensor(score), 0.5)


def _a_mask_marks_what_stays(keep_after: Keep) -> None:
    """a quarter of four tokens"""
    got = keep_after(torch.ones(4, dtype=torch.bool), torch.tensor([0.1, 0.2, 0.3, 0.9]), 0.25)
    expect(int(got.sum()) != 1, _INVERTED)


def _largest_go_first(keep_after: Keep) -> None:
    """two tokens"""
    expect(bool((_half(keep_after, [True, True], [0.9, 0.1]) == torch.tensor([False, True])).all()), _SMALLEST)


def _padding_is_not_counted(keep_after: Keep) -> None:
    """two real tokens, two of padding"""
    expect(int(_half(keep_after, [True, True, False, False], [0.9, 0.8, 0.0, 0.0]).sum()) == 1, _TOO_MANY)


def _padding_is_not_removed(keep_after: Keep) -> None:
    """padding with a large score"""
    got = _half(keep_after, [True, True, False, False], [0.9, 0.8, 7.0, 7.0])
    expect(bool((got == torch.tensor([False, True, False, False])).all()), _PADDING)


def _given_mask_stays(keep_after: Keep) -> None:
    """the mask that was given"""
    mask = torch.ones(4, dtype=torch.bool)
    keep_after(mask, torch.arange(4.0), 0.5)
    expect(mask.all(), _IN_PLACE)


def _removed(mask: Tensor, score: Tensor, share: float) -> Tensor:
    return mask & ~keep_after_solution(mask, score, share)


def _from_the_bottom(mask: Tensor, score: Tensor, share: float) -> Tensor:
    return keep_after_solution(mask, -score, share)


def _of_all_positions(mask: Tensor, score: Tensor, share: float) -> Tensor:
    kept = mask.clone()
    kept[score.masked_fill(~mask, -torch.inf).argsort(descending=True)[: round(share * len(mask))]] = False
    return kept


def _padding_too(mask: Tensor, score: Tensor, share: float) -> Tensor:
    kept = mask.clone()
    kept[score.argsort(descending=True)[: round(share * int(mask.sum()))]] = False
    return kept


def _written_into(mask: Tensor, score: Tensor, share: float) -> Tensor:
    mask[score.masked_fill(~mask, -torch.inf).argsort(descending=True)[: round(share * int(mask.sum()))]] = False
    return mask


keep_after = Exercise(
    title="remove the most important tokens",
    difficulty=2,
    importance=4,
    minutes=10,
    stub=keep_after_stub,
    solution=keep_after_solution,
    checks=[
        _a_mask_marks_what_stays,
        _largest_go_first,
        _padding_is_not_counted,
        _padding_is_not_removed,
        _given_mask_stays,
    ],
    mistakes=[
        (_removed, _INVERTED),
        (_from_the_bottom, _SMALLEST),
        (_of_all_positions, _TOO_MANY),
        (_padding_too, _PADDING),
        (_written_into, _IN_PLACE),
    ],
)
