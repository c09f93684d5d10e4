"""A model's predictions on data, and its score."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clcrkit.arguments import Model, public
from clcrkit.errors import check_range
from clcrkit.tasks import TASKS
from clcrkit.training.batches import check_labels, part, ready_batches


@public
@torch.no_grad()
def predict(model: Model, source: Any, batch_size: int = 256) -> Float[Tensor, "batch output"]:
    """Predictions in evaluation mode, (batch, output), on the CPU; of a Split for its test part."""
    check_range("batch_size", batch_size, 1)
    source = part(source, "test")
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        pieces = [model(batch).float().cpu() for batch in ready_batches(model, source, batch_size, device)]
    finally:
        model.train(training)
    return torch.cat(pieces)


@public
def predict_proba(model: Model, source: Any, batch_size: int = 256) -> Float[Tensor, "batch output"]:
    """As `predict`, but probabilities of classes or labels; for a regression the value."""
    return TASKS[model.config.task].activation(predict(model, source, batch_size))


@public
def evaluate(model: Model, source: Any, monitor: str = "score") -> dict[str, float]:
    """`task`, the task loss, and `score`, the higher the better: accuracy, minus the mean absolute error, or accuracy
    over all labels (`tasks.Task.score`); of a Split for its test part. `monitor` names one more figure of
    `tasks.Task.measure`. Raises DataError where there are no labels."""
    source = part(source, "test")
    check_labels("test", source, model)
    assert source.labels is not None
    prediction, labels = predict(model, source), source.labels.cpu()
    task = TASKS[model.config.task]
    figures = {name: task.measure(name, prediction, labels) for name in ("score", monitor)}
    return {"task": float(task.loss(prediction, labels)), **figures}
