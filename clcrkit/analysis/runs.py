"""Trials: independent trainings under one protocol, on one processor or a cluster, finished ones kept on disk.

A comparison is fair where nothing but the compared thing differs. So a `Setup` holds what all models share: the data,
the widths and the training recipe, and a `Trial` adds what may differ: the model and the seed. The seed draws the
data (where the data set has one), the first weights, and the order of the samples, so trials of one seed are pairs.
Training and the best epoch see the training and validation part only; the test part is measured once, at the end.
All [ours].
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

import clcrkit
from clcrkit import datasets
from clcrkit.analysis.robustness import corruptions
from clcrkit.baselines import BASELINES, Baseline, LateFusion
from clcrkit.batch import Batch
from clcrkit.datasets import Split
from clcrkit.errors import ConfigError, DataError
from clcrkit.files import write_json
from clcrkit.metrics import score
from clcrkit.model import ABLATIONS, CLCR, CLCRConfig, ablated
from clcrkit.training import TrainConfig, evaluate, fit, predict

VERSION = 2  # of what a trial does and measures; another one finds no earlier trial on the disk
NOISE = (0.5, 1.0, 2.0)  # strengths of `robustness.gaussian_noise`
GAMMAS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
PIECE = 100  # samples traced at a time: a trace keeps all attention
# the data tell the task
DEFAULTS = {f.name: f.default for f in fields(CLCRConfig) if f.default is not MISSING and f.name != "task"}
_ALONE = threading.Lock()  # torch's random state is one for a process: trials in threads must take turns


@dataclass(frozen=True)
class Setup:
    """What all models of a comparison share.

    name            what tables call it
    data            a function of `clcrkit.datasets`
    data_settings   its arguments, all but the seed
    settings        of CLCRConfig, for CLCR and baselines alike
    training        its seed is replaced by the trial's
    """

    name: str
    data: str
    data_settings: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: TrainConfig = field(default_factory=TrainConfig)

    def split(self, seed: int) -> Split:
        """The data set of this seed. Raises ConfigError where there is no such data set or argument."""
        return _split(self.data, json.dumps(self.data_settings), seed)


@dataclass(frozen=True)
class Trial:
    """One training. `key` names it: equal trials have equal keys, on any machine.

    model      'CLCR', another name of ABLATIONS, a name of BASELINES, or '<modality> alone'
    settings   changes of the setup's, for sweeps
    rho        CLCR only: every level's budget for each token is fixed at this share, in (0, 1), and not learned
    """

    setup: Setup
    model: str = "CLCR"
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    rho: float | None = None

    @property
    def described(self) -> dict[str, Any]:
        """All that decides the result, defaults included, as plain values; not what the setup is called."""
        shared = asdict(self.setup)
        training = {**shared["training"], "seed": self.seed}
        return {
            "data": shared["data"],
            "data_settings": shared["data_settings"],
            "model": self.model,
            "settings": {**DEFAULTS, **shared["settings"], **self.settings},
            "training": training,
            "rho": self.rho,
            "seed": self.seed,
        }

    @property
    def key(self) -> str:
        known = json.dumps({**self.described, "version": VERSION, "clcrkit": clcrkit.__version__}, sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()[:20]

    def train(self) -> tuple[CLCR | Baseline, Split, dict[str, float]]:
        """The trained model, its data, and how the training went: valid_score, best_epoch, seconds."""
        split = self.setup.split(self.seed)
        model = self.build(split)
        began = time.perf_counter()
        done = fit(model, split.train, split.valid, replace(self.setup.training, seed=self.seed), progress=False)
        went = {"valid_score": done.score, "best_epoch": done.best_epoch, "seconds": time.perf_counter() - began}
        return model, split, went

    def build(self, split: Split) -> CLCR | Baseline:
        """The untrained model. Raises ConfigError for a model or a setting that does not exist."""
        config = CLCRConfig.of(split.train, **{**self.setup.settings, **self.settings})
        torch.manual_seed(self.seed)
        if self.model in BASELINES:
            return BASELINES[self.model](config)
        if self.model.removesuffix(" alone") in config.modalities:
            return LateFusion(config, (self.model.removesuffix(" alone"),))
        if self.model != "CLCR" and self.model not in ABLATIONS:
            alone = [f"{m} alone" for m in config.modalities]
            raise ConfigError(
                f"model: {self.model!r}, but there are {', '.join(['CLCR', *ABLATIONS, *BASELINES, *alone])}"
            )
        model = CLCR(config if self.model == "CLCR" else ablated(config, self.model))
        if self.rho is not None:
            _fix_budget(model, self.rho)
        return model


def run(
    trials: Iterable[Trial],
    folder: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run the trials that the folder does not hold yet, and return one row for each, in the given order and each once.

    Trials are independent jobs under joblib, each on one thread: n_jobs processes here, or wherever an enclosing
    `joblib.parallel_config` says, such as `parallel_config(backend="dask")` with a `dask.distributed.Client` (give its
    workers one thread each: trials of one process take turns), or Ray's `ray.util.joblib` (not tried). Only this
    process writes to the folder: a trial is kept there as soon as it is finished, so a killed call, made again,
    goes on. folder: one JSON file for each trial, written all or nothing; None keeps nothing.

    Columns: data (the setup's name), model, changes (of the setup's settings, as text), seed, key, commit; score (test:
    accuracy, minus the mean absolute error, or accuracy over all labels), valid_score, best_epoch, seconds, parameters;
    the task's figures of `metrics.score`, from the test part; `noise <strength>`: the score under Gaussian noise; and
    for CLCR what it decided, on average over the test part: participation, `gate <modality>`, `level <i>`; for the
    unablated one also `score at gamma <g>` and `participation at gamma <g>`.

    Raises what a trial raises; the finished ones are kept. DataError for a damaged file in the folder, or a folder
    that cannot be written.
    """
    from joblib import Parallel, delayed

    if folder is not None:
        _check_writable(Path(folder))
    asked = {trial.key: trial for trial in trials}  # one that is asked for twice runs once
    wanted = list(asked.values())
    kept = {} if folder is None else {t.key: row for t in wanted if (row := _read(Path(folder), t)) is not None}
    todo = [trial for trial in wanted if trial.key not in kept]
    code = commit()
    work = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)(delayed(_row)(t) for t in todo)
    bar = tqdm(work, total=len(wanted), initial=len(kept), desc="trials", disable=not progress)
    for key, row in bar:
        kept[key] = {**row, "commit": code}
        bar.set_postfix_str(f"{asked[key].setup.name}: {asked[key].model}")
        if folder is not None:
            write_json(Path(folder) / f"{key}.json", {"trial": asked[key].described, "row": kept[key]})
    return pd.DataFrame([{**_names(trial), **kept[trial.key]} for trial in wanted])


def commit() -> str:
    """The short hash of the checkout this code is in, with a + where the package was changed since; '' without one."""

    def git(*words: str) -> str:
        package = Path(__file__).parents[1]
        done = subprocess.run(["git", *words], cwd=package, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _row(trial: Trial) -> tuple[str, dict[str, Any]]:
    """A job: one trial on one thread, measured."""
    with _ALONE:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            model, split, went = trial.train()
            return trial.key, {**went, **_measured(trial, model, split)}
        finally:
            torch.set_num_threads(threads)


def _measured(trial: Trial, model: Any, split: Split) -> dict[str, float]:
    test, row = split.test, {"parameters": float(sum(p.numel() for p in model.parameters()))}
    assert test.labels is not None
    row["score"] = evaluate(model, test)["score"]
    row |= score(model.config.task, predict(model, test), test.labels)
    noise = corruptions(split.train).get("noise")
    if noise is not None:
        row |= {f"noise {s:g}": evaluate(model, noise.apply(test, s, trial.seed))["score"] for s in NOISE}
    if isinstance(model, CLCR):
        row |= _decisions(model, test)
        if trial.model == "CLCR" and trial.rho is None:
            for gamma in GAMMAS:
                row |= {f"{name} at gamma {gamma:g}": value for name, value in _at_gamma(model, test, gamma).items()}
    return row


def _decisions(model: CLCR, test: Batch) -> dict[str, float]:
    """Means over the samples of what the gates and the budget decided; participation over those with the modality."""
    names = [f"gate {m}" for m in model.modalities] + [f"level {i + 1}" for i in range(model.levels)]
    total, spent, there = torch.zeros(len(names)), 0.0, 0.0
    for trace, part in _traces(model, test, 1.0):
        total += torch.cat([trace.modality_gate, trace.level_gate], dim=1).sum(0).cpu()
        share, real = _participation(trace, part)
        spent, there = spent + share, there + real
    return {"participation": spent / max(there, 1), **dict(zip(names, (total / len(test)).tolist(), strict=True))}


def _at_gamma(model: CLCR, test: Batch, gamma: float) -> dict[str, float]:
    spent = there = 0.0
    predictions = []
    for trace, part in _traces(model, test, gamma):
        share, real = _participation(trace, part)
        spent, there = spent + share, there + real
        predictions.append(trace.prediction)
    task, figures = model.config.task, score(model.config.task, torch.cat(predictions), test.labels)
    return {"score": -figures["mae"] if task == "regression" else figures["accuracy"], "participation": spent / there}


def _traces(model: CLCR, test: Batch, gamma: float) -> Iterable[tuple[Any, Batch]]:
    for start in range(0, len(test), PIECE):
        part = test.select(slice(start, start + PIECE))
        yield model.trace(part, gamma), part


def _participation(trace: Any, part: Batch) -> tuple[float, float]:
    """The sum over samples and modalities that are there, and how many these are."""
    shares = torch.cat([p.mean(1)[part.masks[m].any(1)] for m, p in trace.participation.items()])
    return float(shares.sum()), float(len(shares))


def _fix_budget(model: CLCR, rho: float) -> None:
    if not 0 < rho < 1 or model.intraced.budget is None:
        raise ConfigError(f"rho: {rho}, but a share above 0 and below 1, and a model with a budget, are needed")
    logit = model.intraced.budget.rho_logit.requires_grad_(False)
    logit.fill_(math.log(rho / (1 - rho)))


@lru_cache(maxsize=2)
def _split(data: str, settings: str, seed: int) -> Split:
    """Kept, as a run goes through all models of a seed."""
    make = getattr(datasets, data) if data in datasets.__all__ else None
    if make is None or not inspect.isfunction(make):
        raise ConfigError(f"data: {data!r}, but a data set's function of clcrkit.datasets is needed")
    arguments, known = json.loads(settings), inspect.signature(make).parameters
    if set(arguments) - set(known):
        raise ConfigError(f"{data}: no argument {', '.join(sorted(set(arguments) - set(known)))}")
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return make(**arguments, **({"seed": seed} if "seed" in known else {}))


def _names(trial: Trial) -> dict[str, Any]:
    changed = {**trial.settings, **({} if trial.rho is None else {"rho": trial.rho})}
    changes = ", ".join(f"{name}={value}" for name, value in changed.items())
    return {"data": trial.setup.name, "model": trial.model, "changes": changes, "seed": trial.seed, "key": trial.key}


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise DataError(f"{folder}: cannot be used as a folder for trials ({error})") from None


def _read(folder: Path, trial: Trial) -> dict[str, Any] | None:
    path = folder / f"{trial.key}.json"
    try:
        row = json.loads(path.read_text())["row"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a trial's file, or damaged ({error}); delete it to run the trial again") from None
    return dict(row)
