"""Statistics of a few repeated measurements: means with intervals, and paired differences. All [ours]."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.errors import require


def mean_interval(values: Any) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t; without an interval (NaN) for fewer than 2 values."""
    require("scipy", "analysis")
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    half = t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


class Difference(NamedTuple):
    """The mean of paired differences, its 95 % interval, and p-values: paired t-test, Wilcoxon's signed ranks.

    Both are two-sided. With 5 pairs Wilcoxon's p is at least 0.0625. NaN where there are fewer than 2 pairs."""

    mean: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    pairs: int


def difference(first: Float[ndarray, "pair"], second: Float[ndarray, "pair"]) -> Difference:
    """first - second, pair by pair."""
    require("scipy", "analysis")
    from scipy.stats import ttest_rel, wilcoxon

    gap = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    mean, low, high = mean_interval(gap)
    if len(gap) < 2:
        return Difference(mean, low, high, np.nan, np.nan, len(gap))
    p_wilcoxon = float(wilcoxon(gap).pvalue) if gap.any() else 1.0
    if np.ptp(gap) <= 1e-12:  # constant up to rounding, and the t-test divides by the deviation
        return Difference(mean, low, high, 0.0 if abs(mean) > 1e-12 else 1.0, p_wilcoxon, len(gap))
    return Difference(mean, low, high, float(ttest_rel(first, second).pvalue), p_wilcoxon, len(gap))


@public
def pairs_needed(gap: Float[ndarray, "pair"], power: float = 0.8, most: int = 10_000) -> int | None:
    """How many pairs a paired t-test at 5 % needs to see the mean of these differences with this power, if their mean
    and deviation are the true ones. None: more than `most`, or fewer than 2 differences."""
    require("scipy", "analysis")
    from scipy.stats import nct, t

    x = np.asarray(gap, dtype=np.float64)
    if len(x) < 2 or x.mean() == 0:
        return None
    counts = np.arange(2, most + 1)
    deviation = max(x.std(ddof=1), 1e-12)
    # float overflow in nct where the effect is hundreds of deviations: two pairs are enough there
    shift = np.minimum(abs(x.mean()) / deviation * np.sqrt(counts), 30.0)
    enough = np.asarray(nct.sf(t.ppf(0.975, counts - 1), counts - 1, shift) >= power)
    return int(counts[enough.argmax()]) if enough.any() else None
