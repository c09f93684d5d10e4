"""Tasks: all that depends on the kind of labels. No other file of the model tells them apart.

A prediction is (batch, output): logits for classification and multilabel, the value for regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from clcrkit import metrics
from clcrkit.errors import ConfigError, DataError
from clcrkit.ops import at_least_float32

_LESS_IS_BETTER = ("mae", "calibration_error")
MOST_CLASSES = 2**16  # a larger number is a mistake, and would take memory before anyone sees it


@dataclass(frozen=True)
class Task:
    """One kind of labels.

    float_labels          whether labels are floats; else they are class numbers
    label_axes            1 for (batch,), 2 for (batch, output)
    fewest, most          outputs that are possible
    count_outputs(labels)             how many these labels need
    activation(prediction)            probabilities, or the value
    criterion(prediction, labels)     the mean loss over the batch
    score(prediction, labels)         a scalar, the higher the better: accuracy, minus the mean absolute error, or
                                      accuracy over all labels
    metrics(prediction, labels)       the figures that papers quote, by name (`clcrkit.metrics`)
    """

    name: str
    float_labels: bool
    label_axes: int
    fewest: int
    most: int | float
    count_outputs: Callable[[Tensor], int]
    activation: Callable[[Tensor], Tensor]
    criterion: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor]
    metrics: Callable[[Any, Any], dict[str, float]]

    def loss(
        self,
        prediction: Float[Tensor, "batch output"],
        labels: Shaped[Tensor, "batch ..."] | None,
        class_weights: tuple[float, ...] = (),
    ) -> Float[Tensor, ""]:
        """[ours] Cross-entropy for classification, L1 for regression, binary cross-entropy for multilabel; in float32
        at least. `class_weights` multiply the samples' losses before the mean (classification only). Raises DataError
        for labels of another kind or shape. That classes lie below `output` is checked once, before training
        (`check_labels`)."""
        if labels is None:
            raise DataError("labels: this batch has none, and the objective needs them")
        shape = tuple(prediction.shape[: self.label_axes])
        if tuple(labels.shape) != shape or labels.is_floating_point() != self.float_labels:
            kind = "floats" if self.float_labels else "integers"
            raise DataError(
                f"labels: {labels.dtype} of shape {tuple(labels.shape)}, but {self.name} needs {kind} of shape {shape}"
            )
        values = at_least_float32(prediction)
        if class_weights:  # the mean is over samples, so that the mean of processes is that of the whole batch
            return F.cross_entropy(values, labels, values.new_tensor(class_weights), reduction="sum") / values.shape[0]
        return self.criterion(values, labels)

    def measure(
        self, name: str, prediction: Float[Tensor, "batch output"], labels: Shaped[Tensor, "batch ..."]
    ) -> float:
        """'score', or one of `metrics`: the higher the better, so with a minus where less is better.

        -inf where the samples cannot give it. Raises ConfigError for another name."""
        if name == "score":
            return float(self.score(prediction, labels))
        figures = self.metrics(prediction, labels)
        if name not in figures:
            raise ConfigError(f"monitor: {name!r}, but {self.name} has score, {', '.join(figures)}")
        figure = -figures[name] if name in _LESS_IS_BETTER else figures[name]
        return -math.inf if math.isnan(figure) else figure

    def check_labels(self, labels: Shaped[Tensor, "sample ..."], outputs: int, part: str) -> None:
        """Raises DataError where labels are of another kind, or a class has no output; `part` names the data."""
        if (labels.is_floating_point(), labels.ndim) != (self.float_labels, self.label_axes):
            raise DataError(
                f"labels: the {part} part holds labels for {task_of(labels).name}, but the model is for {self.name}"
            )
        if not self.float_labels and labels.max() >= outputs:
            raise DataError(
                f"labels: the {part} part holds class {int(labels.max())}, but classes must be below {outputs}"
            )


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="classification",
            float_labels=False,
            label_axes=1,
            fewest=2,
            most=math.inf,
            count_outputs=lambda labels: int(labels.max()) + 1,
            activation=lambda prediction: prediction.softmax(-1),
            criterion=F.cross_entropy,
            score=lambda prediction, labels: (prediction.argmax(-1) == labels).float().mean(),
            metrics=metrics.classification,
        ),
        Task(
            name="regression",
            float_labels=True,
            label_axes=1,
            fewest=1,
            most=1,
            count_outputs=lambda labels: 1,
            activation=lambda prediction: prediction,
            criterion=lambda prediction, labels: F.l1_loss(prediction, labels.reshape(prediction.shape)),
            score=lambda prediction, labels: -(prediction.squeeze(-1) - labels.reshape(-1)).abs().mean(),
            metrics=metrics.regression,
        ),
        Task(
            name="multilabel",
            float_labels=True,
            label_axes=2,
            fewest=1,
            most=math.inf,
            count_outputs=lambda labels: labels.shape[1],
            activation=lambda prediction: prediction.sigmoid(),
            criterion=F.binary_cross_entropy_with_logits,
            score=lambda prediction, labels: ((prediction > 0) == (labels > 0.5)).float().mean(),
            metrics=metrics.multilabel,
        ),
    )
}
"""By name."""


def task_named(name: str) -> Task:
    """The task. Raises ConfigError for another name."""
    if name not in TASKS:
        raise ConfigError(f"task: {name!r}, but it must be {' or '.join(TASKS)}")
    return TASKS[name]


def task_of(labels: Shaped[Tensor, "batch ..."]) -> Task:
    """The task that labels of a Batch stand for."""
    kind = (labels.is_floating_point(), labels.ndim)
    return next((task for task in TASKS.values() if (task.float_labels, task.label_axes) == kind), TASKS["regression"])
