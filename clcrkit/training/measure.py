"""What a model predicts, and how well."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clcrkit.errors import DataError
from clcrkit.objective import task_loss
from clcrkit.training.source import Source, ready_batches


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
    """`task`, the task loss, and `score`: accuracy, minus the mean absolute error, or accuracy over all labels."""
    if source.labels is None:
        raise DataError("labels: this batch has none, and a score needs them")
    prediction, labels = predict(model, source), source.labels.cpu()
    task = model.config.task
    if task == "classification":
        score = (prediction.argmax(-1) == labels).float().mean()
    elif task == "regression":
        score = -(prediction.squeeze(-1) - labels.reshape(-1)).abs().mean()
    else:
        score = ((prediction > 0) == (labels > 0.5)).float().mean()
    return {"task": float(task_loss(task, prediction, labels)), "score": float(score)}
