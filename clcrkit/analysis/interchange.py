"""Interchange: does swapping a place swap exactly the factor that it should hold? All [ours].

Where it is known how labels are made of factors, an intervention has a right answer: the label of a sample whose one
factor is another sample's. How often a model gives it after a swap is its interchange accuracy (interchange
intervention accuracy; Geiger et al., 2021): 1 for a place that holds the factor, all of it and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Shaped
from torch import Tensor

from clcrkit.analysis.interventions import places_of, replacement
from clcrkit.arguments import Model, public
from clcrkit.batch import Batch
from clcrkit.errors import DataError, require

Outcome = Callable[[Mapping[str, Tensor]], Tensor]


@public
def interchange(
    model: Model,
    batch: Batch,
    places: Sequence[str],
    factors: Mapping[str, Shaped[Tensor, "sample ..."]],
    outcome: Outcome,
    seed: int = 0,
) -> pd.DataFrame:
    """Does swapping a place change exactly what the factor that it should hold would change?

    model: CLCR, or a baseline, at the places that it `reads`.
    factors: by name, what made the labels, such as `batch.attributes`; outcome: from factors to classes, how. For each
    factor every sample is given a source at random among those whose value of the factor, put in place of its own,
    changes the outcome. The place takes the source's value; right is a pass that predicts the outcome with the source's
    factor and all others as they were. Without an effect the accuracy is 0 (or the model's errors).
    The control takes the values of another sample, whose factor is the sample's own, and is scored against the same
    outcome: it tells how often anything that is swapped makes that change.

    Columns: place, factor, accuracy, low, high, control, control_low, control_high, pairs; 95 % intervals (Wilson) over
    pairs. NaN where no source changes the outcome. Raises DataError for factors of other samples.
    """
    for name, values in factors.items():
        if len(values) != len(batch):
            raise DataError(f"factors {name}: {len(values)} samples, but the batch has {len(batch)}")
    known = {name: values.cpu() for name, values in factors.items()}
    plain, generator, rows = model.trace(batch), np.random.default_rng(seed), []
    for name in known:
        base, source, same, target = _pairs(known, name, outcome, generator)
        for pattern in places:
            scores: list[float] = []
            for swapped in (source, same):
                order = torch.arange(len(batch))
                order[base] = swapped
                patch = {p: replacement(plain, p, "interchange", order) for p in places_of(plain, pattern)}
                predicted = model.trace(batch, patch=patch).prediction.argmax(1).cpu()[base] if len(base) else base
                scores += _share(int((predicted == target).sum()), len(base))
            rows.append((pattern, name, *scores, len(base)))
    columns = ["accuracy", "low", "high", "control", "control_low", "control_high"]
    return pd.DataFrame(rows, columns=["place", "factor", *columns, "pairs"])


@public
def interchange_matrix(table: pd.DataFrame, column: str = "accuracy") -> pd.DataFrame:
    """The table of `interchange` for a heat map: places as rows and factors as columns, both in the table's order; a
    mean where the table has several seeds. column: accuracy or control."""
    matrix = table.pivot_table(index="place", columns="factor", values=column, sort=False, dropna=False)
    return matrix.loc[table["place"].unique(), table["factor"].unique()]


def _pairs(
    factors: Mapping[str, Tensor], name: str, outcome: Outcome, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Positions of samples, of their sources, of samples with the same factor for the control; and the outcome."""
    own, values = outcome(factors), factors[name]
    size = len(values)
    keys = np.unique(values.numpy(), axis=0, return_inverse=True)[1].reshape(size)
    base, source, same = [], [], []
    for i in range(size):
        others = random.permutation(size)
        trial = {n: (x[torch.from_numpy(others)] if n == name else x[[i] * size]) for n, x in factors.items()}
        changed = others[(outcome(trial) != own[i]).numpy()]
        alike = others[(keys[others] == keys[i]) & (others != i)]
        if len(changed) and len(alike):
            base.append(i)
            source.append(int(changed[0]))
            same.append(int(alike[0]))
    chosen, taken = torch.tensor(base, dtype=torch.long), torch.tensor(source, dtype=torch.long)
    target = outcome({n: x[taken] if n == name else x[chosen] for n, x in factors.items()}) if base else chosen
    return chosen, taken, torch.tensor(same, dtype=torch.long), target


def _share(right: int, pairs: int) -> tuple[float, float, float]:
    require("scipy", "analysis")
    from scipy.stats import binomtest

    if not pairs:
        return np.nan, np.nan, np.nan
    low, high = binomtest(right, pairs).proportion_ci(method="wilson")
    return right / pairs, float(low), float(high)
