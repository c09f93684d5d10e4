"""What all baselines have in common with CLCR: the configuration, the door, the encoders and the task loss."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from clcrkit.aggregation import weighted_mean
from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError
from clcrkit.hierarchy import HierarchyEncoder
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
        self.encoders = nn.ModuleDict(
            {
                m: HierarchyEncoder(x.size, x.ids, config.width, config.levels, config.dropout)
                for m, x in self.inputs.items()
            }
        )

    def ready(self, batch: Batch) -> Batch:
        return ready(batch, self.inputs)

    def deepest(self, batch: Batch) -> dict[str, Float[Tensor, "batch _ width"]]:
        """The deepest level's tokens, by modality; zero where the mask is False."""
        return {m: encoder(batch.tokens[m], batch.masks[m])[:, -1] for m, encoder in self.encoders.items()}

    def pooled(self, batch: Batch) -> dict[str, Float[Tensor, "batch width"]]:
        """Their mean over tokens, by modality; zero for a missing one."""
        return {m: weighted_mean(x, batch.masks[m].to(x.dtype)) for m, x in self.deepest(batch).items()}

    def losses(self, batch: Batch) -> Losses:
        task = self.task(self(batch), batch)
        none = task.new_zeros(())
        return Losses(task, task, none, none, none, none, none)

    def task(self, prediction: Float[Tensor, "batch output"], batch: Batch) -> Float[Tensor, ""]:
        if batch.labels is None:
            raise DataError("labels: this batch has none, and the objective needs them")
        return task_loss(self.config.task, prediction, batch.labels)
