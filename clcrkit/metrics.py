"""Metrics: how good predictions are, in the definitions that papers quote.

One function for each task (`Task.metrics` is the one that belongs to a task), and the sets of CMU-MOSI and CMU-MOSEI
(`sentiment`) and of SIMS (`sims`) as MMSA defines them, and of IEMOCAP (`emotions`) as MulT does. Each takes arrays or
tensors and returns plain floats by name. A figure that the samples cannot give (a correlation of constants, classes
without samples) is NaN. Each raises DataError for shapes that do not belong together, no samples, and predictions that
are not finite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from clcrkit.errors import DataError, require

EMOTIONS = ("neutral", "happy", "sad", "angry")  # the labels of MulT's IEMOCAP file, in its order


def classification(prediction: Any, labels: Any) -> dict[str, float]:
    """accuracy, f1_macro, f1_weighted, calibration_error; prediction: (sample, class) logits, labels: (sample,)."""
    p, y = _checked("classification", prediction, labels, axes=2, label_axes=1)
    predicted, probability = p.argmax(1), torch.from_numpy(p.astype(np.float64)).softmax(1).numpy()
    scores = {"accuracy": float((predicted == y).mean()), **_f1(y, predicted)}
    return {**scores, "calibration_error": calibration_error(probability, y)}


def multilabel(prediction: Any, labels: Any) -> dict[str, float]:
    """accuracy over all labels, f1_macro, f1_weighted; prediction: (sample, label) logits, labels: 0 or 1 each."""
    p, y = _checked("multilabel", prediction, labels, axes=2, label_axes=2)
    return {"accuracy": float(((p > 0) == (y > 0.5)).mean()), **_f1(y > 0.5, p > 0)}


def regression(prediction: Any, labels: Any) -> dict[str, float]:
    """mae, correlation (Pearson's); both (sample,) or (sample, 1)."""
    return _regression(*_values("regression", prediction, labels))


def sentiment(prediction: Any, labels: Any) -> dict[str, float]:
    """The MOSI and MOSEI set, as in MMSA, for intensities from -3 to 3; both (sample,) or (sample, 1).

    accuracy_2_has0, f1_2_has0: all samples, negative against not negative (0 counts as not negative on both sides).
    accuracy_2_non0, f1_2_non0: samples whose label is not 0, positive against not positive. F1 is weighted by class.
    accuracy_7, accuracy_5: both sides clipped to +-3 or +-2, then rounded half to even. mae: not clipped.
    correlation: Pearson's.
    """
    prediction, labels = _values("sentiment", prediction, labels)
    decided = labels != 0
    sides = {"has0": (labels >= 0, prediction >= 0), "non0": (labels[decided] > 0, prediction[decided] > 0)}
    figures = {}
    for name, (true, chosen) in sides.items():
        figures[f"accuracy_2_{name}"] = float((true == chosen).mean()) if len(true) else math.nan
        figures[f"f1_2_{name}"] = _f1(true, chosen)["f1_weighted"] if len(true) else math.nan
    for classes in (7, 5):
        most = classes // 2
        rounded = (np.round(np.clip(values, -most, most)) for values in (prediction, labels))
        figures[f"accuracy_{classes}"] = float(np.equal(*rounded).mean())
    return {**figures, **_regression(prediction, labels)}


def sims(prediction: Any, labels: Any) -> dict[str, float]:
    """The SIMS set, as in MMSA, for intensities from -1 to 1; both (sample,) or (sample, 1), clipped to +-1 first.

    accuracy_2 and f1_2 (weighted by class): above 0 against not above 0. accuracy_3, accuracy_5: classes that end at
    -0.1 and 0.1, or at -0.7, -0.1, 0.1 and 0.7, each end included below. mae and correlation: of the clipped values.
    """
    prediction, labels = (np.float32(np.clip(values, -1, 1)) for values in _values("sims", prediction, labels))
    figures = {}
    for classes, ends in ((2, [0.0]), (3, [-0.1, 0.1]), (5, [-0.7, -0.1, 0.1, 0.7])):
        chosen, true = (np.digitize(values, np.array(ends, np.float32), right=True) for values in (prediction, labels))
        figures[f"accuracy_{classes}"] = float((chosen == true).mean())
        if classes == 2:
            figures["f1_2"] = _f1(true, chosen)["f1_weighted"]
    return {**figures, **_regression(prediction, labels)}


def emotions(prediction: Any, labels: Any) -> dict[str, float]:
    """The IEMOCAP set, as in MulT, and `multilabel`'s: for each of EMOTIONS the accuracy (`accuracy_happy`) and the F1
    weighted by class (`f1_happy`) of being that emotion or not; prediction: (sample, 4) logits, labels: 0 or 1 each.
    """
    p, y = _checked("multilabel", prediction, labels, axes=2, label_axes=2)
    if p.shape[1] != len(EMOTIONS):
        raise DataError(f"prediction: {p.shape[1]} labels, but the {len(EMOTIONS)} emotions of IEMOCAP are needed")
    figures = multilabel(p, y)
    for emotion, chosen, true in zip(EMOTIONS, (p > 0).T, (y > 0.5).T, strict=True):
        figures[f"accuracy_{emotion}"] = float((chosen == true).mean())
        figures[f"f1_{emotion}"] = _f1(true, chosen)["f1_weighted"]
    return figures


def calibration_error(probability: Float[ndarray, "sample class"], labels: Int[ndarray, "sample"]) -> float:
    """Expected calibration error: the distance of confidence and accuracy, on average over samples.

    Confidence is the probability of the predicted class. Samples are sorted into 15 bins of equal width by it; in each
    bin the mean confidence is compared with the accuracy.
    """
    bins = 15
    confidence, right = probability.max(1), probability.argmax(1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(bin_of, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def _values(kind: str, prediction: Any, labels: Any) -> tuple[Float[ndarray, "sample"], Float[ndarray, "sample"]]:
    """Both as (sample,) in float64."""
    p, y = (x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x for x in map(np.asarray, (prediction, labels)))
    p, y = _checked(kind, p, y, axes=1, label_axes=1)
    return p.astype(np.float64), y.astype(np.float64)


def _checked(kind: str, prediction: Any, labels: Any, axes: int, label_axes: int) -> tuple[ndarray, ndarray]:
    p, y = np.asarray(prediction), np.asarray(labels)
    if p.ndim != axes or y.shape != p.shape[:label_axes] or not p.size:
        raise DataError(f"prediction: shape {p.shape} with labels of shape {y.shape}, which do not make a {kind}")
    if not np.isfinite(p).all():
        raise DataError(f"prediction: {int((~np.isfinite(p)).sum())} of {p.size} values are not finite")
    return p, y


def _regression(prediction: Float[ndarray, "sample"], labels: Float[ndarray, "sample"]) -> dict[str, float]:
    constant = np.ptp(prediction) == 0 or np.ptp(labels) == 0
    correlation = math.nan if constant else float(np.corrcoef(prediction, labels)[0, 1])
    return {"mae": float(np.abs(prediction - labels).mean()), "correlation": correlation}


def _f1(labels: Shaped[ndarray, "sample *label"], chosen: Shaped[ndarray, "sample *label"]) -> dict[str, float]:
    require("sklearn", "analysis")
    from sklearn.metrics import f1_score  # slow to import

    return {f"f1_{how}": float(f1_score(labels, chosen, average=how, zero_division=0)) for how in ("macro", "weighted")}
