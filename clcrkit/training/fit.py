"""fit: train any of the kit's models, pick the best epoch on the validation part, and leave a model to use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError
from clcrkit.model import CLCR
from clcrkit.objective import Losses, task_loss
from clcrkit.trace import Trace
from clcrkit.training.checkpoint import read_state, to_cpu, write_state


class TrainingError(RuntimeError):
    """A run that cannot go on; the model holds the last good weights."""


class Trainable(Protocol):
    """What `fit` asks of a model: CLCR and every baseline have it."""

    config: Any

    def ready(self, batch: Batch) -> Batch: ...
    def losses(self, batch: Batch) -> Losses: ...
    def __call__(self, batch: Batch) -> Tensor: ...


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    epochs, batch_size      1 or more
    optimizer               'adamw' or 'sgd' (with `momentum`)
    learning_rate           the peak, > 0
    schedule                'onecycle' (rise over the first 30 %, then fall to 0 along a cosine) or 'constant'
    clip                    largest norm of the gradient; 0 clips nothing
    patience                epochs without a better validation score before stopping; 0 never stops early
    precision               'float32' or 'bfloat16' (autocast)
    device                  'cuda', 'mps', 'cpu', ...; None picks the first of these three that is there
    seed                    order of the samples and dropout
    """

    epochs: int = 30
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9
    schedule: str = "onecycle"
    clip: float = 1.0
    patience: int = 0
    precision: str = "float32"
    device: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        rules = [
            ("epochs", self.epochs, self.epochs >= 1, "1 or more"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
            ("optimizer", self.optimizer, self.optimizer in ("adamw", "sgd"), "adamw or sgd"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "above 0"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "0 or more"),
            ("momentum", self.momentum, 0 <= self.momentum < 1, "from 0 up to, not including, 1"),
            ("schedule", self.schedule, self.schedule in ("onecycle", "constant"), "onecycle or constant"),
            ("clip", self.clip, self.clip >= 0, "0 or more"),
            ("patience", self.patience, self.patience >= 0, "0 or more"),
            ("precision", self.precision, self.precision in ("float32", "bfloat16"), "float32 or bfloat16"),
        ]
        for name, value, holds, allowed in rules:
            if not holds:
                raise ConfigError(f"{name}: {value!r}, but it must be {allowed}")

    @classmethod
    def paper(cls, **settings: Any) -> TrainConfig:
        """The recipe that the paper states: SGD, momentum 0.9, learning rate 1e-3, decay 1e-4, batch 64, 100 epochs.
        It names no schedule; a constant rate is ours."""
        stated = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-3, "weight_decay": 1e-4}
        return cls(**{**stated, "batch_size": 64, "epochs": 100, "schedule": "constant", **settings})


@dataclass(frozen=True)
class Fit:
    """What `fit` returns; the model it was given holds the best epoch's weights.

    history      one row for each epoch: means of the loss terms, validation loss and score, learning rate
    best_epoch   the row the weights come from, counted from 1
    score        its validation score: accuracy, minus the mean absolute error, or accuracy over all labels
    stopped      'finished', 'early' (patience) or 'interrupted'
    traces       of the probe samples after each epoch, where `fit` was given some
    """

    history: pd.DataFrame
    best_epoch: int
    score: float
    stopped: str
    device: str
    traces: tuple[Trace, ...] = ()

    def __repr__(self) -> str:
        return f"Fit(best epoch {self.best_epoch} of {len(self.history)}, validation score {self.score:.3f})"


def fit(
    model: Any,
    train: Batch,
    valid: Batch,
    config: TrainConfig | None = None,
    folder: str | os.PathLike[str] | None = None,
    probe: Batch | None = None,
    progress: bool = True,
) -> Fit:
    """Train `model` in place and leave it with the weights of the epoch that scored best on `valid`.

    folder: where the run's state is written after every epoch; a run that was killed and is started again with
    the same settings goes on from there and ends with the same weights. probe: samples to trace after every
    epoch (CLCR only). Ctrl-C stops the run and leaves the best weights so far.
    Raises DataError for batches that do not fit the model, TrainingError where the loss is no longer finite.
    """
    config = config or TrainConfig()
    for name, part in (("train", train), ("valid", valid)):
        if part.labels is None:
            raise DataError(f"labels: the {name} part has none")
        classes = model.config.outputs if model.config.task == "classification" else math.inf
        if part.labels.max() >= classes:
            highest = int(part.labels.max())
            raise DataError(f"labels: the {name} part holds class {highest}, but classes must be below {classes}")
    if probe is not None and not isinstance(model, CLCR):
        raise ConfigError(f"probe: given, but {type(model).__name__} has no trace; only CLCR has")
    device = torch.device(config.device or default_device())
    train, valid = model.ready(train).to(device), model.ready(valid).to(device)
    model.to(device)
    run = _Run(model, config, math.ceil(len(train) / config.batch_size), device)
    state_file = None if folder is None else Path(folder) / "state.safetensors"
    identity = {"model": type(model).__name__, "settings": _settings(model), "training": _without_device(config)}
    if state_file is not None and state_file.exists():
        run.restore(read_state(state_file, identity))
    stopped = "early" if run.out_of_patience else "finished"
    with torch.random.fork_rng(), tqdm(total=config.epochs, initial=run.epoch, disable=not progress) as bar:
        try:
            while run.epoch < config.epochs and stopped == "finished":
                row = run.one_epoch(train, valid)
                if probe is not None:
                    run.traces.append(model.trace(probe).to("cpu"))
                if state_file is not None:
                    write_state(state_file, identity, run.state())
                bar.update()
                bar.set_postfix({k: f"{row[k]:.3f}" for k in ("task", "intra", "inter", "valid_score") if k in row})
                if run.out_of_patience:
                    stopped = "early"
        except KeyboardInterrupt:
            stopped = "interrupted"
        finally:
            model.load_state_dict(run.best_weights)
            model.eval()
    history = pd.DataFrame(run.history)
    return Fit(history, run.best_epoch, run.best[0], stopped, str(device), tuple(run.traces))


class _Run:
    """The state of one run: everything that must survive a kill, and nothing else."""

    def __init__(self, model: nn.Module, config: TrainConfig, steps: int, device: torch.device) -> None:
        self.model, self.config, self.steps, self.device = model, config, steps, device
        self.optimizer = make_optimizer(model, config)
        self.epoch = 0
        self.history: list[dict[str, float | int]] = []
        self.best: tuple[float, float] = (-math.inf, -math.inf)
        self.best_epoch = 0
        self.best_weights = to_cpu(model.state_dict())
        self.traces: list[Trace] = []

    @property
    def out_of_patience(self) -> bool:
        return bool(self.config.patience) and self.epoch - self.best_epoch >= self.config.patience

    def one_epoch(self, train: Batch, valid: Batch) -> dict[str, float | int]:
        # Everything random in an epoch follows from (seed, epoch), so a resumed run needs no generator's state.
        torch.manual_seed(self.config.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(train))
        self.model.train()
        sums: dict[str, Tensor] = {}
        for step, batch in enumerate(train.batches(self.config.batch_size, order)):
            done = self.epoch * self.steps + step
            rate = self.config.learning_rate * schedule(self.config.schedule, done, self.config.epochs * self.steps)
            for name, value in self._step(batch, rate)._asdict().items():
                sums[name] = sums.get(name, 0) + value.detach() * len(batch)
        row: dict[str, float | int] = {name: float(total) / len(train) for name, total in sums.items()}
        if not math.isfinite(row["total"]):
            raise TrainingError(
                f"loss: {row['total']} in epoch {self.epoch + 1}; a learning rate below {self.config.learning_rate:g} "
                f"or clip above 0 may help; the model holds the weights of epoch {self.best_epoch}"
            )
        measured = evaluate(self.model, valid)
        self.epoch += 1
        row = {"epoch": self.epoch, **row, "valid_task": measured["task"], "valid_score": measured["score"]}
        row["learning_rate"] = rate
        self.history.append(row)
        if (measured["score"], -measured["task"]) > self.best:
            self.best = (measured["score"], -measured["task"])
            self.best_epoch = self.epoch
            self.best_weights = to_cpu(self.model.state_dict())
        return row

    def _step(self, batch: Batch, rate: float) -> Losses:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with autocast(self.device, self.config.precision):
            losses = self.model.losses(batch)  # type: ignore[operator]
        self.optimizer.zero_grad()
        losses.total.backward()
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return losses

    def state(self) -> dict[str, Any]:
        return {
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "history": self.history,
            "best": list(self.best),
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.history = state["epoch"], state["history"]
        self.best, self.best_epoch = (state["best"][0], state["best"][1]), state["best_epoch"]
        self.best_weights = state["best_weights"]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD; weight decay for matrices only, since shrinking a scale, a shift or a budget means nothing."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def schedule(name: str, step: int, total: int) -> float:
    """The share of the peak learning rate at this step, in [0, 1]."""
    if name == "constant":
        return 1.0
    rise = 0.3 * total
    if step < rise:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * step / rise)) / 2
    return (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2


@torch.no_grad()
def predict(model: Any, batch: Batch, batch_size: int = 256) -> Tensor:
    """Predictions in evaluation mode, (batch, output), on the CPU."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        pieces = [model(piece.to(device)).float().cpu() for piece in model.ready(batch).batches(batch_size)]
    finally:
        model.train(training)
    return torch.cat(pieces)


def evaluate(model: Any, batch: Batch) -> dict[str, float]:
    """`task`, the task loss, and `score`: accuracy, minus the mean absolute error, or accuracy over all labels."""
    if batch.labels is None:
        raise DataError("labels: this batch has none, and a score needs them")
    prediction, labels = predict(model, batch), batch.labels.cpu()
    task = model.config.task
    if task == "classification":
        score = (prediction.argmax(-1) == labels).float().mean()
    elif task == "regression":
        score = -(prediction.squeeze(-1) - labels.reshape(-1)).abs().mean()
    else:
        score = ((prediction > 0) == (labels > 0.5)).float().mean()
    return {"task": float(task_loss(task, prediction, labels)), "score": float(score)}


def default_device() -> str:
    """CUDA where there is one, then MPS, then the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """bfloat16 autocast, or nothing for float32."""
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def _settings(model: Any) -> Mapping[str, Any]:
    return {**model.config.to_dict(), "modalities": {m: asdict(model.config.modalities[m]) for m in model.modalities}}


def _without_device(config: TrainConfig) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(config).items() if name != "device"}
