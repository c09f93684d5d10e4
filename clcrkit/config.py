"""CLCRConfig: all that defines a model, and the ablations as changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from torch import nn

from clcrkit.batch import Batch
from clcrkit.errors import ConfigError, DataError
from clcrkit.tasks import task_named, task_of

MIXES = ("", "rotated", "shuffled", "pooled")
BUDGETED = ("listeners", "speakers", "both")


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
    task          a name of `tasks.TASKS`
    levels        1 or more, shallow to deep
    width         d of the level tokens; rank + private_rank must fit in it
    rank          k of the shared frame, a multiple of heads
    private_rank  of each private frame; where rank + private_rank is the whole width, all modalities' private
                  subspaces are the same one (but each has its own coordinates in it)
    lambda_intra, lambda_inter   weights of the regularisers, >= 0
    Switches of the ablations [ours, as readings of the paper's rows]:
    hierarchy=False       only the deepest level is used, from the same encoder
    intraced=False        no budget and no exchange; summaries are plain means
    intercad=False        all gates uniform
    sparse=False          dense exchange: every real token has a share of 1
    mix                   'full mix': exchange and gates combine levels that do not belong together. 'rotated': the
                          levels of the i-th modality are rotated by i; 'shuffled': a random order of levels for each
                          modality and batch; 'pooled': one level, that holds the tokens of all. '' for none
    Readings, where the published notes allow more than one [ours]:
    centred=False         the mean over the width stays in the level tokens
    joined_levels=False   the head reads the sum of the levels' shared codes, in place of each level's
    weighted=False        shared summaries are plain means over tokens
    budgeted              whom the budget holds: 'listeners', 'speakers' or 'both' (see `exchange`)
    split=False           without IntraCED also without frames: InterCAD reads the level tokens themselves
    private_sum=True      the private code is the gated sum over modalities, in place of the gated mean
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
    mix: str = ""
    centred: bool = True
    joined_levels: bool = True
    weighted: bool = True
    budgeted: str = "listeners"
    split: bool = True
    private_sum: bool = False

    def __post_init__(self) -> None:
        task = task_named(self.task)
        outputs = task.fewest if task.fewest == task.most else f"{task.fewest} or more"
        room = self.width - self.rank
        multiple = self.heads >= 1 and self.rank % self.heads == 0
        rules: list[tuple[str, Any, bool, str]] = [
            ("modalities", len(self.modalities), len(self.modalities) >= 2, "2 or more"),
            ("outputs", self.outputs, task.fewest <= self.outputs <= task.most, f"{outputs} for {task.name}"),
            ("levels", self.levels, self.levels >= 1, "1 or more"),
            ("width", self.width, self.width >= 4 and self.width % 4 == 0, "a multiple of 4"),
            ("heads", self.heads, self.heads >= 1, "1 or more"),
            ("rank", self.rank, self.rank >= 1 and multiple, f"a multiple of {self.heads} heads"),
            ("private_rank", self.private_rank, 1 <= self.private_rank <= room, f"from 1 to width - rank ({room})"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "from 0 up to, not including, 1"),
            ("lambda_intra", self.lambda_intra, self.lambda_intra >= 0, "0 or more"),
            ("lambda_inter", self.lambda_inter, self.lambda_inter >= 0, "0 or more"),
            ("mix", self.mix, self.mix in MIXES, " or ".join(map(repr, MIXES))),
            ("budgeted", self.budgeted, self.budgeted in BUDGETED, " or ".join(map(repr, BUDGETED))),
            ("split", self.split, self.split or not self.intraced, "True with IntraCED, which exchanges in the frames"),
        ]
        for m, spec in self.modalities.items():
            # torch registers the parts of a module under these names, as attributes
            usable = bool(m) and "." not in m and not hasattr(nn.ModuleDict, m) and not hasattr(nn.ParameterDict, m)
            rules.append(("modalities", m, usable, "a name without a dot that is no attribute of torch's modules"))
            rules.append((f"size of {m}", spec.size, spec.size >= 1, "1 or more"))
        for name, value, holds, allowed in rules:
            if not holds:
                raise ConfigError(f"{name}: {value!r}, but it must be {allowed}")

    @classmethod
    def of(cls, batch: Batch, **settings: Any) -> CLCRConfig:
        """The configuration that fits this batch: modalities, task and outputs are read from it unless given.

        The largest token id and class in the batch set `size` and `outputs`: pass the whole training part, or
        `modalities` and `outputs` where it may lack some. Raises ConfigError for a setting that does not exist.
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
            task = task_of(labels)
            settings.setdefault("task", task.name)
            settings.setdefault("outputs", task.count_outputs(labels))
        elif not {"task", "outputs"} <= set(settings):
            raise ConfigError("labels: this batch has none, so task and outputs must be given")
        return cls(**settings)

    def paper(self) -> CLCRConfig:
        """This configuration in the plain reading of the paper: nothing that we added to make it learn better. Level
        tokens keep their mean, summaries are plain means, and the head reads the sum over levels."""
        return replace(self, centred=False, joined_levels=False, weighted=False)

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
    "full mix": {"mix": "rotated"},
    "no L_intra": {"lambda_intra": 0.0},
    "no L_inter": {"lambda_inter": 0.0},
    "no regularisers": {"lambda_intra": 0.0, "lambda_inter": 0.0},
    "dense exchange": {"sparse": False},
}
"""Named changes of the settings: `replace(config, **ABLATIONS["no hierarchy"])`.

[paper] The rows of its ablation table: no hierarchy, no IntraCED, no InterCAD, full mix, no regularisers.
[ours] 'no L_intra' and 'no L_inter' one at a time, and 'dense exchange': the end point of the paper's sensitivity study
on the budget, which is no row of its table. What exactly each row switches off is our reading."""


READINGS: Mapping[str, Mapping[str, Any]] = {
    "speakers budgeted": {"budgeted": "speakers"},
    "both budgeted": {"budgeted": "both"},
    "full mix, shuffled": {"mix": "shuffled"},
    "full mix, pooled": {"mix": "pooled"},
    "no IntraCED, no split": {"intraced": False, "split": False},
    "private sum": {"private_sum": True},
}
"""Other readings of the paper, where the published notes allow them; a verdict on a claim holds for a reading."""


def ablated(config: CLCRConfig, name: str) -> CLCRConfig:
    """This configuration with one named change of the ablation table."""
    changes = {**ABLATIONS, **READINGS}
    if name not in changes:
        raise ConfigError(f"{name}: no such ablation or reading; there are {', '.join(changes)}")
    return replace(config, **changes[name])


def ready(batch: Batch, modalities: Mapping[str, Modality]) -> Batch:
    """The batch with these modalities, in this order. Raises DataError where one is missing or does not fit."""
    missing = [m for m in modalities if m not in batch.tokens]
    if missing:
        raise DataError(
            f"{', '.join(missing)}: not in the batch, and this model needs {', '.join(modalities)}; "
            f"a modality that is missing has a mask that is all False"
        )
    for m, spec in modalities.items():
        tokens = batch.tokens[m]
        if spec.ids == tokens.is_floating_point():
            kind = "token ids (int64)" if spec.ids else "floats"
            raise DataError(f"{m}: holds {tokens.dtype}, but {kind} are needed")
        if not spec.ids and tokens.shape[-1] != spec.size:
            raise DataError(f"{m}: {tokens.shape[-1]} features for each token, but this model needs {spec.size}")
        highest = int(tokens.masked_fill(~batch.masks[m], 0).max()) if spec.ids else 0
        if spec.ids and highest >= spec.size:
            raise DataError(f"{m}: holds token id {highest}, but ids must be below {spec.size}")
    return batch.only(*modalities)
