"""CLCR, top to bottom: hierarchy -> IntraCED -> InterCAD -> head, and its objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.aggregation import Aggregated, InterCAD
from clcrkit.arguments import checked, public
from clcrkit.batch import Batch, repeat_tokens
from clcrkit.budget import Allocation, participation, spending
from clcrkit.config import CLCRConfig, fitting, ready, to_module
from clcrkit.errors import ConfigError, DataError
from clcrkit.exchange import Exchanged, IntraCED
from clcrkit.hierarchy import HierarchyEncoder, mix_levels
from clcrkit.objective import Losses, regularisers
from clcrkit.patching import Patches, patched, patched_each
from clcrkit.tasks import TASKS
from clcrkit.trace import Trace

Mute = dict[str, Bool[Tensor, "batch level _"]]


class Pass(NamedTuple):
    """What one forward pass computed."""

    tokens: dict[str, Float[Tensor, "batch level _ width"]]
    masks: dict[str, Bool[Tensor, "batch _"]]
    exchanged: Exchanged
    aggregated: Aggregated
    prediction: Float[Tensor, "batch output"]


class CLCR(nn.Module):
    """The whole model.

    model(batch) gives predictions, (batch, output): logits, or the regressed value.
    model.losses(batch) gives the objective and its terms; model.trace(batch) everything that was computed.
    """

    @checked
    def __init__(self, config: CLCRConfig) -> None:
        super().__init__()
        self.config = c = config
        self.inputs = c.modalities
        self.modalities = tuple(c.modalities)
        self.levels = c.levels if c.hierarchy and c.mix != "pooled" else 1
        self.encoders = nn.ModuleDict(
            {
                m: HierarchyEncoder(x.size, x.ids, c.width, c.levels, c.dropout, c.centred, x.mean, x.std)
                for m, x in c.modalities.items()
            }
        )
        self.intraced = IntraCED(
            self.modalities,
            self.levels,
            c.width,
            c.rank,
            c.private_rank,
            c.heads,
            sparse=c.sparse,
            exchange=c.intraced,
            budgeted=c.budgeted,
            split=c.split,
        )
        rank, private_rank = (c.rank, c.private_rank) if c.split else (c.width, c.width)
        self.intercad = InterCAD(self.levels, rank, private_rank, c.intercad, c.weighted, c.private_sum, c.normed)
        self.register_forward_pre_hook(to_module)
        self.head = make_head((self.levels if c.joined_levels else 1) * rank + private_rank, c)

    def forward(self, batch: Batch, gamma: float = 1.0) -> Float[Tensor, "batch output"]:
        return self._pass(batch, gamma).prediction

    def _pass(
        self,
        batch: Batch,
        gamma: float | Float[Tensor, ""] = 1.0,
        mute: Mute | None = None,
        keep_attention: bool = False,
        patches: Patches | None = None,
    ) -> Pass:
        """From the batch to the prediction, with everything on the way; `forward`, `losses` and `trace` use it."""
        masks = {m: batch.masks[m] for m in self.modalities}
        tokens = {m: encoder(batch.tokens[m], masks[m]) for m, encoder in self.encoders.items()}
        if not self.config.hierarchy:
            tokens = {m: h[:, -1:] for m, h in tokens.items()}
        elif self.config.mix:
            tokens, masks = mix_levels(tokens, masks, self.config.mix, self.training)
        tokens = patched_each(patches, "tokens", tokens, masks)
        exchanged = self.intraced(tokens, masks, gamma, mute, keep_attention, patches)
        allocation = {m: a.allocation for m, a in exchanged.allocations.items()}
        aggregated = self.intercad(exchanged.exchanged, exchanged.private, allocation, masks, patches)
        if self.config.joined_levels:  # times their number, so that each is as large as the shared code
            code = self.levels * aggregated.level_codes.flatten(1)
        else:
            code = patched(patches, "shared_code", aggregated.shared_code)
            if patches is not None:  # torch 2.8 cannot compile `_replace`
                aggregated = aggregated._replace(shared_code=code)
        prediction = self.head(torch.cat([code, aggregated.private_code], dim=-1))
        return Pass(tokens, masks, exchanged, aggregated, prediction)

    def losses(self, batch: Batch) -> Losses:
        """The objective on a batch. Raises DataError where it has no labels, or labels of another kind."""
        c, result = self.config, self._pass(fitting(batch, self.inputs))
        task = TASKS[c.task].loss(result.prediction, batch.labels, c.class_weights)
        terms = regularisers(result.aggregated, result.masks)
        total = task + c.lambda_intra * terms["intra"] + c.lambda_inter * terms["inter"]
        budget = self.intraced.budget
        figures = {} if budget is None else spending(result.exchanged.allocations, result.masks, budget.rho)
        return Losses(total, task, terms, figures)

    @public
    @torch.no_grad()
    def trace(
        self,
        data: Any,
        gamma: float = 1.0,
        mute: Mute | None = None,
        patch: Mapping[str, Float[Tensor, "..."]] | None = None,
        attention: bool = True,
    ) -> Trace:
        """One pass in evaluation mode with everything kept, on the model's device; the trace returns to the batch's.

        data: a Batch, or a Split, of which it is the test part.
        gamma >= 0 multiplies every budget; at 0 nothing is funded and the shared summaries are empty. `mute`
        marks, by modality, tokens whose activation is set to 0. `patch` replaces what is computed at places such as
        "shared/language/deep" (`clcrkit.patching`) by other values, and runs on from there; `analysis.interventions`
        makes such values. `attention=False` keeps no attention weights, the largest part of a trace, and is faster
        by what they cost. Raises DataError where mute or patch does not fit.
        """
        if gamma < 0:
            raise ConfigError(f"gamma: {gamma}, but it must be 0 or more")
        batch = self.ready(getattr(data, "test", data))
        home, device, training = batch.ids.device, next(self.parameters()).device, self.training
        batch = batch.to(device)
        self._check_mute(batch, mute or {})
        self.eval()
        try:
            muted = {m: mask.to(device) for m, mask in (mute or {}).items()}
            values = {place: value.to(device) for place, value in (patch or {}).items()}
            patches = Patches(values, self.modalities, self.levels) if values else None
            result = self._pass(batch, gamma, muted, attention, patches)
            if patches is not None:
                patches.check_reached()
        finally:
            self.train(training)
        return self.as_trace(batch, float(gamma), result).to(home)

    def as_trace(self, batch: Batch, gamma: float, result: Pass) -> Trace:
        """What a pass with `keep_attention` computed, as a Trace. It looks at no value, so that it can be exported."""
        if self.config.mix == "pooled":  # one level, with the tokens of all levels one after the other
            batch = repeat_tokens(batch, self.config.levels)
        exchanged, aggregated = result.exchanged, result.aggregated
        allocations, budget = exchanged.allocations, self.intraced.budget
        uniform = result.prediction.new_ones(self.levels)
        samples = result.prediction.shape[0]  # not len(), which a symbolic size does not have
        root = self.config.rank**0.5  # evidence is measured in it
        threshold = budget.threshold * root if budget is not None else torch.zeros_like(uniform)
        scale = budget.log_scale.exp() / root if budget is not None else uniform
        return Trace(
            batch=batch,
            gamma=gamma,
            task=self.config.task,
            sparse=budget is not None,
            absent=(),
            tokens=result.tokens,
            shared=exchanged.shared,
            private=exchanged.private,
            exchanged=exchanged.exchanged,
            **{name: {m: getattr(a, name) for m, a in allocations.items()} for name in Allocation._fields},
            participation={m: participation(a.allocation, batch.masks[m]) for m, a in allocations.items()},
            attention=exchanged.attention,
            shared_summary=aggregated.shared_summary,
            private_summary=aggregated.private_summary,
            level_gate=aggregated.level_gate,
            modality_gate=aggregated.modality_gate,
            private_gate=aggregated.private_gate,
            threshold=threshold.repeat(samples, 1),
            scale=scale.repeat(samples, 1),
            rho=(budget.rho if budget is not None else uniform).repeat(samples, 1),
            shared_code=aggregated.shared_code,
            private_code=aggregated.private_code,
            prediction=result.prediction,
        )

    def ready(self, batch: Batch) -> Batch:
        """The batch with this model's modalities in its order. Raises DataError where it does not fit."""
        return ready(batch, self.inputs)

    def _check_mute(self, batch: Batch, mute: Mute) -> None:
        if self.config.mix == "pooled":
            batch = repeat_tokens(batch, self.config.levels)
        for m, mask in mute.items():
            if m not in self.modalities:
                raise DataError(f"mute: {m} is no modality; there are {', '.join(self.modalities)}")
            size, length = batch.masks[m].shape
            if mask.shape != (size, self.levels, length):
                raise DataError(
                    f"mute {m}: shape {tuple(mask.shape)}, but (batch, level, token) is {(size, self.levels, length)}"
                )


def make_head(features: int, config: CLCRConfig) -> nn.Sequential:
    """The head of CLCR and of every baseline. [ours] Its LayerNorm rescales the codes, which are means of means."""
    return nn.Sequential(
        nn.LayerNorm(features),
        nn.Linear(features, config.width),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.width, config.outputs),
    )
