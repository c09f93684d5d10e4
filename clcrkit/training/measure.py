"""A model's predictions on data, and its score."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clcrkit.errors import DataError
from clcrkit.tasks import TASKS
from clcrkit.training.batches import Source, ready_batches


@torch.no_grad()
def predict(model: Any, source: Source, batch_size: int = 256) -> Float[Tensor, "batch output"]:
    """Predictions in evaluation mode, (batch, output), on the CPU."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        pieces = [model(batch).float().cpu() for batch in ready_batches(model, source, batch_size, device)]
    finally:
        model.train(training)
    return torch.cat(pieces)


def evaluate(model: Any, source: Source) -> dict[str, float]:
    """`task`, the task loss, and `score`, the higher the better: accuracy, minus the mean absolute error, or accuracy
    over all labels (`tasks.Task.score`). Raises DataError where there are no labels."""
    if source.labels is None:
        raise DataError("labels: this batch has none, and a score needs them")
    prediction, labels = predict(model, source), source.labels.cpu()
    task = TASKS[model.config.task]
    return {"task": float(task.loss(prediction, labels)), "score": float(task.score(prediction, labels))}
