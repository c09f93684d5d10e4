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
import torch

from clcrkit import datasets
from clcrkit.arguments import public
from clcrkit.baselines import RIVALS
from clcrkit.config import READINGS
from clcrkit.datasets.multibench import is_multibench
from clcrkit.datasets.split import PARTS, Split
from clcrkit.distributed import Processes, is_main
from clcrkit.errors import ConfigError, DataError, check_choice, require
from clcrkit.experiments import report
from clcrkit.experiments.encoders import Encoder, Levels, picture_encoder, text_encoder
from clcrkit.experiments.levels import cached_levels
from clcrkit.experiments.plans import comparison, tuning
from clcrkit.experiments.published import BENCHMARKS, Benchmark, benchmark_named
from clcrkit.experiments.report import TUNING_SEED
from clcrkit.experiments.trials import DEFAULTS, PLAIN, Setup, Trial, run
from clcrkit.files import write_text
from clcrkit.pretrained import PretrainedText
from clcrkit.training import TrainConfig, fit
from clcrkit.training.config import default_device

# The paper names one rate for all; a pretrained encoder at a tenth of it is ours
RECIPES = {"paper": TrainConfig.paper(pretrained_rate=0.1), "ours": TrainConfig()}
SEEDS = (0, 1, 2, 3, 4)
PIXELS = 112  # of a frame's side: half of the rivals' 224, a quarter of the memory and time
SCRATCH = "scratch"
RHOS = (0.25, 0.45, 0.68, 0.9)  # fixed budgets, as shares of the tokens
SHOWN = 200  # samples of the test part on the explorer's page
TRIAL_BYTES, PAGE_BYTES = 8_000, 6_000_000  # a file of a trial, and at most of the page
RUN_BYTES = 16  # of a parameter in a run's folder: its weights, the best ones, and up to two of the optimizer's
_NEEDS = {
    "bert": "texts",
    "features": "media of which features could be extracted",
    "resnet": "pictures, only features of them",
}


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
    finetune: bool = False,
    resnet: str | os.PathLike[str] | None = None,
    pixels: int = PIXELS,
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
               layer [paper], computed once; nothing is downloaded
    finetune   train the BERT's layers along, in every model, at the recipe's `pretrained_rate` [ours]
    resnet     of a set of clips: every modality is read by a ResNet-18, from which the levels are an early, a middle
               and the last stage, all of it trained; 'scratch', or the folder of one from which the frames' starts
    pixels     with resnet: of a frame's side, from 32 to 512

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
    levels = int(shared.get("levels", DEFAULTS["levels"]))
    options, encoders, frozen = _reading(about, levels, features, bert, finetune, resnet, pixels)
    setups = {}
    for division, how in about.divisions.items():
        split = _loaded(about, path, {**how, **options})
        if frozen is not None:
            device = default_device(frozen)
            split = cached_levels(split, "language", frozen.to(device), out / "levels", progress)
        read = {m: Levels() for m in split.train.modalities} if features is not None else encoders
        by = [f"- {m}: read by {encoder}." for m, encoder in read.items()]
        _say("\n".join([f"{name}, {division}: {split!r}", repr(datasets.check(split)), *by]))
        setups[division] = Setup(division, split, {}, shared, training, about.metrics, read)
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
    table = report.table(rows, about)
    if is_main():
        text = f"{report.markdown(table, rows, about)}\n{report.foot(trials, rates, about)}"
        write_text(out / "table.csv", table.to_csv(index=False, float_format="%.6g"))
        write_text(out / "table.md", f"# {name}, recipe '{recipe}'\n\n{text}")
    best = rows[(rows["data"] == "published") & (rows["model"] == "CLCR")]
    if len(best):
        _explain(trials[best.index.tolist()[int(best["valid_score"].argmax())]], out, progress)
    return table


def _say(text: str) -> None:
    if is_main():
        print(text, flush=True)


def _reading(
    about: Benchmark,
    levels: int,
    features: str | os.PathLike[str] | None,
    bert: str | os.PathLike[str] | None,
    finetune: bool,
    resnet: str | os.PathLike[str] | None,
    pixels: int,
) -> tuple[dict[str, Any], dict[str, Encoder], PretrainedText | None]:
    """The loader's options, what reads which modality, and the text encoder whose levels are computed once."""
    parameters = inspect.signature(getattr(datasets, about.loader)).parameters
    fitting = {"features": "features_folder" in parameters, "bert": "text" in parameters, "resnet": about.channels}
    given = [n for n, value in (("features", features), ("bert", bert), ("resnet", resnet)) if value is not None]
    for option in given:
        if not fitting[option]:
            raise ConfigError(f"{option}: given, but {about.loader} has no {_NEEDS[option]}; leave it out")
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: given, but they exclude each other; leave one out")
    if finetune and bert is None:
        raise ConfigError("finetune: True, but there is no BERT to train; pass its folder as bert")
    if pixels != PIXELS and resnet is None:
        raise ConfigError(f"pixels: {pixels}, but nothing reads frames of that size; pass resnet, too")
    if resnet is not None:
        folder = None if str(resnet) == SCRATCH else Path(resnet)
        read = {m: picture_encoder(channels, pixels, levels, folder) for m, channels in about.channels.items()}
        return {"pixels": pixels}, dict(read), None
    if bert is not None:
        frozen, tuned = text_encoder(Path(bert), levels)
        return {"text": "ids"}, {"language": tuned if finetune else Levels()}, None if finetune else frozen
    return ({} if features is None else {"features_folder": features}), {}, None


def _loaded(about: Benchmark, path: str | os.PathLike[str], options: Mapping[str, Any]) -> Split:
    """The data set. A pickle that has MulT's keys is read as such; `obtain` is said where a file is missing."""
    loader = getattr(datasets, about.loader)
    try:
        if not Path(path).exists():
            raise DataError(f"{path}: no such file or folder")
        try:
            split = loader(path, **options)
        except DataError:
            if about.loader != "mmsa" or "text" in options or not is_multibench(Path(path)):
                raise
            split = datasets.multibench(path, **options)
        if about.loader in ("mmsa", "multibench") and bool(split.label_names) != (about.metrics == "emotions"):
            kinds = ("a sentiment", "IEMOCAP's emotions")
            held, needed = kinds if about.metrics == "emotions" else kinds[::-1]
            raise DataError(f"{path}: holds {held}, but this benchmark needs {needed}")
        return split
    except DataError as error:
        raise DataError(f"{error}; {about.obtain}") from None


def _fitting(setup: Setup) -> list[str]:
    """CLCR, its plain reading and the rivals; OGM-GE compares probabilities of classes."""
    labels = setup.split(0).train.labels
    regression = labels is not None and labels.is_floating_point()
    return ["CLCR", PLAIN, *(m for m in RIVALS if m != "early fusion" and not (m == "OGM-GE" and regression))]


def _forecast(trials: Sequence[Trial], folder: Path) -> str:
    """Samples, parameters, time, memory and disk of what is still to run, from three steps of each model."""
    seconds, lines, timed, run_bytes = 0.0, [], {}, 0
    waiting = [t for t in trials if not (folder / f"{t.key}.json").exists()]
    for trial in waiting:
        split, kind = trial.setup.split(trial.seed), (trial.setup.name, trial.model)
        steps = math.ceil(len(split.train) / trial.training.batch_size) * trial.training.epochs
        if kind not in timed:
            timed[kind], parameters, took = _step(trial, split)
            run_bytes = max(run_bytes, RUN_BYTES * parameters * (trial.model == "CLCR"))
            lines.append(f"{kind[0]}: {kind[1]}, {parameters:,} parameters, {1000 * timed[kind]:.1f} ms a step{took}")
        seconds += timed[kind] * steps
    for setup in {trial.setup.name: trial.setup for trial in waiting}.values():
        split = setup.split(0)
        held = sum(x.nbytes for part in PARTS for x in getattr(split, part).tokens.values())
        lines.append(f"{setup.name}: its samples take {held / 1e9:.2g} GB of memory; a GPU holds those of the training")
    megabytes = (len(waiting) * TRIAL_BYTES + PAGE_BYTES + run_bytes) / 1e6
    length = f"{seconds / 3600:.2g} hours" if seconds > 3600 else f"{math.ceil(seconds / 60)} minutes or less"
    total = f"{len(waiting)} of {len(trials)} trainings to run, about {length} of training one after "
    return "\n".join([*lines, f"{total}the other, besides the measuring; up to {megabytes:.0f} MB on the disk"])


def _step(trial: Trial, split: Split) -> tuple[float, int, str]:
    """Seconds of one training step, the faster of two after one to warm up; the number of parameters; and the memory of
    a GPU that it took, in words."""
    model = trial.build(split)
    device = trial.training.device or default_device(model)
    batch = split.train.select(slice(0, trial.training.batch_size)).to(device)
    model.to(device).train()
    if str(device).startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        loss = model.losses(batch).total
        loss.backward()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - began)
    took = f", {torch.cuda.max_memory_allocated() / 1e9:.2g} GB of the GPU" if str(device).startswith("cuda") else ""
    return min(times[1:]), sum(p.numel() for p in model.parameters()), took


def _at_best_rates(trials: Sequence[Trial], tuned: pd.DataFrame | None) -> list[Trial]:
    """The trials at the rate that scored best on the validation part; a fixed budget has CLCR's."""
    if tuned is None:
        return list(trials)
    best = tuned.loc[tuned.groupby(["data", "model"])["valid_score"].idxmax()]
    rates = {(row["data"], row["model"]): float(row["rate"]) for row in best.to_dict("records")}
    return [replace(trial, rate=rates.get((trial.setup.name, trial.model))) for trial in trials]


def _explain(trial: Trial, folder: Path, progress: bool) -> None:
    """Train the best trial once more, in a folder that `load` opens, and write the page with its explorer."""
    from clcrkit.viz.explorer.widget import Explorer  # later than this file in the order of imports

    split = trial.setup.split(trial.seed)
    model: Any = trial.build(split)
    done = fit(model, split.train, split.valid, trial.training, folder / f"best run {trial.key}", progress=progress)
    if done.stopped == "interrupted":
        raise KeyboardInterrupt  # the page shows finished runs only
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
    parser.add_argument("--finetune", action="store_true", help="with --bert: train its layers along, in every model")
    parser.add_argument("--resnet", help="of a set of clips: read by a ResNet-18; 'scratch' or the folder of one")
    parser.add_argument(
        "--pixels", type=int, default=PIXELS, help=f"with --resnet: of a frame's side; default {PIXELS}"
    )
    parser.add_argument("--epochs", type=int, default=0, help="default the recipe's")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time; -1: one for each processor")
    o = parser.parse_args(arguments)
    folder = o.folder or Path("benchmarks") / f"{o.name}-{o.recipe}"
    try:
        options = {n: getattr(o, n) for n in ("epochs", "rates", "features", "bert", "finetune", "resnet", "pixels")}
        benchmark(o.name, o.path, folder, o.recipe, o.seeds, o.models, o.readings, n_jobs=o.jobs, **options)
    except ValueError as error:  # DataError and ConfigError
        parser.error(str(error))
    if is_main():
        print((folder / "table.md").read_text(encoding="utf-8"), (folder / "explorer.html").resolve(), sep="\n")


if __name__ == "__main__":
    main()
