"""The paper's ablation table, the comparison with the baselines, and sweeps of one setting: lists of trials.

Each comparison is over seeds, and goes seed by seed: what is finished when it is stopped is a table of few seeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from clcrkit.analysis.runs import Setup, Trial, run
from clcrkit.baselines import BASELINES
from clcrkit.model import ABLATIONS

SEEDS = tuple(range(10))
RHOS = (0.1, 0.25, 0.45, 0.68, 0.9)
SWEEPS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "levels": [{"levels": n} for n in (1, 2, 3, 4)],
    "rank split": [{"rank": shared, "private_rank": 32 - shared} for shared in (8, 16, 24)],
    "lambda_intra": [{"lambda_intra": weight} for weight in (0.0, 0.1, 0.3, 1.0)],
    "lambda_inter": [{"lambda_inter": weight} for weight in (0.0, 0.01, 0.1)],
}
"""Settings to sweep, for a setup of width 32. How gamma moves a trained model is in every row of CLCR."""


def comparison(setup: Setup, seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR, its ablations, the baselines, and each modality alone."""
    return [Trial(setup, model, seed) for seed in seeds for model in (*_ablations(), *BASELINES, *_alone(setup))]


def baselines(setup: Setup, seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR, the baselines, and each modality alone."""
    return [Trial(setup, model, seed) for seed in seeds for model in ("CLCR", *BASELINES, *_alone(setup))]


def budgets(setup: Setup, seeds: Iterable[int] = SEEDS, rhos: Sequence[float] = RHOS) -> list[Trial]:
    """CLCR with the learned budget, with each of these fixed ones, and without any (dense exchange)."""
    fixed = [Trial(setup, rho=rho) for rho in rhos]
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
    """[paper] The ablation table on any data: full, no hierarchy, no IntraCED, no InterCAD, full mix, without each and
    both regularisers, dense exchange. Arguments and columns are `runs.run`'s; the full model is called CLCR."""
    return run([Trial(setup, model, seed) for seed in seeds for model in _ablations()], folder, n_jobs, progress)


def _ablations() -> list[str]:
    return ["CLCR", *(name for name in ABLATIONS if name != "full")]


def _alone(setup: Setup) -> list[str]:
    return [f"{m} alone" for m in setup.split(0).train.modalities]


def _over(seeds: Iterable[int], trials: Sequence[Trial]) -> list[Trial]:
    return [Trial(t.setup, t.model, seed, t.settings, t.rho) for seed in seeds for t in trials]
