"""Plans: lists of trials for the ablation table, the comparison with the baselines, and sweeps of one setting.

Every plan goes seed by seed, so that a run which is stopped early is a table of fewer seeds. TABLES are the plans of
the tables in `data/results`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from clcrkit.analysis.stats import Difference, difference
from clcrkit.baselines import BASELINES
from clcrkit.config import ABLATIONS, READINGS
from clcrkit.experiments.compare import by_seed, summary, verdict
from clcrkit.experiments.trials import PLAIN, Setup, Trial, run
from clcrkit.training import TrainConfig

SEEDS = tuple(range(10))
TUNING_SEEDS = (100, 101)
_PARTS = ("CLCR", PLAIN, *(name for name in ABLATIONS if name not in ("full", "no L_intra", "no L_inter")))
CHANGES: Sequence[Mapping[str, Any]] = ({"centred": False}, {"joined_levels": False}, {"normed": False})
SWEEPS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "levels": [{"levels": n} for n in (1, 2, 3, 4)],
    "rank split": [{"rank": shared, "private_rank": 32 - shared} for shared in (8, 16, 24)],
    "lambda_intra": [{"lambda_intra": weight} for weight in (0.0, 0.1, 0.3, 1.0)],
    "lambda_inter": [{"lambda_inter": weight} for weight in (0.0, 0.01, 0.1)],
}
"""Settings to sweep, for a setup of width 32. The effect of gamma on a trained model is in every row of CLCR."""


def comparison(setup: Setup, seeds: Iterable[int] = SEEDS, models: Sequence[str] = ()) -> list[Trial]:
    """CLCR, its plain reading and its ablations, the baselines, and each modality alone; or only these models."""
    return _over(seeds, [_tuned(setup, model) for model in models or (*_PARTS, *BASELINES, *_alone(setup))])


def readings(setup: Setup, seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR, its `config.READINGS`, and without each of our CHANGES."""
    changed = [replace(_tuned(setup), settings=change) for change in CHANGES]
    return _over(seeds, [_tuned(setup), *changed, *(_tuned(setup, name) for name in READINGS)])


def tuning(setup: Setup, seeds: Iterable[int], rates: Sequence[float], models: Sequence[str]) -> list[Trial]:
    """Each of these models at each of these learning rates, from which `RATES` are chosen, on the validation part."""
    return _over(seeds, [Trial(setup, model, rate=rate) for model in models for rate in rates])


def rivals(setup: Setup, seeds: Iterable[int], rates: Sequence[float] = (2.5e-3, 5e-3)) -> list[Trial]:
    """Models that were not tuned on this setup, at two learning rates, MulT, whose training is long, at the lower: of
    each the rate counts that has the higher mean validation score over these very seeds."""
    tried = [Trial(setup, model, rate=rate) for model in (PLAIN, "early fusion", "MISA") for rate in rates]
    return _over(seeds, [*tried, Trial(setup, "MulT", rate=min(rates))])


def budgets(
    setup: Setup, seeds: Iterable[int] = SEEDS, rhos: Sequence[float] = (0.1, 0.25, 0.45, 0.68, 0.9)
) -> list[Trial]:
    """CLCR with the learned budget, with each of these fixed ones, and without any (dense exchange)."""
    fixed = (replace(_tuned(setup), rho=rho) for rho in rhos)
    return _over(seeds, [_tuned(setup), *fixed, _tuned(setup, "dense exchange")])


def sweep(setup: Setup, changes: Sequence[Mapping[str, Any]], seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR under each of these changes of its settings, such as `SWEEPS["levels"]`."""
    return _over(seeds, [replace(_tuned(setup), settings=change) for change in changes])


def ablation(
    setup: Setup,
    seeds: Iterable[int] = SEEDS,
    folder: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """The ablation table on any data: every row of `config.ABLATIONS`, which says what is [paper]; the full model is
    called CLCR. Arguments and columns are those of `trials.run`."""
    models = ("CLCR", *(name for name in ABLATIONS if name != "full"))
    return run(_over(seeds, [Trial(setup, model) for model in models]), folder, n_jobs, progress)


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured.

    table         a row for each trial, as `trials.run` returns it
    summary       a row for each model: mean score of the test part and its 95 % interval over seeds
    differences   a row for each other model: CLCR's score minus its, paired by seed, and the verdict on the claim that
                  CLCR is better (`compare.verdict`)
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame

    def __repr__(self) -> str:
        return self.summary[["model", "mean", "low", "high", "seeds"]].round(3).to_string(index=False)

    def plot(self) -> Any:
        """The summary as a plotly figure."""
        from clcrkit.viz.forest import forest  # later than this file in the order of imports

        return forest(self.summary, "model", "score of the test part")


def compare(
    data: Any,
    models: Sequence[str] = (),
    seeds: Iterable[int] = range(5),
    settings: Mapping[str, Any] | None = None,
    training: TrainConfig | None = None,
    folder: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Train CLCR, the baselines and each modality alone, or these models, on data of your own, once a seed, and judge.

    data: a Split, a function that returns one, or a Setup. A Split is the same for all seeds, so intervals cover the
    weights and the order of training only; give a function of `seed` that draws the parts to cover the data as well.
    models: names as `trials.Trial` takes them. settings: of CLCRConfig, for all models. folder, n_jobs, progress: as in
    `trials.run`, which says what is measured and what is raised. No model is tuned.
    """
    setup = data if isinstance(data, Setup) else Setup("data", data, {}, settings or {}, training or TrainConfig())
    models = models or ("CLCR", *BASELINES, *_alone(setup))
    table = run(_over(seeds, [Trial(setup, model) for model in models]), folder, n_jobs, progress)
    rows = []
    wide = by_seed(table, setup.name)
    for model in [name for name in wide if name != "CLCR" and "CLCR" in wide]:
        both = wide[["CLCR", model]].dropna()
        paired = difference(both["CLCR"].to_numpy(), both[model].to_numpy())
        rows.append({"model": model, **paired._asdict(), "verdict": verdict([paired])})
    return Comparison(table, summary(table), pd.DataFrame(rows, columns=["model", *Difference._fields, "verdict"]))


def _alone(setup: Setup) -> list[str]:
    return [f"{m} alone" for m in setup.split(0).train.modalities]


def _tuned(setup: Setup, model: str = "CLCR") -> Trial:
    """The trial at its learning rate of RATES: of a model that was not tuned CLCR's, of a modality late fusion's."""
    rates = RATES.get(setup.name, {})
    kin = "late fusion" if model.endswith(" alone") else "CLCR"
    return Trial(setup, model, rate=rates.get(model, rates.get(kin)))


def _over(seeds: Iterable[int], trials: Sequence[Trial]) -> list[Trial]:
    return [replace(trial, seed=seed) for seed in seeds for trial in trials]


# Small on purpose: all models of all tables together take two processors about ten hours.
SMALL = {"width": 32, "rank": 16, "private_rank": 16, "heads": 2}
REDUNDANT = {"relation": "redundant", "samples": [600, 300, 800]}
COMPLEMENTARY = {"relation": "complementary", "samples": [6000, 300, 800]}
_MOSI = TrainConfig(epochs=6, learning_rate=1e-3)
_SETUPS = (
    Setup("asynchrony redundant", "asynchrony", REDUNDANT, SMALL, TrainConfig(epochs=20)),
    Setup("asynchrony complementary", "asynchrony", COMPLEMENTARY, SMALL, TrainConfig(epochs=16)),
    Setup("digits", "digits", {"size": 1000}, SMALL, TrainConfig(epochs=20)),
    Setup("spoken digits", "spoken_digits", {"split": "speakers"}, SMALL, TrainConfig(epochs=12)),
    Setup("mmmo", "mmmo", {}, SMALL, TrainConfig(epochs=12, batch_size=32)),
    # the recipe that `data/results/mosi_tuning.csv` led to
    Setup("mosi utterances", "mosi_utterances", {"window": 8}, {**SMALL, "dropout": 0.3}, _MOSI),
)
SETUPS: Mapping[str, Setup] = {setup.name: setup for setup in _SETUPS}


def _world(mechanism: str, needed: bool, samples: Sequence[int], epochs: int) -> Setup:
    about = {"mechanism": mechanism, "needed": needed, "samples": list(samples)}
    name = f"world: {mechanism}{'' if needed else ', idle'}"
    return Setup(name, "world", about, SMALL, TrainConfig(epochs=epochs, learning_rate=2.5e-3))


_WORLDS: Mapping[str, tuple[Sequence[int], int, Sequence[str]]] = {
    "exchange": ((4000, 300, 600), 15, ("no IntraCED", "no hierarchy", "dense exchange", "late fusion")),
    "level gates": ((3000, 300, 600), 15, ("no InterCAD", "late fusion")),
    "modality gates": ((3000, 300, 600), 15, ("no InterCAD", "late fusion")),
    "no leak": ((2000, 300, 800), 12, ("no regularisers", "late fusion")),
    "budget": ((3000, 300, 600), 15, ("dense exchange", "late fusion")),
}
"""By mechanism: the samples, the epochs, the model without it, and the others to compare with."""
FEW = 5  # seeds for these others


def _made(mechanism: str, needed: bool = True) -> Setup:
    """The world of this mechanism as its tables have it."""
    samples, epochs, _ = _WORLDS[mechanism]
    return _world(mechanism, needed, samples, epochs)


def world(mechanism: str, seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR and the model without the mechanism, in the world that needs it and in the idle one; in the first FEW
    seeds also the plain reading and others."""
    models = _WORLDS[mechanism][2]
    setups = [_made(mechanism, needed) for needed in (True, False)]
    own, all_ = ("CLCR", models[0]), ("CLCR", PLAIN, *models)
    return [
        Trial(setup, model, seed=seed)
        for at, seed in enumerate(seeds)
        for setup in setups
        for model in (all_ if at < FEW else own)
    ]


NARROW = {"modality gates": {"rank": 4, "private_rank": 2}, "private gates": {"rank": 2, "private_rank": 4}}


def narrow(seeds: Iterable[int] = SEEDS) -> list[Trial]:
    """CLCR and the model without gates in the world of the modality gates, where summaries have no LayerNorm and only
    the shared or only the private space has room for the claims, so that the one or the other gate has to choose; in
    the first FEW seeds also with the LayerNorm, and in the idle twin."""
    trials = []
    for at, seed in enumerate(seeds):
        for gates, ranks in NARROW.items():
            needed, idle = (
                replace(
                    _made("modality gates", lies),
                    name=f"world: narrow {gates}{'' if lies else ', idle'}",
                    settings={**SMALL, **ranks, "normed": False},
                )
                for lies in (True, False)
            )
            for model in ("CLCR", "no InterCAD"):
                trials += [Trial(needed, model, seed)]
                if at < FEW:
                    trials += [Trial(needed, model, seed, {"normed": True}), Trial(idle, model, seed)]
    return trials


def gate_rates(seeds: Iterable[int], rates: Sequence[float] = (1.0, 5.0)) -> list[Trial]:
    """CLCR in the world of the level gates, with the gates at these shares of the learning rate, and without them."""
    world = _made("level gates")
    faster = [replace(world, training=replace(world.training, gate_rate=rate)) for rate in rates]
    named = [replace(x, name=f"{x.name}, gate rate {x.training.gate_rate:g}") for x in faster]
    return _over(seeds, [*(Trial(x) for x in named), Trial(named[0], "no InterCAD")])


# A training of CLCR takes minutes there, so there are fewer models.
_LONG = SETUPS["asynchrony complementary"]
_FEW = ("CLCR", "no IntraCED", "late fusion", "low-rank fusion")
_READ = ("asynchrony redundant", "digits", "spoken digits")
PAPER = Setup("digits, the paper's recipe", "digits", {"size": 1000}, SMALL, TrainConfig.paper())

_TUNED = ("CLCR", PLAIN, *BASELINES)
RATES: Mapping[str, Mapping[str, float]] = {
    "asynchrony complementary": {"CLCR": 0.005, "late fusion": 0.01, "low-rank fusion": 0.005},
    "asynchrony redundant": {
        "CLCR": 0.01,
        "plain reading": 0.01,
        "late fusion": 0.02,
        "early fusion": 0.005,
        "low-rank fusion": 0.02,
        "MulT": 0.0025,
        "MISA": 0.01,
    },
    "digits": {
        "CLCR": 0.01,
        "plain reading": 0.005,
        "late fusion": 0.005,
        "early fusion": 0.005,
        "low-rank fusion": 0.01,
        "MulT": 0.0025,
        "MISA": 0.0025,
    },
    "spoken digits": {
        "CLCR": 0.01,
        "plain reading": 0.005,
        "late fusion": 0.005,
        "early fusion": 0.005,
        "low-rank fusion": 0.005,
        "MulT": 0.0025,
        "MISA": 0.01,
    },
}
"""By setup and model: the learning rate with the highest mean validation score of the stored tables `tuning_*`."""

Trials = Callable[[Sequence[int]], list[Trial]]
TABLES: Mapping[str, Trials] = {
    "tuning_asynchrony_redundant": partial(
        tuning, SETUPS["asynchrony redundant"], rates=(2.5e-3, 5e-3, 1e-2, 2e-2), models=_TUNED
    ),
    "tuning_digits": partial(tuning, SETUPS["digits"], rates=(2.5e-3, 5e-3, 1e-2), models=_TUNED),
    "tuning_spoken_digits": partial(tuning, SETUPS["spoken digits"], rates=(2.5e-3, 5e-3, 1e-2), models=_TUNED),
    "tuning_asynchrony_complementary": partial(
        tuning, _LONG, rates=(2.5e-3, 5e-3, 1e-2), models=("CLCR", "late fusion", "low-rank fusion")
    ),
    **{f"comparison_{name.replace(' ', '_')}": partial(comparison, setup) for name, setup in SETUPS.items()},
    "comparison_asynchrony_complementary": partial(comparison, _LONG, models=_FEW),
    # after a look at seeds 0 to 4, of which three never learn at the chosen rate: of these no evidence
    "sweep_rate_complementary": partial(tuning, _LONG, rates=(2.5e-3,), models=("CLCR", "no IntraCED")),
    "sweep_rate_rivals": partial(rivals, _LONG),
    # after a look at seeds 8 and 9 of that world, which CLCR hardly learns
    "sweep_samples_level_gates": partial(
        comparison, _world("level gates", True, (6000, 300, 600), 15), models=("CLCR", "no InterCAD")
    ),
    "paper_recipe": partial(comparison, PAPER, models=("CLCR", PLAIN, "late fusion")),
    **{f"world_{name.replace(' ', '_')}": partial(world, name) for name in _WORLDS},
    "narrow_worlds": narrow,
    # on seeds that nobody had seen when 5 was chosen, after a look at seeds 0 to 9
    "sweep_gate_rate": gate_rates,
    **{f"readings_{name.replace(' ', '_')}": partial(readings, SETUPS[name]) for name in _READ},
    "budget_digits": partial(budgets, SETUPS["digits"]),
    **{f"sweep_{name.replace(' ', '_')}": partial(sweep, SETUPS["digits"], SWEEPS[name]) for name in SWEEPS},
}
"""By name of the stored table: from seeds to trials."""
