"""Exercises of lesson 9: looking inside. What lies behind three things the explorer shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from exercises import Exercise, expect, expect_close

Eyes = Callable[[Tensor, Tensor], Tensor]
Effect = Callable[[Tensor, Tensor, Tensor], Tensor]
Heard = Callable[[Tensor, Tensor, Tensor], Tensor]


@partial(Exercise, "see all epochs through the same eyes", difficulty=3, importance=3, minutes=12)
def same_eyes(last: Tensor, earlier: Tensor) -> Tensor:
    """Where the rows of an earlier epoch lie in the plane of the last one; the result is (sample, 2).

    Both inputs are (sample, rank). The plane goes through the mean of `last`, along the two directions in which
    `last` varies most. Distances within the plane are kept as they are.
    """
    centre = last.mean(dim=0)
    directions = torch.linalg.svd(last - centre, full_matrices=False).Vh[:2]
    return (earlier - centre) @ directions.T


_SCALED = "distances changed: do not divide by the singular values, which makes all directions look alike"
_EYES = "these rows differ only where `last` does not vary, so they are one point here: fit the directions on `last`"
_CENTRE = "an epoch that lies elsewhere must be drawn elsewhere: subtract the mean of `last`, not its own"


def _three_sizes() -> Float[Tensor, "sample rank"]:
    """Rows around a point off the origin: far apart along axis 2, less along axis 0, hardly along 1 and 3."""
    size = torch.tensor([2.0, 0.1, 5.0, 0.1])
    return torch.cat([torch.diag(size), -torch.diag(size)]) + torch.tensor([1.0, -2.0, 0.5, 3.0])


@same_eyes.case("the last epoch itself")
def _distances_stay(answer: Eyes) -> None:
    last = _three_sizes()
    result = answer(last, last)
    expect(result.shape == (8, 2), f"your result has shape {tuple(result.shape)}; it should be (8, 2)")
    apart = torch.cdist(last[:, [2, 0]], last[:, [2, 0]])
    expect_close(torch.cdist(result, result), apart, _SCALED, 1e-4)
    turn = torch.eye(4)
    turn[[0, 0, 2, 2], [0, 2, 0, 2]] = torch.tensor([0.8, 0.6, -0.6, 0.8])
    turned = answer(last @ turn, last @ turn)
    expect_close(torch.cdist(turned, turned), apart, "directions that lie between the axes are not kept", 1e-4)


@same_eyes.case("an epoch that varies elsewhere")
def _directions_are_the_lasts(answer: Eyes) -> None:
    last = _three_sizes()
    along = torch.zeros(6, 4)
    along[:, 1] = torch.tensor([-8.0, -4.0, -1.0, 1.0, 4.0, 8.0])
    expect_close(answer(last, last.mean(dim=0) + along), torch.zeros(6, 2), _EYES, 1e-4)


@same_eyes.case("an epoch that lies elsewhere")
def _centre_is_the_lasts(answer: Eyes) -> None:
    last = _three_sizes()
    result = answer(last, last + torch.tensor([0.0, 0.0, 3.0, 0.0]))
    expect_close(result.mean(dim=0).norm(), 3.0, _CENTRE, 1e-4)


def _plane_of(rows: Float[Tensor, "sample rank"]) -> Float[Tensor, "2 rank"]:
    return torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False).Vh[:2]


def _whitened(last: Tensor, earlier: Tensor) -> Tensor:
    _, sizes, directions = torch.linalg.svd(last - last.mean(dim=0), full_matrices=False)
    return (earlier - last.mean(dim=0)) @ directions[:2].T / sizes[:2]


same_eyes.mistakes = [
    (_whitened, _SCALED),
    (lambda last, earlier: (earlier - last.mean(dim=0)) @ _plane_of(earlier).T, _EYES),
    (lambda last, earlier: (earlier - earlier.mean(dim=0)) @ _plane_of(last).T, _CENTRE),
]


@partial(Exercise, "what a muted token was worth", difficulty=2, importance=4, minutes=8)
def muting_effect(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    """How much muting changed the log-probability of the true class; below 0 where what was muted had helped.

    before, after: logits, (sample, class); label: (sample,), the true class. The result is (sample,).
    """
    change = after.log_softmax(dim=1) - before.log_softmax(dim=1)
    return change.gather(1, label[:, None])[:, 0]


_CLASS = "class 1 was as likely before as after, so its change is 0: look at the true class, not at the likeliest"
_SIGN = "the true class got less likely, so the change is below 0: after minus before"
_LOGITS = "a constant on all logits changes no probability: normalise before you subtract (log_softmax)"
_LOG = "from 0.5 to 0.25 the log-probability falls by log 2 = 0.693: take logarithms, not probabilities"


@muting_effect.case("a true class that nothing happened to")
def _true_class(answer: Effect) -> None:
    result = answer(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([1]))
    expect_close(result, torch.zeros(1), _CLASS)


@muting_effect.case("a token that had helped")
def _sign(answer: Effect) -> None:
    result = answer(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    expect(bool((result < 0).all()), _SIGN)


@muting_effect.case("a constant on all logits")
def _constants(answer: Effect) -> None:
    result = answer(torch.tensor([[1.0, 0.0]]), torch.tensor([[6.0, 5.0]]), torch.tensor([0]))
    expect_close(result, torch.zeros(1), _LOGITS)


@muting_effect.case("from 0.5 to 0.25")
def _logarithm(answer: Effect) -> None:
    after = torch.tensor([[0.25, 0.75]]).log()
    result = answer(torch.zeros(1, 2), after, torch.tensor([0]))
    expect_close(result, -torch.tensor([2.0]).log(), _LOG)


muting_effect.mistakes = [
    (lambda before, after, label: muting_effect.solution(before, after, before.argmax(dim=1)), _CLASS),
    (lambda before, after, label: muting_effect.solution(after, before, label), _SIGN),
    (lambda before, after, label: (after - before).gather(1, label[:, None])[:, 0], _LOGITS),
    (lambda before, after, label: (after.softmax(dim=1) - before.softmax(dim=1)).gather(1, label[:, None])[:, 0], _LOG),
]


@partial(Exercise, "is it evidence that is listened to?", difficulty=3, importance=4, minutes=10)
def heard_evidence(attention: Tensor, allocation: Tensor, evidence: Tensor) -> Tensor:
    """Of all that a modality's tokens hear in one sample, the part that comes from known evidence, from 0 to 1.

    attention: (head, token, other), each row sums to 1; allocation: (token,), what each listener gets;
    evidence: (other,), bool. Heads count alike. Where nobody gets anything the result is 0.
    """
    received = allocation @ attention.mean(dim=0)
    return received[evidence].sum() / received.sum().clamp(min=1e-12)


_HEADS = "two heads listen to different tokens, and each counts one half: take the mean over all heads"
_ALL = "the second token gets nothing, so what it listens to never arrives: weight each row by its allocation"
_COUNT = "a listener with 0.9 hears nine times as much as one with 0.1: the allocation is a weight, not a yes or no"
_NOBODY = "where no token is funded nothing is heard; 0 / 0 is nan, so the divisor needs a floor"
_KNOWN = torch.tensor([True, False])


@heard_evidence.case("two heads")
def _all_heads(answer: Heard) -> None:
    attention = torch.tensor([[[0.8, 0.2]], [[0.4, 0.6]]])
    expect_close(answer(attention, torch.ones(1), _KNOWN), 0.6, _HEADS)


@heard_evidence.case("a listener without a share")
def _unfunded_listeners(answer: Heard) -> None:
    attention = torch.eye(2)[None]
    expect_close(answer(attention, torch.tensor([0.7, 0.0]), _KNOWN), 1.0, _ALL)


@heard_evidence.case("shares of 0.9 and 0.1")
def _shares_weigh(answer: Heard) -> None:
    attention, known = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]]), torch.tensor([True, True, False])
    expect_close(answer(attention, torch.tensor([0.9, 0.1]), known), 0.9, _COUNT)


@heard_evidence.case("no listener at all")
def _nobody_listens(answer: Heard) -> None:
    result = answer(torch.full((1, 3, 2), 0.5), torch.zeros(3), _KNOWN)
    expect(bool((torch.as_tensor(result) == 0).all()), _NOBODY)


def _unguarded(attention: Tensor, allocation: Tensor, evidence: Tensor) -> Tensor:
    received = allocation @ attention.mean(dim=0)
    return received[evidence].sum() / received.sum()


heard_evidence.mistakes = [
    (lambda attention, allocation, evidence: heard_evidence.solution(attention[:1], allocation, evidence), _HEADS),
    (
        lambda attention, allocation, evidence: heard_evidence.solution(
            attention, torch.ones_like(allocation), evidence
        ),
        _ALL,
    ),
    (
        lambda attention, allocation, evidence: heard_evidence.solution(attention, (allocation > 0).float(), evidence),
        _COUNT,
    ),
    (_unguarded, _NOBODY),
]
