"""What the loaders of public sets have in common: where the file is, reading its arrays, standardising them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray

from clcrkit.datasets.array_files import read_array
from clcrkit.errors import DataError

VARIABLE = "CLCRKIT_DATA"
KINDS = {"f": "floats", "i": "integers"}
FARTHEST = 10.0  # standard deviations


def find(name: str, folder: str | os.PathLike[str] | None, otherwise: str) -> Path:
    """The file of this name in `folder`, or, where none is given, in the folder that CLCRKIT_DATA names.

    Raises DataError where it is not there; `otherwise` is the sentence that says how to get it.
    """
    place = folder if folder is not None else os.environ.get(VARIABLE)
    if place is None:
        raise DataError(f"{name}: no folder given and {VARIABLE} is not set; {otherwise}")
    path = Path(place) / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; {otherwise}")
    return path


def read_arrays(path: Path, wanted: Mapping[str, tuple[str, int]]) -> dict[str, Num[ndarray, "..."]]:
    """Arrays of an npz file by name, each checked against its kind ('f' floats, 'i' integers) and number of axes.

    Raises DataError for a damaged file, and for an array that is missing, does not fit, or holds NaN or inf.
    """
    arrays = {name: read_array(path, name) for name in wanted}
    for name, (kind, axes) in wanted.items():
        array = arrays[name]
        if array.dtype.kind != kind or array.ndim != axes:
            raise DataError(
                f"{path}: {name} is {array.dtype} of {array.ndim} axes, but {KINDS[kind]} of {axes} are needed"
            )
        if not np.isfinite(array).all():
            raise DataError(f"{path}: {name} holds {int((~np.isfinite(array)).sum())} values that are not finite")
    return arrays


def standardised(
    values: Float[ndarray, "*row feature"], training: Bool[ndarray, "*row"]
) -> Float[ndarray, "*row feature"]:
    """Every feature with mean 0 and standard deviation 1 over the rows of the training part, cut at +-10.

    A feature that does not vary there becomes 0 there.
    """
    known = values[training].astype(np.float64)
    spread = known.std(0)
    spread[spread <= 1e-6 * np.abs(known).max(0, initial=1e-6)] = 1.0
    return np.clip((values - known.mean(0)) / spread, -FARTHEST, FARTHEST).astype(np.float32)
