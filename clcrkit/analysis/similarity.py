"""Similarity of spaces: CKA of two sets of coordinates, principal angles of two frames."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from clcrkit.arguments import public
from clcrkit.errors import ConfigError, DataError, require
from clcrkit.model import CLCR
from clcrkit.trace import Trace


@public
def linear_cka(x: Float[Any, "sample _"], y: Float[Any, "same _"], debiased: bool = True) -> float:
    """Linear centred kernel alignment (Kornblith et al., 2019): 1 for equal spaces up to turning and scaling.

    The plain one lies in [0, 1], but grows towards 1 where features are many and samples are few, whatever the
    content. The debiased one uses the unbiased estimate of the kernels' covariance (Song et al., 2012): for unrelated
    spaces it is 0 on average, so it can fall a little below 0.
    Raises DataError for other numbers of samples, for fewer than 4, or for a space in which all samples are equal.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(a) != len(b) or len(a) < 4:
        raise DataError(f"samples: {len(a)} and {len(b)}, but the same number, of at least 4, is needed")
    a, b = a - a.mean(0), b - b.mean(0)
    for name, space in (("first", a), ("second", b)):
        if np.allclose(space, 0):
            raise DataError(f"the {name} space: all {len(space)} samples are equal, and CKA is not defined")
    covariance = _unbiased if debiased else np.vdot
    k, m = a @ a.T, b @ b.T
    return float(covariance(k, m) / np.sqrt(covariance(k, k) * covariance(m, m)))


@public
def cka_matrix(spaces: Mapping[str, Float[Tensor, "sample _"]]) -> pd.DataFrame:
    """Debiased CKA of every space with every other, symmetric, with the spaces' names on both axes.

    Spaces: `probes.spaces_of(trace)`, `level_spaces(trace)`, or anything with the same samples."""
    matrix = pd.DataFrame(1.0, index=list(spaces), columns=list(spaces))
    for first, second in combinations(spaces, 2):
        matrix.loc[first, second] = matrix.loc[second, first] = linear_cka(spaces[first], spaces[second])
    return matrix


@public
def level_spaces(trace: Trace, kind: str = "shared") -> dict[str, Float[Tensor, "sample _"]]:
    """Each modality's 'shared' or 'private' (`kind`) summaries at each level, by '<modality> <level>', from 1."""
    if kind not in ("shared", "private"):
        raise DataError(f"kind: {kind!r}, but shared or private is needed")
    summaries = trace.shared_summary if kind == "shared" else trace.private_summary
    return {
        f"{m} {level + 1}": summaries[m][:, level].detach().to("cpu")
        for m in trace.modalities
        for level in range(trace.level_gate.shape[1])
    }


@public
def principal_angles(a: Float[Any, "width _"], b: Float[Any, "width _"]) -> Float[ndarray, "_"]:
    """The angles between what the columns of `a` and of `b` span, in degrees, smallest first: 0 for a common
    direction, 90 for none. As many as the smaller of the two has columns."""
    require("scipy", "analysis")
    from scipy.linalg import subspace_angles

    return np.degrees(subspace_angles(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)))[::-1]


@public
def frame_angles(model: CLCR) -> pd.DataFrame:
    """Principal angles between the model's frames, as a tidy table: level (from 1), first, second, angle, degrees.

    Frames of one level: 'shared' with each private one, and the private ones with each other; `angle` counts the
    angles of one pair from 1, smallest first."""
    if model.intraced.subspaces is None:
        raise ConfigError("model: it was made without frames (split=False)")
    shared, private = model.intraced.subspaces.frames()
    frames = {"shared": shared, **{f"private {m}": private[m] for m in model.modalities}}
    rows = []
    for level in range(model.levels):
        for first, second in combinations(frames, 2):
            angles = principal_angles(*(frames[name][level].detach().cpu() for name in (first, second)))
            rows += [(level + 1, first, second, angle, float(degrees)) for angle, degrees in enumerate(angles, 1)]
    return pd.DataFrame(rows, columns=["level", "first", "second", "angle", "degrees"])


def _unbiased(k: Float[ndarray, "sample sample"], m: Float[ndarray, "sample sample"]) -> float:
    """The unbiased HSIC up to a factor that cancels: kernels without their diagonals."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    pairs, rows = k.sum() * m.sum() / ((n - 1) * (n - 2)), k.sum(0) @ m.sum(0) / (n - 2)
    return float((k * m).sum() + pairs - 2 * rows)
