"""Run: the state of one training, and the steps that change it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clcrkit.batch import Batch
from clcrkit.distributed import Processes
from clcrkit.errors import OneLine
from clcrkit.objective import Losses
from clcrkit.trace import Trace
from clcrkit.training.batches import Source, epoch_order, part_of, ready_batches
from clcrkit.training.checkpoint import to_cpu
from clcrkit.training.config import TrainConfig, make_optimizer, schedule
from clcrkit.training.interrupt import Interrupt
from clcrkit.training.measure import evaluate

_STORED = ("epoch", "step", "terms", "sums", "history", "best", "best_epoch", "best_weights")


class TrainingError(OneLine, RuntimeError):
    """A run that cannot go on; the model holds the last good weights."""


class Run:
    """The state of a training: everything that must survive a kill, and nothing else.

    The random numbers of a step follow from the seed, the number of the step and the rank of the process; the order of
    an epoch follows from the seed and the epoch. So no generator's state needs to be stored.
    """

    def __init__(
        self, model: nn.Module, train: Source, config: TrainConfig, device: torch.device, processes: Processes
    ) -> None:
        self.model, self.train, self.config, self.device, self.processes = model, train, config, device, processes
        self.used = len(train) - len(train) % config.batch_size % processes.count  # samples in an epoch
        self.steps = math.ceil(self.used / config.batch_size)
        self.losses: Callable[[Batch], Losses] = model.losses  # type: ignore[assignment]
        if config.compile:
            self.losses = compiled(self.losses)
        self.optimizer = make_optimizer(model, config)
        self.epoch = 0  # finished ones
        self.step = 0  # finished ones of the current epoch
        self.terms: list[str] = []  # names of the loss terms, known after the first step
        self.sums = torch.zeros((), device=device)  # of each term over the samples of the current epoch
        self.history: list[dict[str, float | int]] = []
        self.best: tuple[float, float] = (-math.inf, -math.inf)
        self.best_epoch = 0
        self.best_weights = to_cpu(model.state_dict())
        self.traces: list[Trace] = []

    @property
    def out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.epoch - self.best_epoch

    def is_over(self, state: Mapping[str, Any]) -> bool:
        """Whether a run in this state has nothing left to do."""
        waited = state["epoch"] - state["best_epoch"]
        return state["epoch"] >= self.config.epochs or 0 < self.config.patience <= waited

    def finish_epoch(self, interrupt: Interrupt, after_step: Callable[[], None]) -> bool:
        """Run the remaining steps of the current epoch. Returns False where it was interrupted, after a step."""
        c, p = self.config, self.processes
        order = epoch_order(self.train, c.seed * 1_000_003 + self.epoch, c.batch_size)
        own, size = part_of(order, c.batch_size, p.rank, p.count), c.batch_size // p.count
        self.model.train()
        stop = None
        for batch in ready_batches(self.model, self.train, size, self.device, own[self.step * size :]):
            *terms, asked = self._step(batch, interrupt)
            self.sums = self.sums + torch.stack(terms) * (len(batch) * p.count)
            self.step += 1
            after_step()
            # Several processes must stop after the same step. They read the answers of the step before, since those
            # have arrived: reading this step's would make the host wait for the device.
            if interrupt.asked if p.count == 1 else stop is not None and bool(stop > 0):
                return False
            stop = asked
        return True

    def _step(self, batch: Batch, interrupt: Interrupt) -> Tensor:
        """One step. Returns the loss terms of the global batch, and the share of processes that were asked to stop.

        The mean of the processes' gradients is the gradient of the global batch: their parts of it are of the same
        size, and the terms that are no mean over samples gather all samples (`objective.regularisers`)."""
        step = self.epoch * self.steps + self.step
        torch.manual_seed(self.config.seed * 1_000_003 + step + (self.processes.rank << 40))
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step) * group["share"]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            losses = self.losses(batch)
        self.optimizer.zero_grad()
        losses.total.backward()
        by_name = {**losses.by_name(), **losses.figures}
        self.terms = list(by_name)
        values = torch.stack([*by_name.values(), torch.full_like(losses.total, float(interrupt.asked))]).detach()
        means = self.processes.average_gradients(self.model, values)
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return means

    def _learning_rate(self, step: int) -> float:
        c = self.config
        return c.learning_rate * schedule(c.schedule, step, c.epochs * self.steps, c.warmup)

    def close_epoch(self, valid: Source) -> None:
        """Evaluate on `valid`, append the epoch's row to the history, and keep the weights if they are the best so far.

        Raises TrainingError where the loss or a weight is no longer finite."""
        row = {name: value / self.used for name, value in zip(self.terms, self.sums.tolist(), strict=True)}
        if not self.finite():
            raise TrainingError(
                f"loss: {row['total']} in epoch {self.epoch + 1}; a learning rate below {self.config.learning_rate:g} "
                f"or clip above 0 may help; the model holds the weights of epoch {self.best_epoch}"
            )
        monitor = self.config.monitor
        own = evaluate(self.model, valid, monitor)
        measured = self.processes.from_main(lambda: own)  # machines may differ in the last digit
        rate = self._learning_rate((self.epoch + 1) * self.steps - 1)  # of the last step
        self.epoch, self.step = self.epoch + 1, 0
        self.sums = torch.zeros((), device=self.device)
        scores = {f"valid_{name}": value for name, value in measured.items()} | {"learning_rate": rate}
        self.history.append({"epoch": self.epoch, **row, **scores})
        if (measured[monitor], -measured["task"]) > self.best:
            self.best = (measured[monitor], -measured["task"])
            self.best_epoch = self.epoch
            self.best_weights = to_cpu(self.model.state_dict())

    def finite(self) -> bool:
        """Whether the loss and all weights are finite; the host waits for the device."""
        tensors = [self.sums, *self.model.parameters()]
        return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())

    def state(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _STORED}
        return {"weights": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), **values}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in _STORED:
            setattr(self, name, state[name])
        self.best = (self.best[0], self.best[1])  # a file has lists only
        self.sums = self.sums.to(self.device)


def compiled(losses: Callable[[Batch], Losses]) -> Callable[[Batch], Losses]:
    """The loss, compiled at its first call; not compiled, with a warning, where that is not possible."""
    current: Callable[[Batch], Losses] = torch.compile(losses)
    called = False

    def call(batch: Batch) -> Losses:
        nonlocal current, called
        try:
            return current(batch)
        except Exception as error:
            from torch._dynamo.exc import TorchDynamoException

            if called or not isinstance(error, TorchDynamoException):
                raise
            reason = " ".join(str(error).split())[:200]
            warnings.warn(f"compile: not possible here ({reason}); training goes on without", stacklevel=2)
            current = losses
            return current(batch)
        finally:
            called = True

    return call
