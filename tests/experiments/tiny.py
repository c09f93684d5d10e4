"""The smallest comparison: what the tests of experiments train."""

from clcrkit.experiments.trials import Setup
from clcrkit.training import TrainConfig

TINY = Setup(
    "tiny",
    "asynchrony",
    {"samples": [64, 16, 16], "relation": "redundant"},
    {"width": 8, "rank": 4, "private_rank": 4, "heads": 2, "levels": 2},
    TrainConfig(epochs=1, batch_size=16, device="cpu"),
)
