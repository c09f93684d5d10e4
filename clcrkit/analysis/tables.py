"""The stored tables of `data/results`, each made by one command that goes on where it was stopped.

python -m clcrkit.analysis.tables                      what there is
python -m clcrkit.analysis.tables comparison_digits    these tables, on all processors
python -m clcrkit.analysis.tables comparison_digits --jobs 1 --seeds 0 1 2

Finished trials lie under build/runs and are not run again. A table is a CSV with one row for each trial, and a JSON
file of the same name beside it that says how it was made. Real data are found through CLCRKIT_DATA.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd
import torch

import clcrkit
from clcrkit.analysis.ablation import SEEDS, SWEEPS, baselines, budgets, comparison, sweep
from clcrkit.analysis.runs import Setup, Trial, run
from clcrkit.errors import ConfigError, DataError
from clcrkit.files import write_json, write_text
from clcrkit.training import TrainConfig

RESULTS = Path(__file__).parents[2] / "data" / "results"
RUNS = Path(__file__).parents[2] / "build" / "runs"
TEXT = ("data", "model", "changes", "key", "commit")  # some of it could be read as numbers
DIGITS = 6  # significant ones in the CSV

# Small on purpose: all models of all tables together take two processors an hour or two.
SMALL = {"width": 32, "rank": 16, "private_rank": 16, "heads": 2}
SETUPS: Mapping[str, Setup] = {
    s.name: s
    for s in (
        Setup(
            "asynchrony redundant",
            "asynchrony",
            {"evidence": "redundant", "samples": [600, 300, 800]},
            SMALL,
            TrainConfig(epochs=10, learning_rate=5e-3),
        ),
        Setup(
            "asynchrony complementary",
            "asynchrony",
            {"evidence": "complementary", "samples": [1500, 300, 800]},
            SMALL,
            TrainConfig(epochs=12, learning_rate=5e-3),
        ),
        Setup("digits", "digits", {"size": 1000}, SMALL, TrainConfig(epochs=12, learning_rate=5e-3)),
        Setup("spoken digits", "spoken_digits", {"split": "speakers"}, SMALL, TrainConfig(epochs=5)),
        Setup("mmmo", "mmmo", {}, SMALL, TrainConfig(epochs=10, batch_size=32)),
        Setup("mosi utterances", "mosi_utterances", {}, SMALL, TrainConfig(epochs=6)),
    )
}

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
    **{f"budget_{name}": partial(budgets, SETUPS[name]) for name in ("digits",)},
    **{
        f"sweep_{what.replace(' ', '_')}": partial(sweep, SETUPS["digits"], changes) for what, changes in SWEEPS.items()
    },
    "mosi_utterances": partial(baselines, MOSI),
}
"""By name of the file: from seeds to trials."""


def make(
    name: str, trials: Sequence[Trial], n_jobs: int | None = None, folder: Path = RESULTS, runs: Path = RUNS
) -> pd.DataFrame:
    """Run what is not finished, and store `name`.csv and `name`.json in the folder."""
    table = run(trials, runs, n_jobs)
    setups = {json.dumps(asdict(t.setup), sort_keys=True): asdict(t.setup) for t in trials}
    seeds = sorted({t.seed for t in trials})
    chosen = "" if seeds == list(SEEDS) else f" --seeds {' '.join(map(str, seeds))}"
    about = {
        "command": f"python -m clcrkit.analysis.tables {name}{chosen}",
        "date": date.today().isoformat(),
        "commits": sorted(table["commit"].unique()),
        "clcrkit": clcrkit.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "setups": list(setups.values()),
        "seeds": seeds,
        "trials": len(table),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", about)
    write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format=f"%.{DIGITS}g"))
    return table


def load(name: str, folder: Path = RESULTS) -> pd.DataFrame:
    """A stored table. Raises DataError where it is not there: tables are in a clone, not in an installed wheel."""
    try:
        table = pd.read_csv(folder / f"{name}.csv", dtype=dict.fromkeys(TEXT, str))
        return table.fillna(dict.fromkeys(TEXT, ""))
    except FileNotFoundError:
        raise DataError(
            f"{folder / name}.csv: no such table; it is in a clone of the repository, or made by "
            f"`python -m clcrkit.analysis.tables {name}`"
        ) from None


def available(folder: Path = RESULTS) -> list[str]:
    """The stored tables that are there, in the order of TABLES."""
    return [name for name in TABLES if (folder / f"{name}.csv").exists()]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m clcrkit.analysis.tables", description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default one for each processor")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="default 0 to 9")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.tables if name not in TABLES]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: no such table; there are {', '.join(TABLES)}")
    if not asked.tables:
        print("\n".join(TABLES))
    for name in asked.tables:
        table = make(name, TABLES[name](asked.seeds), asked.jobs)
        print(f"{name}: {len(table)} trials stored in {RESULTS / name}.csv", flush=True)


if __name__ == "__main__":
    main()
