"""Masks of padded arrays: from lengths where a file tells them, from the zeros of the padding where it does not."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, Num
from numpy import ndarray

from clcrkit.errors import DataError


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
