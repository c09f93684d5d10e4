"""Makes the stored tables of this folder; each command goes on where it was stopped.

python data/results/make_tables.py                      names of all tables
python data/results/make_tables.py comparison_digits    these tables, on all processors
python data/results/make_tables.py comparison_digits --jobs 1 --seeds 0 1 2

Finished trials lie under build/runs and are not run again. A table is a CSV with one row for each trial, and a JSON
file of the same name that says how it was made. Real data are found through CLCRKIT_DATA. The tables of
`experiments.causes` have three seeds by default, and a row for each figure; what is measured lies under build/causes.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pandas as pd
import torch

import clcrkit
from clcrkit.errors import ConfigError
from clcrkit.experiments import causes
from clcrkit.experiments.plans import SEEDS, TABLES
from clcrkit.experiments.trials import Trial, run
from clcrkit.files import write_json, write_text

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "data" / "results"
RUNS = ROOT / "build" / "runs"
CAUSES = ROOT / "build" / "causes"
CAUSE_SEEDS = (0, 1, 2)
DIGITS = 6  # significant ones in the CSV


def make(
    name: str, trials: Sequence[Trial], n_jobs: int | None = None, folder: Path = RESULTS, runs: Path = RUNS
) -> pd.DataFrame:
    """Run the trials that are not finished, and store `name`.csv and `name`.json in the folder."""
    table = run(trials, runs, n_jobs, note={"commit": commit()})
    _store(name, table, trials, sorted(table["commit"].unique()), SEEDS, folder)
    return table


def make_causes(
    name: str, seeds: Sequence[int], n_jobs: int, folder: Path = RESULTS, kept: Path = CAUSES
) -> pd.DataFrame:
    """Measure the trials that are not yet, and store `name`.csv and `name`.json in the folder."""
    table = causes.run(name, seeds, kept, n_jobs)
    _store(name, table, causes.PLANS[name](seeds), [commit()], CAUSE_SEEDS, folder)
    return table


def _store(
    name: str, table: pd.DataFrame, trials: Sequence[Trial], commits: list[str], usual: Sequence[int], folder: Path
) -> None:
    setups = {json.dumps(asdict(t.setup), sort_keys=True): asdict(t.setup) for t in trials}
    seeds = sorted({t.seed for t in trials})
    option = "" if seeds == list(usual) else f" --seeds {' '.join(map(str, seeds))}"
    about = {
        "command": f"python data/results/make_tables.py {name}{option}",
        "date": date.today().isoformat(),
        "commits": commits,
        "clcrkit": clcrkit.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "setups": list(setups.values()),
        "seeds": seeds,
        "trials": len({t.key for t in trials}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", about)
    write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format=f"%.{DIGITS}g"))


def commit() -> str:
    """The short hash of this clone's commit, with a + where the package was changed since; '' without git."""

    def git(*words: str) -> str:
        process = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
        return process.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "clcrkit") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def main(arguments: Sequence[str] | None = None) -> None:
    known = [*TABLES, *causes.PLANS]
    parser = argparse.ArgumentParser(prog="python data/results/make_tables.py", description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(known))
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default one for each processor")
    parser.add_argument("--seeds", type=int, nargs="+", help="default 0 to 9; 0 to 2 for causes")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.tables if name not in known]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: no such table; there are {', '.join(known)}")
    if not options.tables:
        print("\n".join(known))
    for name in options.tables:
        if name in TABLES:
            table = make(name, TABLES[name](options.seeds or SEEDS), options.jobs)
        else:
            table = make_causes(name, options.seeds or CAUSE_SEEDS, options.jobs)
        print(f"{name}: {len(table)} rows stored in {RESULTS / name}.csv", flush=True)


if __name__ == "__main__":
    main()
