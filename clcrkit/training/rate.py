"""find_learning_rate: the range test, in which the rate rises with every step until the loss does. [ours]"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from clcrkit.arguments import Model, public
from clcrkit.distributed import Processes
from clcrkit.errors import ConfigError, check_range
from clcrkit.ops import as_device
from clcrkit.training.batches import epoch_order, opened, part, ready_batches
from clcrkit.training.config import TrainConfig, check_trainable, default_device
from clcrkit.training.interrupt import Interrupt
from clcrkit.training.run import Run

SMOOTHING = 0.9  # share of the losses before in the smoothed one
DIVERGED = 2.0  # the loss has, where it is this many times the smallest one
FEWEST = 10  # steps


class Rates(NamedTuple):
    """What the range test saw.

    table        a row for each step: learning_rate, loss (of the batch), smoothed
    suggested    the rate at which the smoothed loss fell fastest; a peak for `TrainConfig(learning_rate=...)`
    """

    table: pd.DataFrame
    suggested: float


@public
def find_learning_rate(
    model: Model,
    train: Any,
    config: TrainConfig | None = None,
    lowest: float = 1e-5,
    highest: float = 1.0,
    steps: int = 100,
) -> Rates:
    """The range test of Smith (2017): train a copy of the model, with rates that rise evenly in their logarithm.

    train: as for `fit`; of a Split the training part. config: as for `fit`, which says batch size, optimizer and seed.
    It ends early where the loss is not finite or twice its smallest. `model` stays as it is.
    Raises ConfigError for a range that is none, and where the loss never fell.
    """
    if not 0 < lowest < highest:
        raise ConfigError(f"lowest, highest: {lowest:g}, {highest:g}, but two rising rates above 0 are needed")
    check_range("steps", steps, FEWEST, 10_000)
    check_trainable(model)
    config = replace(config or TrainConfig(), compile=False)
    device = as_device(config.device or default_device(model))
    source = opened("train", part(train, "train"), model, device)
    run = _Rising(deepcopy(model).to(device).train(), source, config, device, Processes())
    rates, losses, smoothed, average = np.geomspace(lowest, highest, steps), [], [], 0.0
    run.rates = rates.tolist()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        for batch in _without_end(run):
            losses.append(float(run._step(batch, Interrupt())[0]))
            average = SMOOTHING * average + (1 - SMOOTHING) * losses[-1]
            smoothed.append(average / (1 - SMOOTHING ** len(losses)))
            run.step += 1
            diverged = not math.isfinite(losses[-1]) or smoothed[-1] > DIVERGED * min(smoothed)
            if run.step == steps or (diverged and run.step > FEWEST):
                break
    table = pd.DataFrame({"learning_rate": rates[: len(losses)], "loss": losses, "smoothed": smoothed})
    finite = table[np.isfinite(table["smoothed"])]
    slope = np.gradient(finite["smoothed"], np.log(finite["learning_rate"]))
    if not (slope < 0).any():
        raise ConfigError(f"lowest: {lowest:g}, but the loss never fell from there on; begin lower")
    return Rates(table, float(finite["learning_rate"].iloc[int(slope.argmin())]))


class _Rising(Run):
    """A run whose rate is that of its step."""

    rates: list[float]

    def _learning_rate(self, step: int) -> float:
        return self.rates[step]


def _without_end(run: Run) -> Any:
    for epoch in count():
        order = epoch_order(run.train, run.config.seed * 1_000_003 + epoch, run.config.batch_size)
        yield from ready_batches(run.model, run.train, run.config.batch_size, run.device, order)
