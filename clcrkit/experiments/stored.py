"""Reading stored tables of trials, such as those of a clone's `data/results`."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from clcrkit.errors import DataError
from clcrkit.experiments.plans import TABLES

TEXT = ("data", "model", "changes", "key", "curve", "commit")  # columns of text, some of which looks like numbers


def load(folder: str | os.PathLike[str], name: str) -> pd.DataFrame:
    """The stored table of this name. Raises DataError where it is not there."""
    path = Path(folder) / f"{name}.csv"
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such table; a clone of the repository has it in data/results, and "
            f"`python data/results/make_tables.py {name}` makes it"
        ) from None
    return table.fillna(dict.fromkeys(TEXT, ""))


def available(folder: str | os.PathLike[str]) -> list[str]:
    """The stored tables in this folder, in the order of `plans.TABLES`."""
    return [name for name in TABLES if (Path(folder) / f"{name}.csv").exists()]


def evidence(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """All stored comparisons, worlds, readings and budgets in this folder joined, for `claims.judge`; each trial once.
    Raises DataError where there is none."""
    names = [name for name in available(folder) if not name.startswith(("sweep_", "tuning_"))]
    if not names:
        raise DataError(f"{folder}: no stored table; `python data/results/make_tables.py comparison_digits` makes one")
    table = pd.concat([load(folder, name) for name in names], ignore_index=True)
    return table.drop_duplicates("key")  # CLCR is in the tables of budgets and readings, too
