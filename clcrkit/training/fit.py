"""fit: train any of the kit's models, pick the best epoch on the validation part, and leave a model to use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from clcrkit.batch import Batch
from clcrkit.distributed import Processes
from clcrkit.errors import ConfigError, DataError
from clcrkit.model import CLCR
from clcrkit.trace import Trace
from clcrkit.training.batches import Source, opened
from clcrkit.training.checkpoint import to_cpu
from clcrkit.training.config import TrainConfig, default_device
from clcrkit.training.folder import Folder
from clcrkit.training.interrupt import Interrupt
from clcrkit.training.run import Run


@dataclass(frozen=True)
class Fit:
    """The result of `fit`, which leaves the best epoch's weights in the model.

    history      one row for each epoch: epoch, total, task, the model's other loss terms by their names (means over the
                 epoch), valid_task, valid_score, learning_rate
    best_epoch   the row the weights come from, counted from 1; 0 where no epoch was finished
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
    train: Source,
    valid: Source,
    config: TrainConfig | None = None,
    folder: str | os.PathLike[str] | None = None,
    probe: Batch | None = None,
    progress: bool = True,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
    checkpoint_every: float = 30.0,
) -> Fit:
    """Train `model` in place and leave it with the weights of the epoch that scored best on `valid`.

    model              CLCR, a baseline, or a module with their `config`, `modalities`, `ready` and `losses`
    train, valid       a Batch, or a Source that reads its batches as they are needed (`datasets.Shards`)
    folder             of the run's state: a run that was killed and is started again with the same settings goes on
                       from there and ends with the same weights
    checkpoint_every   seconds between two checkpoints within an epoch; there is one after every epoch, too
    probe              samples to trace after every epoch (CLCR only)
    on_epoch           called after every epoch with the history so far, to draw it for instance

    Ctrl-C stops the run after the current step and leaves the best weights so far; before the end of the first
    epoch, the current ones.

    Several processes: the same call with the same model, data and settings, in a script under `torchrun` or
    `accelerate launch` (not with --cpu, which starts one process), on one machine or several, or in a function under
    `accelerate.notebook_launcher`, from a kernel that has not used a GPU yet. Every batch is divided among them in
    equal parts, and its loss and gradient are those of the whole batch, so that without dropout they train as one
    process would. `batch_size` is a multiple of the number of processes, and the remainder of the last batch, fewer
    samples than there are processes, is left out of that epoch.
    Only the main process writes, shows progress and calls `on_epoch`; all end with the same weights.

    Raises DataError for data that do not fit the model and for a folder that cannot be used, before training;
    TrainingError where the loss or a weight is no longer finite. A folder that can no longer be written later is a
    warning, and the run goes on.
    """
    config = config or TrainConfig()
    if probe is not None and not isinstance(model, CLCR):
        raise ConfigError(f"probe: given, but {type(model).__name__} has no trace; only CLCR has")
    processes = Processes.connect(config.device)
    if config.batch_size % processes.count:
        raise ConfigError(f"batch_size: {config.batch_size}, but it must be a multiple of {processes.count} processes")
    device = processes.device or torch.device(config.device or default_device(model))
    train, valid = opened("train", train, model, device, processes.count), opened("valid", valid, model, device)
    model.to(device)
    model.load_state_dict(processes.from_main(lambda: to_cpu(model.state_dict())))
    run = Run(model, train, config, device, processes)
    disk = None if folder is None else Folder(folder, _identity(model, train, config, probe), checkpoint_every)
    if disk is not None:
        _resume(disk, run)
    if not processes.main:
        disk = None
    stopped = "early" if run.out_of_patience else "finished"
    quiet = not progress or not processes.main
    devices = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        Interrupt() as interrupt,
        tqdm(total=config.epochs, initial=run.epoch, disable=quiet) as bar,
    ):
        try:
            while run.epoch < config.epochs and stopped == "finished":
                if not run.finish_epoch(interrupt, lambda: disk.write_when_due(run) if disk else None):
                    stopped = "interrupted"
                    if disk is not None and run.finite():
                        disk.write(run)
                    break
                run.close_epoch(valid)
                if probe is not None:
                    run.traces.append(model.trace(probe).to("cpu"))
                if disk is not None:
                    disk.write(run, run.traces[-1] if run.traces else None)
                bar.update()
                row = run.history[-1]
                bar.set_postfix({name: f"{row[name]:.3f}" for name in ("task", *run.terms[2:4], "valid_score")})
                if on_epoch is not None and processes.main:
                    on_epoch(pd.DataFrame(run.history))
                if run.out_of_patience:
                    stopped = "early"
        except KeyboardInterrupt:
            stopped = "interrupted"
        finally:
            if run.best_epoch or stopped != "interrupted":
                model.load_state_dict(run.best_weights)
            model.eval()
    return Fit(pd.DataFrame(run.history), run.best_epoch, run.best[0], stopped, str(device), tuple(run.traces))


def _resume(folder: Folder, run: Run) -> None:
    """Continue from the state in the folder, if there is one; the main process reads it for all."""
    stored = run.processes.from_main(lambda: folder.open(run.state()))
    try:
        if stored is not None:
            state, run.traces = stored
            run.restore(state)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DataError(f"{folder.state}: a training state of another version, or damaged ({error})") from error


def _identity(model: Any, train: Source, config: TrainConfig, probe: Batch | None) -> Mapping[str, Any]:
    """What must be equal for a run to be continued. The device and the number of processes may change."""
    modalities = {m: asdict(model.config.modalities[m]) for m in model.modalities}
    return {
        "model": type(model).__name__,
        "settings": {**model.config.to_dict(), "modalities": modalities},
        "training": {name: value for name, value in asdict(config).items() if name != "device"},
        "training samples": len(train),
        "probe samples": 0 if probe is None else len(probe),
    }
