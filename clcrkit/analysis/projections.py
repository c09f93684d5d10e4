"""Projections of a space to two dimensions for pictures, fitted once and then applied to similar rows.

A projection is fitted on one set of rows and transforms others, so that points of several modalities or
training epochs can be compared in one plane. Fits and transforms are cached by a hash of their inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from tqdm.auto import tqdm

from clcrkit.arguments import public
from clcrkit.errors import ConfigError, DataError, require

METHODS = ("pca", "umap")
_UMAP_ROWS = 3000  # UMAP is fitted on at most this many rows, evenly taken, and transforms the rest
_CACHE_SIZE = 256
_cache: dict[str, Any] = {}  # oldest use first


@dataclass(frozen=True)
class Projection:
    """A fitted map to the plane. `key` is the hash of the rows, the method and the seed it was fitted with."""

    method: str
    key: str
    _apply: Callable[[Any], Any]

    def __repr__(self) -> str:
        return f"Projection({self.method}, {self.key[:8]})"

    def transform(self, values: Float[ndarray, "row feature"]) -> Float[ndarray, "row 2"]:
        """The positions of these rows in the plane, float32; cached by a hash of the rows."""
        values = _checked(values)
        return _cached(f"{self.key}:{_digest(values)}", lambda: self._apply(values))


@public
def fit(values: Float[ndarray, "row feature"], method: str = "pca", seed: int = 0) -> Projection:
    """Fit a projection to two dimensions. The same input and arguments give the cached one.

    PCA: the two directions of largest variance, each with its largest component positive, so that the picture
    is the same on every run. UMAP: 15 neighbours, seeded; the first fit in a process compiles for some 20 s.
    Raises ConfigError for another method, DataError for rows that are not finite or too few (UMAP: 5).
    """
    if method not in METHODS:
        raise ConfigError(f"method: {method!r}, but one of {', '.join(METHODS)} is needed")
    values = _checked(values)
    key = f"{method}:{seed}:{_digest(values)}"
    return _cached(key, lambda: Projection(method, key, (_pca if method == "pca" else _umap)(values, seed)))


@public
def align(
    points: Float[ndarray, "row 2"], reference: Float[ndarray, "row 2"]
) -> tuple[Float[ndarray, "row 2"], Float[ndarray, "2 2"]]:
    """Rotate (or mirror) a picture about the origin so that its rows are nearest to the same rows of another.

    Distances within the picture do not change. Also returns the 2 x 2 matrix, to rotate more rows in the same way.
    """
    left, _, right = np.linalg.svd(points.T.astype(np.float64) @ reference.astype(np.float64))
    turn = (left @ right).astype(np.float32)
    return points @ turn, turn


def _pca(values: Any, seed: int) -> Callable[[Any], Any]:
    # not scikit-learn: its import takes seconds, which every first look at a trace would wait for
    centre = values.mean(0)
    _, _, directions = np.linalg.svd(np.cov((values - centre).T, ddof=0).reshape((values.shape[1],) * 2))
    axes = np.zeros((values.shape[1], 2))
    axes[:, : len(directions)] = directions[:2].T
    biggest = np.abs(axes).argmax(0)
    axes *= np.where(axes[biggest, [0, 1]] < 0, -1, 1)
    return lambda rows: ((rows - centre) @ axes).astype(np.float32)


def _umap(values: Any, seed: int) -> Callable[[Any], Any]:
    if len(values) < 5:
        raise DataError(f"UMAP: {len(values)} rows, but at least 5 are needed")
    require("umap", "analysis")
    import umap

    rows = np.linspace(0, len(values) - 1, min(len(values), _UMAP_ROWS)).astype(int)
    layout = {"desc": "UMAP layout", "disable": False, "delay": 2, "leave": False}
    mapper = umap.UMAP(n_neighbors=min(15, len(rows) - 1), random_state=seed, n_jobs=1, tqdm_kwds=layout)
    with _bar(len(rows)):
        mapper.fit(values[rows])
    centre = mapper.embedding_.mean(0)
    seen = {row.tobytes(): point for row, point in zip(values[rows], mapper.embedding_, strict=True)}

    def apply(values: Any) -> Any:
        # rows of the fit keep their place; only new rows are placed among them
        new = np.array([row.tobytes() not in seen for row in values])
        points = np.array([seen.get(row.tobytes(), (0, 0)) for row in values], dtype=np.float32)
        if new.any():
            with _bar(int(new.sum())):
                points[new] = mapper.transform(values[new])
        return (points - centre).astype(np.float32)

    return apply


def _bar(points: int) -> Any:
    """Shown at once: UMAP may compile, and looks for neighbours, long before it can count anything."""
    return tqdm(total=1, desc=f"UMAP of {points:,} points", leave=False)


def _checked(values: Any) -> Any:
    values = np.ascontiguousarray(values, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"values: shape {values.shape}, but (row, feature) with no empty axis is needed")
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(1).argmax())
        raise DataError(f"values: NaN or inf (first: row {row}); only finite numbers are allowed")
    return values


def _digest(values: Any) -> str:
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()


def _cached(key: str, make: Callable[[], Any]) -> Any:
    _cache[key] = _cache.pop(key) if key in _cache else make()
    if len(_cache) > _CACHE_SIZE:
        del _cache[next(iter(_cache))]
    return _cache[key]
