"""Quality: what the features and labels of a Batch hold, and what of it would spoil a training. All [ours]."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.batch import Batch, concatenate

LARGEST_VALUE = 100.0  # of a scaled feature
LARGEST_SPREAD_RATIO = 1_000.0  # widest over narrowest column of a scaled modality
STANDARDISED = 3.0  # standard deviations of all columns between a third and this are those of standardised ones
MOST_LOOKED_AT = 1_000  # samples, before a training
MOST_COLUMNS = 4_096  # of a modality: pictures have more, all alike

_PIECE = 256  # samples copied at a time


def spoilers(train: Batch, scaled: Collection[str] = ()) -> list[str]:
    """What would spoil a training on this batch, one sentence each: unscaled features and outliers (but in modalities
    that the model has `scaled`), zeros for a missing modality, labels of one class. It looks at 1,000 samples at most;
    `datasets.check` finds more."""
    looked_at = few_columns(train, evenly(np.arange(len(train)), MOST_LOOKED_AT))
    problems = []
    for m in looked_at.modalities:
        row, _ = described(looked_at, m)
        if row.get("features") and m not in scaled:
            problems += scaling_problems(m, row)
        if row["zero_samples"]:
            problems.append(zero_problem(m, row["zero_samples"], len(looked_at)))
    if train.labels is not None and len(train) > 1 and len(train.labels.unique(dim=0)) == 1:
        problems.append(f"labels: all of them are {train.labels[0].tolist()}.")
    return problems


def evenly(positions: ndarray, most: int) -> ndarray:
    """At most this many of the positions, evenly spaced."""
    return positions[np.linspace(0, len(positions) - 1, min(len(positions), most)).round().astype(np.int64)]


def few_columns(part: Any, rows: ndarray) -> Batch:
    """These samples of a Batch or of Shards, on the CPU, with at most MOST_COLUMNS of each modality, evenly spaced."""
    sizes = wide(part)
    if not sizes:
        return part.select(rows).to("cpu")
    pieces = []
    for some in np.array_split(rows, -(-len(rows) // _PIECE)):  # so that there is no second copy of all
        batch = part.select(some)
        few = {m: batch.tokens[m][:, :, evenly(np.arange(size), MOST_COLUMNS)] for m, size in sizes.items()}
        pieces.append(replace(batch, tokens={**batch.tokens, **few}).to("cpu"))
    return concatenate(pieces)


def wide(part: Any) -> dict[str, int]:
    """The number of columns of each modality that has more than MOST_COLUMNS."""
    tokens = part.select(slice(0, 1)).tokens
    return {m: x.shape[2] for m, x in tokens.items() if x.ndim == 3 and x.shape[2] > MOST_COLUMNS}


def described(batch: Batch, modality: str) -> tuple[dict[str, Any], Float[ndarray, "feature"]]:
    """A row of `datasets.Report.table`, and the standard deviation of each column that varies."""
    tokens, mask = batch.tokens[modality].numpy(), batch.masks[modality].numpy()
    lengths = mask.sum(1)
    some = lengths[lengths > 0] if lengths.any() else lengths
    row: dict[str, Any] = {
        "samples": len(mask),
        "missing": int((lengths == 0).sum()),
        "shortest": int(some.min()),
        "median": float(np.median(some)),
        "longest": int(some.max()),
        "zero_samples": 0 if tokens.ndim == 2 else int(((lengths > 0) & ~(mask & (tokens != 0).any(2)).any(1)).sum()),
    }
    if tokens.ndim == 2 or not mask.any():
        return row, np.empty(0)
    real = tokens[mask].astype(np.float64)
    size = np.abs(real).max(0)
    std = real.std(0)
    constant = std <= 1e-6 * np.maximum(size, 1e-30)
    varying = std[~constant]
    row |= {
        "features": tokens.shape[2],
        "zero_columns": int((size == 0).sum()),
        "constant_columns": int((constant & (size > 0)).sum()),
        "smallest_spread": float(varying.min()) if len(varying) else 0.0,
        "largest_spread": float(varying.max()) if len(varying) else 0.0,
        "largest_value": float(size.max()),
    }
    return row, varying


def scaling_problems(modality: str, row: Mapping[Any, Any]) -> list[str]:
    """What is wrong with the scale of a modality, of which `described` gave the row."""
    narrowest, widest, largest = (row[name] for name in ("smallest_spread", "largest_spread", "largest_value"))
    if largest <= LARGEST_VALUE and widest <= LARGEST_SPREAD_RATIO * narrowest:
        return []
    if 1 / STANDARDISED <= narrowest <= widest <= STANDARDISED:
        return [f"{modality}: outliers; it is standardised, but values go up to {largest:.2g}: clip them."]
    return [
        f"{modality}: unscaled; spreads of its columns run from {narrowest:.2g} to {widest:.2g}, values up to "
        f"{largest:.2g}: standardise on train."
    ]


def zero_problem(modality: str, zero: int, total: int) -> str:
    return (
        f"{modality}: {zero} of {total} samples hold nothing but zeros and are not masked: that is a missing modality."
    )
