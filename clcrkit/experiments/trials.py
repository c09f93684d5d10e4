"""Trials: independent trainings under one protocol, on one processor or a cluster; finished ones are kept on disk.

A comparison is fair if nothing but the compared thing differs. So a `Setup` holds what all models share: the data, the
widths and the training recipe. A `Trial` adds what may differ: the model and the seed. The seed draws the data (where
the data set takes one), the first weights, and the order of the samples, so trials of one seed are pairs. Training and
the choice of the epoch see the training and validation part only; the test part is measured once, at the end.
All [ours].
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

import clcrkit
from clcrkit import datasets, metrics
from clcrkit.analysis.robustness import corruptions
from clcrkit.baselines import RIVALS, Baseline, LateFusion
from clcrkit.batch import Batch
from clcrkit.budget import participation
from clcrkit.config import ABLATIONS, READINGS, CLCRConfig, ablated, ranks
from clcrkit.datasets.split import PARTS, Split
from clcrkit.distributed import is_main
from clcrkit.errors import ConfigError, DataError, require
from clcrkit.experiments.encoders import Encoder
from clcrkit.files import write_json
from clcrkit.model import CLCR
from clcrkit.pretrained import with_stages
from clcrkit.tasks import TASKS
from clcrkit.training import TrainConfig, evaluate, fit, predict

VERSION = 3  # of what a trial does and measures: trials of another version on the disk are not used
PLAIN = "plain reading"
NOISE = (0.5, 1.0, 2.0)  # strengths of `robustness.gaussian_noise`
GAMMAS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
PIECE = 100  # samples traced at a time: a trace keeps all attention
# settings that older keys lack: these are what was done
_LATER = (("monitor", "score"), ("warmup", 0.3), ("gate_rate", 1.0), ("normed", True))
_OF_THE_DATA = ("task", "label_names", "class_weights")
DEFAULTS = {f.name: f.default for f in fields(CLCRConfig) if f.default is not MISSING and f.name not in _OF_THE_DATA}
_TURN = threading.Lock()  # a process has one random state of torch: trials in threads must take turns


@dataclass(frozen=True)
class Setup:
    """What all models of a comparison share.

    name            of the setup, in tables
    data            a Split, a function that returns one (from `seed`, where it has that argument), or the name of a
                    function of `clcrkit.datasets`
    data_settings   the function's arguments, all but the seed
    settings        of CLCRConfig, for CLCR and baselines alike
    training        its seed is replaced by the trial's, and its learning rate where the trial has one
    figures         what is measured besides: the name of a function of `clcrkit.metrics`, such as 'sentiment'; '' for
                    the task's own figures alone
    encoders        by modality what reads it in all models, in place of the kit's own stages
    """

    name: str
    data: str | Split | Callable[..., Split]
    data_settings: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: TrainConfig = field(default_factory=TrainConfig)
    figures: str = ""
    encoders: Mapping[str, Encoder] = field(default_factory=dict)

    def split(self, seed: int) -> Split:
        """The data set of this seed. Raises ConfigError where there is no such data set or argument."""
        return self.data if isinstance(self.data, Split) else _split(self.data, json.dumps(self.data_settings), seed)


@dataclass(frozen=True)
class Trial:
    """One training. `key` identifies it: equal trials have equal keys, on any machine.

    model      'CLCR', 'plain reading' (`CLCRConfig.paper`), another name of ABLATIONS or READINGS, a name of
               RIVALS, or '<modality> alone'
    settings   changes of the setup's, for sweeps
    rate       the learning rate, where it is tuned for each model; None: the setup's
    rho        CLCR only: every level's budget for each token is fixed at this share, in (0, 1), and not learned
    """

    setup: Setup
    model: str = "CLCR"
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    rate: float | None = None
    rho: float | None = None

    @property
    def training(self) -> TrainConfig:
        """The recipe with this trial's seed and learning rate."""
        shared = self.setup.training
        return replace(shared, seed=self.seed, learning_rate=self.rate or shared.learning_rate)

    @property
    def described(self) -> dict[str, Any]:
        """All that decides the result, defaults included, as plain values; without the setup's name."""
        setup, settings = self.setup, {**self.setup.settings, **self.settings}
        encoders = {m: encoder.described for m, encoder in setup.encoders.items()}
        later = (*_LATER, *([] if encoders else [("pretrained_rate", self.training.pretrained_rate)]))
        settings = {name: x.item() if hasattr(x, "item") else x for name, x in settings.items()}  # numpy's numbers
        settings = {**DEFAULTS, **ranks(settings), **settings}
        return {
            "data": setup.data if isinstance(setup.data, str) else _digest(setup.split(self.seed)),
            "data_settings": dict(setup.data_settings),
            "settings": {k: v for k, v in settings.items() if (k, v) not in later},
            "training": {k: v for k, v in asdict(self.training).items() if (k, v) not in later},
            "model": self.model,
            "seed": self.seed,
            "rho": self.rho,
            **({"figures": setup.figures} if setup.figures else {}),  # older keys lack it
            **({"encoders": encoders} if encoders else {}),
        }

    @property
    def key(self) -> str:
        described = {**self.described, "version": VERSION, "clcrkit": clcrkit.__version__}
        text = json.dumps(described, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def train(self, folder: str | os.PathLike[str] | None = None) -> tuple[CLCR | Baseline, Split, dict[str, Any]]:
        """The trained model, its data, and how the training went: valid_score, best_epoch, curve (the validation
        score after each epoch, as text), seconds (of this call). folder: of the run's state, from which a killed
        training goes on. Raises KeyboardInterrupt where it was stopped."""
        split = self.setup.split(self.seed)
        model = self.build(split)
        began = time.perf_counter()
        result = fit(model, split.train, split.valid, self.training, folder, progress=False)
        if result.stopped == "interrupted":
            raise KeyboardInterrupt  # what it learned so far is no finished trial
        seconds = time.perf_counter() - began
        curve = " ".join(f"{x:.4g}" for x in result.history["valid_score"])
        row = {"valid_score": result.score, "best_epoch": result.best_epoch, "curve": curve, "seconds": seconds}
        return model, split, row

    def build(self, split: Split) -> CLCR | Baseline:
        """The untrained model. Raises ConfigError for a model or a setting that does not exist."""
        settings, encoders = {**self.setup.settings, **self.settings}, self.setup.encoders
        if settings.get("standardise") is True:
            as_they_are = {m for m, encoder in encoders.items() if encoder.as_it_is}
            settings["standardise"] = [m for m in split.train.modalities if m not in as_they_are]
        config = CLCRConfig.of(split, **settings)
        modalities = {m: encoders[m].modality(x) if m in encoders else x for m, x in config.modalities.items()}
        config = replace(config, modalities=modalities)
        torch.manual_seed(self.seed)
        model = self._made(config)
        read = {m: encoder for m, encoder in encoders.items() if m in model.modalities}
        return with_stages(model, {m: x.stage(m, config.levels, modalities[m]) for m, x in read.items()})

    def _made(self, config: CLCRConfig) -> CLCR | Baseline:
        if self.model in RIVALS:
            return RIVALS[self.model](config)
        if self.model.removesuffix(" alone") in config.modalities:
            return LateFusion(config, (self.model.removesuffix(" alone"),))
        if self.model not in ("CLCR", PLAIN, *ABLATIONS, *READINGS):
            known = ["CLCR", PLAIN, *ABLATIONS, *READINGS, *RIVALS, *(f"{m} alone" for m in config.modalities)]
            raise ConfigError(f"model: {self.model!r}, but there are {', '.join(known)}")
        changed = {"CLCR": config, PLAIN: config.paper()}
        model = CLCR(changed[self.model] if self.model in changed else ablated(config, self.model))
        if self.rho is not None:
            if not 0 < self.rho < 1 or model.intraced.budget is None:
                raise ConfigError(
                    f"rho: {self.rho}, but a share above 0 and below 1, and a model with a budget, are needed"
                )
            model.intraced.budget.rho_logit.requires_grad_(False).fill_(math.log(self.rho / (1 - self.rho)))
        return model


def run(
    trials: Iterable[Trial],
    folder: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
    note: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Run the trials that the folder does not hold yet, and return one row for each, in the given order and each once.

    Trials are independent jobs under joblib, each on one thread: n_jobs processes here, or wherever an enclosing
    `joblib.parallel_config` says, such as `parallel_config(backend="dask")` with a `dask.distributed.Client` (give its
    workers one thread each: trials of one process take turns). folder: one JSON file for each trial, written by this
    process as soon as the trial is finished, so a call that was killed continues when it is made again; None keeps
    nothing. The training of an encoder, which may take hours, also keeps its state there until it is finished.
    note: columns to add to the trials that run now, such as the commit of the code.

    Columns: data (the setup's name), model, changes (of the setup's settings, as text), rate, seed, key, those of
    `note`; score (of the test part, `tasks.Task.score`), valid_score, best_epoch, curve (the validation score after
    each epoch, joined by spaces), seconds, parameters; the task's metrics of the test part; `noise <strength>`: the
    score under Gaussian noise; and for CLCR the means over the test part of participation, funded (the share of real
    tokens that have one), `gate <modality>`, `level <i>`, and `spread of levels` (the standard deviation of the level
    gates over samples); for the unablated one also `score at gamma <g>`, `participation at gamma <g>` and `funded at
    gamma <g>`.

    Raises what a trial raises; the finished ones are kept. DataError for a damaged file in the folder, or a folder
    that cannot be written.
    """
    by_key = {trial.key: trial for trial in trials}
    needed = ("score", "valid_score", "best_epoch", "parameters")
    rows = kept(by_key.values(), partial(_row, folder=folder), needed, folder, n_jobs, progress, note)
    table = []
    for key, trial in by_key.items():
        changed = {**trial.settings, **({} if trial.rho is None else {"rho": trial.rho})}
        changes = ", ".join(f"{name}={value}" for name, value in changed.items())
        rate = trial.training.learning_rate
        names = {"data": trial.setup.name, "model": trial.model, "changes": changes, "rate": rate, "seed": trial.seed}
        table.append({**names, "key": key, **rows[key]})
    return pd.DataFrame(table)


def kept(
    trials: Iterable[Trial],
    work: Callable[[Trial], Mapping[str, Any]],
    needed: Iterable[str],
    folder: str | os.PathLike[str] | None,
    n_jobs: int | None = None,
    progress: bool = True,
    note: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """What the work on each trial returns (JSON's values, those needed among them), by the trial's key; see `run`."""
    require("joblib", "analysis")
    from joblib import Parallel, delayed

    if folder is not None:
        _check_writable(Path(folder))
    by_key = {trial.key: trial for trial in trials}  # equal trials run once
    found = {} if folder is None else {key: _read(Path(folder), key, needed) for key in by_key}
    rows = {key: row for key, row in found.items() if row is not None}
    todo = [trial for key, trial in by_key.items() if key not in rows]
    jobs = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)(delayed(_job)(work, t) for t in todo)
    bar = tqdm(jobs, total=len(by_key), initial=len(rows), desc="trials", disable=not progress)
    for key, row in bar:
        rows[key] = {**row, **(note or {})}
        bar.set_postfix_str(f"{by_key[key].setup.name}: {by_key[key].model}")
        if folder is not None and is_main():
            write_json(Path(folder) / f"{key}.json", {"trial": by_key[key].described, "row": rows[key]})
            shutil.rmtree(Path(folder) / key, ignore_errors=True)  # the state of a long training
    return rows


def _job(work: Callable[[Trial], Mapping[str, Any]], trial: Trial) -> tuple[str, Mapping[str, Any]]:
    """On one thread: torch's number of threads is the process's, so jobs of one process take turns."""
    with _TURN:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return trial.key, work(trial)
        finally:
            torch.set_num_threads(threads)


def _row(trial: Trial, folder: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    long = folder is not None and any(encoder.trained for encoder in trial.setup.encoders.values())
    model, split, training = trial.train(Path(folder) / trial.key) if long and folder else trial.train()
    return {**training, **_measured(trial, model, split)}


def _measured(trial: Trial, model: Any, split: Split) -> dict[str, float]:
    test, row = split.test, {"parameters": float(sum(p.numel() for p in model.parameters()))}
    assert test.labels is not None
    row["score"] = evaluate(model, test)["score"]
    prediction = predict(model, test)
    row |= TASKS[model.config.task].metrics(prediction, test.labels)
    if trial.setup.figures:
        row |= getattr(metrics, trial.setup.figures)(prediction, test.labels)
    noise = corruptions(split.train).get("noise")
    if noise is not None:
        row |= {f"noise {s:g}": evaluate(model, noise.apply(test, s, trial.seed))["score"] for s in NOISE}
    if isinstance(model, CLCR):
        row |= _decisions(model, test)
        if trial.model == "CLCR" and trial.rho is None:
            for gamma in GAMMAS:
                decisions = _decisions(model, test, gamma)
                row |= {f"{name} at gamma {gamma:g}": decisions[name] for name in ("score", "participation", "funded")}
    return row


def _decisions(model: CLCR, test: Batch, gamma: float = 1.0) -> dict[str, float]:
    """The score at this gamma, and the means over samples of the participation (of present modalities) and gates."""
    assert test.labels is not None
    predictions, gates, shares, funded = [], [], [], []
    for start in range(0, len(test), PIECE):
        trace = model.trace(test.select(slice(start, start + PIECE)), gamma, attention=False)
        predictions.append(trace.prediction)
        gates.append(torch.cat([trace.modality_gate, trace.level_gate], dim=1))
        for m, mask in trace.batch.masks.items():
            present = mask.any(1)
            shares.append(trace.participation[m][present].mean(1))
            funded.append(participation((trace.allocation[m] > 0).float(), mask)[present].mean(1))
    names = [f"gate {m}" for m in model.modalities] + [f"level {i + 1}" for i in range(model.levels)]
    return {
        "score": float(TASKS[model.config.task].score(torch.cat(predictions), test.labels)),
        "participation": float(torch.cat(shares).mean()),
        "funded": float(torch.cat(funded).mean()),
        **dict(zip(names, torch.cat(gates).mean(0).tolist(), strict=True)),
        "spread of levels": float(torch.cat(gates)[:, -model.levels :].std(0, correction=0).mean()),
    }


@lru_cache(maxsize=2)
def _split(data: str | Callable[..., Split], settings: str, seed: int) -> Split:
    """Cached, since `run` goes through all models of a seed."""
    make: Any = getattr(datasets, data, None) if isinstance(data, str) else data
    if not callable(make) or (isinstance(data, str) and not (data in datasets.__all__ and inspect.isfunction(make))):
        raise ConfigError(
            f"data: {data!r}, but a Split, a function that makes one, or the name of one in clcrkit.datasets is needed"
        )
    arguments, parameters = json.loads(settings), inspect.signature(make).parameters
    unknown = set(arguments) - set(parameters)
    if unknown:
        raise ConfigError(f"{data}: no argument {', '.join(sorted(unknown))}")
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return make(**arguments, **({"seed": seed} if "seed" in parameters else {}))


@lru_cache(maxsize=4)
def _digest(split: Split) -> str:
    """What tells data apart: equal batches have equal digests, on any machine."""
    mark = hashlib.sha256()
    for part in PARTS:
        for name, field_ in vars(getattr(split, part)).items():
            for key, value in field_.items() if isinstance(field_, Mapping) else [("", field_)]:
                tensor = isinstance(value, torch.Tensor)
                mark.update(repr((part, name, key, (value.dtype, value.shape) if tensor else value)).encode())
                mark.update(value.cpu().contiguous().numpy().tobytes() if tensor else b"")
    return f"sha256:{mark.hexdigest()}"


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise DataError(f"{folder}: cannot be used as a folder for trials ({error})") from None


def _read(folder: Path, key: str, needed: Iterable[str]) -> dict[str, Any] | None:
    path = folder / f"{key}.json"
    try:
        row = json.loads(path.read_text(encoding="utf-8"))["row"]
        missing = [name for name in needed if name not in row]
        if missing:
            raise ValueError(f"no {', '.join(missing)}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not a trial's file, or damaged ({error}); delete it to run the trial again") from None
    return dict(row)
