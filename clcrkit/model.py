"""CLCR, top to bottom: hierarchy -> IntraCED -> InterCAD -> head, and its objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.aggregation import Aggregated, InterCAD
from clcrkit.batch import Batch
from clcrkit.budget import participation
from clcrkit.errors import ConfigError, DataError
from clcrkit.exchange import Exchanged, IntraCED
from clcrkit.hierarchy import HierarchyEncoder
from clcrkit.objective import Losses, regularisers, task_loss
from clcrkit.trace import Task, Trace

TASKS = ("classification", "regression", "multilabel")


@dataclass(frozen=True)
class Modality:
    """What a modality's tokens are: `size` features each, or ids below `size` when `ids` is set."""

    size: int
    ids: bool = False


@dataclass(frozen=True)
class CLCRConfig:
    """All that defines a CLCR. `CLCRConfig.of(batch, ...)` fills in what the data say.

    modalities    by name, 2 or more
    outputs       classes, labels, or 1 for regression
    levels        1 or more, shallow to deep
    width         d of the level tokens; rank + private_rank must fit in it
    rank          k of the shared frame, a multiple of heads
    private_rank  of each private frame; where rank + private_rank is the whole width, all modalities' private
                  subspaces are the same one (but each has its own coordinates in it)
    lambda_intra, lambda_inter   weights of the regularisers, >= 0
    Switches of the ablation table:
    hierarchy=False       only the deepest level is used, from the same encoder
    intraced=False        no budget and no exchange; summaries are plain means
    intercad=False        all gates uniform
    sparse=False          dense exchange: every real token has a share of 1
    shuffle_levels=True   each modality's levels are rotated by its place among the modalities, so that
                          the exchange and the gates meet levels that do not belong together ('full mix',
                          no change where there is one level) [ours]
    """

    modalities: Mapping[str, Modality]
    outputs: int
    task: str = "classification"
    levels: int = 3
    width: int = 64
    rank: int = 32
    private_rank: int = 32
    heads: int = 2
    dropout: float = 0.1
    lambda_intra: float = 0.3
    lambda_inter: float = 0.01
    hierarchy: bool = True
    intraced: bool = True
    intercad: bool = True
    sparse: bool = True
    shuffle_levels: bool = False

    def __post_init__(self) -> None:
        room = self.width - self.rank
        few = 2 if self.task == "classification" else 1
        rules = [
            ("modalities", len(self.modalities), len(self.modalities) >= 2, "2 or more"),
            ("task", self.task, self.task in TASKS, " or ".join(TASKS)),
            ("outputs", self.outputs, self.outputs >= few, f"{few} or more for {self.task}"),
            ("outputs", self.outputs, self.task != "regression" or self.outputs == 1, "1 for regression"),
            ("levels", self.levels, self.levels >= 1, "1 or more"),
            ("width", self.width, self.width >= 4 and self.width % 4 == 0, "a multiple of 4"),
            ("heads", self.heads, self.heads >= 1, "1 or more"),
            (
                "rank",
                self.rank,
                self.rank >= 1 and self.rank % max(self.heads, 1) == 0,
                f"a multiple of {self.heads} heads",
            ),
            ("private_rank", self.private_rank, 1 <= self.private_rank <= room, f"from 1 to width - rank ({room})"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "from 0 up to, not including, 1"),
            ("lambda_intra", self.lambda_intra, self.lambda_intra >= 0, "0 or more"),
            ("lambda_inter", self.lambda_inter, self.lambda_inter >= 0, "0 or more"),
        ]
        for m, spec in self.modalities.items():
            # torch keeps parts under these names, as attributes
            named = bool(m) and "." not in m and not hasattr(nn.ModuleDict, m) and not hasattr(nn.ParameterDict, m)
            rules.append(("modalities", m, named, "a name without a dot that is no attribute of torch's modules"))
            rules.append((f"size of {m}", spec.size, spec.size >= 1, "1 or more"))
        for name, value, holds, allowed in rules:
            if not holds:
                raise ConfigError(f"{name}: {value!r}, but it must be {allowed}")

    @classmethod
    def of(cls, batch: Batch, **settings: Any) -> CLCRConfig:
        """The configuration that fits this batch: modalities, task and outputs read from it, the rest as given.

        For token ids and classes the largest value seen sets the size: give the whole training part, or
        `modalities` and `outputs` by hand where it may lack some.
        """
        unknown = set(settings) - {f.name for f in fields(cls)}
        if unknown:
            raise ConfigError(
                f"{', '.join(sorted(unknown))}: no such setting; there are {', '.join(f.name for f in fields(cls))}"
            )
        settings.setdefault("modalities", {
            m: Modality(t.shape[-1]) if t.is_floating_point() else Modality(int(t.max()) + 1, ids=True)
            for m, t in batch.tokens.items()
        })  # fmt: skip
        labels = batch.labels
        if labels is not None:
            classes = not labels.is_floating_point()
            task = "classification" if classes else "multilabel" if labels.ndim == 2 else "regression"
            settings.setdefault("task", task)
            settings.setdefault("outputs", int(labels.max()) + 1 if classes else labels[0].numel())
        elif not {"task", "outputs"} <= set(settings):
            raise ConfigError("labels: this batch has none, so task and outputs must be given")
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `CLCRConfig.from_dict` makes the same configuration again."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CLCRConfig:
        """The configuration that `to_dict` described."""
        modalities = {m: Modality(**spec) for m, spec in values["modalities"].items()}
        return cls(**{**values, "modalities": modalities})


ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "no hierarchy": {"hierarchy": False},
    "no IntraCED": {"intraced": False},
    "no InterCAD": {"intercad": False},
    "full mix": {"shuffle_levels": True},
    "no L_intra": {"lambda_intra": 0.0},
    "no L_inter": {"lambda_inter": 0.0},
    "no regularisers": {"lambda_intra": 0.0, "lambda_inter": 0.0},
    "dense exchange": {"sparse": False},
}
"""The paper's ablation table, as settings: `replace(config, **ABLATIONS["no hierarchy"])`."""


class _Pass(NamedTuple):
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
            self.modalities, self.levels, c.width, c.rank, c.private_rank, c.heads, c.sparse, c.intraced
        )
        self.intercad = InterCAD(self.levels, c.rank, c.private_rank, c.intercad)
        self.head = make_head(c.rank + c.private_rank, c)

    def forward(self, batch: Batch, gamma: float = 1.0) -> Float[Tensor, "batch output"]:
        return self._run(batch, gamma).prediction

    def losses(self, batch: Batch) -> Losses:
        """The objective on a batch with labels."""
        if batch.labels is None:
            raise DataError("labels: this batch has none, and the objective needs them")
        done = self._run(batch)
        task = task_loss(self.config.task, done.prediction, batch.labels)
        c = self.config
        masks = {m: batch.masks[m] for m in self.modalities}
        intra, private, leakage, mix = regularisers(done.aggregated, masks)
        inter = private + leakage + mix
        total = task + c.lambda_intra * intra + c.lambda_inter * inter
        return Losses(total, task, intra, inter, private, leakage, mix)

    @torch.no_grad()
    def trace(
        self, batch: Batch, gamma: float = 1.0, mute: dict[str, Bool[Tensor, "batch level _"]] | None = None
    ) -> Trace:
        """One pass in evaluation mode with everything kept. It runs on the model's device, and the trace comes back
        to the batch's.

        gamma >= 0 multiplies every budget; at 0 nothing is funded and the shared summaries are empty. `mute`
        marks, by modality, tokens whose activation is set to 0.
        """
        if gamma < 0:
            raise ConfigError(f"gamma: {gamma}, but it must be 0 or more")
        training = self.training
        self.eval()
        try:
            home, device = batch.ids.device, next(self.parameters()).device
            batch = self.ready(batch).to(device)
            muted = {m: marked.to(device) for m, marked in (mute or {}).items()}
            self._check_mute(batch, muted)
            done = self._run(batch, gamma, muted, keep_attention=True)
        finally:
            self.train(training)
        made, whole = done.exchanged, done.aggregated
        given, budget = made.allocations, self.intraced.budget
        uniform = done.prediction.new_ones(self.levels)
        threshold = budget.threshold * self.config.rank**0.5 if budget is not None else torch.zeros_like(uniform)
        return Trace(
            batch=batch,
            gamma=float(gamma),
            task=cast(Task, self.config.task),
            sparse=budget is not None,
            tokens=done.tokens,
            shared=made.shared,
            private=made.private,
            exchanged=made.exchanged,
            evidence={m: a.evidence for m, a in given.items()},
            activation={m: a.activation for m, a in given.items()},
            allocation={m: a.allocation for m, a in given.items()},
            attention=made.attention,
            budget={m: a.budget for m, a in given.items()},
            participation={m: participation(a.allocation, batch.masks[m]) for m, a in given.items()},
            cutoff={m: a.cutoff for m, a in given.items()},
            shared_summary=whole.shared_summary,
            private_summary=whole.private_summary,
            level_gate=whole.level_gate,
            modality_gate=whole.modality_gate,
            private_gate=whole.private_gate,
            threshold=threshold.repeat(len(batch), 1),
            rho=(budget.rho if budget is not None else uniform).repeat(len(batch), 1),
            shared_code=whole.shared_code,
            private_code=whole.private_code,
            prediction=done.prediction,
        ).to(home)

    def ready(self, batch: Batch) -> Batch:
        """The batch with this model's modalities in its order. Raises DataError where it does not fit."""
        return ready(batch, self.config.modalities)

    def _check_mute(self, batch: Batch, mute: Mapping[str, Tensor]) -> None:
        for m, marked in mute.items():
            if m not in self.modalities:
                raise DataError(f"mute: {m} is no modality; there are {', '.join(self.modalities)}")
            size, length = batch.masks[m].shape
            if marked.shape != (size, self.levels, length):
                raise DataError(
                    f"mute {m}: shape {tuple(marked.shape)}, but (batch, level, token) is {(size, self.levels, length)}"
                )

    def _run(
        self,
        batch: Batch,
        gamma: float = 1.0,
        mute: dict[str, Bool[Tensor, "batch level _"]] | None = None,
        keep_attention: bool = False,
    ) -> _Pass:
        masks = {m: batch.masks[m] for m in self.modalities}
        tokens = {m: self._levels(i, encoder(batch.tokens[m], masks[m]))
                  for i, (m, encoder) in enumerate(self.encoders.items())}  # fmt: skip
        exchanged = self.intraced(tokens, masks, gamma, mute, keep_attention)
        allocation = {m: a.allocation for m, a in exchanged.allocations.items()}
        aggregated = self.intercad(exchanged.exchanged, exchanged.private, allocation, masks)
        prediction = self.head(torch.cat([aggregated.shared_code, aggregated.private_code], dim=-1))
        return _Pass(tokens, exchanged, aggregated, prediction)

    def _levels(self, place: int, tokens: Tensor) -> Tensor:
        if not self.config.hierarchy:
            return tokens[:, -1:]
        return tokens.roll(place, dims=1) if self.config.shuffle_levels else tokens


def make_head(features: int, config: CLCRConfig) -> nn.Sequential:
    """The head of CLCR and of every baseline. [ours] Its LayerNorm makes up for codes that are means of means."""
    return nn.Sequential(
        nn.LayerNorm(features),
        nn.Linear(features, config.width),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.width, config.outputs),
    )


def ready(batch: Batch, modalities: Mapping[str, Modality]) -> Batch:
    """The batch with these modalities, in this order. Raises DataError where one is missing or of another kind."""
    missing = [m for m in modalities if m not in batch.tokens]
    if missing:
        raise DataError(
            f"{', '.join(missing)}: not in the batch, and this model needs {', '.join(modalities)}; "
            f"a modality that is missing has a mask that is all False"
        )
    for m, spec in modalities.items():
        tokens = batch.tokens[m]
        if spec.ids == tokens.is_floating_point():
            wanted = "token ids (int64)" if spec.ids else "floats"
            raise DataError(f"{m}: holds {tokens.dtype}, but {wanted} are needed")
        if not spec.ids and tokens.shape[-1] != spec.size:
            raise DataError(f"{m}: {tokens.shape[-1]} features for each token, but this model needs {spec.size}")
        highest = int(tokens.masked_fill(~batch.masks[m], 0).max()) if spec.ids else 0
        if spec.ids and highest >= spec.size:
            raise DataError(f"{m}: holds token id {highest}, but ids must be below {spec.size}")
    return batch.only(*modalities)


def ablated(config: CLCRConfig, name: str) -> CLCRConfig:
    """This configuration with one named change of the ablation table."""
    if name not in ABLATIONS:
        raise ConfigError(f"{name}: no such ablation; there are {', '.join(ABLATIONS)}")
    return replace(config, **ABLATIONS[name])
