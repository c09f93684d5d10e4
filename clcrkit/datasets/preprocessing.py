"""Preprocessing: masks of padded arrays, from their lengths or from their zeros, and standardised features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from numpy import ndarray

from clcrkit.errors import DataError
from clcrkit.ops import FARTHEST


def mask_from_lengths(lengths: Int[ndarray, "sample"], longest: int) -> Bool[ndarray, "sample token"]:
    """True for the first `lengths[i]` of `longest` tokens. Raises DataError for a length that does not fit."""
    wrong = np.flatnonzero((lengths < 0) | (lengths > longest))
    if len(wrong):
        raise DataError(
            f"lengths: {len(wrong)} of {len(lengths)} are not from 0 to {longest} "
            f"(first: sample {wrong[0]}, {lengths[wrong[0]]})"
        )
    return np.arange(longest) < lengths[:, None]


def mask_from_zeros(tokens: Num[ndarray, "sample token feature"]) -> Bool[ndarray, "sample token"]:
    """False for the tokens of nothing but zeros at the padded end: the last ones, or the first ones where more
    samples begin with zeros than end with them.

    Zeros between real tokens stay real. A sample of nothing but zeros has no real token: it lacks the modality. [ours]
    """
    filled = (tokens != 0).any(-1)
    partly = filled[filled.any(1)]
    in_front = (~partly[:, 0]).sum() > (~partly[:, -1]).sum()
    side = filled if in_front else filled[:, ::-1]
    real = np.logical_or.accumulate(side, axis=1)
    return real if in_front else real[:, ::-1]


def standardise(
    values: Float[ndarray, "*row feature"], training: Bool[ndarray, "*row"]
) -> Float[ndarray, "*row feature"]:
    """Every feature with mean 0 and standard deviation 1 over the rows of the training part, cut at +-10.

    A feature that does not vary there becomes 0 there.
    """
    rows = values[training].astype(np.float64)
    std = rows.std(0)
    std[std <= 1e-6 * np.abs(rows).max(0, initial=1e-6)] = 1.0
    return np.clip((values - rows.mean(0)) / std, -FARTHEST, FARTHEST).astype(np.float32)
