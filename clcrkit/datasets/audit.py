"""check: what a data set holds, and what would make its results wrong. All [ours]."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.datasets.overlap import (
    MOST_PROBED,
    bags,
    duplicates,
    has_groups,
    neighbours,
    pooled_features,
    shared_groups,
    shared_stretches,
)
from clcrkit.datasets.split import PARTS, Split
from clcrkit.errors import require
from clcrkit.quality import MOST_COLUMNS, described, evenly, few_columns, scaling_problems, wide, zero_problem

MOST_SAMPLES = 10_000  # of a part
LARGEST_SHARE = 0.8  # of one class
FEWEST_GROUPS = 5
HOLDS_LABEL = 0.999  # the probe's score on all parts
MOST_CLASSES_AS_FLOATS = 20
GROUPS_UNKNOWN = (
    "groups: unknown, so nothing tells whether parts share speakers or recordings; name them in the attribute `group`."
)
LEAK = 0.1  # a probe that is this much better within train than on test tells of a leak


@dataclass(frozen=True)
class Report:
    """What `check` found.

    table     a row for each part and modality: samples, missing (without a real token), shortest, median and longest
              in tokens, zero_samples (of nothing but zeros), features, zero_columns and constant_columns, smallest
              and largest spread (standard deviation of a column), largest (absolute) value, probe (see `check`)
    labels    a row for each part and class: count and share; for a regression its lowest, mean and highest label
    problems  one sentence each, the worst first
    notes     what could not be looked at, and what made the features, where that is known
    """

    table: pd.DataFrame
    labels: pd.DataFrame
    problems: tuple[str, ...]
    spreads: dict[str, Float[ndarray, "feature"]]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = "".join(f"\n- {line}" for line in (*self.problems, *self.notes))
        return f"Report: {len(self.problems) or 'no'} problem{'s' * (len(self.problems) != 1)}{lines}"


@public
def check(split: Split) -> Report:
    """Say what would make training on a data set, or its test score, wrong.

    Reported are: groups, duplicates and stretches of the same values (windows that overlap, near copies) in two parts;
    parts that take turns in time; features that may have been learned with the training labels, or hold the label;
    classes without samples in a part, labels of one kind or range, classes given as floats; samples that lack a
    modality or hold nothing but zeros; columns that are constant, or of spreads far apart, and outliers. Of a part at
    most 10,000 samples are looked at, and of a modality 4,096 columns, evenly; notes say so, and where groups are
    unknown.

    The probe is a ridge regression to the label from the mean over a modality's real tokens and the middle one of
    them, standardised, or from the counts of the 500 most frequent token ids; its score is the accuracy, for a
    regression the correlation. For the training part it is cross-validated, by groups where they are known. So honest
    features score about the same on all parts; features that were learned with the labels of the training part score
    higher there, and so does a validation part that was taken from it. Parts of fewer than 5 groups cannot tell.
    """
    batches = {part: _taken(getattr(split, part)) for part in PARTS}
    probes = _probes(batches)
    rows, spreads = [], {}
    for (part, batch), m in itertools.product(batches.items(), batches["train"].modalities):
        row, spread = described(batch, m)
        score = probes[part, m].score if (part, m) in probes else np.nan
        rows.append({"part": part, "modality": m, **row, "probe": score})
        if part == "train" and len(spread):
            spreads[m] = spread
    table, labels = pd.DataFrame(rows), _labels(batches, split.label_names)
    problems = (
        *shared_groups(batches, split.attribute_names.get("group", ())),
        *duplicates(batches),
        *shared_stretches(batches),
        *neighbours(batches),
        *_leaks(probes),
        *_label_problems(batches, labels),
        *_missing(table),
        *_columns(table),
    )
    notes = [f"{m}: made by {source}." for m, source in split.sources.items()]
    columns = wide(split.train)
    notes += [f"{m}: {MOST_COLUMNS:,} of its {size:,} columns were looked at, evenly." for m, size in columns.items()]
    notes += [] if has_groups(batches) else [GROUPS_UNKNOWN]
    return Report(table, labels, problems, spreads, tuple(notes))


def _taken(part: Any) -> Batch:
    return few_columns(part, evenly(np.arange(len(part)), MOST_SAMPLES))


def _labels(batches: dict[str, Batch], names: tuple[str, ...]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for part, batch in batches.items():
        if batch.labels is None:
            continue
        values = batch.labels.numpy()
        if _is_regression(values):
            rows.append({"part": part, "lowest": values.min(), "mean": values.mean(), "highest": values.max()})
            continue
        classes = max(int(b.labels.max()) for b in batches.values() if b.labels is not None) + 1
        counts = values.sum(0) if values.ndim == 2 else np.bincount(values, minlength=classes)
        for i, count in enumerate(counts):
            label = names[i] if i < len(names) else str(i)
            rows.append({"part": part, "label": label, "count": int(count), "share": count / len(values)})
    return pd.DataFrame(rows, columns=None if rows else ["part", "label", "count", "share"])


def _is_regression(labels: ndarray) -> bool:
    return labels.dtype.kind == "f" and labels.ndim == 1


def _label_problems(batches: dict[str, Batch], labels: pd.DataFrame) -> list[str]:
    problems = [f"The {part} part has no labels." for part, batch in batches.items() if batch.labels is None]
    if "highest" in labels:
        train = labels[labels["part"] == "train"]
        values = np.unique(np.concatenate([b.labels.numpy() for b in batches.values() if b.labels is not None]))
        if len(values) <= MOST_CLASSES_AS_FLOATS and (values == values.round()).all():
            problems.append(
                f"Labels are floats of {len(values)} whole values, a regression; pass integers if they are classes."
            )
        least, most = train["lowest"].min(), train["highest"].max()  # NaN, which nothing is beyond, without train
        for part, low, high in zip(labels["part"], labels["lowest"], labels["highest"], strict=True):
            if low == high:
                problems.append(f"All labels of the {part} part are {low:g}.")
            elif low < least or high > most:
                problems.append(
                    f"Labels of {part} go from {low:g} to {high:g}, but in train from {least:g} to {most:g}."
                )
        return problems
    counts = labels.pivot(index="label", columns="part", values="count") if len(labels) else pd.DataFrame()
    absent = [str(label) for label in counts.index[counts.sum(axis=1) == 0]] if len(counts) else []
    if absent:
        problems.append(f"Classes without a sample in any part: {', '.join(absent[:5])} ({len(absent)} in all).")
    present = {part: set(counts.index[counts[part] > 0]) for part in PARTS if part in counts}
    for part, classes in present.items():
        if len(classes) == 1 and len(counts) > 1:
            problems.append(f"The {part} part has a single class, {classes.pop()}.")
            continue
        if unseen := sorted(classes - present.get("train", classes)):
            problems.append(f"Classes of {part} that train lacks: {', '.join(unseen[:5])} ({len(unseen)} in all).")
        if part == "test" and (untested := sorted(present.get("train", classes) - classes)):
            problems.append(f"Classes without a test sample: {', '.join(untested[:5])} ({len(untested)} in all).")
        share = counts[part].max() / len(batches[part])
        if share > LARGEST_SHARE and batches[part].labels.ndim == 1:  # type: ignore[union-attr]
            problems.append(
                f"{share:.0%} of {part} are of one class: always saying {counts[part].idxmax()!s} scores as much."
            )
    return problems


def _missing(table: pd.DataFrame) -> list[str]:
    problems = []
    for m, rows in table.groupby("modality", sort=False):
        zero, missing, total = (int(rows[column].sum()) for column in ("zero_samples", "missing", "samples"))
        if zero:
            problems.append(zero_problem(str(m), zero, total))
        if missing:
            problems.append(f"{m}: missing in {missing} of {total} samples.")
    return problems


def _columns(table: pd.DataFrame) -> list[str]:
    problems = []
    for row in table[table["part"] == "train"].to_dict("records"):
        m = row["modality"]
        if not row.get("features", 0) > 0:  # token ids, or no token at all
            continue
        problems += scaling_problems(m, row)
        for kind, what in (("zero", "all zero"), ("constant", "constant")):
            if row[f"{kind}_columns"]:
                problems.append(f"{m}: {row[f'{kind}_columns']:g} of {row['features']:g} columns are {what} in train.")
    return problems


class _Probe(NamedTuple):
    """The score of a linear model on a part, its standard error, and the groups that the part has."""

    score: float
    error: float
    groups: int

    def beats(self, other: _Probe) -> bool:
        """By LEAK and by three standard errors."""
        surely = self.score - other.score > max(LEAK, 3 * math.hypot(self.error, other.error))
        return surely and min(self.groups, other.groups) >= FEWEST_GROUPS


def _probes(batches: dict[str, Batch]) -> dict[tuple[str, str], _Probe]:
    """By part and modality; for train cross-validated."""
    require("sklearn", "data")
    from sklearn.linear_model import Ridge, RidgeClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probes: dict[tuple[str, str], _Probe] = {}
    labels = {part: batch.labels.numpy() for part, batch in batches.items() if batch.labels is not None}
    if len(labels) < len(batches):
        return probes
    counted = bags(batches)
    pooled = {part: pooled_features(batch) | counted[part] for part, batch in batches.items()}
    grouped = has_groups(batches)
    regression = _is_regression(labels["train"])
    for m in pooled["train"]:
        rows = {part: evenly(np.flatnonzero(np.isfinite(pooled[part][m]).all(1)), MOST_PROBED) for part in PARTS}
        x = {part: pooled[part][m][rows[part]] for part in PARTS}
        y = {part: labels[part][rows[part]] for part in PARTS}
        groups = {p: batches[p].attributes["group"].numpy()[rows[p]] if grouped else rows[p] for p in PARTS}
        folds = min(5, len(np.unique(groups["train"])))
        if folds < 2 or len(np.unique(y["train"], axis=0)) < 2:
            continue
        ridge = (Ridge if regression else RidgeClassifier)(alpha=10.0)
        # counts as they are: standardised, those of rare ids would weigh as much as those of an id in every sample
        model = ridge if m in counted["train"] else make_pipeline(StandardScaler(), ridge)
        splitter = GroupKFold(folds, shuffle=True, random_state=0)
        try:
            predicted = cross_val_predict(model, x["train"], y["train"], groups=groups["train"], cv=splitter)
        except ValueError:  # all other folds are of one class
            continue
        model.fit(x["train"], y["train"])
        probes["train", m] = _probe(predicted, y["train"], groups["train"])
        for part in ("valid", "test"):
            if len(x[part]):
                probes[part, m] = _probe(model.predict(x[part]), y[part], groups[part])
    return probes


def _probe(predicted: ndarray, labels: ndarray, groups: ndarray) -> _Probe:
    """Accuracy, or for a regression the correlation, as a mean over samples; its error from sums over groups."""
    if _is_regression(labels):
        parts = [(v - v.mean()) / (v.std() or 1.0) for v in (predicted, labels)]
        each = parts[0] * parts[1]
    else:
        each = (predicted == labels).reshape(len(labels), -1).mean(1)
    places = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(places, each - each.mean())
    return _Probe(float(each.mean()), float(np.sqrt((sums**2).sum()) / len(each)), len(sums))


def _leaks(probes: dict[tuple[str, str], _Probe]) -> list[str]:
    """Modalities whose probe is better within train than on test."""
    problems = []
    for m in (m for part, m in probes if part == "train"):
        train, valid, test = (probes.get((part, m)) for part in PARTS)
        scores = [probe.score for probe in (train, valid, test) if probe]
        if len(scores) == len(PARTS) and min(scores) >= HOLDS_LABEL:
            problems.append(
                f"{m}: a linear probe scores {min(scores):.3f} or more on all parts: it may hold the label."
            )
        if train and test and train.beats(test):
            higher = f", {valid.score:.2f} on valid" if valid and valid.beats(test) else ""
            problems.append(
                f"{m}: a linear probe scores {train.score:.2f} within train (cross-validated){higher}, but "
                f"{test.score:.2f} on test: the features were learned with the training labels, or the parts differ."
            )
    return problems
