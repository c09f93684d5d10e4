"""Comparing models over seeds: means with intervals, differences seed by seed, and a verdict by rule. All [ours].

Tables are those of `runs.run`: one row for each trial, with columns data, model, changes, seed. Every interval is a
95 % one by Student's t over seeds. It says how sure the mean is over the draws of data, weights and order that a seed
makes; it does not correct for many comparisons, and five seeds make it wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from clcrkit.analysis.robustness import mean_interval
from clcrkit.errors import DataError

HOLDS, FAILS, OPEN = "holds", "does not", "cannot tell"


class Difference(NamedTuple):
    """Of pairs: the mean, its interval, and two-sided p-values of the paired t-test and of Wilcoxon's signed ranks.

    With 5 pairs Wilcoxon's p cannot be below 0.0625. NaN where there are fewer than 2 pairs."""

    mean: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    pairs: int


def summary(table: pd.DataFrame, value: str = "score") -> pd.DataFrame:
    """Mean and interval over seeds for each data set, model and changes, in the table's order: columns data, model,
    changes, mean, low, high, seeds."""
    rows = [
        {**dict(zip(("data", "model", "changes"), place, strict=True)), **_interval(part[value].dropna())}
        for place, part in table.groupby(["data", "model", "changes"], sort=False)
    ]
    return pd.DataFrame(rows)


def by_seed(table: pd.DataFrame, data: str, value: str = "score") -> pd.DataFrame:
    """The value of every model on one data set: seeds as rows, models as columns (with their changes, if any).

    NaN where a model lacks a seed: drop those rows of the models that are compared.
    Raises DataError where the table has nothing of this data set."""
    part = table[table["data"] == data]
    if part.empty:
        raise DataError(f"{data}: not in the table, which has {', '.join(map(str, table['data'].unique())) or 'none'}")
    names = [f"{m} ({c})" if c else m for m, c in zip(part["model"], part["changes"].fillna(""), strict=True)]
    wide = part.assign(name=names).pivot(index="seed", columns="name", values=value)
    return wide[list(dict.fromkeys(names))]


def difference(first: Float[ndarray, "seed"], second: Float[ndarray, "seed"]) -> Difference:
    """first - second, pair by pair."""
    from scipy.stats import ttest_rel, wilcoxon

    apart = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    mean, low, high = mean_interval(apart)
    if len(apart) < 2:
        return Difference(mean, low, high, np.nan, np.nan, len(apart))
    p_wilcoxon = float(wilcoxon(apart).pvalue) if apart.any() else 1.0
    if np.ptp(apart) <= 1e-12:  # no spread but rounding, and the t-test divides by it
        return Difference(mean, low, high, 0.0 if abs(mean) > 1e-12 else 1.0, p_wilcoxon, len(apart))
    return Difference(mean, low, high, float(ttest_rel(first, second).pvalue), p_wilcoxon, len(apart))


def against(table: pd.DataFrame, reference: str = "CLCR", value: str = "score") -> pd.DataFrame:
    """Every other model minus the reference, by the seeds that both have: data, model, and `Difference`'s columns."""
    rows = []
    for data in table["data"].unique():
        wide = by_seed(table, data, value)
        for model in [name for name in wide if name != reference and reference in wide]:
            both = wide[[model, reference]].dropna()
            if len(both):
                found = difference(both[model].to_numpy(), both[reference].to_numpy())
                rows.append({"data": data, "model": model, **found._asdict()})
    return pd.DataFrame(rows, columns=["data", "model", *Difference._fields])


def verdict(differences: Sequence[Difference]) -> str:
    """The rule: a claim says that each of these differences is above 0. It 'holds' where every interval is above 0,
    it 'does not' where one is below 0; else we 'cannot tell', which is also the answer where there is no interval."""
    if any(d.high < 0 for d in differences):
        return FAILS
    return HOLDS if differences and all(d.low > 0 for d in differences) else OPEN


def _interval(values: pd.Series) -> dict[str, float]:
    mean, low, high = mean_interval(values) if len(values) else (np.nan, np.nan, np.nan)
    return {"mean": mean, "low": low, "high": high, "seeds": len(values)}
