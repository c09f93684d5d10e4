"""Two traces of the same samples, a and b: what they can be compared in, and who is right where they differ. [ours]"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import pad

from clcrkit.errors import DataError
from clcrkit.trace import Trace

VERDICT = "a or b"  # the name of the column that says who is right
GATES = ("level_gate", "modality_gate", "private_gate")
_CURE = "trace both models on one batch"


class Verdict(NamedTuple):
    """What became of each sample's prediction.

    of: positions in `names`. shift: how far the answers lie apart: half the L1 distance of the class probabilities,
    the mean distance of the labels' probabilities, or the distance of the values.
    """

    names: tuple[str, ...]
    of: Int[ndarray, "sample"]
    changed: Bool[ndarray, "sample"]
    shift: Float[ndarray, "sample"]


def aligned(trace: Trace, other: Trace) -> Trace:
    """The other trace with its samples in the order of `trace`, by id.

    Raises DataError where the two are not of the same samples, labels and task.
    """
    ids, others = trace.batch.ids.cpu().numpy(), other.batch.ids.cpu().numpy()
    lost = np.setdiff1d(np.union1d(ids, others), np.intersect1d(ids, others))
    if len(lost):
        raise DataError(f"compare: {len(lost)} samples are in one trace only (first: id {lost[0]}); {_CURE}")
    if not np.array_equal(ids, others):
        if len(np.unique(others)) < len(others):
            raise DataError(f"compare: ids that occur twice cannot be brought into the order of `trace`; {_CURE}")
        other = other.select(np.argsort(others)[np.searchsorted(np.sort(others), ids)].tolist())
    if (trace.task, trace.prediction.shape[1]) != (other.task, other.prediction.shape[1]):
        kinds = [f"{t.task} with {t.prediction.shape[1]} outputs" for t in (trace, other)]
        raise DataError(f"compare: a is a {kinds[0]} and b a {kinds[1]}; two models of one task are needed")
    labels, others_labels = trace.batch.labels, other.batch.labels
    if labels is None and others_labels is None:
        return other
    if labels is None or others_labels is None:
        raise DataError(f"compare: only {'b' if labels is None else 'a'} has labels; {_CURE}")
    # a NaN is a label that is not known
    if labels.shape != others_labels.shape or not torch.allclose(
        labels.double(), others_labels.double(), 0.0, 0.0, equal_nan=True
    ):
        raise DataError(f"compare: other labels than those of `trace` for the same ids; {_CURE}")
    return other


def modalities(trace: Trace, other: Trace) -> list[str]:
    """Those that both have."""
    return [m for m in trace.modalities if m in other.modalities]


def same_levels(trace: Trace, other: Trace) -> bool:
    return trace.level_gate.shape[1] == other.level_gate.shape[1]


def token_wise(trace: Trace, other: Trace) -> list[str]:
    """The modalities whose allocations can be compared token by token: the same real tokens, at the same levels."""
    if not same_levels(trace, other) or "allocation" in trace.absent + other.absent:
        return []
    return [m for m in modalities(trace, other) if _same_tokens(trace.batch.masks[m], other.batch.masks[m])]


def _same_tokens(mask: Bool[Tensor, "sample _"], other: Bool[Tensor, "sample _"]) -> bool:
    length = max(mask.shape[1], other.shape[1])
    return torch.equal(*(pad(x, (0, length - x.shape[1])) for x in (mask, other)))


def gates(trace: Trace, other: Trace) -> dict[str, Float[Tensor, "sample gate"]]:
    """The other trace's gates that can be compared, in the order of `trace`'s modalities."""
    named = [name for name in GATES if name not in trace.absent + other.absent]
    if set(trace.modalities) != set(other.modalities):
        named = [name for name in named if name == "level_gate"]
    order = [other.modalities.index(m) for m in modalities(trace, other)]
    found = {name: getattr(other, name).float() for name in named if name != "level_gate" or same_levels(trace, other)}
    return {name: gate if name == "level_gate" else gate[:, order] for name, gate in found.items()}


def lacks(trace: Trace, other: Trace) -> list[str]:
    """What is not compared, in words."""
    words = []
    for name, has, others in (("a", trace, other), ("b", other, trace)):
        named = [x.replace("_", " ") for x in has.absent if x not in others.absent and x not in ("tokens", "attention")]
        named += [m for m in others.modalities if m not in has.modalities]
        words += [f"{name} names no {', '.join(named)}"] if named else []
    counts = trace.level_gate.shape[1], other.level_gate.shape[1]
    if counts[0] != counts[1]:
        words.append(f"a has {counts[0]} levels and b {counts[1]}, so nothing is compared by level")
    elif "allocation" not in trace.absent + other.absent:
        differ = [m for m in modalities(trace, other) if m not in token_wise(trace, other)]
        words += [f"the tokens of {', '.join(differ)} are others in b"] if differ else []
    return words


def verdict(trace: Trace, other: Trace) -> Verdict:
    """Whether each prediction changed, and which of the two is nearer to the label."""
    answers, probabilities = zip(*(_answers(t) for t in (trace, other)), strict=True)
    apart = np.abs(probabilities[0] - probabilities[1])
    shift = apart.sum(1) / 2 if trace.task == "classification" else apart.mean(1)
    changed = (answers[0] != answers[1]).any(1)
    if trace.batch.labels is None:
        return Verdict(("same answer", "another answer"), changed.astype(int), changed, shift)
    a, b = errors(trace), errors(other)
    if trace.task == "classification":
        names = ("both right", "only a right", "only b right", "both wrong, alike", "both wrong, not alike")
        wrong = np.where(changed, 4, 3)
        return Verdict(names, np.select([(a + b) == 0, b > a, a > b], [0, 1, 2], wrong), changed, shift)
    nearer = ("same answer", "a nearer", "b nearer", "as near")
    return Verdict(nearer, np.select([~changed, b > a, a > b], [0, 1, 2], 3), changed, shift)


def errors(trace: Trace) -> Float[ndarray, "sample"]:
    """How wrong each prediction is: 0 or 1, the number of wrong labels, or the distance from the value."""
    if trace.batch.labels is None:
        raise DataError("labels: none in this trace")
    labels, (answers, _) = trace.batch.labels.numpy(), _answers(trace)
    if trace.task == "regression":
        return np.abs(answers[:, 0] - labels.reshape(len(labels)))
    if trace.task == "multilabel":
        return (answers != (labels > 0)).sum(1).astype(float)
    return (answers[:, 0] != labels).astype(float)


def _answers(trace: Trace) -> tuple[ndarray, ndarray]:
    """(sample, answer) what is said, and (sample, output) with what probability; values are both."""
    outputs = trace.prediction.double()
    if trace.task == "regression":
        return outputs.numpy(), outputs.numpy()
    if trace.task == "multilabel":
        return (outputs > 0).numpy(), outputs.sigmoid().numpy()
    return outputs.argmax(1, keepdim=True).numpy(), outputs.softmax(1).numpy()


def sentence(trace: Trace, other: Trace) -> str:
    """How many predictions changed, and who is right where they did."""
    found, count = verdict(trace, other), len(trace)
    said = f"{int(found.changed.sum())} of {count} predictions changed"
    if trace.batch.labels is not None:
        ahead = {name: int((found.of == at).sum()) for at, name in enumerate(found.names)}
        a, b = (f"{name} {errors(t).mean():.3f}" for name, t in (("a", trace), ("b", other)))
        if trace.task == "classification":
            b_wins, a_wins, neither = (ahead[x] for x in ("only b right", "only a right", "both wrong, not alike"))
            said += f": only b is right in {b_wins}, only a in {a_wins}, neither in {neither}. Error rate: {a}, {b}"
        else:
            b_wins, a_wins = ahead["b nearer"], ahead["a nearer"]
            error = "Mean error" if trace.task == "regression" else "Wrong labels for each sample"
            said += f"; b is nearer to the label in {b_wins}, a in {a_wins}. {error}: {a}, {b}"
        said += _sign_test(b_wins, a_wins)
    said += "."
    if trace.gamma != other.gamma:
        said += f" b was traced at γ = {other.gamma:.2f}, a at {trace.gamma:.2f}."
    return said


def _sign_test(*wins: int) -> str:
    """McNemar's exact test where the wins are right answers; nothing where nobody wins."""
    from scipy.stats import binomtest

    if not sum(wins):
        return ""
    p = float(binomtest(wins[0], sum(wins)).pvalue)
    return f" (exact sign test, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})"


def turn(
    values: Float[ndarray, "sample rank"], other: Float[ndarray, "sample other_rank"], rows: Sequence[bool]
) -> tuple[Float[ndarray, "sample rank"], list[float]]:
    """The other coordinates moved, turned or mirrored, and scaled as a whole to lie nearest to these (Procrustes).

    Two models learn their own axes: no coordinate of one means anything in the other, so that one projection fitted
    on both would show how the axes differ, not how the samples lie. A turn keeps all distances within b but for one
    scale, which gives b the spread of a. It is found on `rows`, those where both are there. Also returns what of the
    spread no turn brings together, from 0 (the same shape) to 1 (nothing in common), as scipy.spatial.procrustes
    defines it, and the same with the samples of b shuffled, which is what the turn alone would find.
    """
    from scipy.linalg import orthogonal_procrustes

    width = max(values.shape[1], other.shape[1])
    a, b = (np.pad(x.astype(np.float64), ((0, 0), (0, width - x.shape[1]))) for x in (values, other))
    at = np.asarray(rows)
    if not at.any():
        return np.zeros_like(values), [1.0, 1.0]
    centres = a[at].mean(0), b[at].mean(0)
    a, b = a - centres[0], b - centres[1]
    spread = float(np.linalg.norm(a[at])), float(np.linalg.norm(b[at]))
    if min(spread) == 0:
        return np.broadcast_to(centres[0], a.shape)[:, : values.shape[1]].astype(np.float32), [1.0, 1.0]
    shuffled = np.random.default_rng(0).permutation(b[at])
    (matrix, close), (_, chance) = (orthogonal_procrustes(x, a[at]) for x in (b[at], shuffled))
    placed = b @ matrix * (spread[0] / spread[1]) + centres[0]
    distances = [max(0.0, 1 - (float(c) / (spread[0] * spread[1])) ** 2) for c in (close, chance)]
    return placed[:, : values.shape[1]].astype(np.float32), distances
