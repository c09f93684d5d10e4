"""Attribution: from one output of a model back to tokens, level tokens, levels and modalities. All [ours].

Integrated gradients, ablation and sampled Shapley values are captum's; this module connects them to a Batch, in which a
token or a modality is removed by setting its mask to False. `faithfulness` tests attributions on the model itself.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from clcrkit.arguments import Model, public
from clcrkit.batch import Batch
from clcrkit.conversion import as_tensor, as_whole
from clcrkit.errors import ConfigError, DataError, check_choice, check_range, require
from clcrkit.ops import zero_padding
from clcrkit.tasks import TASKS

METHODS = ("integrated gradients", "ablation", "shapley sampling")
_ROWS = 512  # samples, or points on their paths, in one forward pass
_SAMPLES = 64  # samples that captum sees at once
_PLAYERS = 10  # 1024 coalitions
_MOST_STEPS = 100_000
_UNEXPLAINED = 0.05  # share of the effect that integrated gradients may miss without a warning


class CompletenessWarning(UserWarning):
    """The scores do not add up to the effect that they should explain."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """The contribution of each part to one output of each sample; positive ones raise it.

    scores   by modality: (batch, token) or (batch, level, token), exactly 0 at padding; or (batch,), by modality or
             by level ('level 1' is the shallowest)
    masks    by modality: (batch, token), as in the batch
    target   (batch,) the output column that is explained
    output   (batch,) its value; a logit, or the regressed value
    empty    (batch,) its value after everything is removed
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
        """Convergence delta: the sum of all scores minus (output - empty); 0 where a method is complete, which
        ablation is not meant to be."""
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
            real = _real(self.masks, part, score)
            row, *index = (i.numpy() for i in real.nonzero(as_tuple=True))
            columns = dict(zip(("level", "token")[3 - score.ndim :], index, strict=True))
            parts.append(pd.DataFrame({"id": self.ids.numpy()[row], "part": part, **columns, "score": score[real]}))
        return pd.concat(parts, ignore_index=True)


@public
def attribute_tokens(
    model: Model,
    batch: Batch,
    method: str = "integrated gradients",
    target: Any = None,
    steps: int = 64,
) -> Attribution:
    """The contribution of each input token, (batch, token) by modality, for any model of the kit.

    method: 'integrated gradients' along the line from zero features (for token ids: zero embeddings) to the input,
    summed over a token's features; 'ablation', how far the output falls when this token alone is removed; 'shapley
    sampling', its mean effect where tokens come in random order.
    target: the output column to explain, one for all samples or one for each, as a number, a list, an array or a
        tensor; default is the largest one, the predicted class.
    steps: points on the line, or random orders; ablation takes none.
    Warns (CompletenessWarning) where integrated gradients leave more than 5 % of the effect unexplained.
    Raises ConfigError for another method, and for token ids whose embedding cannot be reached.
    """
    check_choice("method", method, METHODS)
    check_range("steps", steps, 1, _MOST_STEPS)

    def explain(part: Batch, aim: Tensor) -> _Scores:
        if method != "integrated gradients":
            return _by_masks(model, part, aim, method, steps)
        embeddings = _embeddings(model, part)
        values = {m: embeddings[m](x).detach() if m in embeddings else x for m, x in part.tokens.items()}
        return _integrate(
            model, part, aim, embeddings, values, {m: torch.zeros_like(v) for m, v in values.items()}, steps
        )

    name = f"{method}, {steps} steps" if method == "integrated gradients" else method
    return _attribute(model, batch, target, name, explain)


@public
def attribute_level_tokens(model: Model, batch: Batch, target: Any = None, steps: int = 64) -> Attribution:
    """The contribution of each level token H, (batch, level, token) by modality, as the allocation: integrated
    gradients along the line from the level tokens of a blank input (zero features, zero embeddings), at all levels
    at once. A level that the model does not use gets 0.

    Why not from H = 0: the summaries' LayerNorm sees directions only, so that nearly all of the output would change
    in the first thousandth of that line. Levels are the encoders' own: where `mix` is set they are not
    the trace's. `target`, `steps` and the warning are as for `attribute_tokens`.
    """
    check_range("steps", steps, 1, _MOST_STEPS)

    def explain(part: Batch, aim: Tensor) -> _Scores:
        encoders = {m: model.encoders[m] for m in part.modalities}
        return _integrate(model, part, aim, encoders, *_level_tokens(model, part), steps)

    return _attribute(model, batch, target, f"integrated gradients on level tokens, {steps} steps", explain)


@public
def attribute_modalities(model: Model, batch: Batch, target: Any = None) -> Attribution:
    """Exact Shapley values of the modalities, (batch,) each: the mean effect of a modality's arrival over all orders
    in which modalities can arrive. All 2^M sets of present modalities are run; at most 10 modalities (ConfigError).
    One that is missing in a sample gets 0."""

    def exact(part: Batch, aim: Tensor) -> _Scores:
        def worth(present: tuple[bool, ...]) -> Tensor:
            masks = {m: mask & there for (m, mask), there in zip(part.masks.items(), present, strict=True)}
            return outputs_of(model, replace(part, masks=masks), aim)

        scores, empty = _shapley(part.modalities, worth)
        # exactly 0: with and without it a sample is the same, but other batches may be summed in another order
        return {m: score * part.masks[m].any(1) for m, score in scores.items()}, empty

    return _attribute(model, batch, target, "exact Shapley values", exact)


@public
def attribute_levels(model: Model, batch: Batch, target: Any = None) -> Attribution:
    """Exact Shapley values of the levels, (batch,) each, by 'level 1' (shallowest) to 'level L'; at most 10 levels.

    A level is removed in all modalities at once: the level tokens of a blank input (zero features, zero embeddings)
    replace its own, and gates and budget react to that. Levels are counted as in `attribute_level_tokens`."""

    def exact(part: Batch, aim: Tensor) -> _Scores:
        own, blank = _level_tokens(model, part)

        def worth(present: tuple[bool, ...]) -> Tensor:
            keep = torch.tensor(present, device=part.ids.device)[:, None, None]
            level_tokens = {model.encoders[m]: torch.where(keep, own[m], blank[m]) for m in part.modalities}
            with _replaced(level_tokens), torch.no_grad():
                return model(part).gather(1, aim[:, None]).squeeze(1)

        return _shapley([f"level {level + 1}" for level in range(model.config.levels)], worth)

    return _attribute(model, batch, target, "exact Shapley values", exact)


_Scores = tuple[dict[str, Tensor], Tensor]  # scores by part, and the output where everything is removed


def _attribute(
    model: Any,
    batch: Batch,
    target: Any,
    method: str,
    explain: Callable[[Batch, Tensor], _Scores],
) -> Attribution:
    """Explain piece by piece, set padding to exactly 0, and compare the sums with the effect."""
    with evaluating(model, batch) as inputs:
        aim = target_columns(model, inputs, target)
        output = outputs_of(model, inputs, aim)
        parts = [slice(start, start + _SAMPLES) for start in range(0, len(inputs), _SAMPLES)]
        explained, empties = zip(*(explain(inputs.select(part), aim[part]) for part in parts), strict=True)
    masks = {m: mask.cpu() for m, mask in inputs.masks.items()}
    scores = {name: torch.cat([scores[name] for scores in explained]).detach().cpu() for name in explained[0]}
    scores = {name: score.masked_fill(~_real(masks, name, score), 0) for name, score in scores.items()}
    output, empty = output.cpu(), torch.cat(empties).detach().cpu()
    attribution = Attribution(method, scores, masks, inputs.ids.cpu(), aim.cpu(), output, empty)
    effect, gap = float((output - empty).abs().mean()), float(attribution.gap.abs().mean())
    if method.startswith("integrated") and gap > _UNEXPLAINED * effect:
        warnings.warn(
            f"{method}: the scores miss {gap:.3g} on average, of an effect of {effect:.3g}; take more steps",
            CompletenessWarning,
            stacklevel=5,
        )
    return attribution


def _real(masks: Mapping[str, Tensor], part: str, score: Tensor) -> Bool[Tensor, "batch ..."]:
    """Which scores are of real tokens; all of them where there is one for each sample."""
    if score.ndim == 1:
        return torch.ones_like(score, dtype=torch.bool)
    return (masks[part] if score.ndim == 2 else masks[part][:, None]).expand_as(score)


@contextmanager
def evaluating(model: Any, batch: Batch) -> Iterator[Batch]:
    """The model in evaluation mode, and the batch prepared for it: on its device, with zeros at padding."""
    training = model.training
    model.eval()
    try:
        inputs = model.ready(batch).to(next(model.parameters()).device)
        yield replace(inputs, tokens={m: zero_padding(x, inputs.masks[m]) for m, x in inputs.tokens.items()})
    finally:
        model.train(training)


def target_columns(model: Any, batch: Batch, target: Any = None) -> Int64[Tensor, "batch"]:
    """The column to explain, checked; by default the largest."""
    outputs = model.config.outputs
    if target is None:
        with torch.no_grad():
            return torch.cat([model(part).argmax(1) for part in batch.batches(_ROWS)])
    columns = as_whole("target", as_tensor("target", target))
    columns = columns.expand(len(batch)) if columns.ndim == 0 else columns
    if columns.shape != (len(batch),) or columns.min() < 0 or columns.max() >= outputs:
        raise DataError(
            f"target: {tuple(columns.shape)} values, but one column or {len(batch)} columns below {outputs} are needed"
        )
    return columns.to(batch.ids.device)


@torch.no_grad()
def outputs_of(model: Any, batch: Batch, target: Tensor, probability: bool = False) -> Float[Tensor, "batch"]:
    """The explained output of each sample: the logit or regressed value, or with `probability` the probability."""
    prediction = torch.cat([model(part) for part in batch.batches(_ROWS)])
    if probability:
        prediction = TASKS[model.config.task].activation(prediction)
    return prediction.gather(1, target[:, None]).squeeze(1)


def _integrate(
    model: Any,
    batch: Batch,
    target: Tensor,
    modules: Mapping[str, nn.Module],
    values: Mapping[str, Tensor],
    blank: Mapping[str, Tensor],
    steps: int,
) -> _Scores:
    """Integrated gradients from `blank` to `values`, summed over features. A value takes the place of the output of its
    modality's module, or of the modality's tokens where `modules` has none."""
    require("captum", "analysis")
    from captum.attr import IntegratedGradients

    names = list(values)

    def forward(*arguments: Tensor) -> Tensor:
        value, masks = dict(zip(names, arguments, strict=False)), dict(zip(names, arguments[len(names) :], strict=True))
        rows = len(arguments[0])
        # where a module's output is replaced, the shape of its input is all that matters
        tokens = value | {m: batch.tokens[m][:1].expand(rows, *batch.tokens[m].shape[1:]) for m in modules}
        with _replaced({module: value[m] for m, module in modules.items()}):
            return model(Batch(tokens, masks, None, torch.arange(rows, device=target.device)))

    inputs, start, masks = (tuple(by[m] for m in names) for by in (values, blank, batch.masks))
    scores = IntegratedGradients(forward).attribute(
        inputs, start, target, additional_forward_args=masks, n_steps=steps, internal_batch_size=_ROWS
    )
    with torch.no_grad():
        empty = forward(*start, *masks).gather(1, target[:, None]).squeeze(1)
    return {m: score.sum(-1) for m, score in zip(names, scores, strict=True)}, empty


def _by_masks(model: Any, batch: Batch, target: Tensor, method: str, steps: int) -> _Scores:
    """Ablation or sampled Shapley values: captum sets the masks, as numbers, to 0 one by one."""
    require("captum", "analysis")
    from captum.attr import FeatureAblation, ShapleyValueSampling

    names = list(batch.modalities)

    def forward(*arguments: Tensor) -> Tensor:
        masks = {m: mask > 0.5 for m, mask in zip(names, arguments, strict=False)}
        tokens = dict(zip(names, arguments[len(names) :], strict=True))
        return model(Batch(tokens, masks, None, torch.arange(len(arguments[0]), device=target.device)))

    inputs = tuple(batch.masks[m].float() for m in names)
    tokens = tuple(batch.tokens[m] for m in names)
    more = {"additional_forward_args": tokens, "target": target, "perturbations_per_eval": max(1, _ROWS // len(batch))}
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)  # captum draws its orders from the global generator
        if method == "ablation":
            scores = FeatureAblation(forward).attribute(inputs, **more)
        else:
            scores = ShapleyValueSampling(forward).attribute(inputs, n_samples=steps, **more)
        nothing = {m: torch.zeros_like(mask) for m, mask in batch.masks.items()}
        empty = outputs_of(model, replace(batch, masks=nothing), target)
    return dict(zip(names, scores, strict=True)), empty


def _shapley(players: tuple[str, ...] | list[str], worth: Callable[[tuple[bool, ...]], Tensor]) -> _Scores:
    """phi_i = sum over the sets S without i of |S|! (P - |S| - 1)! / P! (worth(S with i) - worth(S))."""
    p = len(players)
    if p > _PLAYERS:
        raise ConfigError(f"parts: {p}, but exact Shapley values are for at most {_PLAYERS}")
    worths = {present: worth(present) for present in itertools.product((False, True), repeat=p)}
    scores = {}
    for i, player in enumerate(players):
        without = [present for present in worths if not present[i]]
        gains = [worths[(*present[:i], True, *present[i + 1 :])] - worths[present] for present in without]
        weights = [1 / (p * math.comb(p - 1, sum(present))) for present in without]
        scores[player] = torch.stack([w * gain for w, gain in zip(weights, gains, strict=True)]).sum(0)
    return scores, worths[(False,) * p]


def _embeddings(model: Any, batch: Batch) -> dict[str, nn.Module]:
    """The embedding of each modality of token ids."""
    embeddings = {}
    for m, tokens in batch.tokens.items():
        if not tokens.is_floating_point():
            embedding = getattr(getattr(model.encoders[m], "stages", None), "embed", None)
            if not isinstance(embedding, nn.Module):
                raise ConfigError(f"{m}: token ids without an embedding at encoders[...].stages.embed; use 'ablation'")
            embeddings[m] = embedding
    return embeddings


@torch.no_grad()
def _level_tokens(model: Any, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The batch's level tokens, and those of zero features or zero embeddings."""
    zeros = {embed: torch.zeros_like(embed(batch.tokens[m])) for m, embed in _embeddings(model, batch).items()}
    own = {m: model.encoders[m](x, batch.masks[m]) for m, x in batch.tokens.items()}
    with _replaced(zeros):
        return own, {m: model.encoders[m](torch.zeros_like(x), batch.masks[m]) for m, x in batch.tokens.items()}


@contextmanager
def _replaced(outputs: Mapping[nn.Module, Tensor]) -> Iterator[None]:
    """While entered, these modules return these outputs for any input."""
    with ExitStack() as stack:
        for module, output in outputs.items():
            stack.enter_context(module.register_forward_hook(lambda _module, _inputs, _output, new=output: new))
        yield
