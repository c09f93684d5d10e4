"""Comparing models over seeds: means with intervals, paired differences, and a verdict by rule. All [ours].

Tables are those of `trials.run`: one row for each trial, with columns data, model, changes, seed. Every interval is a
95 % one by Student's t over seeds (`analysis.stats`): it covers the variation of data, weights and order with the seed.
It does not correct for many comparisons, and a few seeds make it wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clcrkit.analysis.stats import Difference, difference, mean_interval
from clcrkit.errors import DataError

HOLDS, FAILS, SAME, OPEN = "holds", "does not", "no difference", "cannot tell"
MARGIN = 0.02  # of a score: a smaller difference is called none


def summary(table: pd.DataFrame, value: str = "score") -> pd.DataFrame:
    """Mean and interval over seeds for each data set, model and changes, in the table's order: columns data, model,
    changes, mean, low, high, seeds."""
    rows = []
    for group, part in table.groupby(["data", "model", "changes"], sort=False):
        values = part[value].dropna()
        rows.append((*group, *(mean_interval(values) if len(values) else [np.nan] * 3), len(values)))
    return pd.DataFrame(rows, columns=["data", "model", "changes", "mean", "low", "high", "seeds"])


def by_seed(table: pd.DataFrame, data: str, value: str = "score") -> pd.DataFrame:
    """The value of every model on one data set: seeds as rows, models as columns (with their changes, if any).

    NaN where a model lacks a seed: drop those rows before comparing. Raises DataError where the table has no row of
    this data set."""
    part = table[table["data"] == data]
    if part.empty:
        raise DataError(f"{data}: not in the table, which has {', '.join(map(str, table['data'].unique())) or 'none'}")
    names = _named(part)
    wide = part.assign(name=names).pivot(index="seed", columns="name", values=value)
    return wide[list(dict.fromkeys(names))]


def against(table: pd.DataFrame) -> pd.DataFrame:
    """Every other model's score minus CLCR's, by the seeds that both have: data, model, and `Difference`'s columns."""
    rows = []
    for data in table["data"].unique():
        wide = by_seed(table, data)
        for model in [name for name in wide if name != "CLCR" and "CLCR" in wide]:
            both = wide[[model, "CLCR"]].dropna()
            if len(both):
                minus = difference(both[model].to_numpy(), both["CLCR"].to_numpy())
                rows.append({"data": data, "model": model, **minus._asdict()})
    return pd.DataFrame(rows, columns=["data", "model", *Difference._fields])


def learning_curves(table: pd.DataFrame) -> pd.DataFrame:
    """The validation score after each epoch, a row for each: columns data, model (with its changes, if any), seed,
    epoch (from 1) and score."""
    rows = table.assign(model=_named(table), score=table["curve"].str.split()).reset_index(drop=True).explode("score")
    long = rows.assign(epoch=rows.groupby(level=0).cumcount() + 1).reset_index(drop=True)
    return long.astype({"score": float})[["data", "model", "seed", "epoch", "score"]]


def _named(table: pd.DataFrame) -> list[str]:
    return [f"{m} ({c})" if c else m for m, c in zip(table["model"], table["changes"].fillna(""), strict=True)]


def verdict(differences: Sequence[Difference]) -> str:
    """The verdict on the claim that each of these differences is above 0: it 'holds' where every interval is above 0,
    it 'does not' where one is below 0, there is 'no difference' where one lies within MARGIN of 0, and we 'cannot
    tell' else, also where there is no interval."""
    if any(d.high < 0 for d in differences):
        return FAILS
    if differences and all(d.low > 0 for d in differences):
        return HOLDS
    return SAME if any(map(is_none, differences)) else OPEN


def is_none(found: Difference) -> bool:
    """Whether a difference is smaller than MARGIN, with its whole interval."""
    return found.low > -MARGIN and found.high < MARGIN
