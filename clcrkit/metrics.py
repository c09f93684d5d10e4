"""Metrics: what a prediction is worth, in the definitions that papers quote.

`score` is for any task; `sentiment` is the set of CMU-MOSI and CMU-MOSEI as MMSA defines it. Each returns plain
floats by name. A figure that the samples cannot give (a correlation of constants, classes where there are no samples)
is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from clcrkit.errors import ConfigError, DataError

BINS = 15  # of confidence, for the calibration error


def score(task: str, prediction: Any, labels: Any) -> dict[str, float]:
    """The figures for one of the kit's tasks, or for 'sentiment', a regression from -3 to 3.

    prediction: (sample, output), what a model gives: logits for classification and multilabel. labels: as in a Batch.
    'classification': accuracy, f1_macro, f1_weighted, calibration_error. 'regression': mae, correlation.
    'sentiment': see `sentiment`. 'multilabel': accuracy over all labels, f1_macro, f1_weighted.
    Raises ConfigError for another task, DataError where the shapes do not belong together or nothing is given.
    """
    if task not in ("classification", "regression", "sentiment", "multilabel"):
        raise ConfigError(f"task: {task!r}, but classification, regression, sentiment or multilabel is needed")
    p, y = np.asarray(prediction), np.asarray(labels)
    if task in ("regression", "sentiment"):
        p = p.reshape(-1) if p.ndim == 2 and p.shape[1] == 1 else p
        y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    wanted = p.shape[:1] if task == "classification" else p.shape
    axes = 1 if task in ("regression", "sentiment") else 2
    if p.ndim != axes or y.shape != wanted or not p.size:
        raise DataError(f"prediction: shape {p.shape} with labels of shape {y.shape}, which do not make a {task}")
    if not np.isfinite(p).all():
        raise DataError(f"prediction: {int((~np.isfinite(p)).sum())} of {p.size} values are not finite")
    if task == "classification":
        chosen = p.argmax(1)
        return {
            "accuracy": float((chosen == y).mean()),
            **_f1(y, chosen),
            "calibration_error": calibration_error(_softmax(p.astype(np.float64)), y),
        }
    if task == "multilabel":
        return {"accuracy": float(((p > 0) == (y > 0.5)).mean()), **_f1(y > 0.5, p > 0)}
    p, y = p.astype(np.float64), y.astype(np.float64)
    return sentiment(p, y) if task == "sentiment" else _regression(p, y)


def sentiment(prediction: Float[ndarray, "sample"], labels: Float[ndarray, "sample"]) -> dict[str, float]:
    """The MOSI and MOSEI set, as in MMSA, for intensities from -3 to 3.

    accuracy_2_has0, f1_2_has0: all samples, negative against not negative (0 counts as not negative on both sides).
    accuracy_2_non0, f1_2_non0: samples whose label is not 0, positive against not positive. F1 is weighted by class.
    accuracy_7, accuracy_5: both sides clipped to +-3 or +-2, then rounded half to even. mae: not clipped.
    correlation: Pearson's.
    """
    decided = labels != 0
    sides = {
        "has0": (labels >= 0, prediction >= 0),
        "non0": (labels[decided] > 0, prediction[decided] > 0),
    }
    figures = {}
    for name, (true, chosen) in sides.items():
        figures[f"accuracy_2_{name}"] = float((true == chosen).mean()) if len(true) else math.nan
        figures[f"f1_2_{name}"] = _f1(true, chosen)["f1_weighted"] if len(true) else math.nan
    for classes in (7, 5):
        most = classes // 2
        rounded = (np.round(np.clip(values, -most, most)) for values in (prediction, labels))
        figures[f"accuracy_{classes}"] = float(np.equal(*rounded).mean())
    return {**figures, **_regression(prediction, labels)}


def calibration_error(
    probability: Float[ndarray, "sample class"], labels: Int[ndarray, "sample"], bins: int = BINS
) -> float:
    """Expected calibration error: how far the stated confidence is from the accuracy, on average over samples.

    Samples are put into `bins` bins of equal width by the probability of the class they are given; in each bin the
    mean confidence is compared with the share of right answers.
    """
    confidence, right = probability.max(1), probability.argmax(1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    apart = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(apart).sum() / len(labels))


def _regression(prediction: Float[ndarray, "sample"], labels: Float[ndarray, "sample"]) -> dict[str, float]:
    constant = np.ptp(prediction) == 0 or np.ptp(labels) == 0
    correlation = math.nan if constant else float(np.corrcoef(prediction, labels)[0, 1])
    return {"mae": float(np.abs(prediction - labels).mean()), "correlation": correlation}


def _f1(labels: Shaped[ndarray, "sample *label"], chosen: Shaped[ndarray, "sample *label"]) -> dict[str, float]:
    from sklearn.metrics import f1_score  # slow to import

    return {f"f1_{how}": float(f1_score(labels, chosen, average=how, zero_division=0)) for how in ("macro", "weighted")}


def _softmax(logits: Float[ndarray, "sample class"]) -> Float[ndarray, "sample class"]:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)
