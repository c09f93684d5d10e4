"""Exercises of lesson 14: a mask from lengths, samples whose group was seen in training, scaling without a leak."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

MaskOf = Callable[[Tensor, int], Tensor]
Seen = Callable[[Tensor, Tensor], Tensor]
Scaled = Callable[[Tensor, Tensor, Tensor], Tensor]


@partial(Exercise, "a mask from lengths", difficulty=1, importance=5, minutes=3)
def mask_of(lengths: Tensor, longest: int) -> Tensor:
    """True for the first tokens of each sample. lengths: (sample,); the result is bool, (sample, longest)."""
    return torch.arange(longest) < lengths[:, None]


_KIND = "a mask holds True and False, and nothing else: compare, do not subtract"
_SIDE = "a sample of 2 tokens is padded at the end: its mask begins with True, True"
_COUNT = "a sample of 2 tokens has two True: token numbers start at 0, so the last real one is number 1"
_NONE = "a sample of 0 tokens has no True at all: the modality is missing"


@mask_of.case("one sample of two tokens")
def _two_of_three(answer: MaskOf) -> None:
    result = answer(torch.tensor([2]), 3)
    expect(isinstance(result, Tensor) and result.dtype == torch.bool, _KIND)
    expect(result.shape != (1, 3) or result.tolist() != [[False, True, True]], _SIDE)
    expect_close(result.int(), torch.tensor([[1, 1, 0]]), _COUNT)


@mask_of.case("a missing modality beside a full one")
def _several_lengths(answer: MaskOf) -> None:
    expect_close(answer(torch.tensor([0, 2]), 2).int(), torch.tensor([[0, 0], [1, 1]]), _NONE)


mask_of.mistakes = [
    (lambda lengths, longest: (lengths[:, None] - torch.arange(longest)).clamp(0, 1), _KIND),
    (lambda lengths, longest: torch.arange(longest) >= longest - lengths[:, None], _SIDE),
    (lambda lengths, longest: torch.arange(longest) <= lengths[:, None], _COUNT),
    (lambda lengths, longest: torch.arange(longest) < lengths.clamp(min=1)[:, None], _NONE),
]


@partial(Exercise, "who was heard in training", difficulty=2, importance=5, minutes=5)
def seen_in_training(train_groups: Tensor, test_groups: Tensor) -> Tensor:
    """For each test sample, whether its group is one of the training part's. The result is bool, (test sample,)."""
    return torch.isin(test_groups, train_groups)


_EACH = "there are 2 test samples and 3 training samples: one answer for each TEST sample is needed"
_ANYWHERE = "speaker 7 is in the training part, at another place: compare with all of it, not place by place"
_HOW_OFTEN = "speaker 7 has two training samples, and still the answer is True, not 2"


@seen_in_training.case("two test samples, three of training")
def _two_tests(answer: Seen) -> None:
    result = answer(torch.tensor([4, 7, 5]), torch.tensor([7, 9]))
    expect(isinstance(result, Tensor) and result.shape == (2,), _EACH)
    expect(bool(result[0]), _ANYWHERE)


@seen_in_training.case("a group with several training samples")
def _true_is_enough(answer: Seen) -> None:
    result = answer(torch.tensor([7, 7, 5]), torch.tensor([9, 7]))
    expect(result.dtype == torch.bool and result.tolist() == [False, True], _HOW_OFTEN)


seen_in_training.mistakes = [
    (lambda train_groups, test_groups: torch.isin(train_groups, test_groups), _EACH),
    (lambda train_groups, test_groups: train_groups[: len(test_groups)] == test_groups, _ANYWHERE),
    (lambda train_groups, test_groups: (test_groups[:, None] == train_groups).sum(1), _HOW_OFTEN),
]


@partial(Exercise, "scale on the training part only", difficulty=3, importance=5, minutes=8)
def scaled(train: Tensor, mask: Tensor, other: Tensor) -> Tensor:
    """`other` minus the mean, over the standard deviation, of the training part's real tokens, for each feature.

    train, other: (sample, token, feature); mask: (sample, token) of train. The standard deviation
    divides by the number of tokens (not one less); a feature that does not vary is only shifted.
    """
    real = train[mask]
    std = real.std(0, correction=0)
    return (other - real.mean(0)) / torch.where(std > 0, std, 1.0)


_OWN = "a test part of 7 and 9 scaled by a training part of 1 and 5 is 2 and 3: do not use its own mean"
_PADDING = "the zeros of the padding went into the mean or the standard deviation: use only the real training tokens"
_CORRECTION = "the standard deviation of 1 and 5 is 2: torch divides by one token less unless `correction=0` is given"
_CONSTANT = "a feature that is always 5 in training has a standard deviation of 0: shift it, and divide by 1"


@scaled.case("a test part unlike the training part")
def _training_decides(answer: Scaled) -> None:
    train, mask = torch.tensor([[[1.0, 10.0], [5.0, 50.0]]] * 50), torch.ones(50, 2, dtype=torch.bool)
    other, expected = torch.tensor([[[7.0, 70.0], [9.0, 90.0]]]), torch.tensor([[[2.0, 2.0], [3.0, 3.0]]])
    expect_close(answer(train, mask, other), expected, _OWN, 0.02)


@scaled.case("padded training samples")
def _padding_stays_out(answer: Scaled) -> None:
    train = torch.tensor([[[1.0], [5.0], [0.0]]] * 50)
    mask = torch.tensor([[True, True, False]] * 50)
    expect_close(answer(train, mask, torch.tensor([[[7.0]]])), torch.tensor([[[2.0]]]), _PADDING, 0.02)


@scaled.case("the standard deviation of two tokens")
def _divided_by_all(answer: Scaled) -> None:
    train, mask = torch.tensor([[[1.0], [5.0]]]), torch.ones(1, 2, dtype=torch.bool)
    expect_close(answer(train, mask, torch.tensor([[[7.0]]])), torch.tensor([[[2.0]]]), _CORRECTION)


@scaled.case("a feature that does not vary")
def _constant_features(answer: Scaled) -> None:
    train, mask = torch.tensor([[[5.0], [5.0]]]), torch.ones(1, 2, dtype=torch.bool)
    result = answer(train, mask, torch.tensor([[[5.0], [7.0]]]))
    expect(bool(result.isfinite().all()) and result.flatten().tolist() == [0.0, 2.0], _CONSTANT)


def _by_itself(train: Tensor, mask: Tensor, other: Tensor) -> Tensor:
    std = other.std((0, 1), correction=0)
    return (other - other.mean((0, 1))) / torch.where(std > 0, std, 1.0)


def _padding_too(train: Tensor, mask: Tensor, other: Tensor) -> Tensor:
    std = train.std((0, 1), correction=0)
    return (other - train.mean((0, 1))) / torch.where(std > 0, std, 1.0)


def _one_less(train: Tensor, mask: Tensor, other: Tensor) -> Tensor:
    std = train[mask].std(0)
    return (other - train[mask].mean(0)) / torch.where(std > 0, std, 1.0)


scaled.mistakes = [
    (_by_itself, _OWN),
    (_padding_too, _PADDING),
    (_one_less, _CORRECTION),
    (lambda train, mask, other: (other - train[mask].mean(0)) / train[mask].std(0, correction=0), _CONSTANT),
]
