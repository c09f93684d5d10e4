"""Plans: lists of trials for the ablation table, the comparison with the baselines, and sweeps of one setting.

Every plan goes seed by seed, so that a run which is stopped early is a table of fewer seeds. TABLES are the plans of
the tables in `data/results`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from clcrkit.baselines import BASELINES
from clcrkit.config import ABLATIONS
from clcrkit.experiments.trials import Setup, Trial, run
from clcrkit.training import TrainConfig

SEEDS = tuple(range(10))
_ABLATIONS = ("CLCR", *(name for name in ABLATIONS if name != "full"))
SWEEPS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "levels": [{"levels": n} for n in (1, 2, 3, 4)],
    "rank split": [{"rank": shared, "private_rank": 32 - shared} for shared in (8, 16, 24)],
    "lambda_intra": [{"lambda_intra": weight} for weight in (0.0, 0.1, 0.3, 1.0)],
    "lambda_inter": [{"lambda_inter": weight} for weight in (0.0, 0.01, 0.1)],
}
"""Settings to sweep, for a setup of width 32. The effect of gamma on a trained model is in every row of CLCR."""


def comparison(setup: Setup, seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR, its ablations, the baselines, and each modality alone."""
    return _over(seeds, [Trial(setup, model) for model in (*_ABLATIONS, *BASELINES, *_alone(setup))])


def baselines(setup: Setup, seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR, the baselines, and each modality alone."""
    return _over(seeds, [Trial(setup, model) for model in ("CLCR", *BASELINES, *_alone(setup))])


def budgets(
    setup: Setup, seeds: Iterable[int] = SEEDS, rhos: Sequence[float] = (0.1, 0.25, 0.45, 0.68, 0.9)
) -> list[Trial]:
    """CLCR with the learned budget, with each of these fixed ones, and without any (dense exchange)."""
    fixed = (Trial(setup, rho=rho) for rho in rhos)
    return _over(seeds, [Trial(setup), *fixed, Trial(setup, "dense exchange")])


def sweep(setup: Setup, changes: Sequence[Mapping[str, Any]], seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR under each of these changes of its settings, such as `SWEEPS["levels"]`."""
    return _over(seeds, [Trial(setup, settings=change) for change in changes])


def ablation(
    setup: Setup,
    seeds: Iterable[int] = SEEDS,
    folder: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """The ablation table on any data: every row of `config.ABLATIONS`, which says what is [paper]; the full model is
    called CLCR. Arguments and columns are those of `trials.run`."""
    return run(_over(seeds, [Trial(setup, model) for model in _ABLATIONS]), folder, n_jobs, progress)


def _alone(setup: Setup) -> list[str]:
    return [f"{m} alone" for m in setup.split(0).train.modalities]


def _over(seeds: Iterable[int], trials: Sequence[Trial]) -> list[Trial]:
    return [replace(trial, seed=seed) for seed in seeds for trial in trials]


# Small on purpose: all models of all tables together take two processors an hour or two.
SMALL = {"width": 32, "rank": 16, "private_rank": 16, "heads": 2}
REDUNDANT = {"relation": "redundant", "samples": [600, 300, 800]}
COMPLEMENTARY = {"relation": "complementary", "samples": [1500, 300, 800]}
TWELVE = TrainConfig(epochs=12, learning_rate=5e-3)
_SETUPS = (
    Setup("asynchrony redundant", "asynchrony", REDUNDANT, SMALL, TrainConfig(epochs=10, learning_rate=5e-3)),
    Setup("asynchrony complementary", "asynchrony", COMPLEMENTARY, SMALL, TWELVE),
    Setup("digits", "digits", {"size": 1000}, SMALL, TWELVE),
    Setup("spoken digits", "spoken_digits", {"split": "speakers"}, SMALL, TrainConfig(epochs=5)),
    Setup("mmmo", "mmmo", {}, SMALL, TrainConfig(epochs=10, batch_size=32)),
    Setup("mosi utterances", "mosi_utterances", {}, SMALL, TrainConfig(epochs=6)),
)
SETUPS: Mapping[str, Setup] = {setup.name: setup for setup in _SETUPS}

# The recipe that `data/results/mosi_tuning.csv` led to, on training and validation part only.
MOSI = Setup(
    "mosi utterances tuned",
    "mosi_utterances",
    {"window": 8},
    {"width": 32, "rank": 16, "private_rank": 16, "dropout": 0.3},
    TrainConfig(epochs=6, learning_rate=1e-3),
)

Trials = Callable[[Sequence[int]], list[Trial]]
TABLES: Mapping[str, Trials] = {
    **{f"comparison_{name.replace(' ', '_')}": partial(comparison, setup) for name, setup in SETUPS.items()},
    "budget_digits": partial(budgets, SETUPS["digits"]),
    **{f"sweep_{name.replace(' ', '_')}": partial(sweep, SETUPS["digits"], SWEEPS[name]) for name in SWEEPS},
    "mosi_utterances": partial(baselines, MOSI),
}
"""By name of the stored table: from seeds to trials."""
