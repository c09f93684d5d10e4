"""The table of a benchmark: rows, Markdown beside the published figures, and the foot that says what decides it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from clcrkit.experiments.compare import summary
from clcrkit.experiments.encoders import Pictures
from clcrkit.experiments.published import FRAMES, PICTURES, TEXT, VGG, Benchmark
from clcrkit.experiments.trials import DEFAULTS, Trial
from clcrkit.training import TrainConfig

TUNING_SEED = 100
_PERCENT = ("accuracy", "f1")


def table(rows: pd.DataFrame, about: Benchmark) -> pd.DataFrame:
    pieces = []
    for figure in about.figures:
        piece = summary(rows, figure).rename(columns={"data": "division"}).drop(columns="changes")
        piece.insert(2, "figure", figure)
        published = (piece["division"] == "published") & (piece["model"] == "CLCR")
        piece["published"] = pd.Series(about.published.get(figure, math.nan), piece.index).where(published)
        pieces.append(piece)
    return pd.concat(pieces, ignore_index=True)


def markdown(table: pd.DataFrame, rows: pd.DataFrame, about: Benchmark) -> str:
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


def foot(trials: Sequence[Trial], rates: Sequence[float], about: Benchmark) -> str:
    """What decides these figures and stands in no published note on the paper, and what they cover."""
    trial = trials[0]
    read = trial.setup.encoders
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
                "paper trained; the loss of each task.",
                "Encoders are the same for all; concat has a linear layer on the joined means, late fusion our head.",
                *(note for note in about.notes if not (read and note in (TEXT, FRAMES, VGG))),
                *([PICTURES] if any(isinstance(encoder, Pictures) for encoder in read.values()) else []),
                *(f"{m}: read by {encoder}." for m, encoder in read.items()),
                *([_slower(t)] if any(encoder.made_by for encoder in read.values()) else []),
                *(f"{m}: made by {source}." for m, source in trial.setup.split(trial.seed).sources.items()),
            )
        )
        + "\n"
    )


def _slower(training: TrainConfig) -> str:
    return (
        f"Pretrained weights are trained at {training.pretrained_rate:g} of the learning rate, which is ours: the "
        "notes on the paper name one rate."
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
