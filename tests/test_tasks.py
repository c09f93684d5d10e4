"""Tasks: losses by their definitions, scores, and labels that are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from clcrkit import ConfigError, DataError
from clcrkit.tasks import TASKS, task_named, task_of


def test_task_losses_by_their_definitions():
    logits = torch.randn(4, 3)
    classes, several = torch.tensor([0, 2, 1, 2]), (torch.rand(4, 3) < 0.5).float()
    z, y = logits.double().numpy(), several.numpy()
    expected = np.mean([math.log(np.exp(row).sum()) - row[c] for row, c in zip(z, classes, strict=True)])
    assert float(TASKS["classification"].loss(logits, classes)) == pytest.approx(expected, rel=1e-5)
    p = 1 / (1 + np.exp(-z))
    expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert float(TASKS["multilabel"].loss(logits, several)) == pytest.approx(expected, rel=1e-5)
    values, labels = torch.randn(4, 1), torch.randn(4)
    expected = np.mean([abs(float(v) - float(t)) for v, t in zip(values[:, 0], labels, strict=True)])
    assert float(TASKS["regression"].loss(values, labels)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("classification", torch.rand(4)),
        ("classification", torch.ones(4, 3)),  # torch would take these for probabilities
        ("regression", torch.arange(4)),
        ("regression", torch.ones(4, 1)),
        ("multilabel", torch.arange(4)),
        ("multilabel", torch.ones(4, 2)),
    ],
)
def test_labels_of_another_task_are_refused(task, labels):
    prediction = torch.zeros(4, 1 if task == "regression" else 3)
    with pytest.raises(DataError, match=rf"^labels: torch.\w+ of shape \(.*\), but {task} needs"):
        TASKS[task].loss(prediction, labels)


def test_labels_tell_their_task():
    labels = {"classification": torch.tensor([0, 2, 1]), "regression": torch.rand(3), "multilabel": torch.ones(3, 4)}
    assert {name: task_of(y).name for name, y in labels.items()} == {name: name for name in TASKS}
    assert [TASKS[name].count_outputs(y) for name, y in labels.items()] == [3, 1, 4]


def test_scores_by_hand():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, -1.0]])
    assert float(TASKS["classification"].score(logits, torch.tensor([0, 0, 0]))) == pytest.approx(2 / 3)
    assert float(TASKS["multilabel"].score(logits, torch.ones(3, 2))) == pytest.approx(4 / 6)
    assert float(TASKS["regression"].score(logits[:, :1], torch.tensor([1.0, 0.0, 5.0]))) == pytest.approx(-1)


def test_activations_give_probabilities_or_the_value():
    logits = torch.randn(5, 3)
    torch.testing.assert_close(TASKS["classification"].activation(logits).sum(1), torch.ones(5))
    torch.testing.assert_close(TASKS["multilabel"].activation(logits), logits.sigmoid())
    assert torch.equal(TASKS["regression"].activation(logits[:, :1]), logits[:, :1])


def test_classes_without_an_output_and_other_tasks_are_refused():
    with pytest.raises(DataError, match="labels: the train part holds class 3, but classes must be below 3"):
        TASKS["classification"].check_labels(torch.tensor([0, 3]), 3, "train")
    TASKS["regression"].check_labels(torch.tensor([7.0]), 1, "train")
    with pytest.raises(ConfigError, match="task: 'ranking', but it must be classification or regression or multilabel"):
        task_named("ranking")
