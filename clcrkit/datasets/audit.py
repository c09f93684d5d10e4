"""check: what a data set holds, and what would make its results wrong. All [ours]."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray

from clcrkit.batch import Batch
from clcrkit.datasets.split import PARTS, Split
from clcrkit.errors import require

MOST_SAMPLES = 10_000  # of a part
MOST_PROBED = 2_000
LARGEST_VALUE = 100.0  # of a scaled feature
LARGEST_SPREAD_RATIO = 1_000.0  # widest over narrowest column of a scaled modality
LARGEST_SHARE = 0.8  # of one class
FEWEST_GROUPS = 5
PAIRS = (("train", "test"), ("valid", "test"), ("train", "valid"))
LEAK = 0.1  # a probe that is this much better within train than on test tells of a leak


@dataclass(frozen=True)
class Report:
    """What `check` found.

    table     a row for each part and modality: samples, missing (without a real token), shortest, median and longest
              in tokens, zero_samples (of nothing but zeros), features, zero_columns and constant_columns, smallest
              and largest spread (standard deviation of a column), largest (absolute) value, probe (see `check`)
    labels    a row for each part and class: count and share; for a regression its lowest, mean and highest label
    problems  one sentence each, the worst first
    """

    table: pd.DataFrame
    labels: pd.DataFrame
    problems: tuple[str, ...]
    spreads: dict[str, Float[ndarray, "feature"]]

    def __repr__(self) -> str:
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        return f"Report: {len(self.problems) or 'no'} problem{'s' * (len(self.problems) != 1)}{lines}"


def check(split: Split) -> Report:
    """Say what would make training on a data set, or its test score, wrong.

    Reported are: groups and duplicates in two parts, features that may have been learned with the training labels,
    classes without samples in a part, labels of one kind or range, samples that lack a modality or hold nothing but
    zeros, columns that are constant, or of spreads far apart. Of a part at most 10,000 samples are looked at, evenly.

    The probe is a ridge regression to the label from the mean over a modality's real tokens and the middle one of
    them, standardised; its score is the accuracy, for a regression the correlation. For the training part it is
    cross-validated, by groups where they are known. So honest features score about the same on all parts; features
    that were learned with the labels of the training part score higher there, and so does a validation part that was
    taken from it. Parts of fewer than 5 groups cannot tell. Token ids are not probed.
    """
    batches = {part: _taken(getattr(split, part)) for part in PARTS}
    probes = _probes(batches)
    rows, spreads = [], {}
    for (part, batch), m in itertools.product(batches.items(), batches["train"].modalities):
        row, spread = _described(batch, m)
        score = probes[part, m].score if (part, m) in probes else np.nan
        rows.append({"part": part, "modality": m, **row, "probe": score})
        if part == "train" and len(spread):
            spreads[m] = spread
    table, labels = pd.DataFrame(rows), _labels(batches, split.label_names)
    problems = (
        *_shared_groups(batches, split.attribute_names.get("group", ())),
        *_duplicates(batches),
        *_leaks(probes),
        *_label_problems(batches, labels),
        *_missing(table),
        *_columns(table),
    )
    return Report(table, labels, problems, spreads)


def _taken(part: Any) -> Batch:
    return part.select(_evenly(np.arange(len(part)), MOST_SAMPLES)).to("cpu")


def _evenly(positions: ndarray, most: int) -> ndarray:
    return positions[np.linspace(0, len(positions) - 1, min(len(positions), most)).round().astype(np.int64)]


def _described(batch: Batch, modality: str) -> tuple[dict[str, Any], Float[ndarray, "feature"]]:
    tokens, mask = batch.tokens[modality].numpy(), batch.masks[modality].numpy()
    lengths = mask.sum(1)
    some = lengths[lengths > 0] if lengths.any() else lengths
    row: dict[str, Any] = {
        "samples": len(mask),
        "missing": int((lengths == 0).sum()),
        "shortest": int(some.min()),
        "median": float(np.median(some)),
        "longest": int(some.max()),
        "zero_samples": 0 if tokens.ndim == 2 else int((lengths > 0).sum() - (tokens != 0).any((1, 2)).sum()),
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


def _shared_groups(batches: dict[str, Batch], names: tuple[str, ...]) -> list[str]:
    if not all("group" in batch.attributes for batch in batches.values()):
        return []
    groups = {part: batch.attributes["group"].numpy() for part, batch in batches.items()}
    problems = []
    for one, other in PAIRS:
        shared = np.intersect1d(groups[one], groups[other])
        if len(shared):
            first = names[shared[0]] if shared[0] < len(names) else str(shared[0])
            problems.append(
                f"{one} and {other} share {len(shared)} groups (first: {first}), which "
                f"{np.isin(groups[other], shared).mean():.0%} of {other} are of: its score says little about unseen "
                f"groups."
            )
    return problems


def _duplicates(batches: dict[str, Batch]) -> list[str]:
    prints = {part: _fingerprints(batch) for part, batch in batches.items()}
    problems = []
    for one, other in PAIRS:
        if again := int(np.isin(prints[other], prints[one]).sum()):
            problems.append(
                f"{again} of {len(batches[other])} {other} samples are in {one} too, equal in every modality."
            )
    for part, marks in prints.items():
        if again := len(marks) - len(set(marks)):
            problems.append(f"{again} of {len(batches[part])} {part} samples are copies of others of that part.")
    return problems


def _fingerprints(batch: Batch) -> list[str]:
    """A mark for each sample that is not all zero; equal samples have equal marks."""
    arrays = [(batch.tokens[m].numpy(), batch.masks[m].numpy()) for m in batch.modalities]
    marks = []
    for i in range(len(batch)):
        real = [tokens[i][mask[i]] for tokens, mask in arrays]
        if any(tokens.any() for tokens in real):
            content = b"".join(len(tokens).to_bytes(8, "little") + tokens.tobytes() for tokens in real)
            marks.append(hashlib.blake2b(content, digest_size=16).hexdigest())
    return marks


def _label_problems(batches: dict[str, Batch], labels: pd.DataFrame) -> list[str]:
    problems = [f"The {part} part has no labels." for part, batch in batches.items() if batch.labels is None]
    if "highest" in labels:
        train = labels[labels["part"] == "train"]
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
            problems.append(
                f"{m}: {zero} of {total} samples hold nothing but zeros and are not masked: that is a missing modality."
            )
        if missing:
            problems.append(f"{m}: missing in {missing} of {total} samples.")
    return problems


def _columns(table: pd.DataFrame) -> list[str]:
    problems = []
    for row in table[table["part"] == "train"].to_dict("records"):
        m, widest, narrowest = row["modality"], row.get("largest_spread", 0), row.get("smallest_spread", 0)
        if not row.get("features", 0) > 0:  # token ids, or no token at all
            continue
        if row["largest_value"] > LARGEST_VALUE or widest > LARGEST_SPREAD_RATIO * narrowest:
            problems.append(
                f"{m}: unscaled; spreads of its columns run from {narrowest:.2g} to {widest:.2g}, values up to "
                f"{row['largest_value']:.2g}: standardise on train."
            )
        for kind, what in (("zero", "all zero"), ("constant", "constant")):
            if row[f"{kind}_columns"]:
                problems.append(f"{m}: {row[f'{kind}_columns']:g} of {row['features']:g} columns are {what} in train.")
    return problems


def _pooled(batch: Batch) -> dict[str, Float[ndarray, "sample feature"]]:
    """The mean over the real tokens joined with the middle one, by modality of features; NaN where it is missing."""
    pooled = {}
    for m, tokens in batch.tokens.items():
        if tokens.ndim == 3:
            mask = batch.masks[m]
            count = mask.sum(1)
            mean = (tokens.double() * mask[..., None]).sum(1) / count[:, None]
            middle = (mask.cumsum(1) > (count // 2)[:, None]).int().argmax(1)
            pooled[m] = torch.cat([mean, tokens[torch.arange(len(batch)), middle]], dim=1).numpy()
    return pooled


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
    pooled = {part: _pooled(batch) for part, batch in batches.items()}
    has_groups = all("group" in batch.attributes for batch in batches.values())
    regression = _is_regression(labels["train"])
    for m in pooled["train"]:
        rows = {part: _evenly(np.flatnonzero(np.isfinite(pooled[part][m]).all(1)), MOST_PROBED) for part in PARTS}
        x = {part: pooled[part][m][rows[part]] for part in PARTS}
        y = {part: labels[part][rows[part]] for part in PARTS}
        groups = {p: batches[p].attributes["group"].numpy()[rows[p]] if has_groups else rows[p] for p in PARTS}
        folds = min(5, len(np.unique(groups["train"])))
        if folds < 2 or len(np.unique(y["train"], axis=0)) < 2:
            continue
        model = make_pipeline(StandardScaler(), (Ridge if regression else RidgeClassifier)(alpha=10.0))
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
        if train and test and train.beats(test):
            higher = f", {valid.score:.2f} on valid" if valid and valid.beats(test) else ""
            problems.append(
                f"{m}: a linear probe scores {train.score:.2f} within train (cross-validated){higher}, but "
                f"{test.score:.2f} on test: the features were learned with the training labels, or the parts differ."
            )
    return problems
