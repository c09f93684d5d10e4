"""Exercises of lesson 12: robustness. Corruptions that are fair, and a comparison that is paired."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Noise = Callable[[Tensor, Tensor, Tensor, float, Tensor], Tensor]
Drop = Callable[[Tensor, Tensor, float], Tensor]
Interval = Callable[[Tensor, Tensor], Tensor]


@partial(Exercise, "noise in units of each feature", difficulty=2, importance=4, minutes=8)
def add_noise(tokens: Tensor, mask: Tensor, sd: Tensor, strength: float, draws: Tensor) -> Tensor:
    """Noise whose standard deviation is `strength` times each feature's own, on real tokens only.

    tokens, draws: (batch, token, feature), draws from a standard normal; mask: (batch, token), bool;
    sd: (feature,). Padding stays as it is, and `tokens` itself does not change.
    """
    return tokens + strength * sd * draws * mask[:, :, None]


_ONE_SD = "a feature in thousands needs noise in thousands: multiply by each feature's own sd, not by one for all"
_PADDING = "padding is not data and must stay as it is: multiply the noise by mask[:, :, None]"
_POWER = "at strength 0.5 the noise's standard deviation is 0.5 sd: `strength` itself, not its square or root"
_SD = torch.tensor([1.0, 1000.0])


@add_noise.case("features of different size")
def _features_differ(answer: Noise) -> None:
    result = answer(torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), _SD, 1.0, torch.ones(1, 1, 2))
    expect_close(result, _SD[None, None], _ONE_SD)


@add_noise.case("one real token and one of padding")
def _padding_stays(answer: Noise) -> None:
    result = answer(torch.full((1, 2, 2), 7.0), torch.tensor([[True, False]]), _SD, 1.0, torch.ones(1, 2, 2))
    expect_close(result[0, 1], torch.full((2,), 7.0), _PADDING)


@add_noise.case("half the strength")
def _half_strength(answer: Noise) -> None:
    result = answer(torch.ones(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), _SD, 0.5, torch.ones(1, 1, 2))
    expect_close(result, 1 + 0.5 * _SD[None, None], _POWER)


add_noise.mistakes = [
    (lambda tokens, mask, sd, strength, draws: tokens + strength * sd.mean() * draws * mask[:, :, None], _ONE_SD),
    (lambda tokens, mask, sd, strength, draws: tokens + strength * sd * draws, _PADDING),
    (lambda tokens, mask, sd, strength, draws: tokens + strength**2 * sd * draws * mask[:, :, None], _POWER),
]


@partial(Exercise, "drop tokens, each time the same ones first", difficulty=3, importance=3, minutes=12)
def drop_tokens(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    """The mask without the tokens whose draw lies below `share`.

    mask: (batch, token), bool; draws: (batch, token), evenly from 0 to 1, the same at every share, so that what
    a small share drops a large one drops, too. A row that has real tokens keeps at least the one with the largest
    draw; a row without any (a missing modality) stays without.
    """
    largest = draws.masked_fill(~mask, -1).argmax(dim=1, keepdim=True)
    last = torch.zeros_like(mask).scatter(1, largest, True)
    return mask & ((draws >= share) | last)


_BELOW = "a share of 0 drops nothing, and 0.3 drops a draw of 0.1 but not one of 0.5: keep where draw >= share"
_ALIVE = "padding or a missing modality became real: only real tokens can stay, so combine with `mask`"
_EMPTY = "all tokens of a row were dropped: that is a missing modality, another corruption; keep its largest draw"
_REAL_LAST = "the largest draw belonged to padding, so the row lost all its tokens: look for it among the real ones"


@drop_tokens.case("draws of 0.1 and 0.5")
def _small_draws_go(answer: Drop) -> None:
    mask, draws = torch.tensor([[True, True]]), torch.tensor([[0.1, 0.5]])
    expect(torch.equal(answer(mask, draws, 0.0), mask), _BELOW)
    expect(torch.equal(answer(mask, draws, 0.3), torch.tensor([[False, True]])), _BELOW)
    many = torch.tensor([[0.1, 0.5, 0.2, 0.9, 0.05, 0.7, 0.4, 0.29]])
    expect(torch.equal(answer(many > 0, many, 0.3), many >= 0.3), _BELOW)


@drop_tokens.case("padding, and a missing modality")
def _nothing_comes_to_life(answer: Drop) -> None:
    mask = torch.tensor([[True, False], [False, False]])
    result = answer(mask, torch.tensor([[0.9, 0.2], [0.9, 0.8]]), 0.5)
    expect(torch.equal(result, mask), _ALIVE)


@drop_tokens.case("a share that would drop all")
def _one_stays(answer: Drop) -> None:
    result = answer(torch.tensor([[True, True]]), torch.tensor([[0.4, 0.6]]), 0.95)
    expect(torch.equal(result, torch.tensor([[False, True]])), _EMPTY)


@drop_tokens.case("a share that would drop all, and padding with a large draw")
def _one_real_token_stays(answer: Drop) -> None:
    result = answer(torch.tensor([[True, True, False]]), torch.tensor([[0.4, 0.6, 0.9]]), 0.95)
    expect(torch.equal(result, torch.tensor([[False, True, False]])), _REAL_LAST)


def _without_mask(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    last = torch.zeros_like(mask).scatter(1, draws.argmax(dim=1, keepdim=True), True)
    return (draws >= share) | last


def _last_of_all(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    last = torch.zeros_like(mask).scatter(1, draws.argmax(dim=1, keepdim=True), True)
    return mask & ((draws >= share) | last)


drop_tokens.mistakes = [
    (lambda mask, draws, share: mask & (draws < share), _BELOW),
    (_without_mask, _ALIVE),
    (lambda mask, draws, share: mask & (draws >= share), _EMPTY),
    (_last_of_all, _REAL_LAST),
]


@partial(Exercise, "a paired comparison", difficulty=2, importance=5, minutes=8)
def paired_interval(first: Tensor, second: Tensor) -> Tensor:
    """How much more often the first model is right, and half the width of the 95 % interval of that: (2,).

    first, second: (sample,), bool, whether each model was right on the same samples. The half width is 1.96
    standard errors of the mean of the differences (the standard deviation divides by n - 1).
    """
    difference = first.float() - second.float()
    return torch.stack([difference.mean(), 1.96 * difference.std() / len(difference) ** 0.5])


_ORDER = "the first is right three times, the second once, of four: the difference is +0.5, first minus second"
_PAIRS = "the two agree on every sample, so nothing is uncertain: take the spread of the differences, not of each"
_MEAN = "the interval of a mean shrinks with the root of the number of samples: divide by n ** 0.5"
_FACTOR = "half the width of a 95 % interval is 1.96 standard errors, with n - 1 in the standard deviation"


@paired_interval.case("three right against one")
def _difference(answer: Interval) -> None:
    result = answer(torch.tensor([True, True, True, False]), torch.tensor([False, False, False, True]))
    expect(result.shape == (2,), f"your result has shape {tuple(result.shape)}; it should be (2,)")
    expect_close(result[0], 0.5, _ORDER)


@paired_interval.case("two models that agree everywhere")
def _the_same_answers(answer: Interval) -> None:
    same = torch.tensor([True, False, True, False])
    expect_close(answer(same, same), torch.zeros(2), _PAIRS)


@paired_interval.case("a hundred times as many samples")
def _more_samples(answer: Interval) -> None:
    first, second = torch.tensor([True, False] * 8), torch.tensor([False, False] * 8)
    few, many = answer(first, second)[1], answer(first.repeat(100), second.repeat(100))[1]
    expect_close(many / few, 0.0968291, _MEAN, 1e-3)  # sqrt(15 / 1599): n - 1 of each


@paired_interval.case("four differences by hand")
def _width(answer: Interval) -> None:
    result = answer(torch.tensor([True, True, False, False]), torch.tensor([False, False, False, False]))
    expect_close(result[1], 1.96 * (1 / 3) ** 0.5 / 2, _FACTOR)


def _unpaired(first: Tensor, second: Tensor) -> Tensor:
    a, b = first.float(), second.float()
    return torch.stack([a.mean() - b.mean(), 1.96 * ((a.var() + b.var()) / len(a)) ** 0.5])


def _of_one_sample(first: Tensor, second: Tensor) -> Tensor:
    difference = first.float() - second.float()
    return torch.stack([difference.mean(), 1.96 * difference.std()])


def _one_error(first: Tensor, second: Tensor) -> Tensor:
    difference = first.float() - second.float()
    return torch.stack([difference.mean(), difference.std() / len(difference) ** 0.5])


paired_interval.mistakes = [
    (lambda first, second: paired_interval.solution(second, first), _ORDER),
    (_unpaired, _PAIRS),
    (_of_one_sample, _MEAN),
    (_one_error, _FACTOR),
]
