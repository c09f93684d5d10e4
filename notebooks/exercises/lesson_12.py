"""Exercises of lesson 12: robustness. Corruptions that are fair, and a comparison that is paired."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Noise = Callable[[Tensor, Tensor, Tensor, float, Tensor], Tensor]
Drop = Callable[[Tensor, Tensor, float], Tensor]
Interval = Callable[[Tensor, Tensor], Tensor]


# --- add_noise --------------------------------------------------------------------------------------------------


def add_noise_stub(tokens: Tensor, mask: Tensor, sd: Tensor, strength: float, draws: Tensor) -> Tensor:
    """Noise whose standard deviation is `strength` times each feature's own, on real tokens only.

    tokens, draws: (batch, token, feature), draws from a standard normal; mask: (batch, token), bool;
    sd: (feature,). Padding and the tokens that were given stay as they are.
    """
    raise NotImplementedError


def add_noise_solution(tokens: Tensor, mask: Tensor, sd: Tensor, strength: float, draws: Tensor) -> Tensor:
    """Noise whose standard deviation is `strength` times each feature's own, on real tokens only.

    tokens, draws: (batch, token, feature), draws from a standard normal; mask: (batch, token), bool;
    sd: (feature,). Padding and the tokens that were given stay as they are.
    """
    return tokens + strength * sd * draws * mask[:, :, None]


_ONE_SD = "a feature in thousands needs noise in thousands: multiply by each feature's own sd, not by one for all"
_PADDING = "padding is not data and must stay as it is: multiply the noise by mask[:, :, None]"
_POWER = "at strength 0.5 the noise's standard deviation is 0.5 sd: `strength` itself, not its square or root"
_CHANGED = "the tokens that were given changed: make new ones, other models must meet the clean ones"
_SD = torch.tensor([1.0, 1000.0])


def _features_differ(add_noise: Noise) -> None:
    """features of different size"""
    got = add_noise(torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), _SD, 1.0, torch.ones(1, 1, 2))
    expect_close(got, _SD[None, None], _ONE_SD)


def _padding_stays(add_noise: Noise) -> None:
    """one real token and one of padding"""
    got = add_noise(torch.zeros(1, 2, 2), torch.tensor([[True, False]]), _SD, 1.0, torch.ones(1, 2, 2))
    expect_close(got[0, 1], torch.zeros(2), _PADDING)


def _half_strength(add_noise: Noise) -> None:
    """half the strength"""
    got = add_noise(torch.ones(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), _SD, 0.5, torch.ones(1, 1, 2))
    expect_close(got, 1 + 0.5 * _SD[None, None], _POWER)


def _input_stays(add_noise: Noise) -> None:
    """the tokens that were given"""
    tokens = torch.ones(1, 1, 2)
    add_noise(tokens, torch.ones(1, 1, dtype=torch.bool), _SD, 1.0, torch.ones(1, 1, 2))
    expect_close(tokens, torch.ones(1, 1, 2), _CHANGED)


def _one_for_all(tokens: Tensor, mask: Tensor, sd: Tensor, strength: float, draws: Tensor) -> Tensor:
    return tokens + strength * sd.mean() * draws * mask[:, :, None]


def _everywhere(tokens: Tensor, mask: Tensor, sd: Tensor, strength: float, draws: Tensor) -> Tensor:
    return tokens + strength * sd * draws


def _squared(tokens: Tensor, mask: Tensor, sd: Tensor, strength: float, draws: Tensor) -> Tensor:
    return tokens + strength**2 * sd * draws * mask[:, :, None]


def _in_place(tokens: Tensor, mask: Tensor, sd: Tensor, strength: float, draws: Tensor) -> Tensor:
    tokens += strength * sd * draws * mask[:, :, None]
    return tokens


add_noise = Exercise(
    title="noise in units of each feature",
    difficulty=2,
    importance=4,
    minutes=8,
    stub=add_noise_stub,
    solution=add_noise_solution,
    checks=[_features_differ, _padding_stays, _half_strength, _input_stays],
    mistakes=[(_one_for_all, _ONE_SD), (_everywhere, _PADDING), (_squared, _POWER), (_in_place, _CHANGED)],
)


# --- drop_tokens ------------------------------------------------------------------------------------------------


def drop_tokens_stub(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    """The mask without the tokens whose draw lies below `share`.

    mask: (batch, token), bool; draws: (batch, token), evenly from 0 to 1, the same at every share, so that what
    a small share drops a large one drops, too. A row that has real tokens keeps at least the one with the largest
    draw; a row without any (a missing modality) stays without.
    """
    raise NotImplementedError


def drop_tokens_solution(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    """The mask without the tokens whose draw lies below `share`.

    mask: (batch, token), bool; draws: (batch, token), evenly from 0 to 1, the same at every share, so that what
    a small share drops a large one drops, too. A row that has real tokens keeps at least the one with the largest
    draw; a row without any (a missing modality) stays without.
    """
    largest = draws.masked_fill(~mask, -1).argmax(dim=1, keepdim=True)
    last = torch.zeros_like(mask).scatter(1, largest, True)
    return mask & ((draws >= share) | last)


_BELOW = "a share of 0 drops nothing, and 0.3 drops a draw of 0.1 but not one of 0.5: keep where draw >= share"
_ALIVE = "padding and missing modalities came to life: what is kept must have been real, so combine with `mask`"
_EMPTY = "all tokens of a row were dropped: that is a missing modality, another corruption; keep its largest draw"
_REAL_LAST = "the largest draw belonged to padding, so the row lost all: look for it among the real tokens"


def _small_draws_go(drop_tokens: Drop) -> None:
    """draws of 0.1 and 0.5"""
    mask, draws = torch.tensor([[True, True]]), torch.tensor([[0.1, 0.5]])
    expect(torch.equal(drop_tokens(mask, draws, 0.0), mask), _BELOW)
    expect(torch.equal(drop_tokens(mask, draws, 0.3), torch.tensor([[False, True]])), _BELOW)


def _nothing_comes_to_life(drop_tokens: Drop) -> None:
    """padding, and a missing modality"""
    mask = torch.tensor([[True, False], [False, False]])
    got = drop_tokens(mask, torch.tensor([[0.9, 0.2], [0.9, 0.8]]), 0.5)
    expect(torch.equal(got, mask), _ALIVE)


def _one_stays(drop_tokens: Drop) -> None:
    """a share that would drop all"""
    got = drop_tokens(torch.tensor([[True, True]]), torch.tensor([[0.4, 0.6]]), 0.95)
    expect(torch.equal(got, torch.tensor([[False, True]])), _EMPTY)


def _one_real_token_stays(drop_tokens: Drop) -> None:
    """a share that would drop all, and padding with a large draw"""
    got = drop_tokens(torch.tensor([[True, True, False]]), torch.tensor([[0.4, 0.6, 0.9]]), 0.95)
    expect(torch.equal(got, torch.tensor([[False, True, False]])), _REAL_LAST)


def _other_way(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    return mask & (draws < share)


def _without_mask(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    last = torch.zeros_like(mask).scatter(1, draws.argmax(dim=1, keepdim=True), True)
    return (draws >= share) | last


def _down_to_nothing(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    return mask & (draws >= share)


def _last_of_all(mask: Tensor, draws: Tensor, share: float) -> Tensor:
    last = torch.zeros_like(mask).scatter(1, draws.argmax(dim=1, keepdim=True), True)
    return mask & ((draws >= share) | last)


drop_tokens = Exercise(
    title="drop tokens, each time the same ones first",
    difficulty=3,
    importance=3,
    minutes=12,
    stub=drop_tokens_stub,
    solution=drop_tokens_solution,
    checks=[_small_draws_go, _nothing_comes_to_life, _one_stays, _one_real_token_stays],
    mistakes=[(_other_way, _BELOW), (_without_mask, _ALIVE), (_down_to_nothing, _EMPTY), (_last_of_all, _REAL_LAST)],
)


# --- paired_interval --------------------------------------------------------------------------------------------


def paired_interval_stub(first: Tensor, second: Tensor) -> Tensor:
    """How much more often the first model is right, and half the width of the 95 % interval of that: (2,).

    first, second: (sample,), bool, whether each model was right on the same samples. The half width is 1.96
    standard errors of the mean of the differences (the standard deviation divides by n - 1).
    """
    raise NotImplementedError


def paired_interval_solution(first: Tensor, second: Tensor) -> Tensor:
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


def _difference(paired_interval: Interval) -> None:
    """three right against one"""
    got = paired_interval(torch.tensor([True, True, True, False]), torch.tensor([True, False, False, False]))
    expect(got.shape == (2,), f"your result has shape {tuple(got.shape)}; it should be (2,)")
    expect_close(got[0], 0.5, _ORDER)


def _the_same_answers(paired_interval: Interval) -> None:
    """two models that agree everywhere"""
    same = torch.tensor([True, False, True, False])
    expect_close(paired_interval(same, same), torch.zeros(2), _PAIRS)


def _more_samples(paired_interval: Interval) -> None:
    """a hundred times as many samples"""
    first, second = torch.tensor([True, False] * 8), torch.tensor([False, False] * 8)
    few, many = paired_interval(first, second)[1], paired_interval(first.repeat(100), second.repeat(100))[1]
    expect_close(many / few, 0.0968291, _MEAN, 1e-3)  # sqrt(15 / 1599): n - 1 of each


def _width(paired_interval: Interval) -> None:
    """four differences by hand"""
    got = paired_interval(torch.tensor([True, True, False, False]), torch.tensor([False, False, False, False]))
    expect_close(got[1], 1.96 * (1 / 3) ** 0.5 / 2, _FACTOR)


def _backwards(first: Tensor, second: Tensor) -> Tensor:
    return paired_interval_solution(second, first)


def _unpaired(first: Tensor, second: Tensor) -> Tensor:
    a, b = first.float(), second.float()
    return torch.stack([a.mean() - b.mean(), 1.96 * ((a.var() + b.var()) / len(a)) ** 0.5])


def _of_one_sample(first: Tensor, second: Tensor) -> Tensor:
    difference = first.float() - second.float()
    return torch.stack([difference.mean(), 1.96 * difference.std()])


def _one_error(first: Tensor, second: Tensor) -> Tensor:
    difference = first.float() - second.float()
    return torch.stack([difference.mean(), difference.std() / len(difference) ** 0.5])


paired_interval = Exercise(
    title="a paired comparison",
    difficulty=2,
    importance=5,
    minutes=8,
    stub=paired_interval_stub,
    solution=paired_interval_solution,
    checks=[_difference, _the_same_answers, _more_samples, _width],
    mistakes=[(_backwards, _ORDER), (_unpaired, _PAIRS), (_of_one_sample, _MEAN), (_one_error, _FACTOR)],
)
