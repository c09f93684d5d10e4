"""Robustness: corruptions of a test set, and how far each lets a model's score fall. All [ours].

A corruption is a function (batch, strength, seed) -> Batch: it changes no input, and the same seed gives the same
draws at every strength, so that a larger strength only adds to what a smaller one did. What is drawn for one
modality depends neither on the other modalities nor on the length of the padding. Known evidence follows its tokens.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm.auto import tqdm

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError
from clcrkit.training import evaluate


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption: the function, the strengths worth looking at (the first is 0), and their unit."""

    apply: Callable[[Batch, float, int], Batch]
    strengths: tuple[float, ...]
    unit: str


@public
def corruptions(train: Batch) -> dict[str, Corruption]:
    """The kit's corruptions by name, for data like `train`: noise, token dropout, time shift, missing <modality>.

    Noise is left out where every modality is of token ids."""
    shares = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
    kinds = {
        "token dropout": Corruption(token_dropout, shares, "share of tokens that are dropped"),
        "time shift": Corruption(time_shift, (0.0, 0.05, 0.1, 0.2, 0.35, 0.5), "largest shift, share of the length"),
    }
    sd = feature_sd(train)
    if sd:
        noise = partial(gaussian_noise, sd=sd)
        kinds = {"noise": Corruption(noise, (0.0, 0.25, 0.5, 1.0, 2.0, 4.0), "noise, sd of the training part"), **kinds}
    for m in train.modalities if len(train.modalities) > 1 else ():
        lost = partial(missing_modality, modality=m)
        kinds[f"missing {m}"] = Corruption(lost, (0.0, 0.25, 0.5, 0.75, 1.0), f"share of samples without {m}")
    return kinds


def feature_sd(train: Batch) -> dict[str, Float[Tensor, "_"]]:
    """For each modality of features: the standard deviation of each feature over the real tokens of `train`.

    A feature's own deviation, since features of one modality may differ in scale by orders of magnitude; a
    constant feature has 0 and stays as it is."""
    return {
        # a few columns at a time: pictures have many, and a copy of all in float64 would not fit
        m: torch.cat([x[train.masks[m]].double().std(0, correction=0) for x in tokens.split(1024, dim=2)]).float()
        for m, tokens in train.tokens.items()
        if tokens.is_floating_point() and train.masks[m].any()
    }


def gaussian_noise(batch: Batch, strength: float, seed: int, sd: Mapping[str, Float[Tensor, "_"]]) -> Batch:
    """Add Gaussian noise to every feature of every real token; its standard deviation is `strength` (>= 0) times
    the feature's own in `sd` (from `feature_sd` of the training part).

    Modalities that are not in `sd` stay as they are: token ids have no noise of this kind.
    """
    _check_strength("noise", strength, np.inf)
    tokens = dict(batch.tokens)
    for m, std in sd.items():
        if m not in tokens:
            raise DataError(f"noise: {m} is no modality of the batch; there are {', '.join(tokens)}")
        real = batch.masks[m]
        drawn = _random(m, seed).standard_normal((int(real.sum()), len(std)))
        noise = torch.from_numpy(drawn).to(tokens[m]) * std.to(tokens[m])
        tokens[m] = tokens[m].clone()
        tokens[m][real] += strength * noise
    return replace(batch, tokens=tokens)


def token_dropout(batch: Batch, strength: float, seed: int) -> Batch:
    """Take each real token away (its mask becomes False) with probability `strength`, 0 to 1.

    A present modality keeps at least one token in each sample, so that strength 1 leaves one of each."""
    _check_strength("token dropout", strength, 1.0)
    masks = {}
    for m, drawn in random_scores(batch.masks, seed).items():
        last = torch.zeros_like(batch.masks[m]).scatter(1, drawn.argmax(1, keepdim=True), True)
        masks[m] = batch.masks[m] & ((drawn >= strength) | last)
    return _masked(batch, masks)


def time_shift(batch: Batch, strength: float, seed: int) -> Batch:
    """Rotate each modality of each sample in time, by a shift of its own.

    The shift is drawn uniformly from plus or minus `strength` (0 to 1) times the sample's real tokens, and rounded to
    whole tokens. Tokens that leave at one end enter at the other: only the alignment of the modalities is lost and, at
    the seam, the order."""
    _check_strength("time shift", strength, 1.0)
    tokens, evidence = dict(batch.tokens), dict(batch.evidence)
    for m, real in batch.masks.items():
        count = real.sum(1, keepdim=True)
        drawn = torch.from_numpy(_random(m, seed).uniform(-1, 1, (len(batch), 1))).to(count.device)
        shifted = (real.long().cumsum(1) - 1 - (strength * drawn * count).round().long()) % count.clamp(min=1)
        # positions of the real tokens first, so that `shifted` counts real tokens only
        order = (~real).to(torch.uint8).argsort(dim=1, stable=True)
        source = torch.where(real, order.gather(1, shifted), torch.arange(real.shape[1], device=real.device))
        rows = torch.arange(len(batch), device=real.device)[:, None]
        tokens[m] = tokens[m][rows, source]
        if m in evidence:
            evidence[m] = evidence[m].gather(2, source[:, None].expand_as(evidence[m]))
    return replace(batch, tokens=tokens, evidence=evidence)


def missing_modality(batch: Batch, strength: float, seed: int, modality: str) -> Batch:
    """Take a whole modality away from each sample with probability `strength`, 0 to 1.

    A sample that has no other modality keeps it, since a sample needs a token."""
    _check_strength(f"missing {modality}", strength, 1.0)
    if modality not in batch.masks:
        raise DataError(f"missing: {modality} is no modality of the batch; there are {', '.join(batch.masks)}")
    real = batch.masks[modality]
    alone = torch.stack([mask.any(1) for mask in batch.masks.values()]).sum(0) == 1
    drawn = torch.from_numpy(_random(modality, seed).random(len(batch))).to(real.device)
    return _masked(batch, {**batch.masks, modality: real & ((drawn >= strength) | alone)[:, None]})


@public
def degradation(
    models: Mapping[str, Any],
    batch: Batch,
    corruptions: Mapping[str, Corruption],
    seeds: Sequence[int] = (0, 1, 2),
    score: Callable[[Any, Batch], float] | None = None,
) -> pd.DataFrame:
    """Every model's score on the batch under every corruption, strength and seed; with the same draws for all models.

    models: trained ones, by name (CLCR and baselines alike). batch: with labels (else DataError). corruptions: from
    `corruptions(train)`, or a selection. score: (model, batch) -> float; default is `training.evaluate`'s score.

    Returns a tidy table with the columns model, corruption, unit, strength, seed, score, fall; `fall` is the score
    of the untouched batch minus this one. Strength 0 is measured once for each model and written for every seed, so
    that curves begin at one point. For several trainings of one model, call once for each and add a column `run`
    before joining the tables; `viz.figures.degradation` then draws intervals over runs.
    """
    for name, kind in corruptions.items():
        if not kind.strengths or kind.strengths[0] != 0:
            raise ConfigError(f"{name}: strengths {kind.strengths}, but the first must be 0")
    measure = score or (lambda model, data: evaluate(model, data)["score"])
    clean = {name: float(measure(model, batch)) for name, model in models.items()}
    rows = []
    conditions = [
        (name, strength, seed) for name, c in corruptions.items() for strength in c.strengths for seed in seeds
    ]
    for name, strength, seed in tqdm(conditions, desc="corruptions", disable=None):
        corrupted = corruptions[name].apply(batch, strength, seed) if strength else batch
        for model in models:
            value = float(measure(models[model], corrupted)) if strength else clean[model]
            rows.append((model, name, corruptions[name].unit, float(strength), seed, value, clean[model] - value))
    columns = ["model", "corruption", "unit", "strength", "seed", "score", "fall"]
    return pd.DataFrame(rows, columns=columns)


def random_scores(masks: Mapping[str, Bool[Tensor, "batch _"]], seed: int) -> dict[str, Float[Tensor, "batch _"]]:
    """A uniform draw from [0, 1) for each real token, -1 at padding; independent of the amount of padding."""
    scores = {}
    for m, real in masks.items():
        scores[m] = torch.full(real.shape, -1.0, dtype=torch.float64, device=real.device)
        scores[m][real] = torch.from_numpy(_random(m, seed).random(int(real.sum()))).to(real.device)
    return scores


def _check_strength(name: str, strength: float, most: float) -> None:
    if not (0 <= strength <= most and strength < np.inf):
        allowed = "a finite number of 0 or more" if most == np.inf else f"a number from 0 to {most:g}"
        raise ConfigError(f"{name}: strength {strength}, but {allowed} is needed")


def _random(modality: str, seed: int) -> np.random.Generator:
    """A generator for each modality, so that the draws depend neither on the other modalities nor on their order."""
    return np.random.default_rng([seed, zlib.crc32(modality.encode())])


def _masked(batch: Batch, masks: dict[str, Tensor]) -> Batch:
    evidence = {m: tokens & masks[m][:, None] for m, tokens in batch.evidence.items()}
    return replace(batch, masks=masks, evidence=evidence)
