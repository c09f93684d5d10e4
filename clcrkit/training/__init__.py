"""Training: `fit`, its settings, and models on the disk."""

from clcrkit.training.batches import Source
from clcrkit.training.checkpoint import load, save
from clcrkit.training.config import TrainConfig
from clcrkit.training.fit import Fit, fit
from clcrkit.training.measure import evaluate, predict
from clcrkit.training.run import TrainingError

__all__ = ["Fit", "Source", "TrainConfig", "TrainingError", "evaluate", "fit", "load", "predict", "save"]
