"""Attribution: from one output of a model back to tokens, level tokens, levels and modalities. All [ours].

Integrated gradients, ablation and sampled Shapley values are captum's; here is what connects them to a Batch with
masks. A token or a modality is removed as the models know it: its mask becomes False. Modalities and levels are so
few that their Shapley values are exact. The curves at the end test any order of tokens on the model itself.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from clcrkit.analysis.probes import level_weighted
from clcrkit.analysis.robustness import mean_interval, random_scores
from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError
from clcrkit.trace import Trace

METHODS = ("integrated gradients", "ablation", "shapley sampling")
_ROWS = 512  # samples, or points on their paths, in one forward pass
_SAMPLES = 64  # samples that captum sees at once
_PLAYERS = 10  # 1024 coalitions
_UNEXPLAINED = 0.05  # share of the effect that integrated gradients may miss without a warning
_IMPORTANT = 0.25  # share of a sample's tokens that count as important in `agreement`


class CompletenessWarning(UserWarning):
    """The scores do not add up to the effect that they should explain."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each part gave to one output of each sample; above 0: it raised it.

    scores   by modality: (batch, token) or (batch, level, token), exactly 0 at padding; or (batch,), by modality or
             by level ('level 1' is the shallowest)
    masks    by modality: (batch, token), as in the batch
    target   (batch,) the output column that is explained
    output   (batch,) its value; a logit, or the regressed value
    empty    (batch,) its value where everything is removed
    """

    method: str
    scores: dict[str, Float[Tensor, "batch ..."]]
    masks: dict[str, Bool[Tensor, "batch _"]]
    ids: Int64[Tensor, "batch"]
    target: Int64[Tensor, "batch"]
    output: Float[Tensor, "batch"]
    empty: Float[Tensor, "batch"]

    @property
    def gap(self) -> Float[Tensor, "batch"]:
        """Convergence delta: the sum of all scores minus (output - empty); 0 where a method is complete. Ablation
        promises no completeness."""
        explained = torch.stack([score.reshape(len(score), -1).sum(1) for score in self.scores.values()]).sum(0)
        return explained - (self.output - self.empty)

    def __repr__(self) -> str:
        gap = float(self.gap.abs().mean())
        return f"Attribution({self.method}; {len(self.ids)} samples, {', '.join(self.scores)}; mean gap {gap:.2g})"

    def table(self) -> pd.DataFrame:
        """Tidy, one row for each score: id, part, level and token (from 0) where there are any, score. Padding has
        no rows."""
        parts = []
        for part, score in self.scores.items():
            axes = {1: (), 2: ("token",), 3: ("level", "token")}[score.ndim]
            real = (
                torch.ones(())
                if score.ndim == 1
                else self.masks[part]
                if score.ndim == 2
                else self.masks[part][:, None]
            )
            row, *places = real.bool().expand_as(score).nonzero(as_tuple=True)
            columns = {axis: place.numpy() for axis, place in zip(axes, places, strict=True)}
            value = score[(row, *places)].numpy()
            parts.append(pd.DataFrame({"id": self.ids[row].numpy(), "part": part, **columns, "score": value}))
        return pd.concat(parts, ignore_index=True)


def attribute_tokens(
    model: Any,
    batch: Batch,
    method: str = "integrated gradients",
    target: Int64[Tensor, "batch"] | None = None,
    steps: int = 64,
    seed: int = 0,
) -> Attribution:
    """What each input token gave, (batch, token) by modality, for any model of the kit.

    method: 'integrated gradients' along the line from zero features (for token ids: zero embeddings) to the input,
    summed over a token's features; 'ablation', how far the output falls when this token alone is removed; 'shapley
    sampling', its mean effect where tokens come in random order.
    target: the output column to explain in each sample; default is the largest one, the predicted class.
    steps: points on the line, or random orders; ablation takes none. seed: of the random orders.
    Warns (CompletenessWarning) where integrated gradients leave more than 5 % of the effect unexplained.
    Raises ConfigError for another method, and for token ids whose embedding cannot be reached.
    """
    if method not in METHODS:
        raise ConfigError(f"method: {method!r}, but one of {', '.join(METHODS)} is needed")
    _check_steps(steps)
    if method != "integrated gradients":
        return _attribute(
            model, batch, target, method, lambda part, aim: _by_masks(model, part, aim, method, steps, seed)
        )

    def integrated(part: Batch, aim: Tensor) -> _Found:
        places: dict[str, nn.Module | None] = dict.fromkeys(part.modalities)
        values = dict(part.tokens)
        for m, tokens in part.tokens.items():
            if not tokens.is_floating_point():
                places[m] = embedding = _embedding(model, m)
                values[m] = embedding(tokens).detach()
        return _integrate(model, part, aim, places, values, steps, {m: torch.zeros_like(v) for m, v in values.items()})

    return _attribute(model, batch, target, f"{method}, {steps} steps", integrated)


def attribute_level_tokens(
    model: Any, batch: Batch, target: Int64[Tensor, "batch"] | None = None, steps: int = 64
) -> Attribution:
    """What each level token H gave, (batch, level, token) by modality, the shape of the allocation: integrated
    gradients along the line from the level tokens of a blank input (zero features, zero embeddings), at all levels
    at once. A level that the model does not read gets 0.

    Why not from H = 0: the summaries' LayerNorm sees directions only, so that nearly all of the output would change
    in the first thousandth of that line. Levels are the encoders' own: where `shuffle_levels` is set they are not
    the trace's. `target`, `steps` and the warning are as for `attribute_tokens`.
    """
    _check_steps(steps)

    def integrated(part: Batch, aim: Tensor) -> _Found:
        places: dict[str, nn.Module | None] = {m: model.encoders[m] for m in part.modalities}
        return _integrate(model, part, aim, places, _level_tokens(model, part), steps, _blank_level_tokens(model, part))

    return _attribute(model, batch, target, f"integrated gradients on level tokens, {steps} steps", integrated)


def attribute_modalities(model: Any, batch: Batch, target: Int64[Tensor, "batch"] | None = None) -> Attribution:
    """Exact Shapley values of the modalities, (batch,) each: the mean effect of a modality's arrival over all orders
    in which modalities can arrive. All 2^M sets of present modalities are run; at most 10 modalities (ConfigError).
    One that is missing in a sample gets 0."""

    def exact(part: Batch, aim: Tensor) -> _Found:
        def worth(kept: tuple[bool, ...]) -> Tensor:
            masks = {
                m: mask if k else torch.zeros_like(mask) for (m, mask), k in zip(part.masks.items(), kept, strict=True)
            }
            return _outputs(model, replace(part, masks=masks), aim)

        return _shapley(part.modalities, worth)

    return _attribute(model, batch, target, "exact Shapley values", exact)


def attribute_levels(model: Any, batch: Batch, target: Int64[Tensor, "batch"] | None = None) -> Attribution:
    """Exact Shapley values of the levels, (batch,) each, by 'level 1' (shallowest) to 'level L'; at most 10 levels.

    A level is closed in all modalities at once, by the level tokens of a blank input (zero features, zero embeddings)
    in place of its own: what it says is gone, and gates and budget react to that. Levels are counted as in
    `attribute_level_tokens`."""

    def exact(part: Batch, aim: Tensor) -> _Found:
        own, blank = _level_tokens(model, part), _blank_level_tokens(model, part)

        def worth(kept: tuple[bool, ...]) -> Tensor:
            keep = torch.tensor(kept, device=part.ids.device)[:, None, None]
            given = {model.encoders[m]: torch.where(keep, own[m], blank[m]) for m in part.modalities}
            with _replaced(given), torch.no_grad():
                return model(part).gather(1, aim[:, None]).squeeze(1)

        return _shapley([f"level {level + 1}" for level in range(model.config.levels)], worth)

    return _attribute(model, batch, target, "exact Shapley values", exact)


def agreement(trace: Trace, attribution: Attribution) -> pd.DataFrame:
    """Does the budget keep what the attribution says matters? By modality and level (from 1; 'all' where the
    attribution is of input tokens, against the allocation weighted over levels by the gates):

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
        if score.ndim == 1:
            raise DataError(f"scores: {attribution.method} gives one for each sample, but one for each token is needed")
        if score.ndim == 2:
            score, share = score[:, None], level_weighted(trace, m).cpu()[:, None]
        names = ["all"] if attribution.scores[m].ndim == 2 else [str(level + 1) for level in range(score.shape[1])]
        for level, name in enumerate(names):
            found = [
                _agreement(share[i, level][real].numpy(), score[i, level][real].numpy())
                for i, real in enumerate(attribution.masks[m])
            ]
            defined = np.array([pair for pair in found if pair is not None]).reshape(-1, 2)
            spearman, auroc = defined.mean(0) if len(defined) else (math.nan, math.nan)
            rows.append((m, name, float(spearman), float(auroc), len(defined)))
    return pd.DataFrame(rows, columns=["modality", "level", "spearman", "auroc", "samples"])


def removal_curves(
    model: Any,
    batch: Batch,
    orders: Mapping[str, Mapping[str, Float[Tensor, "batch _"]]],
    random_orders: int = 5,
    points: int = 11,
    target: Int64[Tensor, "batch"] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Deletion and insertion curves. Deletion removes a sample's tokens by mask, of all modalities together, those
    with the largest score first; insertion begins with none and adds them in the same order. A good order makes
    deletion fall early and insertion rise early.

    orders: by name, scores by modality, (batch, token) each; equal scores are ordered at random. `random_orders`
    orders at random join them under the name 'random'. points: shares of tokens, evenly from 0 to 1, that are
    removed or added. target: as for `attribute_tokens`.

    Returns a tidy table: curve, order, repeat (of the random ones), share, id, value. The value is the probability
    of the target, or the regressed value.
    """
    if points < 2 or random_orders < 1:
        raise ConfigError(f"points, random_orders: {points}, {random_orders}, but at least 2 and 1 are needed")
    with _evaluating(model, batch) as whole:
        aim = _target(model, whole, target)
        scored: list[tuple[str, int, Mapping[str, Tensor]]] = [(name, 0, by) for name, by in orders.items()]
        scored += [("random", r, random_scores(whole.masks, seed + 1 + r)) for r in range(random_orders)]
        ties, parts = random_scores(whole.masks, seed), []
        count = sum(mask.sum(1, keepdim=True) for mask in whole.masks.values())
        ids = whole.ids.cpu().numpy()
        for name, repeat, scores in scored:
            place = _places(whole, {m: scores[m].to(whole.ids.device) for m in whole.modalities}, ties)
            for share in np.linspace(0, 1, points).round(6):
                gone = (share * count).round()
                for curve in ("deletion", "insertion"):
                    masks = {m: mask & ((place[m] >= gone) == (curve == "deletion")) for m, mask in whole.masks.items()}
                    value = _outputs(model, replace(whole, masks=masks), aim, probability=True).cpu().numpy()
                    about = {"curve": curve, "order": name, "repeat": repeat, "share": share}
                    parts.append(pd.DataFrame({**about, "id": ids, "value": value}))
    return pd.concat(parts, ignore_index=True)


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


_Found = tuple[dict[str, Tensor], Tensor]  # scores by part, and the output where everything is removed


def _attribute(
    model: Any,
    batch: Batch,
    target: Tensor | None,
    method: str,
    explain: Callable[[Batch, Tensor], _Found],
) -> Attribution:
    """Explain piece by piece, put padding to exactly 0, and compare the sums with what they explain."""
    with _evaluating(model, batch) as whole:
        aim = _target(model, whole, target)
        output = _outputs(model, whole, aim)
        pieces = []
        for start in range(0, len(whole), _SAMPLES):
            index = slice(start, start + _SAMPLES)
            pieces.append(explain(whole.select(index), aim[index]))
    scores = {part: torch.cat([found[part] for found, _ in pieces]).detach().cpu() for part in pieces[0][0]}
    masks = {m: mask.cpu() for m, mask in whole.masks.items()}
    for part, score in scores.items():
        if score.ndim > 1:
            real = masks[part] if score.ndim == 2 else masks[part][:, None]
            scores[part] = score.masked_fill(~real, 0)
    empty = torch.cat([none for _, none in pieces]).detach().cpu()
    made = Attribution(method, scores, masks, whole.ids.cpu(), aim.cpu(), output.cpu(), empty)
    effect, gap = float((made.output - made.empty).abs().mean()), float(made.gap.abs().mean())
    if method.startswith("integrated") and gap > _UNEXPLAINED * effect:
        warnings.warn(
            f"{method}: the scores miss {gap:.3g} on average, of an effect of {effect:.3g}; take more steps",
            CompletenessWarning,
            stacklevel=3,
        )
    return made


@contextmanager
def _evaluating(model: Any, batch: Batch) -> Iterator[Batch]:
    """The model in evaluation mode, and the batch as it needs it: on its device, with nothing under the masks."""
    training = model.training
    model.eval()
    try:
        given = model.ready(batch).to(next(model.parameters()).device)
        tokens = {}
        for m, values in given.tokens.items():
            real = given.masks[m]
            tokens[m] = values.masked_fill(~(real[..., None] if values.ndim == 3 else real), 0)
        yield replace(given, tokens=tokens)
    finally:
        model.train(training)


def _target(model: Any, batch: Batch, target: Tensor | None) -> Int64[Tensor, "batch"]:
    """The column to explain, checked; by default the largest."""
    outputs = model.config.outputs
    if target is None:
        with torch.no_grad():
            return torch.cat([model(part).argmax(1) for part in batch.batches(_ROWS)])
    if target.shape != (len(batch),) or target.min() < 0 or target.max() >= outputs:
        raise DataError(f"target: {tuple(target.shape)} values, but {len(batch)} columns below {outputs} are needed")
    return target.to(batch.ids.device)


@torch.no_grad()
def _outputs(model: Any, batch: Batch, target: Tensor, probability: bool = False) -> Float[Tensor, "batch"]:
    """The output that is explained, for each sample."""
    prediction = torch.cat([model(part) for part in batch.batches(_ROWS)])
    if probability and model.config.task != "regression":
        prediction = prediction.softmax(1) if model.config.task == "classification" else prediction.sigmoid()
    return prediction.gather(1, target[:, None]).squeeze(1)


def _integrate(
    model: Any,
    batch: Batch,
    target: Tensor,
    places: Mapping[str, nn.Module | None],
    values: Mapping[str, Tensor],
    steps: int,
    blank: Mapping[str, Tensor],
) -> _Found:
    """Integrated gradients from `blank` to `values`, summed over features. A value takes the place of the module's
    output, or of the modality's tokens where there is no module."""
    from captum.attr import IntegratedGradients

    names = list(values)

    def forward(*arguments: Tensor) -> Tensor:
        value, masks = dict(zip(names, arguments, strict=False)), dict(zip(names, arguments[len(names) :], strict=True))
        rows = len(arguments[0])
        tokens, given = {}, {}
        for m, place in places.items():
            # where the module's output is replaced, the shape of its input is all that matters
            tokens[m] = value[m] if place is None else batch.tokens[m][:1].expand(rows, *batch.tokens[m].shape[1:])
            if place is not None:
                given[place] = value[m]
        with _replaced(given):
            return model(Batch(tokens, masks, None, torch.arange(rows, device=target.device)))

    inputs, start, masks = (tuple(by[m] for m in names) for by in (values, blank, batch.masks))
    scores = IntegratedGradients(forward).attribute(
        inputs, start, target, additional_forward_args=masks, n_steps=steps, internal_batch_size=_ROWS
    )
    with torch.no_grad():
        empty = forward(*start, *masks).gather(1, target[:, None]).squeeze(1)
    return {m: score.sum(-1) for m, score in zip(names, scores, strict=True)}, empty


def _by_masks(model: Any, batch: Batch, target: Tensor, method: str, steps: int, seed: int) -> _Found:
    """Ablation or sampled Shapley values: captum turns the masks, as numbers, to 0 one by one."""
    from captum.attr import FeatureAblation, ShapleyValueSampling

    names = list(batch.modalities)

    def forward(*given: Tensor) -> Tensor:
        masks = {m: kept > 0.5 for m, kept in zip(names, given, strict=False)}
        tokens = dict(zip(names, given[len(names) :], strict=True))
        return model(Batch(tokens, masks, None, torch.arange(len(given[0]), device=target.device)))

    inputs = tuple(batch.masks[m].float() for m in names)
    more: dict[str, Any] = {"additional_forward_args": tuple(batch.tokens[m] for m in names), "target": target}
    more["perturbations_per_eval"] = max(1, _ROWS // len(batch))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)  # captum draws its orders from the global generator
        if method == "ablation":
            scores = FeatureAblation(forward).attribute(inputs, **more)
        else:
            scores = ShapleyValueSampling(forward).attribute(inputs, n_samples=steps, **more)
        nothing = {m: torch.zeros_like(mask) for m, mask in batch.masks.items()}
        empty = _outputs(model, replace(batch, masks=nothing), target)
    return dict(zip(names, scores, strict=True)), empty


def _shapley(players: tuple[str, ...] | list[str], worth: Callable[[tuple[bool, ...]], Tensor]) -> _Found:
    """phi_i = sum over the sets S without i of |S|! (P - |S| - 1)! / P! (worth(S with i) - worth(S))."""
    p = len(players)
    if p > _PLAYERS:
        raise ConfigError(f"parts: {p}, but exact Shapley values are for at most {_PLAYERS}")
    worths = {kept: worth(kept) for kept in itertools.product((False, True), repeat=p)}
    scores = {}
    for i, player in enumerate(players):
        without = [kept for kept in worths if not kept[i]]
        gains = [worths[(*kept[:i], True, *kept[i + 1 :])] - worths[kept] for kept in without]
        weights = [1 / (p * math.comb(p - 1, sum(kept))) for kept in without]
        scores[player] = torch.stack([w * gain for w, gain in zip(weights, gains, strict=True)]).sum(0)
    return scores, worths[(False,) * p]


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ConfigError(f"steps: {steps}, but at least 1 is needed")


def _embedding(model: Any, modality: str) -> nn.Module:
    found = getattr(getattr(model.encoders[modality], "stages", None), "embed", None)
    if not isinstance(found, nn.Module):
        raise ConfigError(f"{modality}: token ids without an embedding at encoders[...].stages.embed; use 'ablation'")
    return found


@torch.no_grad()
def _level_tokens(model: Any, batch: Batch) -> dict[str, Tensor]:
    return {m: model.encoders[m](batch.tokens[m], batch.masks[m]) for m in batch.modalities}


def _blank_level_tokens(model: Any, batch: Batch) -> dict[str, Tensor]:
    """The level tokens of zero features, or of zero embeddings."""
    blank = replace(batch, tokens={m: torch.zeros_like(tokens) for m, tokens in batch.tokens.items()})
    ids = {m: _embedding(model, m) for m, tokens in batch.tokens.items() if not tokens.is_floating_point()}
    with torch.no_grad(), _replaced({embed: torch.zeros_like(embed(batch.tokens[m])) for m, embed in ids.items()}):
        return _level_tokens(model, blank)


@contextmanager
def _replaced(outputs: Mapping[nn.Module, Tensor]) -> Iterator[None]:
    """These modules give these outputs, whatever they are given; as before afterwards, whatever happens."""
    with ExitStack() as stack:
        for module, output in outputs.items():
            hook = module.register_forward_hook(lambda _module, _inputs, _output, new=output: new)
            stack.callback(hook.remove)
        yield


def _places(batch: Batch, scores: Mapping[str, Tensor], ties: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The place of each token in its sample's order, from 0, over all modalities; padding comes last."""
    lengths = [batch.masks[m].shape[1] for m in batch.modalities]
    real = torch.cat([batch.masks[m] for m in batch.modalities], 1)
    score = torch.cat([scores[m] for m in batch.modalities], 1).masked_fill(~real, -torch.inf)
    shuffled = torch.cat([ties[m] for m in batch.modalities], 1).argsort(1, descending=True)
    order = shuffled.gather(1, score.gather(1, shuffled).argsort(stable=True, dim=1, descending=True))
    return dict(zip(batch.modalities, order.argsort(1).split(lengths, 1), strict=True))


def _agreement(share: Shaped[np.ndarray, "token"], score: Shaped[np.ndarray, "token"]) -> tuple[float, float] | None:
    from scipy.stats import rankdata

    if len(share) < 2 or np.ptp(share) == 0 or np.ptp(score) == 0:
        return None
    ranks = rankdata(share)
    important = np.zeros(len(score), dtype=bool)
    important[np.argsort(-score, kind="stable")[: math.ceil(_IMPORTANT * len(score))]] = True
    high, low = important.sum(), (~important).sum()
    auroc = (ranks[important].sum() - high * (high + 1) / 2) / (high * low) if low else math.nan
    return float(np.corrcoef(ranks, rankdata(score))[0, 1]), float(auroc)
