"""Exercises of lesson 9: looking inside. What lies behind three things the explorer shows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from exercises import Exercise, expect, expect_close

Eyes = Callable[[Tensor, Tensor], Tensor]
Effect = Callable[[Tensor, Tensor, Tensor], Tensor]
Heard = Callable[[Tensor, Tensor, Tensor], Tensor]


# --- same_eyes --------------------------------------------------------------------------------------------------


def same_eyes_stub(last: Tensor, earlier: Tensor) -> Tensor:
    """Where the rows of an earlier epoch lie in the plane of the last one; the result is (sample, 2).

    Both inputs are (sample, rank). The plane goes through the mean of `last`, along the two directions in which
    `last` varies most. Distances within the plane are kept as they are.
    """
    raise NotImplementedError


def same_eyes_solution(last: Tensor, earlier: Tensor) -> Tensor:
    """Where the rows of an earlier epoch lie in the plane of the last one; the result is (sample, 2).

    Both inputs are (sample, rank). The plane goes through the mean of `last`, along the two directions in which
    `last` varies most. Distances within the plane are kept as they are.
    """
    centre = last.mean(dim=0)
    directions = torch.linalg.svd(last - centre, full_matrices=False).Vh[:2]
    return (earlier - centre) @ directions.T


_SCALED = "distances changed: do not divide by the singular values, a picture in which all directions look alike lies"
_EYES = "these rows differ only where `last` does not vary, so they are one point here: fit the directions on `last`"
_CENTRE = "an epoch that lies elsewhere must be drawn elsewhere: subtract the mean of `last`, not its own"


def _three_sizes() -> Float[Tensor, "sample rank"]:
    """Rows around a point off the origin: far apart along axis 2, less along axis 0, hardly along 1 and 3."""
    size = torch.tensor([2.0, 0.1, 5.0, 0.1])
    return torch.cat([torch.diag(size), -torch.diag(size)]) + torch.tensor([1.0, -2.0, 0.5, 3.0])


def _distances_stay(same_eyes: Eyes) -> None:
    """the last epoch itself"""
    last = _three_sizes()
    got = same_eyes(last, last)
    expect(got.shape == (8, 2), f"your result has shape {tuple(got.shape)}; it should be (8, 2)")
    expect_close(torch.cdist(got, got), torch.cdist(last[:, [2, 0]], last[:, [2, 0]]), _SCALED, 1e-4)


def _directions_are_the_lasts(same_eyes: Eyes) -> None:
    """an epoch that varies elsewhere"""
    last = _three_sizes()
    along = torch.zeros(6, 4)
    along[:, 1] = torch.tensor([-8.0, -4.0, -1.0, 1.0, 4.0, 8.0])
    expect_close(same_eyes(last, last.mean(dim=0) + along), torch.zeros(6, 2), _EYES, 1e-4)


def _centre_is_the_lasts(same_eyes: Eyes) -> None:
    """an epoch that lies elsewhere"""
    last = _three_sizes()
    got = same_eyes(last, last + torch.tensor([0.0, 0.0, 3.0, 0.0]))
    expect_close(got.mean(dim=0).norm(), 3.0, _CENTRE, 1e-4)


def _plane_of(rows: Float[Tensor, "sample rank"]) -> Float[Tensor, "2 rank"]:
    return torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False).Vh[:2]


def _whitened(last: Tensor, earlier: Tensor) -> Tensor:
    _, sizes, directions = torch.linalg.svd(last - last.mean(dim=0), full_matrices=False)
    return (earlier - last.mean(dim=0)) @ directions[:2].T / sizes[:2]


def _own_eyes(last: Tensor, earlier: Tensor) -> Tensor:
    return (earlier - last.mean(dim=0)) @ _plane_of(earlier).T


def _own_centre(last: Tensor, earlier: Tensor) -> Tensor:
    return (earlier - earlier.mean(dim=0)) @ _plane_of(last).T


same_eyes = Exercise(
    title="see all epochs through the same eyes",
    difficulty=3,
    importance=3,
    minutes=12,
    stub=same_eyes_stub,
    solution=same_eyes_solution,
    checks=[_distances_stay, _directions_are_the_lasts, _centre_is_the_lasts],
    mistakes=[(_whitened, _SCALED), (_own_eyes, _EYES), (_own_centre, _CENTRE)],
)


# --- muting_effect ----------------------------------------------------------------------------------------------


def muting_effect_stub(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    """How much muting changed the log-probability of the true class; below 0 where what was muted had helped.

    before, after: logits, (sample, class); label: (sample,), the true class. The result is (sample,).
    """
    raise NotImplementedError


def muting_effect_solution(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    """How much muting changed the log-probability of the true class; below 0 where what was muted had helped.

    before, after: logits, (sample, class); label: (sample,), the true class. The result is (sample,).
    """
    change = after.log_softmax(dim=1) - before.log_softmax(dim=1)
    return change.gather(1, label[:, None])[:, 0]


_CLASS = "class 1 was as likely before as after, so its change is 0: look at the true class, not at the likeliest"
_SIGN = "the true class got less likely, so the change is below 0: after minus before"
_LOGITS = "a constant on all logits changes no probability: normalise before you subtract (log_softmax)"
_LOG = "from 0.5 to 0.25 the log-probability falls by log 2 = 0.693: take logarithms, not probabilities"


def _true_class(muting_effect: Effect) -> None:
    """a true class that nothing happened to"""
    got = muting_effect(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([1]))
    expect_close(got, torch.zeros(1), _CLASS)


def _sign(muting_effect: Effect) -> None:
    """a token that had helped"""
    got = muting_effect(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    expect(bool((got < 0).all()), _SIGN)


def _constants(muting_effect: Effect) -> None:
    """a constant on all logits"""
    got = muting_effect(torch.tensor([[1.0, 0.0]]), torch.tensor([[6.0, 5.0]]), torch.tensor([0]))
    expect_close(got, torch.zeros(1), _LOGITS)


def _logarithm(muting_effect: Effect) -> None:
    """from 0.5 to 0.25"""
    after = torch.tensor([[0.25, 0.75]]).log()
    got = muting_effect(torch.zeros(1, 2), after, torch.tensor([0]))
    expect_close(got, -torch.tensor([2.0]).log(), _LOG)


def _likeliest(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    return muting_effect_solution(before, after, before.argmax(dim=1))


def _backwards(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    return muting_effect_solution(after, before, label)


def _raw(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    return (after - before).gather(1, label[:, None])[:, 0]


def _plain(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    return (after.softmax(dim=1) - before.softmax(dim=1)).gather(1, label[:, None])[:, 0]


muting_effect = Exercise(
    title="what a muted token was worth",
    difficulty=2,
    importance=4,
    minutes=8,
    stub=muting_effect_stub,
    solution=muting_effect_solution,
    checks=[_true_class, _sign, _constants, _logarithm],
    mistakes=[(_likeliest, _CLASS), (_backwards, _SIGN), (_raw, _LOGITS), (_plain, _LOG)],
)


# --- heard_evidence ---------------------------------------------------------------------------------------------


def heard_evidence_stub(attention: Tensor, allocation: Tensor, known: Tensor) -> Tensor:
    """Of all that a modality's tokens hear in one sample, the part that comes from known evidence, from 0 to 1.

    attention: (head, token, other), each row sums to 1; allocation: (token,), what each listener gets;
    known: (other,), bool. Heads count alike. Where nobody gets anything the result is 0.
    """
    raise NotImplementedError


def heard_evidence_solution(attention: Tensor, allocation: Tensor, known: Tensor) -> Tensor:
    """Of all that a modality's tokens hear in one sample, the part that comes from known evidence, from 0 to 1.

    attention: (head, token, other), each row sums to 1; allocation: (token,), what each listener gets;
    known: (other,), bool. Heads count alike. Where nobody gets anything the result is 0.
    """
    heard = allocation @ attention.mean(dim=0)
    return heard[known].sum() / heard.sum().clamp(min=1e-12)


_HEADS = "two heads listen to different tokens, and each counts one half: take the mean over all heads"
_ALL = "the second token gets nothing, so what it listens to never arrives: weigh each row by its allocation"
_COUNT = "a listener with 0.9 hears nine times as much as one with 0.1: the allocation is a weight, not a yes or no"
_NOBODY = "where no token is funded nothing is heard; 0 / 0 is nan, so the divisor needs a floor"
_KNOWN = torch.tensor([True, False])


def _all_heads(heard_evidence: Heard) -> None:
    """two heads"""
    attention = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    expect_close(heard_evidence(attention, torch.ones(1), _KNOWN), 0.5, _HEADS)


def _unfunded_listeners(heard_evidence: Heard) -> None:
    """a listener without a share"""
    attention = torch.eye(2)[None]
    expect_close(heard_evidence(attention, torch.tensor([0.7, 0.0]), _KNOWN), 1.0, _ALL)


def _shares_weigh(heard_evidence: Heard) -> None:
    """shares of 0.9 and 0.1"""
    attention = torch.eye(2)[None]
    expect_close(heard_evidence(attention, torch.tensor([0.9, 0.1]), _KNOWN), 0.9, _COUNT)


def _nobody_listens(heard_evidence: Heard) -> None:
    """no listener at all"""
    got = heard_evidence(torch.full((1, 3, 2), 0.5), torch.zeros(3), _KNOWN)
    expect(bool((torch.as_tensor(got) == 0).all()), _NOBODY)


def _first_head(attention: Tensor, allocation: Tensor, known: Tensor) -> Tensor:
    return heard_evidence_solution(attention[:1], allocation, known)


def _everyone(attention: Tensor, allocation: Tensor, known: Tensor) -> Tensor:
    return heard_evidence_solution(attention, torch.ones_like(allocation), known)


def _yes_or_no(attention: Tensor, allocation: Tensor, known: Tensor) -> Tensor:
    return heard_evidence_solution(attention, (allocation > 0).float(), known)


def _unguarded(attention: Tensor, allocation: Tensor, known: Tensor) -> Tensor:
    heard = allocation @ attention.mean(dim=0)
    return heard[known].sum() / heard.sum()


heard_evidence = Exercise(
    title="is it evidence that is listened to?",
    difficulty=3,
    importance=4,
    minutes=10,
    stub=heard_evidence_stub,
    solution=heard_evidence_solution,
    checks=[_all_heads, _unfunded_listeners, _shares_weigh, _nobody_listens],
    mistakes=[(_first_head, _HEADS), (_everyone, _ALL), (_yes_or_no, _COUNT), (_unguarded, _NOBODY)],
)
