"""Partial information: what two modalities say of the label each on its own, both alike, and only together.

The decomposition of Bertschinger, Rauh, Olbrich, Jost and Ay (2014): with Q any joint distribution that agrees with the
given one on (label, first) and on (label, second), redundant, unique and synergistic information are what is left when
the least possible I_Q(label; first, second) is taken from the mutual informations. [ours] The least is found by
alternating projections: the mean coupling, and for every label the coupling of the right marginals that is nearest to
it (Sinkhorn); both steps lower a jointly convex divergence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.errors import DataError

_STEPS, _TURNS, _LAST_TURNS, _ENOUGH = 3000, 2, 300, 2e-6


class Information(NamedTuple):
    """Bits about the label: in both modalities, in the first only, in the second only, in both together only."""

    redundant: float
    unique_first: float
    unique_second: float
    synergistic: float

    @property
    def total(self) -> float:
        """I(label; first, second), the sum of the four."""
        return sum(self)


@public
def decompose(joint: Float[ndarray, "label first second"]) -> Information:
    """The decomposition of a joint distribution of discrete variables, in bits; to about 1e-3 of a bit.

    joint: probabilities, or counts, which are divided by their sum. Raises DataError for negative or no counts.
    """
    counts = np.asarray(joint, dtype=np.float64)
    if not counts.sum() > 0 or (counts < 0).any() or not np.isfinite(counts).all():
        raise DataError(
            f"joint: counts from {counts.min(initial=0)}, but finite ones of 0 or more, not all 0, are needed"
        )
    p = counts / counts.sum()
    p = p[p.sum((1, 2)) > 0]
    first, second = _mutual(p.sum(2)), _mutual(p.sum(1))
    least = max(_mutual(_least_informative(p).reshape(len(p), -1)), first, second)
    whole = max(_mutual(p.reshape(len(p), -1)), least)
    return Information(first + second - least, least - second, least - first, whole - least)


@public
def modality_information(
    labels: Shaped[ndarray, "sample"],
    first: Shaped[ndarray, "sample"],
    second: Shaped[ndarray, "sample"],
    seed: int = 0,
    repeats: int = 20,
) -> pd.DataFrame:
    """The decomposition estimated from samples, with what it is on shuffled labels.

    first, second: a discrete summary of each modality, such as the class that a model of this modality alone predicts.
    What they leave out is not counted. Estimates from few samples are too large, synergy most: the control is what
    there is when labels are permuted. Columns: information (redundant, unique first, unique second, synergistic),
    bits, shuffled, shuffled_high (mean and 95 % quantile over `repeats` permutations). Raises DataError for other
    lengths.
    """
    if not len(labels) == len(first) == len(second):
        raise DataError(f"samples: {len(labels)} labels, {len(first)} and {len(second)}, but as many are needed")
    random = np.random.default_rng(seed)
    bits = decompose(_counts(labels, first, second))
    control = np.array([decompose(_counts(random.permutation(labels), first, second)) for _ in range(repeats)])
    names = [name.replace("_", " ") for name in Information._fields]
    columns = {"bits": list(bits), "shuffled": control.mean(0), "shuffled_high": np.quantile(control, 0.95, axis=0)}
    return pd.DataFrame({"information": names, **columns})


def _counts(*variables: ndarray) -> Float[ndarray, "label first second"]:
    codes = [np.unique(variable, return_inverse=True)[1] for variable in variables]
    counts = np.zeros([code.max() + 1 for code in codes])
    np.add.at(counts, tuple(codes), 1)
    return counts


def _mutual(p: Float[ndarray, "label value"]) -> float:
    """Mutual information in bits; at least 0."""
    independent = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    there = p > 0
    return max(float((p[there] * np.log2(p[there] / independent[there])).sum()), 0.0)


def _least_informative(p: Float[ndarray, "label first second"]) -> Float[ndarray, "label first second"]:
    """The joint distribution with p's (label, first) and (label, second) that tells least of the label."""
    label = p.sum((1, 2), keepdims=True)
    rows, columns = p.sum(2, keepdims=True) / label, p.sum(1, keepdims=True) / label
    q = label * rows * columns  # independent given the label
    right = np.ones_like(columns)  # Sinkhorn's factors go on from step to step, so that few turns are enough
    before = np.inf
    for step in range(_STEPS):
        mean = q.sum(0)
        q, right = _nearest(mean, rows, columns, right, _TURNS)
        q = label * q
        if step % 50 == 0:
            now = _mutual(q.reshape(len(q), -1))
            if abs(before - now) < _ENOUGH:
                break
            before = now
    return label * _nearest(q.sum(0), rows, columns, right, _LAST_TURNS)[0]


def _nearest(
    mean: ndarray, rows: ndarray, columns: ndarray, right: ndarray, turns: int
) -> tuple[Float[ndarray, "label first second"], ndarray]:
    """Couplings of the marginals `rows` and `columns` that are nearest to `mean`, and the factors of the columns."""
    for _ in range(turns):
        left = _ratio(rows, (mean * right).sum(2, keepdims=True))
        right = _ratio(columns, (mean * left).sum(1, keepdims=True))
    return mean * left * right, right


def _ratio(wanted: ndarray, there: ndarray) -> ndarray:
    return np.divide(wanted, there, out=np.zeros_like(there), where=there > 0)
