"""Probes: what can be read, linearly, from a space; with the control that shows what reading nothing looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from clcrkit.errors import DataError
from clcrkit.trace import Trace


class Probe(NamedTuple):
    """Cross-validated accuracies in [0, 1]: of the probe, of the same probe on shuffled labels, and of always
    answering the most frequent label."""

    accuracy: float
    shuffled: float
    chance: float


def linear_probe(
    features: Float[Any, "sample feature"],
    labels: Shaped[Any, "sample"],
    seed: int = 0,
    folds: int = 5,
) -> Probe:
    """Logistic regression on standardised features, by stratified cross-validation.

    Raises DataError where a label has fewer samples than there are folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels)
    counts = np.unique(y, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < folds:
        raise DataError(
            f"labels: {len(counts)} different ones, the rarest with {counts.min()} samples; a probe with {folds} "
            f"folds needs 2 or more, each with {folds} samples or more"
        )
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    shuffled = np.random.default_rng(seed).permutation(y)
    return Probe(
        accuracy=float(cross_val_score(probe, x, y, cv=splitter).mean()),
        shuffled=float(cross_val_score(probe, x, shuffled, cv=splitter).mean()),
        chance=float(counts.max() / counts.sum()),
    )


def leakage(
    spaces: Mapping[str, Float[Tensor, "sample _"]], factors: Mapping[str, Shaped[Tensor, "sample"]], seed: int = 0
) -> pd.DataFrame:
    """The matrix space x factor of probe accuracies, as a tidy table: space, factor, accuracy, shuffled, chance."""
    rows = [
        {"space": space, "factor": factor, **linear_probe(x, y, seed)._asdict()}
        for space, x in spaces.items()
        for factor, y in factors.items()
    ]
    return pd.DataFrame(rows)


def evidence_auroc(
    allocation: Float[Tensor, "sample level token"],
    evidence: Bool[Tensor, "sample level token"],
    mask: Bool[Tensor, "sample token"],
) -> list[float]:
    """For each level, the chance that a token known as evidence has a larger allocation than one that is not
    (ties count half); over all real tokens of all samples. NaN where a level has no evidence at all."""
    from sklearn.metrics import roc_auc_score

    real = mask.cpu().numpy()
    found = []
    for level in range(allocation.shape[1]):
        truth, share = evidence[:, level].cpu().numpy()[real], allocation[:, level].cpu().numpy()[real]
        found.append(float(roc_auc_score(truth, share)) if 0 < truth.sum() < truth.size else float("nan"))
    return found


def level_weighted(trace: Trace, modality: str) -> Float[Tensor, "sample token"]:
    """Each token's allocation, summed over levels with the level gates as weights: its say in the sample."""
    return (trace.level_gate[:, :, None] * trace.allocation[modality]).sum(1)


def spaces_of(trace: Trace) -> dict[str, Float[Tensor, "sample _"]]:
    """The spaces of a trace that probes are usually put to: the shared code and the private code; each
    modality's shared and private summaries, all levels side by side."""
    spaces = {"shared code": trace.shared_code, "private code": trace.private_code}
    for m in trace.modalities:
        spaces[f"shared {m}"] = trace.shared_summary[m].flatten(1)
        spaces[f"private {m}"] = trace.private_summary[m].flatten(1)
    return {name: x.detach().to("cpu", torch.float32) for name, x in spaces.items()}
