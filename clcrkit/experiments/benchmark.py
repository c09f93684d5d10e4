"""One benchmark of the paper from files to a table: CLCR and its rivals, beside the published figures.

python -m clcrkit.experiments.benchmark cremad data/CREMA-D

Everything goes to one folder: trials/ (finished ones are not run again, so a killed call continues), table.csv,
table.md, explorer.html of the best run, and that run itself, which `load` opens. For several GPUs start the command
once for each, with CUDA_VISIBLE_DEVICES and seeds of its own and the same folder; a last call with all seeds joins
them.
"""

from __future__ import annotations

import argparse
import inspect
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from clcrkit import datasets
from clcrkit.arguments import public
from clcrkit.baselines import RIVALS
from clcrkit.config import READINGS
from clcrkit.datasets.multibench import is_multibench
from clcrkit.datasets.split import Split
from clcrkit.distributed import Processes, is_main
from clcrkit.errors import ConfigError, DataError, check_choice, require
from clcrkit.experiments.compare import summary
from clcrkit.experiments.levels import cached_levels
from clcrkit.experiments.plans import comparison, tuning
from clcrkit.experiments.published import BENCHMARKS, FRAMES, TEXT, Benchmark, benchmark_named
from clcrkit.experiments.trials import DEFAULTS, PLAIN, Setup, Trial, run
from clcrkit.files import write_text
from clcrkit.pretrained import PretrainedText
from clcrkit.training import TrainConfig, fit
from clcrkit.training.config import default_device

RECIPES = {"paper": TrainConfig.paper(), "ours": TrainConfig()}
SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 100
RHOS = (0.25, 0.45, 0.68, 0.9)  # fixed budgets, as shares of the tokens
SHOWN = 200  # samples of the test part on the explorer's page
TRIAL_BYTES, PAGE_BYTES = 8_000, 10_000_000  # a file of a trial, and at most of the page
_IDS = {"text": "ids"}
_NEEDS = {"bert": "texts", "features": "media of which features could be extracted"}
_PERCENT = ("accuracy", "f1")


@public
def benchmark(
    name: str,
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    recipe: str = "paper",
    seeds: Sequence[int] = SEEDS,
    models: Sequence[str] = (),
    readings: bool = False,
    epochs: int = 0,
    rates: Sequence[float] = (),
    settings: Mapping[str, Any] | None = None,
    features: str | os.PathLike[str] | None = None,
    bert: str | os.PathLike[str] | None = None,
    n_jobs: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Train, measure and write; returns the table: a row for each division, model and figure.

    name       one of `published.BENCHMARKS`. path: of its file or folder, as the loader takes it.
    folder     for all that is written; a call that was killed continues there
    recipe     'paper': TrainConfig.paper(); 'ours': TrainConfig()
    rates      learning rates, of which each model gets the one that scores best on the validation part, at a seed that
               is used for nothing else; none: all models have the recipe's
    seeds      of weights, order and dropout. The parts are the same for all, drawn with seed 0 where they are drawn.
    models     names as `trials.Trial` takes them; default CLCR, its plain reading, and the rivals that fit the task
    readings   also each of `config.READINGS`, and CLCR with its budget fixed at each of RHOS
    epochs     in place of the recipe's; 0 keeps them
    settings   of CLCRConfig, for all models
    features   of a set of clips: the folder of features by `extract_features`, in place of the kit's own; each
               holds as many levels as the models have
    bert       of a pickle with text_bert: the folder of a BERT, of which language gets an early, a middle and a late
               layer [paper], computed once and not fine-tuned [ours]; nothing is downloaded

    Under `torchrun` or `accelerate launch` the processes divide each batch, as `fit` says, and the main one writes.
    Columns: division, model, figure, mean, low, high (95 % interval over seeds), seeds, published ([paper], for CLCR
    on the published parts). Each run's epoch is picked on the validation part, then its test part is scored once.
    Raises DataError for files that are missing or damaged (with how to get them), ConfigError for a wrong setting.
    """
    about, out = benchmark_named(name), Path(folder)
    check_choice("recipe", recipe, tuple(RECIPES))
    require("anywidget", "viz")  # before hours of training, not after
    training = RECIPES[recipe] if not epochs else TrainConfig(**{**vars(RECIPES[recipe]), "epochs": epochs})
    if Processes.connect(training.device).count > 1 and n_jobs != 1:
        raise ConfigError(f"n_jobs: {n_jobs}, but under a launcher, whose processes share each training, it must be 1")
    progress = progress and is_main()
    shared = {"standardise": True, **(settings or {})}
    setups = {}
    for division, how in about.divisions.items():
        split = _loaded(about, path, how, features, bert)
        if bert is not None:
            split = _with_bert(split, Path(bert), shared.get("levels", DEFAULTS["levels"]), out, progress)
        _say(f"{name}, {division}: {split!r}\n{datasets.check(split)!r}")
        cached = tuple(split.train.modalities) if features is not None else ("language",) if bert is not None else ()
        setups[division] = Setup(division, split, {}, shared, training, about.metrics, cached)
    chosen = [*(models or _fitting(setups["published"])), *(READINGS if readings else ())]
    trials = [trial for setup in setups.values() for trial in comparison(setup, seeds, chosen)]
    trials += [Trial(setup, rho=rho, seed=s) for setup in setups.values() for s in seeds for rho in RHOS * readings]
    tuned = [trial for setup in setups.values() for trial in tuning(setup, (TUNING_SEED,), rates, chosen)]
    if not all((out / "trials" / f"{trial.key}.json").exists() for trial in tuned):
        _say(_forecast([*tuned, *trials], out / "trials"))
    trials = _at_best_rates(trials, run(tuned, out / "trials", n_jobs, progress) if tuned else None)
    _say(_forecast(trials, out / "trials"))
    rows = run(trials, out / "trials", n_jobs, progress)
    rows["model"] = [f"{m} ({c})" if c else m for m, c in zip(rows["model"], rows["changes"], strict=True)]
    table = _table(rows, about)
    if is_main():
        text = f"{_markdown(table, rows, about)}\n{_foot(trials, rates, about)}"
        write_text(out / "table.csv", table.to_csv(index=False, float_format="%.6g"))
        write_text(out / "table.md", f"# {name}, recipe '{recipe}'\n\n{text}")
    best = rows[(rows["data"] == "published") & (rows["model"] == "CLCR")]
    if len(best):
        _explain(trials[best.index.tolist()[int(best["valid_score"].argmax())]], out, progress)
    return table


def _say(text: str) -> None:
    if is_main():
        print(text, flush=True)


def _loaded(
    about: Benchmark,
    path: str | os.PathLike[str],
    how: Mapping[str, Any],
    features: str | os.PathLike[str] | None,
    bert: str | os.PathLike[str] | None,
) -> Split:
    """The data set. A pickle that has MulT's keys is read as such; `obtain` is said where a file is missing."""
    options = {**how, **({} if features is None else {"features_folder": features}), **({} if bert is None else _IDS)}
    loader = getattr(datasets, about.loader)
    unknown = set(options) - set(inspect.signature(loader).parameters)
    if unknown:
        name = "features" if "features_folder" in unknown else "bert"
        raise ConfigError(f"{name}: given, but {about.loader} has no {_NEEDS[name]}; leave it out")
    try:
        if not Path(path).exists():
            raise DataError(f"{path}: no such file or folder")
        try:
            split = loader(path, **options)
        except DataError:
            if about.loader != "mmsa" or bert is not None or not is_multibench(Path(path)):
                raise
            split = datasets.multibench(path, **how)
        if about.loader in ("mmsa", "multibench") and bool(split.label_names) != (about.metrics == "emotions"):
            kinds = ("a sentiment", "IEMOCAP's emotions")
            held, needed = kinds if about.metrics == "emotions" else kinds[::-1]
            raise DataError(f"{path}: holds {held}, but this benchmark needs {needed}")
        return split
    except DataError as error:
        raise DataError(f"{error}; {about.obtain}") from None


def _with_bert(split: Split, folder: Path, levels: int, out: Path, progress: bool) -> Split:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; get the files of bert-base-uncased (weights in safetensors) there")
    encoder = PretrainedText(str(folder), levels=levels, local_files_only=True)
    return cached_levels(split, "language", encoder.to(default_device(encoder)), out / "levels", progress)


def _fitting(setup: Setup) -> list[str]:
    """CLCR, its plain reading and the rivals; OGM-GE compares probabilities of classes."""
    labels = setup.split(0).train.labels
    regression = labels is not None and labels.is_floating_point()
    return ["CLCR", PLAIN, *(m for m in RIVALS if m != "early fusion" and not (m == "OGM-GE" and regression))]


def _forecast(trials: Sequence[Trial], folder: Path) -> str:
    """Samples, parameters, time and disk of what is still to run, from three steps of each model."""
    seconds, lines, timed = 0.0, [], {}
    waiting = [t for t in trials if not (folder / f"{t.key}.json").exists()]
    for trial in waiting:
        split, kind = trial.setup.split(trial.seed), (trial.setup.name, trial.model)
        steps = math.ceil(len(split.train) / trial.training.batch_size) * trial.training.epochs
        if kind not in timed:
            timed[kind], parameters = _step(trial, split)
            lines.append(f"{kind[0]}: {kind[1]}, {parameters:,} parameters, {1000 * timed[kind]:.1f} ms a step")
        seconds += timed[kind] * steps
    megabytes = (len(waiting) * TRIAL_BYTES + PAGE_BYTES) / 1e6
    length = f"{seconds / 3600:.2g} hours" if seconds > 3600 else f"{math.ceil(seconds / 60)} minutes or less"
    total = f"{len(waiting)} of {len(trials)} trainings to run, about {length} of training one after "
    return "\n".join([*lines, f"{total}the other, besides the measuring; up to {megabytes:.0f} MB on the disk"])


def _step(trial: Trial, split: Split) -> tuple[float, int]:
    """Seconds of one training step, the faster of two after one to warm up; and the number of parameters."""
    model = trial.build(split)
    device = trial.training.device or default_device(model)
    batch = split.train.select(slice(0, trial.training.batch_size)).to(device)
    model.to(device).train()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        loss = model.losses(batch).total
        loss.backward()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - began)
    return min(times[1:]), sum(p.numel() for p in model.parameters())


def _at_best_rates(trials: Sequence[Trial], tuned: pd.DataFrame | None) -> list[Trial]:
    """The trials at the rate that scored best on the validation part; a fixed budget has CLCR's."""
    if tuned is None:
        return list(trials)
    best = tuned.loc[tuned.groupby(["data", "model"])["valid_score"].idxmax()]
    rates = {(row["data"], row["model"]): float(row["rate"]) for row in best.to_dict("records")}
    return [replace(trial, rate=rates.get((trial.setup.name, trial.model))) for trial in trials]


def _table(rows: pd.DataFrame, about: Benchmark) -> pd.DataFrame:
    pieces = []
    for figure in about.figures:
        piece = summary(rows, figure).rename(columns={"data": "division"}).drop(columns="changes")
        piece.insert(2, "figure", figure)
        published = (piece["division"] == "published") & (piece["model"] == "CLCR")
        piece["published"] = pd.Series(about.published.get(figure, math.nan), piece.index).where(published)
        pieces.append(piece)
    return pd.concat(pieces, ignore_index=True)


def _markdown(table: pd.DataFrame, rows: pd.DataFrame, about: Benchmark) -> str:
    """For each division a table with a row for each model, and CLCR's published figures first."""
    heads = [f"{f} (%)" if f.startswith(_PERCENT) else f for f in about.figures]
    lines = []
    for division in table["division"].unique():
        lines += [f"## Parts: {division}\n", f"| model | parameters | seeds | {' | '.join(heads)} |"]
        lines.append("|---" * (3 + len(heads)) + "|")
        if division == "published" and about.published:
            cells = [_number(f, about.published.get(f, math.nan)) for f in about.figures]
            lines.append(f"| CLCR as published [paper] | | | {' | '.join(cells)} |")
        for model, part in table[table["division"] == division].groupby("model", sort=False):
            found = part.set_index("figure").loc[list(about.figures)]
            cells = [_number(f, r["mean"], (r["high"] - r["low"]) / 2) for f, r in found.iterrows()]
            its = rows[(rows["data"] == division) & (rows["model"] == model)]
            lines.append(f"| {model} | {its['parameters'].iloc[0]:,.0f} | {len(its)} | {' | '.join(cells)} |")
        clcr = rows[(rows["data"] == division) & (rows["model"] == "CLCR")]
        if len(clcr):
            spent, funded = clcr["participation"].mean(), clcr["funded"].mean()
            lines.append(f"\nCLCR: participation {spent:.2f}, funded tokens {funded:.0%}; the paper names 0.68.")
        lines.append("")
    return "\n".join(lines)


def _number(figure: Any, value: float, half: float = math.nan) -> str:
    if math.isnan(value):
        return ""
    scale, digits = (100, 1 + math.isnan(half)) if str(figure).startswith(_PERCENT) else (1, 3)
    width = "" if math.isnan(half) else f" ± {half * scale:.{digits}f}"
    return f"{value * scale:.{digits}f}{width}"


def _foot(trials: Sequence[Trial], rates: Sequence[float], about: Benchmark) -> str:
    """What decides these figures and stands in no published note on the paper, and what they cover."""
    trial = trials[0]
    settings = {**DEFAULTS, **trial.described["settings"]}
    shown = ", ".join(
        f"{n} {settings[n]}"
        for n in ("levels", "width", "rank", "private_rank", "heads", "dropout", "lambda_intra", "lambda_inter")
    )
    t = trial.training
    momentum = f" with momentum {t.momentum:g}" if t.optimizer == "sgd" else ""
    recipe = f"{t.optimizer}{momentum}, learning rate {trial.setup.training.learning_rate:g}, weight decay "
    recipe += f"{t.weight_decay:g} on {'all weights' if t.decay_all else 'matrices'}, batch {t.batch_size}, "
    recipe += f"{t.epochs} epochs, schedule {t.schedule}, " + (f"clipped at {t.clip:g}" if t.clip else "not clipped")
    return (
        "\n".join(
            f"- {line}"
            for line in (
                "± is half of the 95 % interval over seeds (Student's t), which change weights, order and dropout; the "
                "parts stay. No interval: one seed.",
                "The epoch is picked on the validation part by the score; the test part is scored once for each run.",
                f"Trained with {recipe}. {_tuned_how(trials, rates)}",
                f"Not said by the published notes, so ours: {shown}; features standardised by the training part; the "
                "encoders; the validation part; which epoch is reported; schedule, clipping, seeds; what each rival's "
                "paper trained; the loss of each task; that fixed levels of an encoder are not fine-tuned.",
                "Encoders are the same for all; concat has a linear layer on the joined means, late fusion our head.",
                *(note for note in about.notes if not (trial.setup.cached and note in (TEXT, FRAMES))),
                *(f"{m}: made by {source}." for m, source in trial.setup.split(trial.seed).sources.items()),
            )
        )
        + "\n"
    )


def _tuned_how(trials: Sequence[Trial], rates: Sequence[float]) -> str:
    if not rates:
        return "No model was tuned."
    by_model = {f"{t.model} ({t.setup.name})": t.training.learning_rate for t in trials}
    shown = ", ".join(f"{model} {rate:g}" for model, rate in by_model.items())
    return (
        f"Each model has its own learning rate, of {', '.join(f'{rate:g}' for rate in rates)} the one with the best "
        f"validation score at seed {TUNING_SEED}: {shown}. Nothing else was tuned, for no model."
    )


def _explain(trial: Trial, folder: Path, progress: bool) -> None:
    """Train the best trial once more, in a folder that `load` opens, and write the page with its explorer."""
    from clcrkit.viz.explorer.widget import Explorer  # later than this file in the order of imports

    split = trial.setup.split(trial.seed)
    model: Any = trial.build(split)
    fit(model, split.train, split.valid, trial.training, folder / f"best run {trial.key}", progress=progress)
    trace = model.cpu().trace(split.test.select(slice(0, SHOWN)))
    if is_main():
        Explorer(trace, model, split).export(folder / "explorer.html")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, run the benchmark, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m clcrkit.experiments.benchmark", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("path", type=Path, help="the file or folder of the data")
    parser.add_argument("--folder", type=Path, help="for all that is written; default benchmarks/NAME-RECIPE")
    parser.add_argument("--recipe", choices=RECIPES, default="paper")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="default 0 to 4")
    parser.add_argument("--models", nargs="+", default=(), help="default CLCR, its plain reading and the rivals")
    parser.add_argument("--readings", action="store_true", help="also the other readings of the paper, fixed budgets")
    parser.add_argument("--rates", type=float, nargs="+", default=(), help="learning rates to choose from, each model")
    parser.add_argument("--features", type=Path, help="of a set of clips: the folder that extract_features wrote")
    parser.add_argument("--bert", type=Path, help="of a pickle: the folder of a BERT whose layers language gets")
    parser.add_argument("--epochs", type=int, default=0, help="default the recipe's")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time; -1: one for each processor")
    o = parser.parse_args(arguments)
    folder = o.folder or Path("benchmarks") / f"{o.name}-{o.recipe}"
    try:
        options = {"epochs": o.epochs, "rates": o.rates, "features": o.features, "bert": o.bert, "n_jobs": o.jobs}
        benchmark(o.name, o.path, folder, o.recipe, o.seeds, o.models, o.readings, **options)
    except ValueError as error:  # DataError and ConfigError
        parser.error(str(error))
    if is_main():
        print((folder / "table.md").read_text(encoding="utf-8"), (folder / "explorer.html").resolve(), sep="\n")


if __name__ == "__main__":
    main()
