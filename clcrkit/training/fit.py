"""fit: train any of the kit's models, pick the best epoch on the validation part, and leave a model to use."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from clcrkit.arguments import Model, public
from clcrkit.batch import Batch
from clcrkit.distributed import Processes
from clcrkit.errors import ConfigError, DataError
from clcrkit.files import digest
from clcrkit.model import CLCR
from clcrkit.ops import as_device
from clcrkit.quality import spoilers
from clcrkit.tasks import TASKS
from clcrkit.trace import Trace
from clcrkit.training.batches import Source, digest_of, opened, part
from clcrkit.training.checkpoint import described, to_cpu
from clcrkit.training.config import TrainConfig, check_trainable, default_device
from clcrkit.training.folder import Folder
from clcrkit.training.interrupt import Interrupt
from clcrkit.training.run import Run


@dataclass(frozen=True)
class Fit:
    """The result of `fit`, which leaves the best epoch's weights in the model.

    history      one row for each epoch: epoch, total, task, the model's other loss terms and figures by their names
                 (means over the epoch), valid_task, valid_score, learning_rate
    best_epoch   the row the weights come from, counted from 1; 0 where no epoch was finished
    score        its validation score: accuracy, minus the mean absolute error, or accuracy over all labels; or the
                 figure that the settings `monitor`
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

    def plot(self) -> Any:
        """The task loss of both parts and the validation score by epoch, as a plotly figure."""
        import plotly.graph_objects as go

        figure = go.Figure(layout={"template": "plotly_white", "yaxis2": {"overlaying": "y", "side": "right"}})
        for name, axis in (("task", "y"), ("valid_task", "y"), ("valid_score", "y2")):
            values = self.history[name].round(4).to_list()
            figure.add_scatter(x=self.history["epoch"].to_list(), y=values, name=name, yaxis=axis, uid=name)
        figure.add_vline(x=self.best_epoch, line_dash="dot")
        return figure.update_layout(xaxis_title="epoch", yaxis_title="task loss", yaxis2_title="score")


@public
def fit(
    model: Model,
    train: Any,
    valid: Any = None,
    config: TrainConfig | None = None,
    folder: str | os.PathLike[str] | None = None,
    probe: Batch | None = None,
    progress: bool = True,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
    checkpoint_every: float = 30.0,
) -> Fit:
    """Train `model` in place and leave it with the weights of the epoch that scored best on `valid`.

    model              CLCR, a baseline, or a module with their `config`, `modalities`, `ready` and `losses`
    train, valid       a Batch, or a Source that reads its batches as they are needed (`datasets.Shards`); or a Split in
                       place of both, whose test part is not touched
    folder             of the run's state: a run that was killed and is started again with the same settings, data
                       and initial weights goes on from there and ends with the same weights. `load(folder)` gives
                       its model
    checkpoint_every   seconds between two checkpoints within an epoch; there is one after every epoch, too
    probe              samples to trace after every epoch (CLCR only)
    on_epoch           called after every epoch with the history so far, to draw or log it. For TensorBoard, with
                       `writer = torch.utils.tensorboard.SummaryWriter()`: `lambda history: [writer.add_scalar(name,
                       value, len(history)) for name, value in history.iloc[-1].items()]`

    Ctrl-C stops the run after the current step and leaves the best weights so far; before the end of the first
    epoch, the current ones.

    Several processes: the same call with the same model, data and settings, in a script under `torchrun` or
    `accelerate launch` (not with --cpu, which starts one process), on one machine or several, or in a function under
    `accelerate.notebook_launcher`, from a kernel that has not used a GPU yet. Every batch is divided among them in
    equal parts, and its loss and gradient are those of the whole batch, so that without dropout they train as one
    process would. `batch_size` is a multiple of the number of processes, and the remainder of the last batch, fewer
    samples than there are processes, is left out of that epoch.
    Only the main process writes, shows progress and calls `on_epoch`; all end with the same weights.

    Warns of what would spoil the run (`quality.spoilers`).
    Raises DataError for data that do not fit the model and for a folder that cannot be used, before training;
    TrainingError where the loss or a weight is no longer finite. A folder that can no longer be written later is a
    warning, and the run goes on.
    """
    if isinstance(valid, TrainConfig):
        raise ConfigError("valid: a TrainConfig, but it is a part of the data; pass the settings as config=...")
    config = config or TrainConfig()
    if valid is None and part(train, "train") is train:
        raise DataError("valid: none given; pass a Split, or a validation part from which the epoch is picked")
    train, valid = part(train, "train"), part(train if valid is None else valid, "valid")
    if probe is not None and not isinstance(model, CLCR):
        raise ConfigError(f"probe: given, but {type(model).__name__} has no trace; only CLCR has")
    check_trainable(model)
    processes = Processes.connect(config.device)
    if config.batch_size % processes.count:
        raise ConfigError(f"batch_size: {config.batch_size}, but it must be a multiple of {processes.count} processes")
    device = processes.device or as_device(config.device or default_device(model))
    train, valid = opened("train", train, model, device, processes.count), opened("valid", valid, model, device)
    scaled = [m for m, x in model.config.modalities.items() if x.mean]
    for problem in spoilers(train, scaled) if isinstance(train, Batch) and processes.main else ():
        warnings.warn(f"train: {problem}", stacklevel=4)  # beyond the decorators
    assert valid.labels is not None
    two = valid.labels[[0, 0]].cpu()  # before the training: is there such a figure?
    TASKS[model.config.task].measure(config.monitor, torch.zeros(2, model.config.outputs), two)
    model.to(device)
    model.load_state_dict(processes.from_main(lambda: to_cpu(model.state_dict())))
    run = Run(model, train, config, device, processes)
    disk = None if folder is None else Folder(folder, _identity(run, valid, probe), checkpoint_every)
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
                    disk.write(run)
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
    try:
        stored = run.processes.from_main(lambda: folder.open(run))
        if stored is not None:
            state, run.traces = stored
            run.restore(state)
    except DataError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DataError(f"{folder.state}: a training state of another version, or damaged ({error})") from error


def _identity(run: Run, valid: Source, probe: Batch | None) -> Mapping[str, Any]:
    """What must be equal for a run to be continued. The device and the number of processes may change."""
    return {
        **described(run.model),
        "training": {name: value for name, value in asdict(run.config).items() if name != "device"},
        "training samples": len(run.train),
        "probe samples": 0 if probe is None else len(probe),
        "digests": {
            "training data": digest_of(run.train),
            "validation data": digest_of(valid),
            "probe data": "" if probe is None else digest_of(probe),
            "initial weights": digest(run.model.state_dict()),
        },
    }
