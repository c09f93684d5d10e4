"""Causes: what trained models use, and where evidence lies, measured on the trials of a plan. All [ours].

One training serves several tables, so a trial is trained once and `measure` returns all that its data allow. Where the
factors of the label are known (asynchrony, the worlds), places are swapped and scored (`analysis.interchange`) and each
token's share is set against what muting it does (`analysis.funding`), among all tokens and among those with a share, as
without one muting does nothing; elsewhere there are probes, CKA and partial
information. The test part is cut to SAMPLES, since every swap is a pass of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int64
from torch import Tensor
from tqdm.auto import tqdm

from clcrkit.analysis.depth import by_level
from clcrkit.analysis.funding import payoff, token_effects
from clcrkit.analysis.information import modality_information
from clcrkit.analysis.interchange import Outcome, interchange
from clcrkit.analysis.similarity import cka_matrix, level_spaces
from clcrkit.baselines import Baseline
from clcrkit.batch import Batch
from clcrkit.errors import DataError
from clcrkit.experiments.plans import SETUPS, comparison, world
from clcrkit.experiments.trials import Trial, one_thread
from clcrkit.files import write_json
from clcrkit.model import CLCR
from clcrkit.patching import level_names
from clcrkit.training import evaluate, predict

SAMPLES, TOKEN_SAMPLES = 300, 100
MODELS = ("CLCR", "late fusion", "MISA")
WORLDS = ("no leak", "level gates", "exchange", "budget")
READ = ("asynchrony redundant", "digits", "spoken digits", "mosi utterances", "mmmo")
_FACTORS = ("shallow", "mid", "deep")
Frames = dict[str, pd.DataFrame]


def _world_trials(name: str, seeds: Iterable[int], models: Sequence[str] = MODELS) -> list[Trial]:
    return comparison(world(name, (0,))[0].setup, seeds, models)


def _swapped(seeds: Sequence[int]) -> list[Trial]:
    """Where the factors of the label are known. In the world of the budget the label is one factor: nothing to swap."""
    trials = comparison(SETUPS["asynchrony redundant"], seeds, MODELS)
    return trials + [trial for name in WORLDS if name != "budget" for trial in _world_trials(name, seeds)]


def _paid(seeds: Sequence[int]) -> list[Trial]:
    trials = comparison(SETUPS["asynchrony redundant"], seeds, ("CLCR",))
    return trials + [trial for name in WORLDS for trial in _world_trials(name, seeds, ("CLCR",))]


def _read(seeds: Sequence[int], alone: bool = False) -> list[Trial]:
    trials = []
    for name in READ:
        modalities = SETUPS[name].split(seeds[0]).train.modalities
        models = [f"{m} alone" for m in modalities] if alone else ["CLCR"]
        trials += comparison(SETUPS[name], seeds, models)
    return trials


PLANS: Mapping[str, Callable[[Sequence[int]], list[Trial]]] = {
    "interchange": _swapped,
    "payoff": _paid,
    "levels": _read,
    "alignment": _read,
    "information": partial(_read, alone=True),
}
"""By name of the stored table: from seeds to the trials that it needs."""


def run(name: str, seeds: Sequence[int], folder: str | os.PathLike[str], n_jobs: int | None = None) -> pd.DataFrame:
    """The table of this name. What is measured on a trial is kept in the folder, one file for each, and not again.

    Columns: data, model, seed, score (of the test part), then those of the analysis. Raises DataError for data that
    are not there, and for a damaged file.
    """
    from joblib import Parallel, delayed

    trials = PLANS[name](seeds)
    kept = [Path(folder) / f"{trial.key}.json" for trial in trials]
    todo = [(trial, path) for trial, path in zip(trials, kept, strict=True) if not path.exists()]
    jobs = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)(
        delayed(_keep)(*each) for each in todo
    )
    for _ in tqdm(jobs, total=len(todo), desc=name):
        pass
    read = [_parse(path) for path in kept]
    about = [(t.setup.name, t.model, t.seed, frames["score"]) for t, frames in zip(trials, read, strict=True)]
    if name == "information":
        return _information(trials, [pd.DataFrame(frames["answers"]) for frames in read])
    tables = [pd.DataFrame(frames[name]) for frames in read]
    for table, values in zip(tables, about, strict=True):
        for at, (column, value) in enumerate(zip(("data", "model", "seed", "score"), values, strict=True)):
            table.insert(at, column, value)
    return pd.concat(tables, ignore_index=True)


def _keep(trial: Trial, path: Path) -> None:
    with one_thread():
        model, split, _ = trial.train()
        frames = {name: table.to_dict("list") for name, table in measure(trial, model, split.test).items()}
        write_json(path, {"trial": trial.described, "score": float(evaluate(model, split.test)["score"]), **frames})


def _parse(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); delete it to measure its trial again") from None


def measure(trial: Trial, model: CLCR | Baseline, test: Batch) -> Frames:
    """All tables that this trial's data and model allow; of a modality alone its answers."""
    assert test.labels is not None
    if trial.model.endswith(" alone"):
        answers = _classes(predict(model, test), test.labels)
        return {"answers": pd.DataFrame({"label": _classes(test.labels, test.labels), "answer": answers})}
    frames, few = {}, test.select(slice(SAMPLES))
    known = questions(trial.setup.name, few)
    if known:
        parts = [
            interchange(model, few, places(model), factors, outcome, trial.seed).assign(outcome=name)
            for name, factors, outcome in known
        ]
        frames["interchange"] = pd.concat(parts, ignore_index=True).dropna(subset="accuracy")
    if isinstance(model, CLCR):
        if known or trial.setup.name == "world: budget":
            moved = token_effects(model, test.select(slice(TOKEN_SAMPLES)))
            funded = payoff(moved[moved["allocation"] > 0]).assign(tokens="funded")
            frames["payoff"] = pd.concat([payoff(moved).assign(tokens="all"), funded], ignore_index=True)
        if trial.setup.name in READ:
            trace = model.trace(test)
            factors = {"label": torch.from_numpy(_classes(test.labels, test.labels))}
            if known:
                factors = {name: test.attributes[name] for name in _FACTORS}
            kinds = ("shared", "private")
            frames["levels"] = pd.concat([by_level(trace, factors, kind).assign(kind=kind) for kind in kinds])
            frames["alignment"] = pd.concat([_pairs(cka_matrix(level_spaces(trace, k))).assign(kind=k) for k in kinds])
    return frames


def questions(setup: str, batch: Batch) -> list[tuple[str, dict[str, Tensor], Outcome]]:
    """What the label is made of: names of outcomes, factors, and how they make it. None where that is not known.

    In the world of no leak there are two outcomes: the label, and what a model says that follows the private cue."""
    attributes, labels = dict(batch.attributes), batch.labels
    assert labels is not None
    if setup == "asynchrony redundant":
        factors = {name: attributes[name] for name in _FACTORS}
        return [("label", factors, lambda f: 4 * f["shallow"] + 2 * f["mid"] + f["deep"])]
    if setup == "world: no leak":
        about = {"label": labels, "cue": attributes["cue"]}
        return [("label", {"label": labels}, lambda f: f["label"]), ("cue", {"cue": about["cue"]}, lambda f: f["cue"])]
    if setup == "world: level gates":
        claims = [name for name in attributes if name.startswith("claim")]
        return [("label", attributes, lambda f: _chosen([f[name] for name in claims], f["right"]))]
    if setup == "world: exchange":
        values = [name for name in attributes if name.startswith("value")]
        about = {"key": attributes["key"], "values": torch.stack([attributes[name] for name in values], 1)}
        return [("label", about, lambda f: _chosen(f["values"].unbind(1), f["key"]))]
    return []


def _chosen(options: Sequence[Tensor], which: Int64[Tensor, "sample"]) -> Int64[Tensor, "sample"]:
    return torch.stack(list(options), 1).gather(1, which[:, None])[:, 0]


def places(model: CLCR | Baseline) -> list[str]:
    """Of CLCR the spaces level by level, all modalities as one and each alone, and the codes; else what is read."""
    if isinstance(model, CLCR):
        by_name = ("shared", "shared_summary", "private", "private_summary")
        steps = [f"{name}/*/{level}" for name in by_name for level in level_names(model.levels)]
        alone = [f"{name}/{m}/*" for name in ("shared", "private") for m in model.modalities]
        return [*steps, *(f"level_codes/{level}" for level in level_names(model.levels)), "level_codes",
                "private_code", *alone]  # fmt: skip
    read = []
    for name in model.reads:
        whole = name.endswith("_code")
        read += [name] if whole else [f"{name}/*", *(f"{name}/{m}" for m in model.modalities)]
    return read


def _classes(values: Tensor, labels: Tensor) -> np.ndarray:
    """Classes of labels or predictions; of a regression thirds, cut where the labels' are."""
    if values.ndim == 2 and values.shape[1] > 1:
        return values.argmax(1).numpy()
    if not labels.is_floating_point():
        return values.numpy()
    cuts = np.quantile(labels.numpy().reshape(-1), [1 / 3, 2 / 3])
    return np.digitize(values.numpy().reshape(-1), cuts)


def _pairs(matrix: pd.DataFrame) -> pd.DataFrame:
    """The entries above the diagonal."""
    rows = [(a, b, matrix.loc[a, b]) for a, b in combinations(matrix.index, 2)]
    return pd.DataFrame(rows, columns=["first", "second", "cka"])


def _information(trials: Sequence[Trial], answers: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Each pair of modalities of one training seed, each summarised by the class that a model of it alone answers."""
    by_run: dict[tuple[str, int], dict[str, pd.DataFrame]] = {}
    for trial, table in zip(trials, answers, strict=True):
        by_run.setdefault((trial.setup.name, trial.seed), {})[trial.model.removesuffix(" alone")] = table
    parts = []
    for (data, seed), tables in by_run.items():
        for first, second in combinations(tables, 2):
            a, b = tables[first], tables[second]
            labels, one, other = (x.to_numpy() for x in (a["label"], a["answer"], b["answer"]))
            bits = modality_information(labels, one, other, seed)
            parts.append(bits.assign(data=data, seed=seed, first=first, second=second))
    table = pd.concat(parts, ignore_index=True)
    return table[["data", "seed", "first", "second", "information", "bits", "shuffled", "shuffled_high"]]
