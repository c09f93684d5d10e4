"""Training: `fit`, its settings, and models on the disk."""

from clcrkit.training.batches import Source
from clcrkit.training.checkpoint import load, save
from clcrkit.training.config import TrainConfig
from clcrkit.training.fit import Fit, fit
from clcrkit.training.measure import evaluate, predict, predict_proba
from clcrkit.training.rate import Rates, find_learning_rate
from clcrkit.training.run import TrainingError

__all__ = [
    "Fit",
    "Rates",
    "Source",
    "TrainConfig",
    "TrainingError",
    "evaluate",
    "find_learning_rate",
    "fit",
    "load",
    "predict",
    "predict_proba",
    "save",
]
