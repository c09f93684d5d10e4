"""Where samples lie in a space, drawn in two dimensions, and what a linear probe reads from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from clcrkit.analysis import projections
from clcrkit.datasets.split import Split
from clcrkit.trace import Trace
from clcrkit.viz.explorer import comparison
from clcrkit.viz.explorer.samples import columns

SPACES = ("shared", "private", "shared_code", "private_code")
_PROBE_FOLDS = 3
_PROBE_SAMPLES = 400  # probes read at most this many samples, evenly taken: they run while someone waits


class ProbeRow(TypedDict):
    """What a linear probe reads of one target; shuffled: the same probe on shuffled labels."""

    target: str
    accuracy: float
    shuffled: float
    chance: float


def space_key(space: str, level: int, modality: str) -> str:
    """The name of one space: codes have no level and no modality."""
    return space if space.endswith("_code") else f"{space}/{level}/{modality}"


def named_spaces(trace: Trace) -> tuple[str, ...]:
    """Those of SPACES that the model names."""
    return tuple(s for s in SPACES if (s if s.endswith("_code") else f"{s}_summary") not in trace.absent)


def all_spaces(trace: Trace) -> list[tuple[str, int, str]]:
    """Every space of the trace, as space, level and modality."""
    by_level = product(("shared", "private"), range(trace.level_gate.shape[1]), trace.modalities)
    every = [*by_level, ("shared_code", 0, ""), ("private_code", 0, "")]
    return [space for space in every if space[0] in named_spaces(trace)]


def space_values(trace: Trace, space: str, level: int, modality: str) -> Float[ndarray, "sample rank"]:
    """The coordinates of all samples in one space."""
    if space.endswith("_code"):
        values: Tensor = getattr(trace, space)
    else:
        values = getattr(trace, f"{space}_summary")[modality][:, level]
    return values.detach().float().cpu().numpy()


def positions(
    trace: Trace,
    epochs: Sequence[Trace],
    space: str,
    method: str,
    level: int,
    modality: str,
    other: Trace | None = None,
) -> dict[str, Float[ndarray, "epoch sample 2"]]:
    """Where all samples lie in spaces of one kind, by `space_key`; the trace itself is the last epoch. See `planes`.

    Where the other trace, turned as `comparison.turn` says, has them in the same plane, is under "b/" and the key.
    """
    steps, moved = [*epochs, trace], turned(trace, other, space) if other else {}
    found = {}
    for at, m, place in planes(trace, space, method, level, modality):
        key = space_key(space, at, m)
        found[key] = np.stack([place(space_values(step, space, at, m)) for step in steps])
        if key in moved:
            found[f"b/{key}"] = place(moved[key][0])[None]
    return found


def turned(trace: Trace, other: Trace, space: str) -> dict[str, tuple[Float[ndarray, "sample rank"], list[float]]]:
    """The other trace's coordinates in every space of one kind that both have, and the distances: `comparison.turn`.

    The modalities of a level share its frame, so that one turn is found for all of them.
    """
    groups: dict[tuple[int, str], list[tuple[int, str]]] = {}
    both = [where for where in all_spaces(trace) if where in all_spaces(other)]
    for kind, level, modality in both:
        if kind == space and (kind.endswith("_code") or comparison.same_levels(trace, other)):
            groups.setdefault((level, modality if kind == "private" else ""), []).append((level, modality))
    found = {}
    for group in groups.values():
        a, b = (np.concatenate([space_values(t, space, *where) for where in group]) for t in (trace, other))
        rows = np.concatenate([_present(trace, m) & _present(other, m) for _, m in group])
        placed, distances = comparison.turn(a, b, rows.tolist())
        for where, part in zip(group, np.split(placed, len(group)), strict=True):
            found[space_key(space, *where)] = part, distances
    return found


def _present(trace: Trace, modality: str) -> Bool[ndarray, "sample"]:
    """A code is there in every sample."""
    return trace.batch.masks[modality].any(1).numpy() if modality else np.ones(len(trace), dtype=bool)


def planes(
    trace: Trace, space: str, method: str, level: int, modality: str
) -> list[tuple[int, str, Callable[[Any], Any]]]:
    """For spaces of one kind: level, modality, and what maps rows of coordinates to places in the plane.

    At each level one projection is fitted on the trace, for the shared space on all modalities together (they
    share the frame), and then transforms modalities and epochs. Levels have different frames, so that no
    coordinate of one means anything in another: each level has its own fit, turned to lie as near to the level
    before as a turn can bring it, so that the motion between levels is no larger than it has to be.
    PCA gives all levels and modalities at once. UMAP is slow: it gives the one asked for (for the shared space,
    all modalities of the level), turned to lie near its PCA.
    """
    levels = range(trace.level_gate.shape[1])
    if space.endswith("_code"):
        groups = [[(0, "")]]
    elif space == "shared":
        groups = [[(at, m) for m in trace.modalities] for at in levels]
    else:
        groups = [[(at, m)] for m in trace.modalities for at in levels]
    linear = positions(trace, (), space, "pca", level, modality) if method != "pca" else {}
    asked = space_key(space, level, modality)
    found: list[tuple[int, str, Callable[[Any], Any]]] = []
    before: Any = None
    for group in groups:
        keys = [space_key(space, at, m) for at, m in group]
        if linear and asked not in keys:
            continue
        stacked = np.concatenate([space_values(trace, space, at, m) for at, m in group])
        projection = projections.fit(stacked, method)
        places, turn = projection.transform(stacked), np.eye(2, dtype=np.float32)
        if linear:
            before = np.concatenate([linear[key][-1] for key in keys])
        if before is not None:
            places, turn = projections.align(places, before)
        before = places
        found += [(at, m, partial(_placed, projection, turn)) for at, m in group]
    return found


def _placed(projection: projections.Projection, turn: Any, values: Any) -> Any:
    return projection.transform(values) @ turn


def linear_map(place: Callable[[Any], Any], rank: int) -> Float[ndarray, "line 2"]:
    """A linear map to the plane in numbers: a line for each coordinate, and one for where their origin lies."""
    places = place(np.eye(rank + 1, rank, dtype=np.float32))
    return np.concatenate([places[:-1] - places[-1], places[-1:]])


def probe_rows(trace: Trace, split: Split | None, space: str, level: int, modality: str) -> list[ProbeRow]:
    """Probe accuracies of one space, for each label and attribute that has groups; see `Explorer.probes`."""
    from clcrkit.analysis.probes import linear_probe

    samples = np.linspace(0, len(trace) - 1, min(len(trace), _PROBE_SAMPLES)).astype(int)
    values = space_values(trace, space, level, modality)[samples]
    rows: list[ProbeRow] = []
    for column in columns(trace, split):
        target = column.values[samples]
        if column.kind != "category" or column.answer:
            continue
        groups, counts = np.unique(target[target >= 0], return_counts=True)
        large = np.isin(target, groups[counts >= _PROBE_FOLDS])
        if (counts >= _PROBE_FOLDS).sum() < 2:
            continue
        probe = linear_probe(
            torch.from_numpy(values[large]), torch.from_numpy(target[large].astype(np.int64)), folds=_PROBE_FOLDS
        )
        accuracy, shuffled, chance = (round(value, 3) for value in probe)
        rows.append({"target": column.name, "accuracy": accuracy, "shuffled": shuffled, "chance": chance})
    return rows
