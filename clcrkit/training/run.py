"""Run: the state of one training, the steps that change it, and how it reaches the disk and comes back."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clcrkit.batch import Batch
from clcrkit.errors import DataError
from clcrkit.objective import Losses
from clcrkit.trace import Trace
from clcrkit.training.checkpoint import read_state, to_cpu, write_state
from clcrkit.training.config import TrainConfig, autocast, make_optimizer, schedule
from clcrkit.training.interrupt import Interrupt
from clcrkit.training.measure import evaluate
from clcrkit.training.processes import Processes
from clcrkit.training.source import Source, epoch_order, part_of, ready_batches


class TrainingError(RuntimeError):
    """A run that cannot go on; the model holds the last good weights."""


class Run:
    """Everything that must survive a kill, and nothing else.

    Whatever is random in a step follows from the seed, the number of the step and the process; the order of an
    epoch follows from the seed and the epoch. So the position in the run stands for the state of every generator.
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
        self.sums = torch.zeros(len(Losses._fields), device=device)
        self.history: list[dict[str, float | int]] = []
        self.best: tuple[float, float] = (-math.inf, -math.inf)
        self.best_epoch = 0
        self.best_weights = to_cpu(model.state_dict())
        self.traces: list[Trace] = []

    @property
    def out_of_patience(self) -> bool:
        return bool(self.config.patience) and self.epoch - self.best_epoch >= self.config.patience

    def finish_epoch(self, interrupt: Interrupt, after_step: Callable[[], None]) -> bool:
        """The rest of the current epoch. False where it was interrupted, after a whole step."""
        c, p = self.config, self.processes
        order = epoch_order(self.train, c.seed * 1_000_003 + self.epoch, c.batch_size)
        own, size = part_of(order, c.batch_size, p.rank, p.count), c.batch_size // p.count
        self.model.train()
        stop = None
        for batch in ready_batches(self.model, self.train, size, self.device, own[self.step * size :]):
            *terms, asked = self._step(batch, interrupt)
            self.sums += torch.stack(terms) * (len(batch) * p.count)
            self.step += 1
            after_step()
            # Several processes must stop after the same step. What the last step brought is known without waiting.
            if interrupt.asked if p.count == 1 else stop is not None and bool(stop > 0):
                return False
            stop = asked
        return True

    def _step(self, batch: Batch, interrupt: Interrupt) -> Tensor:
        """One step. Returns the terms of the loss of the global batch, and the share of processes asked to stop.

        The mean of the parts' gradients is the gradient of the global batch: the parts are of the same size, and the
        terms that need all samples at once gather them themselves (objective.regularisers)."""
        done = self.epoch * self.steps + self.step
        torch.manual_seed(self.config.seed * 1_000_003 + done + (self.processes.rank << 40))
        rate = self.config.learning_rate * schedule(self.config.schedule, done, self.config.epochs * self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with autocast(self.device, self.config.precision):
            losses = self.losses(batch)
        self.optimizer.zero_grad()
        losses.total.backward()
        told = torch.stack([*losses, torch.full_like(losses.total, float(interrupt.asked))]).detach()
        terms = self.processes.mean(self.model, told)
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return terms

    def close_epoch(self, valid: Source) -> None:
        """Measure, note the row of the epoch, and keep the weights where they are the best so far.

        Raises TrainingError where the loss or a weight is no longer finite."""
        row = {name: value / self.used for name, value in zip(Losses._fields, self.sums.tolist(), strict=True)}
        if not self.finite():
            raise TrainingError(
                f"loss: {row['total']} in epoch {self.epoch + 1}; a learning rate below {self.config.learning_rate:g} "
                f"or clip above 0 may help; the model holds the weights of epoch {self.best_epoch}"
            )
        here = evaluate(self.model, valid)
        measured = self.processes.from_main(lambda: here)  # machines may differ in the last digit
        last = (self.epoch + 1) * self.steps - 1
        rate = self.config.learning_rate * schedule(self.config.schedule, last, self.config.epochs * self.steps)
        self.epoch, self.step = self.epoch + 1, 0
        self.sums = torch.zeros_like(self.sums)
        scores = {"valid_task": measured["task"], "valid_score": measured["score"], "learning_rate": rate}
        self.history.append({"epoch": self.epoch, **row, **scores})
        if (measured["score"], -measured["task"]) > self.best:
            self.best = (measured["score"], -measured["task"])
            self.best_epoch = self.epoch
            self.best_weights = to_cpu(self.model.state_dict())

    def finite(self) -> bool:
        """Whether the loss and all weights still are; the host waits for the device."""
        checked = [self.sums, *self.model.parameters()]
        return bool(torch.stack([tensor.detach().isfinite().all() for tensor in checked]).all())

    def state(self) -> dict[str, Any]:
        return {
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums,
            "history": self.history,
            "best": list(self.best),
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self.sums = state["sums"].to(self.device)
        self.best, self.best_epoch = (state["best"][0], state["best"][1]), state["best_epoch"]
        self.best_weights = state["best_weights"]


class Folder:
    """Where a run is kept: `state.safetensors`, and a trace of the probe samples for every epoch.

    Writing in the middle of a run may fail (a full disk, a folder that is gone): the run then goes on, with a
    warning, and what was written before stays. `identity` says which run it is.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any], every: float) -> None:
        self.path, self.identity, self.every = Path(path), dict(identity), every
        self.state = self.path / "state.safetensors"
        self._last = time.monotonic()
        self._failed = False

    def open(self, fresh: Mapping[str, Any]) -> tuple[dict[str, Any], list[Trace]] | None:
        """What is there of this run, or None: then `fresh`, its beginning, is written.

        Raises DataError where the folder cannot be used, or holds another run or a damaged one."""
        try:
            for left in self.path.glob(".*.safetensors.*"):  # a writer that was killed left it behind
                left.unlink()
            found = self.state.exists()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be used as a run's folder ({error})") from None
        if not found:
            write_state(self.state, self.identity, dict(fresh))
            return None
        state = read_state(self.state, self.identity)
        # reading proves nothing about writing
        write_state(self.state, self.identity, state)
        traces = [
            Trace.load(self._trace(epoch + 1)) for epoch in range(self.identity["probe samples"] and state["epoch"])
        ]
        return state, traces

    def write_when_due(self, run: Run) -> None:
        """Write the state if it is time to, and if it is worth keeping."""
        if time.monotonic() - self._last >= self.every and run.finite():
            self.write(run)

    def write(self, run: Run, trace: Trace | None = None) -> None:
        """Write the state, and before it the trace that belongs to it."""
        try:
            if trace is not None:
                trace.save(self._trace(run.epoch))
            write_state(self.state, self.identity, run.state())
            self._failed = False
        except DataError as error:
            if not self._failed:
                warnings.warn(f"{error}; the run goes on, and its last checkpoint stays", stacklevel=2)
            self._failed = True
        self._last = time.monotonic()

    def _trace(self, epoch: int) -> Path:
        return self.path / f"trace-{epoch:04d}.safetensors"


def compiled(losses: Callable[[Batch], Losses]) -> Callable[[Batch], Losses]:
    """The loss, compiled at its first call; left as it is, with a warning, where that is not possible."""
    fast: Callable[[Batch], Losses] = torch.compile(losses)
    working = False

    def call(batch: Batch) -> Losses:
        nonlocal fast, working
        try:
            return fast(batch)
        except Exception as error:
            from torch._dynamo.exc import TorchDynamoException

            if working or not isinstance(error, TorchDynamoException):
                raise
            reason = " ".join(str(error).split())[:200]
            warnings.warn(f"compile: not possible here ({reason}); training goes on without", stacklevel=2)
            fast = losses
            return fast(batch)
        finally:
            working = True

    return call
