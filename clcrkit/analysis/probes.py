"""Probes: what a linear model can read from a space, beside the same probe on shuffled labels as control."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray
from torch import Tensor

from clcrkit.arguments import public
from clcrkit.errors import DataError, require
from clcrkit.trace import Trace


class Probe(NamedTuple):
    """Cross-validated accuracies in [0, 1]: of the probe, of the same probe on shuffled labels, and of always
    answering the most frequent label."""

    accuracy: float
    shuffled: float
    chance: float


@public
def linear_probe(
    features: Float[Any, "sample feature"],
    labels: Shaped[Any, "sample"],
    seed: int = 0,
    folds: int = 5,
    groups: Shaped[Any, "sample"] | None = None,
) -> Probe:
    """Logistic regression on standardised features, by stratified cross-validation.

    groups: a number for each sample (speaker, video, ...); samples of one group are then never in training and test
    of one fold. Otherwise a probe can learn to recognise the groups instead of the label.
    Raises DataError where a label has fewer samples than there are folds, where there are fewer groups than folds,
    or where a label is in one group only, since no fold could then both learn and test it.
    """
    require("sklearn", "analysis")
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels)
    counts = np.unique(y, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < folds:
        raise DataError(
            f"labels: {len(counts)} different ones, the rarest with {counts.min()} samples; a probe with {folds} "
            f"folds needs 2 or more, each with {folds} samples or more"
        )
    kind = StratifiedKFold
    if groups is not None:
        groups, kind = np.asarray(groups), StratifiedGroupKFold
        fewest = min(len(np.unique(groups[y == label])) for label in np.unique(y))
        if len(np.unique(groups)) < folds or fewest < 2:
            raise DataError(
                f"groups: {len(np.unique(groups))} different ones, and a label that is in {fewest} of them; a probe "
                f"with {folds} folds needs {folds} groups or more, and each label in 2 or more"
            )
    splitter = kind(folds, shuffle=True, random_state=seed)
    shuffled = np.random.default_rng(seed).permutation(y)
    return Probe(
        accuracy=_cross_validated(x, y, splitter.split(x, y, groups)),
        shuffled=_cross_validated(x, shuffled, splitter.split(x, shuffled, groups)),
        chance=float(counts.max() / counts.sum()),
    )


def _cross_validated(
    x: Float[ndarray, "sample feature"], y: Shaped[ndarray, "sample"], splits: Iterable[tuple[Any, Any]]
) -> float:
    """The mean accuracy over the folds. Pages wait for hundreds of such small fits, of which scikit-learn's pipeline
    and `cross_val_score` would be half of the time, and threads that wait for each other most of the rest."""
    from sklearn.linear_model import LogisticRegression

    accuracies = []
    with _threads().limit(limits=1):
        for train, test in splits:
            mean, spread = x[train].mean(0), x[train].std(0)
            z = (x - mean) / np.where(spread > 0, spread, 1.0)
            fitted = LogisticRegression(max_iter=1000).fit(z[train], y[train])
            accuracies.append((fitted.predict(z[test]) == y[test]).mean())
    return float(np.mean(accuracies))


@cache
def _threads() -> Any:
    """The process's pools of threads. Looking for them reads a file of the system, so it is done once, when
    scikit-learn has brought its own."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@public
def leakage(
    spaces: Mapping[str, Float[Tensor, "sample _"]],
    factors: Mapping[str, Shaped[Tensor, "sample"]],
    groups: Shaped[Any, "sample"] | None = None,
) -> pd.DataFrame:
    """The matrix space x factor of probe accuracies, as a tidy table: space, factor, accuracy, shuffled, chance.

    `groups` as for `linear_probe`."""
    rows = [
        {"space": space, "factor": factor, **linear_probe(x, y, groups=groups)._asdict()}
        for space, x in spaces.items()
        for factor, y in factors.items()
    ]
    return pd.DataFrame(rows)


@public
def leakage_matrix(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `leakage` for a heat map: spaces as rows, factors as columns, both in the table's order.

    A cell is (accuracy - shuffled) / (1 - shuffled): 0 at the level of the control, 1 at certainty. Factors with
    different numbers of values can be compared by it. Values a little below 0 are chance, too."""
    readable = (table["accuracy"] - table["shuffled"]) / (1 - table["shuffled"])
    matrix = table.assign(readable=readable).pivot(index="space", columns="factor", values="readable")
    return matrix.loc[table["space"].unique(), table["factor"].unique()]


@public
def evidence_auroc(
    allocation: Float[Tensor, "sample level token"],
    evidence: Bool[Tensor, "sample level token"],
    mask: Bool[Tensor, "sample token"],
) -> list[float]:
    """For each level, the chance that an evidence token has a larger allocation than another one
    (ties count half); over all real tokens of all samples. NaN where a level has no evidence at all."""
    require("sklearn", "analysis")
    from sklearn.metrics import roc_auc_score

    real = mask.cpu().numpy()
    aurocs = []
    for level in range(allocation.shape[1]):
        truth, share = evidence[:, level].cpu().numpy()[real], allocation[:, level].cpu().numpy()[real]
        aurocs.append(float(roc_auc_score(truth, share)) if 0 < truth.sum() < truth.size else float("nan"))
    return aurocs


@public
def evidence_precision(
    allocation: Float[Tensor, "sample level token"],
    evidence: Bool[Tensor, "sample level token"],
    mask: Bool[Tensor, "sample token"],
) -> list[float]:
    """For each level, the precision at the budget: the part of all shares that lies on evidence tokens.

    Each token counts with its share; where shares are 0 or 1, this is the precision of the funded tokens. An allocation
    independent of the evidence gets the evidence's part of the real tokens, `evidence_precision(ones, ...)`. NaN where
    a level allocates nothing or has no evidence at all."""
    real = mask[:, None, :].expand_as(evidence)
    share = allocation.double() * real
    total, hit = share.sum((0, 2)), (share * evidence).sum((0, 2))
    defined = (evidence & real).any(dim=2).any(dim=0) & (total > 0)
    return [float(h / t) if k else float("nan") for h, t, k in zip(hit, total, defined, strict=True)]


@public
def level_weighted(trace: Trace, modality: str) -> Float[Tensor, "sample token"]:
    """Each token's allocation, summed over levels with the level gates as weights."""
    return (trace.level_gate[:, :, None] * trace.allocation[modality]).sum(1)


@public
def spaces_of(trace: Trace) -> dict[str, Float[Tensor, "sample _"]]:
    """The usual spaces for probes: the shared code and the private code; each modality's shared and private
    summaries, all levels side by side."""
    spaces = {"shared code": trace.shared_code, "private code": trace.private_code}
    for m in trace.modalities:
        spaces[f"shared {m}"] = trace.shared_summary[m].flatten(1)
        spaces[f"private {m}"] = trace.private_summary[m].flatten(1)
    return {name: x.detach().to("cpu", torch.float32) for name, x in spaces.items()}
