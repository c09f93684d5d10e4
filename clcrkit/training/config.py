"""TrainConfig, and what follows from it alone: the optimizer, the learning rate of each step, the precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from clcrkit.aggregation import InterCAD
from clcrkit.errors import ConfigError
from clcrkit.ops import as_device
from clcrkit.settings import make_plain


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    epochs                  1 or more
    batch_size              1 or more: samples in one step, over all processes
    optimizer               'adamw' or 'sgd' (with `momentum`)
    weight_decay            0 or more
    decay_all               decay all parameters; else only matrices, since shrinking a scale, a shift or a budget
                            regularises nothing [ours]
    learning_rate           the peak, > 0
    pretrained_rate         the rate of a pretrained encoder's weights as a share of the learning rate, above 0, up to
                            1; by default 6e-5 at the peak, near what BERT is usually fine-tuned with [ours]
    gate_rate               the rate of InterCAD's gates as a share of the learning rate, above 0; at 5 level gates wake
                            up more often where they are needed (`data/results/sweep_gate_rate.csv`) [ours]
    schedule                'onecycle' (rise over the share `warmup`, then fall to 0 along a cosine) or 'constant'
    clip                    largest norm of the gradient; 0 clips nothing
    patience                epochs without a better validation score before stopping; 0 never stops early
    monitor                 what picks the epoch on the validation part: 'score', or a figure of the task such as
                            'f1_macro', 'calibration_error' or 'correlation' (`tasks.Task.measure`)
    precision               'float32' or 'bfloat16' (autocast)
    compile                 compile the loss with torch.compile; without a compiler, a warning and no compiling
    device                  'cuda', 'mps', 'cpu', ...; None picks the first of these three that is available
    seed                    order of the samples and dropout
    """

    epochs: int = 30
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    pretrained_rate: float = 0.02
    gate_rate: float = 1.0
    weight_decay: float = 1e-2
    decay_all: bool = False
    momentum: float = 0.9
    schedule: str = "onecycle"
    warmup: float = 0.3
    clip: float = 1.0
    patience: int = 0
    monitor: str = "score"
    precision: str = "float32"
    compile: bool = False
    device: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        rules = [
            ("epochs", self.epochs, self.epochs >= 1, "1 or more"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
            ("optimizer", self.optimizer, self.optimizer in ("adamw", "sgd"), "adamw or sgd"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "above 0"),
            ("pretrained_rate", self.pretrained_rate, 0 < self.pretrained_rate <= 1, "above 0 and up to 1"),
            ("gate_rate", self.gate_rate, 0 < self.gate_rate < math.inf, "above 0"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "0 or more"),
            ("momentum", self.momentum, 0 <= self.momentum < 1, "from 0 up to, not including, 1"),
            ("schedule", self.schedule, self.schedule in ("onecycle", "constant"), "onecycle or constant"),
            ("warmup", self.warmup, 0 <= self.warmup < 1, "from 0 up to, not including, 1"),
            ("clip", self.clip, self.clip >= 0, "0 or more"),
            ("patience", self.patience, self.patience >= 0, "0 or more"),
            ("seed", self.seed, 0 <= self.seed < 2**32, "from 0 up to, not including, 2**32"),
            ("precision", self.precision, self.precision in ("float32", "bfloat16"), "float32 or bfloat16"),
        ]
        for name, value, holds, allowed in rules:
            if not holds:
                raise ConfigError(f"{name}: {value!r}, but it must be {allowed}")

        if as_device(self.device or "cpu", there=False).type == "meta":
            raise ConfigError("device: 'meta', but it holds no values; cuda, mps or cpu is needed")

    @classmethod
    def paper(cls, **settings: Any) -> TrainConfig:
        """[paper] SGD, momentum 0.9, learning rate 1e-3, weight decay 1e-4, batch 64, 100 epochs. It names no schedule,
        no clipping and no exception from the decay: a constant rate [ours], none and none."""
        stated = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-3, "weight_decay": 1e-4, "decay_all": True}
        return cls(**{**stated, "batch_size": 64, "epochs": 100, "schedule": "constant", "clip": 0.0, **settings})


def check_trainable(model: nn.Module) -> None:
    """Raise ConfigError where no training can change the weights."""
    cure = "make the model outside of it"
    for parameter in model.parameters():
        if parameter.is_meta:
            raise ConfigError(f"model: its weights are on the meta device, which holds no values; {cure}")
        if parameter.is_inference():
            raise ConfigError(f"model: its weights were made under torch.inference_mode and cannot be trained; {cure}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("model: all of its weights are frozen; call requires_grad_() on those to train")


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD, with weight decay as `config.decay_all` says. Fused: one kernel updates all parameters.

    Each group's `share` is that of the learning rate which its weights get; `fit` multiplies by it at each step."""
    trained = [p for p in model.parameters() if p.requires_grad]
    encoders = [module for module in model.modules() if getattr(module, "pretrained", None) is True]
    gates = [p for module in model.modules() if isinstance(module, InterCAD) for p in module.gate_parameters()]
    shares = dict.fromkeys(gates, config.gate_rate)
    shares |= {p: config.pretrained_rate for encoder in encoders for p in encoder.parameters()}
    groups = []
    for share in dict.fromkeys([1.0, *shares.values()]):
        for matrices, decay in ((True, 1), (False, config.decay_all)):
            chosen = [p for p in trained if shares.get(p, 1.0) == share and (p.ndim >= 2) == matrices]
            rate, decay_rate = config.learning_rate * share, config.weight_decay * decay
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay_rate, "share": share})
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def schedule(name: str, step: int, total: int, warmup: float = 0.3) -> float:
    """The share of the peak learning rate at this step, in [0, 1]."""
    if name == "constant":
        return 1.0
    rise = warmup * total
    if step < rise:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * step / rise)) / 2
    return (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2


def default_device(model: nn.Module) -> str:
    """CUDA if available, then MPS, then the CPU. MPS has no float64: a model of it stays on the CPU there."""
    if torch.cuda.is_available():
        return "cuda"
    double = any(p.dtype == torch.float64 for p in model.parameters())
    return "mps" if torch.backends.mps.is_available() and not double else "cpu"
