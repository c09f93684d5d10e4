"""Metrics against hand-computed values, sklearn, scipy and loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from clcrkit.errors import ConfigError, DataError
from clcrkit.metrics import (
    EMOTIONS,
    calibration_error,
    classification,
    emotions,
    multilabel,
    regression,
    sentiment,
    sims,
)
from clcrkit.tasks import TASKS, task_named

LABELS = np.array([0.0, 0.0, 2.5, -0.4, 3.0, -3.0, 1.5])
PREDICTION = np.array([0.0, -0.1, 1.5, 0.0, 9.0, -2.5, 2.4])


def test_neutrals_and_ties_by_hand():
    """0 is not negative on either side (has0), dropped as a label and not positive as a prediction (non0); 2.5, 1.5
    and 0.5 round to the even neighbour after clipping."""
    found = sentiment(PREDICTION, LABELS)
    # has0: labels + + + - + - +, predictions + - + + + - +
    assert found["accuracy_2_has0"] == pytest.approx(5 / 7)
    # non0: labels + - + - +, predictions + - + - +
    assert found["accuracy_2_non0"] == 1
    # 7 classes: labels 0 0 2 0 3 -3 2 (2.5 -> 2, 1.5 -> 2), predictions 0 0 2 0 3 -2 2
    assert found["accuracy_7"] == pytest.approx(6 / 7)
    # 5 classes: labels 0 0 2 0 2 -2 2, predictions 0 0 2 0 2 -2 2
    assert found["accuracy_5"] == 1
    assert found["mae"] == pytest.approx((0 + 0.1 + 1 + 0.4 + 6 + 0.5 + 0.9) / 7)
    # has0, weighted: negative (2 of 7): 1 hit, 1 false, 1 missed: 0.5; the others (5): 4 hits, 1 false, 1 missed: 0.8
    assert found["f1_2_has0"] == pytest.approx((2 * 0.5 + 5 * 0.8) / 7)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sims_by_hand(kind):
    """0 is not above 0, an end belongs to the class below it (0.1 is neutral, -0.7 most negative), 1.4 counts as 1."""
    labels = np.array([-1.0, -0.7, -0.6, -0.1, 0.0, 0.1, 0.2, 0.7, 0.8, 1.0], kind)
    prediction = np.array([-1.0, -0.8, -0.7, -0.2, 0.1, 0.0, 0.7, 0.8, 0.7, 1.4], kind)
    found = sims(prediction, labels)
    # above 0: labels ----- +++++, predictions ---- + - ++++
    assert found["accuracy_2"] == pytest.approx(8 / 10)
    assert found["f1_2"] == pytest.approx(0.8)
    # three classes: labels 0 0 0 0 1 1 2 2 2 2, predictions 0 0 0 0 1 1 2 2 2 2
    assert found["accuracy_3"] == 1
    # labels 0 0 1 1 2 2 3 3 4 4, predictions 0 0 0 1 2 2 3 4 3 4
    assert found["accuracy_5"] == pytest.approx(7 / 10)
    clipped = np.append(prediction[:-1], 1)
    assert found["mae"] == pytest.approx(mean_absolute_error(labels, clipped))
    assert found["correlation"] == pytest.approx(pearsonr(labels, clipped)[0], abs=1e-6)


@given(st.lists(st.lists(st.tuples(st.floats(-3, 3), st.booleans()), min_size=4, max_size=4), min_size=1, max_size=20))
def test_emotions_against_sklearn_as_mult_calls_it(rows):
    values = np.array(rows, np.float64)
    prediction, labels = values[..., 0], values[..., 1]
    found = emotions(prediction, labels)
    for i, emotion in enumerate(EMOTIONS):  # MulT: the larger of two logits, no and yes
        chosen = np.stack([np.zeros(len(rows)), prediction[:, i]], axis=1).argmax(1)
        assert found[f"accuracy_{emotion}"] == pytest.approx(accuracy_score(labels[:, i], chosen))
        expected = f1_score(labels[:, i], chosen, average="weighted", zero_division=0)
        assert found[f"f1_{emotion}"] == pytest.approx(expected)
    assert found["accuracy"] == pytest.approx(np.mean([found[f"accuracy_{emotion}"] for emotion in EMOTIONS]))
    with pytest.raises(DataError, match="3 labels, but the 4 emotions of IEMOCAP are needed"):
        emotions(prediction[:, :3], labels[:, :3])


grid = st.sampled_from([-3.2, -3.0, -2.5, -1.5, -0.5, -0.1, 0.0, 0.1, 0.5, 1.5, 2.5, 3.0, 3.7])


@given(st.lists(st.tuples(grid, grid), min_size=2, max_size=40))
def test_sentiment_against_sklearn(rows):
    prediction, labels = np.array(rows).T
    found = sentiment(prediction, labels)
    decided = labels != 0
    expected = {
        "accuracy_2_has0": accuracy_score(labels >= 0, prediction >= 0),
        "f1_2_has0": f1_score(labels >= 0, prediction >= 0, average="weighted", zero_division=0),
        "mae": mean_absolute_error(labels, prediction),
    }
    if decided.any():
        true, chosen = labels[decided] > 0, prediction[decided] > 0
        expected["accuracy_2_non0"] = accuracy_score(true, chosen)
        expected["f1_2_non0"] = f1_score(true, chosen, average="weighted", zero_division=0)
    else:
        assert math.isnan(found["accuracy_2_non0"])
        assert math.isnan(found["f1_2_non0"])
    for classes, most in ((7, 3), (5, 2)):
        # Python's round is half to even too, and written without numpy
        same = [
            round(min(max(p, -most), most)) == round(min(max(y, -most), most))
            for p, y in zip(prediction, labels, strict=True)
        ]
        expected[f"accuracy_{classes}"] = sum(same) / len(same)
    if np.ptp(prediction) and np.ptp(labels):
        expected["correlation"] = pearsonr(prediction, labels).statistic
    else:
        assert math.isnan(found["correlation"])
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name


@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 10_000))
def test_classification_against_sklearn_and_a_loop(samples, classes, seed):
    rng = np.random.default_rng(seed)
    logits, labels = 3 * rng.normal(size=(samples, classes)), rng.integers(0, classes, samples)
    found = classification(torch.from_numpy(logits).float(), torch.from_numpy(labels))
    chosen = logits.argmax(1)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, chosen))
    for how in ("macro", "weighted"):
        assert found[f"f1_{how}"] == pytest.approx(f1_score(labels, chosen, average=how, zero_division=0))
    probability = torch.from_numpy(logits).softmax(1).numpy()
    error = 0.0
    for i in range(15):
        inside = [k for k in range(samples) if i / 15 < probability[k].max() <= (i + 1) / 15]
        if inside:
            confident = sum(probability[k].max() for k in inside) / len(inside)
            right = sum(bool(chosen[k] == labels[k]) for k in inside) / len(inside)
            error += len(inside) / samples * abs(confident - right)
    assert found["calibration_error"] == pytest.approx(error, abs=1e-5)


def test_calibration_error_at_its_ends():
    sure = np.eye(2)[[0, 1, 0, 1]]
    assert calibration_error(sure, np.array([0, 1, 0, 1])) == 0
    assert calibration_error(sure, np.array([1, 0, 1, 0])) == 1
    half = np.full((4, 2), 0.5)
    assert calibration_error(half, np.array([0, 0, 1, 1])) == 0


def test_regression_and_multilabel():
    found = regression(np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 3.0, 5.0]))
    assert found == pytest.approx({"mae": 2 / 3, "correlation": pearsonr([1, 2, 4], [1, 3, 5]).statistic})
    labels = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    found = multilabel(np.array([[2.0, 1.0], [-1.0, 3.0], [-2.0, -2.0]]), labels)
    assert found == pytest.approx({"accuracy": 4 / 6, "f1_macro": 2 / 3, "f1_weighted": 2 / 3})


@pytest.mark.parametrize(
    ("metrics", "prediction", "labels"),
    [
        (classification, np.zeros((3, 2)), np.zeros(2, dtype=int)),
        (classification, np.zeros(3), np.zeros(3, dtype=int)),
        (regression, np.zeros((3, 2)), np.zeros(3)),
        (sentiment, np.zeros(0), np.zeros(0)),
        (multilabel, np.zeros((3, 2)), np.zeros((3, 3))),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(metrics, prediction, labels):
    with pytest.raises(DataError, match="do not make a"):
        metrics(prediction, labels)


def test_other_misuse_is_refused():
    with pytest.raises(ConfigError, match="task: 'ranking'"):
        task_named("ranking")
    with pytest.raises(DataError, match="1 of 2 values are not finite"):
        regression(np.array([0.0, np.nan]), np.zeros(2))


def test_each_task_has_its_own_metrics():
    assert {name: task.metrics for name, task in TASKS.items()} == {
        "classification": classification,
        "regression": regression,
        "multilabel": multilabel,
    }
