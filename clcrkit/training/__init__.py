"""Training: `fit`, its settings, and models on the disk."""

from clcrkit.training.checkpoint import load, save
from clcrkit.training.fit import Fit, TrainConfig, TrainingError, evaluate, fit, predict

__all__ = ["Fit", "TrainConfig", "TrainingError", "evaluate", "fit", "load", "predict", "save"]
