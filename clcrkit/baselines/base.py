"""What all baselines have in common with CLCR: the configuration, the door, the head and the task loss."""

from __future__ import annotations

from torch import nn

from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError
from clcrkit.model import CLCRConfig, ready
from clcrkit.objective import Losses, task_loss


class Baseline(nn.Module):
    """Takes CLCR's configuration, so that encoders, widths and heads are the same; has no regulariser.

    modalities: a selection of the configuration's, default all.
    """

    def __init__(self, config: CLCRConfig, modalities: tuple[str, ...] | None = None) -> None:
        super().__init__()
        chosen = tuple(config.modalities) if modalities is None else modalities
        unknown = set(chosen) - set(config.modalities)
        if unknown or not chosen:
            raise ConfigError(
                f"modalities: {', '.join(sorted(unknown)) or 'none'} asked for, but there are "
                f"{', '.join(config.modalities)}"
            )
        self.config = config
        self.modalities = chosen
        self.inputs = {m: config.modalities[m] for m in chosen}

    def ready(self, batch: Batch) -> Batch:
        return ready(batch, self.inputs)

    def losses(self, batch: Batch) -> Losses:
        if batch.labels is None:
            raise DataError("labels: this batch has none, and the objective needs them")
        task = task_loss(self.config.task, self(batch), batch.labels)
        none = task.new_zeros(())
        return Losses(task, task, none, none, none, none, none)
