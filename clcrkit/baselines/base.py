"""What all baselines share with CLCR: the configuration, the input checks, the encoders and the task loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clcrkit.arguments import checked, public
from clcrkit.batch import Batch
from clcrkit.config import CLCRConfig, ready, to_module
from clcrkit.errors import ConfigError
from clcrkit.hierarchy import HierarchyEncoder
from clcrkit.naming import trace_of
from clcrkit.objective import Losses
from clcrkit.ops import masked_mean
from clcrkit.patching import Patches, patched, patched_each
from clcrkit.tasks import TASKS
from clcrkit.trace import Trace


class Baseline(nn.Module):
    """A model with CLCR's configuration and encoders that fuses the deepest level in its own way.

    modalities: a selection of the configuration's, default all. Raises ConfigError for one that is not there.
    """

    reads: tuple[str, ...] = ()  # what is named and read by the head, and by nothing else
    head: nn.Module

    @checked
    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__()
        names = tuple(config.modalities) if modalities is None else modalities
        unknown = set(names) - set(config.modalities)
        if unknown or not names:
            raise ConfigError(
                f"modalities: {', '.join(sorted(unknown)) or 'none'} asked for, but there are "
                f"{', '.join(config.modalities)}"
            )
        self.register_forward_pre_hook(to_module)
        self.config = config
        self.modalities = names
        self.inputs = {m: config.modalities[m] for m in names}
        self.encoders = nn.ModuleDict(
            {
                m: HierarchyEncoder(x.size, x.ids, config.width, config.levels, config.dropout, True, x.mean, x.std)
                for m, x in self.inputs.items()
            }
        )

    def ready(self, batch: Batch) -> Batch:
        """The batch with this model's modalities in its order. Raises DataError where it does not fit."""
        return ready(batch, self.inputs)

    def deepest(self, batch: Batch) -> dict[str, Float[Tensor, "batch _ width"]]:
        """The deepest level's tokens, by modality; zero where the mask is False."""
        return {m: encoder(batch.tokens[m], batch.masks[m])[:, -1] for m, encoder in self.encoders.items()}

    def pooled(self, batch: Batch) -> dict[str, Float[Tensor, "batch width"]]:
        """The mean of the deepest level's tokens, by modality; zero for a missing one."""
        return {m: masked_mean(x, batch.masks[m]) for m, x in self.deepest(batch).items()}

    @public
    @torch.no_grad()
    def trace(self, data: Any, patch: Mapping[str, Float[Tensor, "..."]] | None = None) -> Trace:
        """One pass in evaluation mode with all that the model can name. It runs on the model's device.

        data: a Batch, or a Split, of which it is the test part. What the model has not is in `Trace.absent`. patch: as
        for `CLCR.trace`, at the places that the model's head reads: its `reads`.
        """
        batch = self.ready(getattr(data, "test", data))
        home, training = batch.ids.device, self.training
        batch = batch.to(next(self.parameters()).device)
        self.eval()
        try:
            named = self.named(batch)
            if not patch:
                return trace_of(batch, self.config.task, self(batch), **named).to(home)
            there = {m: mask.any(1) for m, mask in batch.masks.items()}
            patches = Patches({place: value.to(batch.ids.device) for place, value in patch.items()}, self.modalities, 1)
            for name in self.reads:
                code = isinstance(named[name], Tensor)
                named[name] = (
                    patched(patches, name, named[name]) if code else patched_each(patches, name, named[name], there)
                )
            patches.check_reached()
            return trace_of(batch, self.config.task, self.decide(batch, named), **named).to(home)
        finally:
            self.train(training)

    def named(self, batch: Batch) -> dict[str, Any]:
        """What the model can name of its pass, as `naming.trace_of` takes it. The deepest level is the only one."""
        return {"tokens": {m: x[:, None] for m, x in self.deepest(batch).items()}}

    def decide(self, batch: Batch, named: Mapping[str, Any]) -> Float[Tensor, "batch output"]:
        """The prediction, from what is `named` of the fields that the model `reads`."""
        (name,) = self.reads
        value = named[name]
        return self.head(torch.cat([x[:, 0] for x in value.values()], dim=-1) if isinstance(value, dict) else value)

    def losses(self, batch: Batch) -> Losses:
        """The task loss; a baseline with terms of its own adds them. Raises DataError as `Task.loss` does."""
        task = self.task_loss(self(batch), batch)
        return Losses(task, task, {})

    def task_loss(self, prediction: Float[Tensor, "batch output"], batch: Batch) -> Float[Tensor, ""]:
        return TASKS[self.config.task].loss(prediction, batch.labels, self.config.class_weights)
