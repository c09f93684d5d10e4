"""Faithfulness: do attributions and allocations point at the tokens that the model uses? All [ours].

`agreement` compares the two; the deletion and insertion curves test any order of tokens on the model itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from clcrkit.analysis.attribution import Attribution, evaluating, outputs_of, target_columns
from clcrkit.analysis.probes import level_weighted
from clcrkit.analysis.robustness import random_scores
from clcrkit.analysis.stats import mean_interval
from clcrkit.arguments import Model, public
from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError, require
from clcrkit.trace import Trace

_IMPORTANT = 0.25  # share of a sample's tokens that count as important in `agreement`


@public
def agreement(trace: Trace, attribution: Attribution) -> pd.DataFrame:
    """Does the budget fund the tokens with large attributions? By modality and level (from 1; 'all' where the
    attribution is of input tokens, compared with the allocation weighted over levels by the gates):

    spearman   rank correlation of allocation and |score| over a sample's real tokens, averaged over samples
    auroc      chance that one of the quarter of tokens with the largest |score| has a larger allocation than one of
               the rest (ties count half), within a sample, averaged over samples
    samples    how many samples the averages are over: those with two or more tokens that differ in both
    """
    if not torch.equal(trace.batch.ids.cpu(), attribution.ids):
        raise DataError("ids: trace and attribution are of different samples")
    rows = []
    for m in trace.modalities:
        score, share = attribution.scores[m].abs(), trace.allocation[m].cpu()
        names = [str(level + 1) for level in range(share.shape[1])]
        if score.ndim == 1:
            raise DataError(f"scores: {attribution.method} gives one for each sample, but one for each token is needed")
        if score.ndim == 2:
            score, share, names = score[:, None], level_weighted(trace, m).cpu()[:, None], ["all"]
        for level, name in enumerate(names):
            pairs = [
                _agreement(share[i, level][real].numpy(), score[i, level][real].numpy())
                for i, real in enumerate(attribution.masks[m])
            ]
            defined = np.array([pair for pair in pairs if pair is not None]).reshape(-1, 2)
            spearman, auroc = defined.mean(0) if len(defined) else (math.nan, math.nan)
            rows.append((m, name, float(spearman), float(auroc), len(defined)))
    return pd.DataFrame(rows, columns=["modality", "level", "spearman", "auroc", "samples"])


@public
def removal_curves(
    model: Model,
    batch: Batch,
    orders: Mapping[str, Mapping[str, Float[Tensor, "batch _"]]],
    random_orders: int = 5,
    points: int = 11,
) -> pd.DataFrame:
    """Deletion and insertion curves. Deletion removes a sample's tokens by mask, of all modalities together, those
    with the largest score first; insertion begins with none and adds them in the same order. A good order makes
    deletion fall early and insertion rise early.

    orders: by name, scores by modality, (batch, token) each; equal scores are ordered at random. `random_orders`
    orders at random join them under the name 'random'. points: shares of tokens, evenly from 0 to 1, that are
    removed or added.

    Returns a tidy table: curve, order, repeat (of the random ones), share, id, value. The value is the probability
    of the class with the largest one for all tokens, or the regressed value.
    """
    if points < 2 or random_orders < 1:
        raise ConfigError(f"points, random_orders: {points}, {random_orders}, but at least 2 and 1 are needed")
    with evaluating(model, batch) as inputs:
        aim = target_columns(model, inputs)
        ranked: list[tuple[str, int, Mapping[str, Tensor]]] = [(name, 0, by) for name, by in orders.items()]
        ranked += [("random", r, random_scores(inputs.masks, 1 + r)) for r in range(random_orders)]
        ties, parts = random_scores(inputs.masks, 0), []
        count = sum(mask.sum(1, keepdim=True) for mask in inputs.masks.values())
        ids = inputs.ids.cpu().numpy()
        for name, repeat, scores in ranked:
            rank = _ranks(inputs, {m: scores[m].to(inputs.ids.device) for m in inputs.modalities}, ties)
            for share in np.linspace(0, 1, points).round(6):
                removed = (share * count).round()
                for curve in ("deletion", "insertion"):
                    masks = {
                        m: mask & ((rank[m] >= removed) == (curve == "deletion")) for m, mask in inputs.masks.items()
                    }
                    value = outputs_of(model, replace(inputs, masks=masks), aim, probability=True).cpu().numpy()
                    about = {"curve": curve, "order": name, "repeat": repeat, "share": share}
                    parts.append(pd.DataFrame({**about, "id": ids, "value": value}))
    return pd.concat(parts, ignore_index=True)


@public
def curve_areas(curves: pd.DataFrame) -> pd.DataFrame:
    """Areas under `removal_curves` (trapezoids; repeats of one sample averaged), with 95 % intervals over samples.

    curve, order, area, low, high; gain, gain_low, gain_high: how much better than random in the same samples, above
    0 is better (less under deletion, more under insertion). The areas of regressions are in their unit."""
    one = curves.groupby(["curve", "order", "repeat", "id"])[["share", "value"]]
    area = one.apply(lambda line: np.trapezoid(line["value"], line["share"])).groupby(["curve", "order", "id"]).mean()
    rows = []
    for curve, order in curves[["curve", "order"]].drop_duplicates().itertuples(index=False):
        gain = (area[curve, order] - area[curve, "random"]) * (1 if curve == "insertion" else -1)
        rows.append((curve, order, *mean_interval(area[curve, order]), *mean_interval(gain)))
    columns = ["curve", "order", "area", "low", "high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns).sort_values("curve", kind="stable", ignore_index=True)


def _ranks(batch: Batch, scores: Mapping[str, Tensor], ties: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rank of each token in its sample's order, from 0, over all modalities; padding comes last."""
    lengths = [batch.masks[m].shape[1] for m in batch.modalities]
    real = torch.cat([batch.masks[m] for m in batch.modalities], 1)
    score = torch.cat([scores[m] for m in batch.modalities], 1).masked_fill(~real, -torch.inf)
    shuffled = torch.cat([ties[m] for m in batch.modalities], 1).argsort(1, descending=True)
    order = shuffled.gather(1, score.gather(1, shuffled).argsort(stable=True, dim=1, descending=True))
    return dict(zip(batch.modalities, order.argsort(1).split(lengths, 1), strict=True))


def _agreement(share: Shaped[np.ndarray, "token"], score: Shaped[np.ndarray, "token"]) -> tuple[float, float] | None:
    require("scipy", "analysis")
    from scipy.stats import mannwhitneyu, spearmanr

    if len(share) < 2 or np.ptp(share) == 0 or np.ptp(score) == 0:
        return None
    order, count = np.argsort(-score, kind="stable"), math.ceil(_IMPORTANT * len(score))
    wins = mannwhitneyu(share[order[:count]], share[order[count:]], method="asymptotic").statistic
    return float(spearmanr(share, score).statistic), float(wins / (count * (len(score) - count)))
