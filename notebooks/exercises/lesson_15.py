"""Exercises of lesson 15: the label after a swap, sources and their control, effects along paths, ranks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Swapped = Callable[[Tensor, Tensor, int], Tensor]
Sources = Callable[[Tensor, bool], Tensor]
Model = Callable[[Tensor, Tensor], Tensor]
Paths = Callable[[Model, Tensor, Tensor, Tensor, Tensor], Tensor]
Ranks = Callable[[Tensor, Tensor], Tensor]


@partial(Exercise, "the label after a swap", difficulty=1, importance=5, minutes=6)
def swapped_label(label: Tensor, source: Tensor, value: int) -> Tensor:
    """The class of `label` with one factor of `source`. label, source: (sample,), classes 4 shallow + 2 mid + deep.

    value: 4, 2 or 1, what the swapped factor counts in a class.
    """
    return (label & ~value) | (source & value)


_ALL = "only one factor is swapped: the other two stay those of `label`"
_SAME = "where the source has the same value of the factor, nothing changes: take its value, do not turn yours over"
_NONE = "the source's factor is another one here, so the class must change"
_KEPT = "the two other factors are lost: the result is a class, with all three in it"


@swapped_label.case("a source with the same value of the factor")
def _same_value(answer: Swapped) -> None:
    result = answer(torch.tensor([5, 0]), torch.tensor([5, 0]), 1)
    expect_close(result, torch.tensor([5, 0]), _SAME)


@swapped_label.case("a source that differs in this factor alone")
def _one_differs(answer: Swapped) -> None:
    result = torch.as_tensor(answer(torch.tensor([6, 0]), torch.tensor([4, 2]), 2))
    expect(not torch.equal(result, torch.tensor([6, 0])), _NONE)
    expect_close(result, torch.tensor([4, 2]), _KEPT)


@swapped_label.case("a source that differs in all")
def _all_differ(answer: Swapped) -> None:
    expect_close(answer(torch.tensor([0, 5]), torch.tensor([7, 2]), 4), torch.tensor([4, 1]), _ALL)


swapped_label.mistakes = [
    (lambda label, source, value: label ^ value, _SAME),
    (lambda label, source, value: label, _NONE),
    (lambda label, source, value: source, _ALL),
    (lambda label, source, value: source & value, _KEPT),
]


@partial(Exercise, "a source for each sample, and its control", difficulty=3, importance=5, minutes=12)
def draw_sources(factor: Tensor, same: bool) -> Tensor:
    """For each sample another one at random, whose factor is the same, or else a different one. factor: (sample,).

    The result is (sample,), positions. Each value of the factor is there twice or more.
    """
    fits = (factor[:, None] == factor) == same
    fits.fill_diagonal_(False)
    return torch.rand(fits.shape).masked_fill(~fits, -1.0).argmax(dim=1)


_RANGE = "a source is the position of a sample: a number from 0 to the number of samples minus 1"
_DIFFERENT = "a source must have another value of the factor, or the swap cannot change the label"
_CONTROL = "a source of the control must have the same value of the factor"
_SELF = "a sample is its own source: the control must be another sample, or nothing is swapped at all"
_RANDOM = "twenty draws gave the same sources: draw them at random among all that fit"
_FACTOR = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1, 2, 0])


@draw_sources.case("sources with another value")
def _others_differ(answer: Sources) -> None:
    for _ in range(20):
        drawn = _positions(answer, False)
        expect((_FACTOR[drawn] != _FACTOR).all(), _DIFFERENT)


@draw_sources.case("the control's sources")
def _control_is_alike(answer: Sources) -> None:
    for _ in range(20):
        expect((_FACTOR[_positions(answer, True)] == _FACTOR).all(), _CONTROL)


@draw_sources.case("no sample is its own source")
def _never_itself(answer: Sources) -> None:
    for _ in range(20):
        expect((_positions(answer, True) != torch.arange(len(_FACTOR))).all(), _SELF)


@draw_sources.case("twenty draws")
def _drawn_at_random(answer: Sources) -> None:
    expect(len({tuple(_positions(answer, False).tolist()) for _ in range(20)}) > 1, _RANDOM)


def _positions(answer: Sources, same: bool) -> Tensor:
    drawn = answer(_FACTOR, same)
    expect(drawn.shape == _FACTOR.shape, f"shape {tuple(drawn.shape)}, but a position for each of 10 samples is needed")
    expect(not drawn.is_floating_point() and bool(((drawn >= 0) & (drawn < len(_FACTOR))).all()), _RANGE)
    return drawn


def _anyone(factor: Tensor, same: bool) -> Tensor:
    return torch.randperm(len(factor))


def _always_another(factor: Tensor, same: bool) -> Tensor:
    return draw_sources.solution(factor, False)


def _itself(factor: Tensor, same: bool) -> Tensor:
    fits = (factor[:, None] == factor) == same
    return torch.rand(fits.shape).masked_fill(~fits, -1.0).argmax(dim=1)


def _first_that_fits(factor: Tensor, same: bool) -> Tensor:
    fits = (factor[:, None] == factor) == same
    fits.fill_diagonal_(False)
    return fits.int().argmax(dim=1)


draw_sources.mistakes = [
    (_anyone, _DIFFERENT),
    (_always_another, _CONTROL),
    (_itself, _SELF),
    (_first_that_fits, _RANDOM),
]


@partial(Exercise, "what goes along which path", difficulty=3, importance=4, minutes=10)
def split_paths(model: Model, own: Tensor, heard: Tensor, new_own: Tensor, new_heard: Tensor) -> Tensor:
    """The effect of a change along each of two paths, and the rest, which only both together have: (3,).

    model: from what a modality holds itself and what the others hear of it to one output. own, heard: before the
    change; new_own, new_heard: after it. The three sum to the whole effect.
    """
    before = model(own, heard)
    by_own, by_heard = model(new_own, heard) - before, model(own, new_heard) - before
    return torch.stack([by_own, by_heard, model(new_own, new_heard) - before - by_own - by_heard])


_ORDER = "each path is opened alone, the other one held at what it was before the change"
_REST = "the third number is the rest: the whole effect minus the two others, so that the three sum to it"
_FROM = "an effect is after minus before: subtract the output before the change"


def _product(own: Tensor, heard: Tensor) -> Tensor:
    return own * heard


def _sum(own: Tensor, heard: Tensor) -> Tensor:
    return own + 10 * heard


@split_paths.case("two paths that only add up")
def _no_rest(answer: Paths) -> None:
    result = answer(_sum, *torch.tensor([1.0, 1.0, 2.0, 3.0]))
    expect_close(result[:2], torch.tensor([1.0, 20.0]), _FROM)
    expect_close(result[2], 0.0, _REST)


@split_paths.case("an effect that needs both")
def _needs_both(answer: Paths) -> None:
    result = answer(_product, *torch.tensor([1.0, 1.0, 2.0, 3.0]))
    expect_close(result, torch.tensor([1.0, 2.0, 2.0]), _ORDER)


def _one_after_the_other(model: Model, own: Tensor, heard: Tensor, new_own: Tensor, new_heard: Tensor) -> Tensor:
    before, first, both = model(own, heard), model(new_own, heard), model(new_own, new_heard)
    return torch.stack([first - before, both - first, 0 * both])


def _whole_for_rest(model: Model, own: Tensor, heard: Tensor, new_own: Tensor, new_heard: Tensor) -> Tensor:
    effects = split_paths.solution(model, own, heard, new_own, new_heard)
    return torch.cat([effects[:2], effects.sum()[None]])


def _outputs(model: Model, own: Tensor, heard: Tensor, new_own: Tensor, new_heard: Tensor) -> Tensor:
    by_own, by_heard = model(new_own, heard), model(own, new_heard)
    return torch.stack([by_own, by_heard, model(new_own, new_heard) - by_own - by_heard])


split_paths.mistakes = [(_outputs, _FROM), (_whole_for_rest, _REST), (_one_after_the_other, _ORDER)]


@partial(Exercise, "do two rankings agree?", difficulty=2, importance=3, minutes=8)
def rank_correlation(share: Tensor, effect: Tensor) -> Tensor:
    """The correlation of the ranks of two rows of numbers, no two of which are equal: from -1 to 1."""
    ranks = torch.stack([x.argsort().argsort().double() for x in (share, effect)])
    return torch.corrcoef(ranks)[0, 1]


_VALUES = "both rows rise together, so their ranks are the same: compare ranks, not values"
_ORDER_OF = "argsort gives the positions in order, not the ranks: apply it twice"
_LESS = "one row falls where the other rises: this is -1"


@rank_correlation.case("one falls, one rises")
def _falls(answer: Ranks) -> None:
    expect_close(answer(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([9.0, 5.0, 1.0])), -1.0, _LESS)


@rank_correlation.case("an even and an uneven rise")
def _uneven(answer: Ranks) -> None:
    expect_close(answer(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 100.0])), 1.0, _VALUES)


@rank_correlation.case("numbers in any order")
def _any_order(answer: Ranks) -> None:
    share, effect = torch.tensor([0.3, 0.1, 0.2, 0.4]), torch.tensor([3.0, 1.0, 2.0, 0.0])
    expect_close(answer(share, effect), -0.2, _ORDER_OF)


rank_correlation.mistakes = [
    (lambda share, effect: rank_correlation.solution(share, effect).abs(), _LESS),
    (lambda share, effect: torch.corrcoef(torch.stack([share, effect]).double())[0, 1], _VALUES),
    (
        lambda share, effect: torch.corrcoef(torch.stack([share.argsort(), effect.argsort()]).double())[0, 1],
        _ORDER_OF,
    ),
]
