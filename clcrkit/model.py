"""CLCR, top to bottom: hierarchy -> IntraCED -> InterCAD -> head, and its objective."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.aggregation import Aggregated, InterCAD
from clcrkit.batch import Batch
from clcrkit.budget import Allocation, participation
from clcrkit.config import CLCRConfig, ready
from clcrkit.errors import ConfigError, DataError
from clcrkit.exchange import Exchanged, IntraCED
from clcrkit.hierarchy import HierarchyEncoder
from clcrkit.objective import Losses, regularisers
from clcrkit.tasks import TASKS
from clcrkit.trace import Trace

Mute = dict[str, Bool[Tensor, "batch level _"]]


class Pass(NamedTuple):
    """What one forward pass computed."""

    tokens: dict[str, Float[Tensor, "batch level _ width"]]
    exchanged: Exchanged
    aggregated: Aggregated
    prediction: Float[Tensor, "batch output"]


class CLCR(nn.Module):
    """The whole model.

    model(batch) gives predictions, (batch, output): logits, or the regressed value.
    model.losses(batch) gives the objective and its terms; model.trace(batch) everything that was computed.
    """

    def __init__(self, config: CLCRConfig) -> None:
        super().__init__()
        self.config = c = config
        self.modalities = tuple(c.modalities)
        self.levels = c.levels if c.hierarchy else 1
        self.encoders = nn.ModuleDict(
            {m: HierarchyEncoder(x.size, x.ids, c.width, c.levels, c.dropout) for m, x in c.modalities.items()}
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
        )
        self.intercad = InterCAD(self.levels, c.rank, c.private_rank, c.intercad)
        self.head = make_head(c.rank + c.private_rank, c)

    def forward(self, batch: Batch, gamma: float = 1.0) -> Float[Tensor, "batch output"]:
        return self._pass(batch, gamma).prediction

    def _pass(self, batch: Batch, gamma: float = 1.0, mute: Mute | None = None, keep_attention: bool = False) -> Pass:
        """From the batch to the prediction, with everything on the way; `forward`, `losses` and `trace` use it."""
        masks = {m: batch.masks[m] for m in self.modalities}
        tokens = {m: encoder(batch.tokens[m], masks[m]) for m, encoder in self.encoders.items()}
        if not self.config.hierarchy:
            tokens = {m: h[:, -1:] for m, h in tokens.items()}
        elif self.config.shuffle_levels:
            tokens = {m: h.roll(i, dims=1) for i, (m, h) in enumerate(tokens.items())}
        exchanged = self.intraced(tokens, masks, gamma, mute, keep_attention)
        allocation = {m: a.allocation for m, a in exchanged.allocations.items()}
        aggregated = self.intercad(exchanged.exchanged, exchanged.private, allocation, masks)
        prediction = self.head(torch.cat([aggregated.shared_code, aggregated.private_code], dim=-1))
        return Pass(tokens, exchanged, aggregated, prediction)

    def losses(self, batch: Batch) -> Losses:
        """The objective on a batch. Raises DataError where it has no labels, or labels of another kind."""
        c, result = self.config, self._pass(batch)
        task = TASKS[c.task].loss(result.prediction, batch.labels)
        terms = regularisers(result.aggregated, {m: batch.masks[m] for m in self.modalities})
        total = task + c.lambda_intra * terms["intra"] + c.lambda_inter * terms["inter"]
        return Losses(total, task, terms)

    @torch.no_grad()
    def trace(self, batch: Batch, gamma: float = 1.0, mute: Mute | None = None) -> Trace:
        """One pass in evaluation mode with everything kept, on the model's device; the trace returns to the batch's.

        gamma >= 0 multiplies every budget; at 0 nothing is funded and the shared summaries are empty. `mute`
        marks, by modality, tokens whose activation is set to 0.
        """
        if gamma < 0:
            raise ConfigError(f"gamma: {gamma}, but it must be 0 or more")
        home, device, training = batch.ids.device, next(self.parameters()).device, self.training
        batch = self.ready(batch).to(device)
        self._check_mute(batch, mute or {})
        self.eval()
        try:
            muted = {m: mask.to(device) for m, mask in (mute or {}).items()}
            result = self._pass(batch, gamma, muted, keep_attention=True)
        finally:
            self.train(training)
        exchanged, aggregated = result.exchanged, result.aggregated
        allocations, budget = exchanged.allocations, self.intraced.budget
        uniform = result.prediction.new_ones(self.levels)
        threshold = budget.threshold * self.config.rank**0.5 if budget is not None else torch.zeros_like(uniform)
        return Trace(
            batch=batch,
            gamma=float(gamma),
            task=self.config.task,
            sparse=budget is not None,
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
            threshold=threshold.repeat(len(batch), 1),
            rho=(budget.rho if budget is not None else uniform).repeat(len(batch), 1),
            shared_code=aggregated.shared_code,
            private_code=aggregated.private_code,
            prediction=result.prediction,
        ).to(home)

    def ready(self, batch: Batch) -> Batch:
        """The batch with this model's modalities in its order. Raises DataError where it does not fit."""
        return ready(batch, self.config.modalities)

    def _check_mute(self, batch: Batch, mute: Mute) -> None:
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
