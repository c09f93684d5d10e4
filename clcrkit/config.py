"""CLCRConfig: all that defines a model, and the ablations as changes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from clcrkit.arguments import public, wrong
from clcrkit.batch import Batch
from clcrkit.conversion import MOST_TOKEN_IDS
from clcrkit.errors import ConfigError, DataError, check_choice
from clcrkit.settings import as_setting, make_plain
from clcrkit.tasks import MOST_CLASSES, task_named, task_of

MIXES = ("", "rotated", "shuffled", "pooled")
BUDGETED = ("listeners", "speakers", "both")
MOST_LEVELS, MOST_WIDTH, MOST_FEATURES = 64, 2**14, 2**20  # more is a mistake, and would take memory before it is seen


@dataclass(frozen=True)
class Modality:
    """What a modality's tokens are: `size` features each, or ids below `size` when `ids` is set.

    mean, std   of each feature, where the model standardises them; `CLCRConfig.of(data, standardise=True)` finds them
    made_by     what made the tokens of the training set, where its Split knows (`Split.sources`)
    """

    size: int
    ids: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    made_by: str = ""

    def __post_init__(self) -> None:
        make_plain(self)


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
    normed=False          summaries keep their size: they have no LayerNorm, which is a gate of its own
    budgeted              whom the budget holds: 'listeners', 'speakers' or 'both' (see `exchange`)
    split=False           without IntraCED also without frames: InterCAD reads the level tokens themselves
    private_sum=True      the private code is the gated sum over modalities, in place of the gated mean
    class_weights each class's weight in the task loss, or none: a sample's loss is multiplied by that of its class
    label_names   what the outputs are called, kept with the model; none where they have no names
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
    normed: bool = True
    budgeted: str = "listeners"
    split: bool = True
    private_sum: bool = False
    label_names: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        make_plain(self)
        if not isinstance(self.modalities, Mapping) or not all(
            isinstance(m, str) and isinstance(spec, Modality) for m, spec in self.modalities.items()
        ):
            raise ConfigError(
                f"modalities: {repr(self.modalities)[:100]}, but it must be a mapping from names to Modality(size)"
            )
        task = task_named(self.task)
        outputs = task.fewest if task.fewest == task.most else f"{task.fewest} or more"
        room, weights, classes = self.width - self.rank, self.class_weights, task.name == "classification"
        multiple = self.heads >= 1 and self.rank % self.heads == 0
        rules: list[tuple[str, Any, bool, str]] = [
            ("modalities", len(self.modalities), len(self.modalities) >= 2, "2 or more"),
            ("outputs", self.outputs, task.fewest <= self.outputs <= task.most, f"{outputs} for {task.name}"),
            ("outputs", self.outputs, self.outputs <= MOST_CLASSES, f"up to {MOST_CLASSES}"),
            ("levels", self.levels, 1 <= self.levels <= MOST_LEVELS, f"1 or more, up to {MOST_LEVELS}"),
            ("width", self.width, self.width in range(4, MOST_WIDTH + 1, 4), f"a multiple of 4, up to {MOST_WIDTH}"),
            ("heads", self.heads, self.heads >= 1, "1 or more"),
            ("rank", self.rank, self.rank >= 1 and multiple, f"a multiple of {self.heads} heads"),
            ("private_rank", self.private_rank, 1 <= self.private_rank <= room, f"from 1 to width - rank ({room})"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "from 0 up to, not including, 1"),
            ("lambda_intra", self.lambda_intra, self.lambda_intra >= 0, "0 or more"),
            ("lambda_inter", self.lambda_inter, self.lambda_inter >= 0, "0 or more"),
            ("mix", self.mix, self.mix in MIXES, " or ".join(map(repr, MIXES))),
            ("budgeted", self.budgeted, self.budgeted in BUDGETED, " or ".join(map(repr, BUDGETED))),
            (
                "label_names",
                self.label_names,
                len(self.label_names) in (0, self.outputs),
                "one for each output, or none",
            ),
            (
                "class_weights",
                weights,
                not weights or (classes and len(weights) == self.outputs and min(weights) >= 0),
                "none, 'balanced' (in CLCRConfig.of), or for classification one number of 0 or more for each class",
            ),
            ("split", self.split, self.split or not self.intraced, "True with IntraCED, which exchanges in the frames"),
        ]
        for m, spec in self.modalities.items():
            # torch registers the parts of a module under these names, as attributes
            usable = bool(m) and "." not in m and not hasattr(nn.ModuleDict, m) and not hasattr(nn.ParameterDict, m)
            rules.append(("modalities", m, usable, "a name without a dot that is no attribute of torch's modules"))
            most = MOST_TOKEN_IDS if spec.ids else MOST_FEATURES
            rules.append((f"size of {m}", spec.size, 1 <= spec.size <= most, f"1 or more, up to {most}"))
            scaled = len(spec.mean) == len(spec.std) == spec.size and not spec.ids and all(x > 0 for x in spec.std)
            what = f"one mean and one deviation above 0 for each of {spec.size} features, or none"
            rules.append((f"mean and std of {m}", len(spec.mean), scaled or not (spec.mean or spec.std), what))
        for name, value, holds, allowed in rules:
            if not holds:
                raise ConfigError(f"{name}: {value!r}, but it must be {allowed}")

    @classmethod
    def of(cls, data: Any, standardise: bool | Collection[str] = False, **settings: Any) -> CLCRConfig:
        """The configuration that fits a Batch, or a Split's training part: modalities, task, outputs and label names
        are read from it unless given, and the ranks follow the width (`ranks`).

        standardise: the model itself gives each feature (of all modalities, or of the named ones) mean 0 and standard
            deviation 1 over the real tokens of this training part, and cuts it at +-10. What it does is saved with it,
            so that a loaded model takes raw data.
        class_weights="balanced": samples / (classes * samples of the class), as scikit-learn has it.

        The largest token id and class in the batch set `size` and `outputs`: pass the whole training part, or
        `modalities` and `outputs` where it may lack some. Raises ConfigError for a setting that does not exist.
        """
        batch, names = getattr(data, "train", data), tuple(getattr(data, "label_names", ()))
        if not isinstance(batch, Batch):
            raise wrong("data", batch, "a Batch or a Split of them")
        if not len(batch):
            raise DataError("data: no sample, but the configuration is read from some")
        unknown = set(settings) - {f.name for f in fields(cls)}
        if unknown:
            raise ConfigError(
                f"{', '.join(sorted(unknown))}: no such setting; there are {', '.join(f.name for f in fields(cls))}"
            )
        made_by = {m: source.made_by for m, source in getattr(data, "sources", {}).items()}
        scaled = (batch.modalities if standardise else ()) if isinstance(standardise, bool) else tuple(standardise)
        if isinstance(standardise, str) or set(scaled) - set(batch.modalities):
            raise ConfigError(f"standardise: {standardise!r}, but True, False or names of the modalities are needed")
        modalities = {m: _modality(batch, m, m in scaled) for m in batch.modalities}
        modalities = {m: replace(x, made_by=made_by.get(m, "")) for m, x in modalities.items()}
        settings.setdefault("modalities", modalities)
        labels = batch.labels
        if labels is not None:
            task = task_of(labels)
            settings.setdefault("task", task.name)
            named = 0 if task.name == "regression" else len(names)
            settings.setdefault("outputs", max(task.count_outputs(labels), named))
            if named == settings["outputs"]:
                settings.setdefault("label_names", names)
        elif not {"task", "outputs"} <= set(settings):
            raise ConfigError("labels: this batch has none, so task and outputs must be given")
        if isinstance(settings.get("class_weights"), str):
            settings["class_weights"] = _balanced(settings["class_weights"], labels, settings["outputs"])
        return cls(**{**ranks(settings), **settings})

    def paper(self) -> CLCRConfig:
        """This configuration in the plain reading of the paper: nothing that we added to make it learn better. Level
        tokens keep their mean, summaries are plain means, and the head reads the sum over levels."""
        return replace(self, centred=False, joined_levels=False, weighted=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `CLCRConfig.from_dict` makes the same configuration again."""
        values = asdict(self)
        scaled = {m: {k: v for k, v in spec.items() if v not in ((), "")} for m, spec in values["modalities"].items()}
        return {**values, "modalities": scaled}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CLCRConfig:
        """The configuration that `to_dict` described."""
        modalities = {m: Modality(**_tuples(spec)) for m, spec in values["modalities"].items()}
        return cls(**{**_tuples(values), "modalities": modalities})


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _modality(batch: Batch, name: str, standardise: bool) -> Modality:
    tokens, mask = batch.tokens[name], batch.masks[name]
    if not tokens.is_floating_point():
        return Modality(int(tokens.max()) + 1, ids=True)
    if not standardise or not mask.any():
        return Modality(tokens.shape[-1])
    rows = tokens[mask].double()
    std = rows.std(0, correction=0)
    constant = std <= 1e-6 * rows.abs().amax(0)
    std = std.masked_fill(constant, 1.0)
    return Modality(tokens.shape[-1], mean=tuple(rows.mean(0).tolist()), std=tuple(std.tolist()))


def _balanced(name: str, labels: Any, outputs: int) -> tuple[float, ...]:
    """The weights that make all classes count alike; 1 for a class without a sample."""
    check_choice("class_weights", name, ["balanced"])
    if labels is None or task_of(labels).name != "classification":
        raise ConfigError("class_weights: 'balanced', but the data have no classes")
    counts = labels.bincount(minlength=outputs)
    weights = torch.where(counts > 0, len(labels) / ((counts > 0).sum() * counts.double()), 1.0)
    return tuple(weights.tolist())


def ranks(settings: Mapping[str, Any]) -> dict[str, int]:
    """rank and private_rank for the width and the heads in these settings: half of the width each, as far as `heads`
    and a rank that is given allow."""
    known = {"width": CLCRConfig.width, "heads": CLCRConfig.heads, **settings}
    width, heads = (as_setting(name, known[name], "int") for name in ("width", "heads"))
    rank = as_setting("rank", known.get("rank", width // 2 // max(heads, 1) * heads or heads), "int")
    return {"rank": rank, "private_rank": min(width // 2, width - rank)}


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


@public
def ablated(config: CLCRConfig, name: str) -> CLCRConfig:
    """This configuration with one named change of the ablation table."""
    changes = {**ABLATIONS, **READINGS}
    if name not in changes:
        raise ConfigError(f"{name}: no such ablation or reading; there are {', '.join(changes)}")
    return replace(config, **changes[name])


def fitting(batch: Any, modalities: Mapping[str, Modality]) -> Batch:
    """The batch itself. Raises DataError where it is none, or lacks a modality, or one is of another kind or width."""
    if not isinstance(batch, Batch):
        raise wrong("batch", batch, "a Batch")
    if not len(batch):
        raise DataError("batch: no sample, but 1 or more are needed")
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
    return batch


def to_module(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """A forward pre-hook: the first input is a Batch that fits, on the module's device."""
    if not inputs:
        return inputs
    batch, device = fitting(inputs[0], module.inputs), next(module.parameters()).device
    return (batch if batch.ids.device == device else batch.to(device), *inputs[1:])


def ready(batch: Batch, modalities: Mapping[str, Modality]) -> Batch:
    """The batch with these modalities, in this order. Raises DataError where it does not fit."""
    batch = fitting(batch, modalities)
    for m, spec in modalities.items():
        tokens = batch.tokens[m]
        highest = int(tokens.masked_fill(~batch.masks[m], 0).max()) if spec.ids else -1
        if highest >= spec.size:
            raise DataError(f"{m}: holds token id {highest}, but ids must be below {spec.size}")
    return batch.only(*modalities)
