"""Interventions: what does a model use? Values at a place are replaced, and the pass runs on from there. All [ours].

Probes and attention say what is there. A replaced value says what the prediction depends on: `replacement` makes it,
`model.trace(batch, patch=...)` runs with it, `effects` measures what it does, and `through` lets it act along one path
only. Where it is known how labels are made, `analysis.interchange` scores a place against that.

Places are those of `clcrkit.patching`; here "*" stands for every modality or level, "shared/*/deep", and "shared" is
"shared/*". A place with a star is replaced as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from clcrkit.analysis.stats import mean_interval
from clcrkit.arguments import Model, public
from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError, check_choice
from clcrkit.model import CLCR
from clcrkit.patching import BY_MODALITY, Place, level_names
from clcrkit.tasks import TASKS
from clcrkit.trace import Trace

KINDS = ("interchange", "mean", "zero", "noise")
PATHS = ("private", "own", "exchange")
_ON_TOKENS = ("tokens", "shared", "private", "allocation", "attention", "exchanged")
_FEATURES = ("tokens", "shared", "private", "exchanged", "shared_summary", "private_summary", "level_codes",
             "shared_code", "private_code")  # fmt: skip


@public
def places_of(trace: Trace, pattern: str) -> list[str]:
    """The places that a pattern with stars stands for. Raises DataError where there is none."""
    name, *rest = pattern.split("/")
    names = level_names(trace.level_gate.shape[1])
    steps = [trace.modalities] if name in BY_MODALITY or name.endswith("ity_gate") or name == "private_gate" else []
    steps += [names] if name in (*BY_MODALITY, "level_gate", "level_codes") else []
    if name in BY_MODALITY and not rest:
        rest = ["*"]
    chosen = [steps[i] if step == "*" and i < len(steps) else (step,) for i, step in enumerate(rest)]
    found = ["/".join((name, *each)) for each in product(*chosen)]
    for place in found:
        Place.read(place, trace.modalities, len(names))
    return found


@public
def value_at(trace: Trace, place: str) -> Float[Tensor, "sample ..."]:
    """What the traced pass computed at a place, in the shape that a patch of it has.

    Level codes, which no trace holds, are made of its gates and summaries: not those that a patch put there."""
    name, modality, index = Place.read(place, trace.modalities, trace.level_gate.shape[1])
    if name == "level_codes":
        summaries = torch.stack(list(trace.shared_summary.values()), dim=1)
        value = torch.einsum("bm,bl,bmlk->blk", trace.modality_gate, trace.level_gate, summaries)
    else:
        value = getattr(trace, name)[modality] if modality else getattr(trace, name)
    return value if index is None else value[:, index]


@public
def replacement(
    trace: Trace,
    place: str,
    kind: str,
    source: Int64[Tensor, "sample"] | None = None,
    tokens: Bool[Tensor, "sample token"] | None = None,
    direction: Float[Tensor, "feature ..."] | None = None,
    seed: int = 0,
) -> Float[Tensor, "sample ..."]:
    """A patch of one place for all samples of the trace.

    kind       "interchange": the value of the samples at the positions `source`; on tokens, position by position, and 0
               where the source has no token. "mean": the mean over samples (and over their real tokens). "zero".
               "noise": Gaussian, with the place's mean and standard deviation of each feature
    tokens     replace these only, (sample, token), at a place on tokens
    direction  replace only the component along it, (feature,), or within the span of its columns, (feature, column):
               of a probe, of a concept. At places with features
    Raises DataError where these do not fit the place, ConfigError for another kind.
    """
    check_choice("kind", kind, KINDS)
    name, modality, level = Place.read(place, trace.modalities, trace.level_gate.shape[1])
    own = value_at(trace, place)
    if kind == "zero":
        value = torch.zeros_like(own)
    elif kind == "interchange":
        if source is None or source.shape != (len(trace),):
            raise DataError(f"source: a position for each of {len(trace)} samples is needed")
        if source.min() < 0 or source.max() >= len(trace):
            raise DataError(f"source: positions from 0 to {len(trace) - 1} are needed, but one is {int(source.max())}")
        value = own[source]
    elif name == "attention":
        raise DataError(f"place {place!r}: kind {kind!r} has no meaning for weights; interchange and zero have")
    else:
        mean, std = _moments(own, _real(trace, name, modality, own))
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(own.shape, generator=generator, dtype=own.dtype).to(own.device)
        value = mean + std * noise if kind == "noise" else mean.expand_as(own)
        if name not in _FEATURES:  # shares and gates stay such
            value = value.clamp(0, 1)
    if direction is not None:
        if name not in _FEATURES or direction.shape[0] != own.shape[-1] or direction.ndim > 2:
            raise DataError(
                f"direction: shape {tuple(direction.shape)} at {place!r}, but (feature,) or (feature, column) of a "
                f"place with features is needed"
            )
        span = torch.linalg.qr(direction.to(own).reshape(len(direction), -1))[0]
        value = own + (value - own) @ span @ span.T
    if tokens is not None:
        if name not in _ON_TOKENS or tokens.shape != trace.batch.masks[modality].shape:
            raise DataError(f"tokens: shape {tuple(tokens.shape)} at {place!r}, but (sample, token) of it is needed")
        value = torch.where(_on_tokens(tokens, own, name, level is None), value, own)
    return value


@public
def through(model: CLCR, batch: Batch, patch: Mapping[str, Float[Tensor, "..."]], path: str) -> Trace:
    """The pass in which a patch of one modality's tokens, shared or private coordinates acts along one path only.

    path: "private", through the modality's private coordinates; "own", through its own shared tokens after the exchange
    and their shares; "exchange", through what the other modalities receive from it. Everything else is as without the
    patch. The three together are the whole effect. Raises ConfigError for another path, DataError for a patch of more
    than one modality or of a place behind the exchange.
    """
    check_choice("path", path, PATHS)
    placed = [Place.read(place, model.modalities, model.levels) for place in patch]
    names, patched = {place.name for place in placed}, {place.modality for place in placed}
    if len(patched) != 1 or not names <= {"tokens", "shared", "private"}:
        raise DataError(
            f"patch: {', '.join(patch) or 'empty'}, but tokens, shared or private of one modality is needed"
        )
    (modality,) = patched
    whole = model.trace(batch, patch=patch)
    ways = {
        "private": [f"private/{modality}"],
        "own": [f"exchanged/{modality}", f"allocation/{modality}"],
        "exchange": [f"exchanged/{m}" for m in model.modalities if m != modality],
    }
    return model.trace(batch, patch={place: value_at(whole, place) for place in ways[path]})


@public
def effects(
    model: Model,
    batch: Batch,
    places: Sequence[str],
    kinds: Sequence[str] = KINDS,
    paths: Sequence[str] = ("whole",),
    seed: int = 0,
) -> pd.DataFrame:
    """How far each replacement moves the prediction, over the samples of the batch.

    model: CLCR, or a baseline, at the places that it `reads` and without paths.
    places: with stars or without. paths: "whole", and those of `through`. Sources of an interchange are drawn by lot.
    Columns: place, kind, path, effect, low, high, samples. The effect is the distance of the predictions: of class
    probabilities the total variation (half the sum of the absolute differences, from 0 to 1), of several labels'
    probabilities and of regressed values the mean absolute difference; low and high are its 95 % interval.
    """
    plain = model.trace(batch)
    source = _others(len(plain), seed)
    rows = []
    for pattern, kind, path in product(places, kinds, paths):
        patch = {
            place: replacement(plain, place, kind, source if kind == "interchange" else None, seed=seed)
            for place in places_of(plain, pattern)
        }
        changed = model.trace(batch, patch=patch) if path == "whole" else through(model, batch, patch, path)
        rows.append((pattern, kind, path, *mean_interval(distance(plain, changed).cpu()), len(plain)))
    return pd.DataFrame(rows, columns=["place", "kind", "path", "effect", "low", "high", "samples"])


@public
def distance(first: Trace, second: Trace) -> Float[Tensor, "sample"]:
    """How far two predictions of the same samples lie apart; see `effects`."""
    a, b = (TASKS[trace.task].activation(trace.prediction) for trace in (first, second))
    apart = (a - b).abs()
    return apart.sum(1) / 2 if first.task == "classification" else apart.mean(1)


def _others(size: int, seed: int) -> Int64[Tensor, "sample"]:
    """Another sample for each, by lot. Raises ConfigError for a single sample."""
    if size < 2:
        raise ConfigError(f"batch: {size} sample, but an interchange needs 2 or more")
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    source = torch.empty_like(order)
    source[order] = order.roll(1)
    return source


def _real(trace: Trace, name: str, modality: str, value: Tensor) -> Bool[Tensor, "..."]:
    """What a mean is over: real tokens, or the samples that have the modality; with the value's first axes."""
    if not modality or name not in BY_MODALITY:
        return torch.ones(len(value), dtype=torch.bool, device=value.device)
    mask = trace.batch.masks[modality]
    if name not in _ON_TOKENS:
        return mask.any(1)
    return _on_tokens(mask, value, name, getattr(trace, name)[modality].ndim == value.ndim)


def _on_tokens(mask: Bool[Tensor, "sample token"], value: Tensor, name: str, levels: bool) -> Bool[Tensor, "..."]:
    """A mask of tokens with as many axes as a value on tokens has."""
    before = levels + (name == "attention")  # the axes between sample and token
    mask = mask[(slice(None), *(None,) * before)]
    return mask[(..., *(None,) * (value.ndim - mask.ndim))]


def _moments(value: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over samples, and over tokens where `real` has them; levels stay apart."""
    axes = [axis for axis in range(real.ndim) if axis == 0 or real.shape[axis] > 1]
    weight = real[(..., *(None,) * (value.ndim - real.ndim))].to(value.dtype)
    count = weight.sum(axes, keepdim=True).clamp(min=1)
    mean = (value * weight).sum(axes, keepdim=True) / count
    return mean, (((value - mean).square() * weight).sum(axes, keepdim=True) / count).sqrt()
