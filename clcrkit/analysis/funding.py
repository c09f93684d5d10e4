"""Does the budget fund what counts? Measures on data whose evidence is known, such as `asynchrony`. All [ours].

The AUROC of planted tokens (`probes.evidence_auroc`) asks whether they are the ones with the largest shares. But an
encoder copies what a token knows to its neighbours within reach, deeper levels keep what shallower ones found, and with
redundant data one modality at one level is enough: a model may fund other tokens and lose nothing. So ask as well what
happens when the planted tokens are muted, and where the funded summary's part in the prediction comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from clcrkit.analysis.attribution import evaluating, target_columns
from clcrkit.analysis.interventions import distance
from clcrkit.analysis.stats import mean_interval
from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.errors import DataError, require
from clcrkit.model import CLCR

_ROWS = 100  # samples traced at a time


@public
def muting(model: CLCR, batch: Batch, factors: Mapping[str, Int64[Tensor, "class"]], seed: int = 0) -> pd.DataFrame:
    """The accuracy of each factor when nothing, the planted tokens, or as many others drawn by lot are muted.

    A muted token has no share at any level: it neither receives in the exchange nor counts in a summary. factors: by
    name, of which each class of the model has a value: the factor is read from the predicted class, and its truth from
    the label's. Tokens by lot are real ones that are not planted, as many in each sample and modality (or all there
    are). Columns: factor, muted ("nothing", "planted", "by lot"), accuracy. Raises DataError where the batch has no
    evidence or no labels.
    """
    if not batch.evidence or batch.labels is None:
        raise DataError("batch: labels and known evidence are needed, such as those of datasets.asynchrony")
    planted = {m: e.any(1) & batch.masks[m] for m, e in batch.evidence.items()}
    generator = torch.Generator().manual_seed(seed)
    by_lot = {}
    for m, marked in planted.items():
        order = torch.rand(marked.shape, generator=generator).masked_fill(marked | ~batch.masks[m], 2.0)
        count = torch.minimum(marked.sum(1), (order < 2).sum(1))
        by_lot[m] = order.argsort(1).argsort(1) < count[:, None]
    nothing = {m: torch.zeros_like(mask) for m, mask in batch.masks.items()}
    rows = []
    for name, muted in (("nothing", {}), ("planted", planted), ("by lot", by_lot)):
        mute = {m: mask[:, None].expand(-1, model.levels, -1) for m, mask in {**nothing, **muted}.items()}
        predicted = torch.cat(
            [
                model.trace(
                    batch.select(slice(s, s + _ROWS)),
                    mute={m: x[s : s + _ROWS] for m, x in mute.items()},
                    attention=False,
                ).prediction.argmax(1)
                for s in range(0, len(batch), _ROWS)
            ]
        )
        for factor, of_class in factors.items():
            right = of_class[predicted.cpu()] == of_class[batch.labels]
            rows.append((factor, name, float(right.double().mean())))
    return pd.DataFrame(rows, columns=["factor", "muted", "accuracy"])


@public
def credit(model: CLCR, batch: Batch, target: Any = None) -> dict[str, Float[Tensor, "batch level _"]]:
    """Each token's part in the prediction through the shared summary: gradient times input of the weighted mean.

    The summary is the mean of the exchanged tokens, weighted by their shares. A token's credit is the product of the
    explained output's gradient by the summary with what the token adds to it; at one level and modality, credits sum to
    gradient times summary. By modality; 0 for tokens without a share. target: the column to explain, by default the
    largest.
    """
    with evaluating(model, batch) as inputs:
        column = target_columns(model, inputs, target)
        result = model._pass(inputs)
        pooled = result.aggregated.pooled_shared
        output = result.prediction.gather(1, column[:, None]).sum()
        gradients = torch.autograd.grad(output, list(pooled.values()))
        credits = {}
        for (m, allocation), gradient in zip(result.exchanged.allocations.items(), gradients, strict=True):
            weight = allocation.allocation / allocation.allocation.sum(-1, keepdim=True).clamp(min=1e-6)
            credits[m] = weight * torch.einsum("blk,bltk->blt", gradient, result.exchanged.exchanged[m])
    return {m: x.detach() for m, x in credits.items()}


@public
def lift(
    weight: Float[Tensor, "sample level token"],
    evidence: Bool[Tensor, "sample level token"],
    mask: Bool[Tensor, "sample token"],
) -> list[float]:
    """For each level, how much more often than by chance a unit of weight lies on a planted token.

    The part of all weight that lies on planted tokens, over their part of the real tokens: 1 for weights that do not
    know the evidence. NaN where a level has no weight or no evidence."""
    real = mask[:, None, :].expand_as(evidence)
    share = weight.double() * real
    precision = (share * evidence).sum((0, 2)) / share.sum((0, 2))
    return (precision / ((evidence & real).sum((0, 2)) / real.sum((0, 2)))).tolist()


@public
def token_effects(model: CLCR, batch: Batch) -> pd.DataFrame:
    """Does the budget pay for what is used? Each token's share, and how far muting it alone moves the prediction.

    Columns: id, modality, level (from 1), token (from 0), allocation, effect (`distance`). Real tokens only; one pass
    for each position and level. A muted token's activation is 0, so another may get its share.
    """
    # with attention weights, so that all queries are computed: how many of the funded ones are depends on the fullest
    # sample, so one sample's rounding may change with another's muted token, and an effect of nothing must be exactly 0
    plain, parts = model.trace(batch), []
    for m, level in product(plain.modalities, range(model.levels)):
        mask, share = plain.batch.masks[m].cpu(), plain.allocation[m].cpu()
        for token in range(mask.shape[1]):
            muted = torch.zeros(share.shape, dtype=torch.bool)
            muted[:, level, token] = True
            moved = distance(plain, model.trace(batch, mute={m: muted})).cpu()
            real = mask[:, token]
            columns = {"id": plain.batch.ids.cpu()[real], "modality": m, "level": level + 1, "token": token}
            columns |= {"allocation": share[real, level, token], "effect": moved[real]}
            parts.append(pd.DataFrame({k: v.numpy() if isinstance(v, Tensor) else v for k, v in columns.items()}))
    return pd.concat(parts, ignore_index=True)


@public
def payoff(table: pd.DataFrame) -> pd.DataFrame:
    """Of `token_effects`: the rank correlation of share and effect over a sample's tokens, by modality and level.

    Columns: modality, level, spearman, low, high (95 % interval of the mean over samples), samples: those in which both
    vary."""
    require("scipy", "analysis")
    from scipy.stats import spearmanr

    rows = []
    for (m, level), part in table.groupby(["modality", "level"], sort=False):
        each = [
            float(spearmanr(one["allocation"], one["effect"]).statistic)
            for _, one in part.groupby("id")
            if np.ptp(one["allocation"]) > 0 and np.ptp(one["effect"]) > 0
        ]
        rows.append((m, level, *(mean_interval(each) if each else (np.nan,) * 3), len(each)))
    return pd.DataFrame(rows, columns=["modality", "level", "spearman", "low", "high", "samples"])
