"""Trace: everything one forward pass computed, as named arrays. The only bridge from model to analysis and pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clcrkit.arguments import checked
from clcrkit.batch import Batch, concatenate, pad_axis, positions_of
from clcrkit.errors import DataError
from clcrkit.files import read_tensors, write_tensors
from clcrkit.tasks import TASKS

_TOKEN_WISE = ("tokens", "shared", "private", "exchanged", "evidence", "activation", "allocation")
_OF_THE_PASS = (
    "batch",
    "gamma",
    "task",
    "sparse",
    "absent",
)  # all other fields are tensors with the sample as first axis
_NAMES = ("label_names", "attribute_names")  # of the batch


@dataclass(frozen=True, eq=False)
class Trace:
    """One forward pass. Levels run from shallow to deep; modalities keep the batch's order.

    By modality, on the tokens (zero at padded positions):
      tokens            (batch, level, token, width)    H, the encoder's level tokens
      shared, private   (batch, level, token, rank)     coordinates in the shared and the private frame
      exchanged         (batch, level, token, rank)     shared coordinates after the exchange
      evidence          (batch, level, token)           length of the shared coordinates
      activation        (batch, level, token)           what is projected: scale (evidence - threshold)
      allocation        (batch, level, token)           its part in the exchange, in [0, 1]; sums to `budget` at most
      attention         (batch, level, head, token, other)  rows are this modality's tokens; columns are the tokens
                        of the other modalities, joined in the order of `others(modality)`
    By modality, on the levels:
      budget, participation            (batch, level)   tokens' worth of budget; share of it used per valid token
      cutoff                           (batch, level)   lambda: what the projection takes from every activation
      shared_summary, private_summary  (batch, level, rank)
    On the sample:
      level_gate        (batch, level)                  omega; each row sums to 1
      modality_gate     (batch, modality)               how much of the shared code each modality gives; sums to 1
      private_gate      (batch, modality)               eta in (0, 1), or 1 where gates are uniform
      threshold, scale  (batch, level)                  learned for each level: the evidence at which the activation is
                        0, and how it rises with the evidence. So a token has a share where its evidence is above the
                        cut, threshold + cutoff / scale. Without a budget 0 and 1, which say nothing
      rho               (batch, level)                  tokens' worth of budget for each real token at gamma 1, so that
                        budget = gamma * rho * real tokens; 1 without a budget
      shared_code, private_code        (batch, rank)
      prediction        (batch, output)                 logits, or the regressed value
    batch               the input, with ids, masks, labels, attributes
    gamma               the budget multiplier the pass ran with
    task                what the prediction is for, a name of `tasks.TASKS`
    sparse              False for a model without a budget: each real token has activation and share 1 at any gamma
    absent              what another model than CLCR does not name (`naming.trace_of`): these fields say nothing
    """

    batch: Batch
    gamma: float
    task: str
    sparse: bool
    tokens: dict[str, Float[Tensor, "batch level _ width"]]
    shared: dict[str, Float[Tensor, "batch level _ rank"]]
    private: dict[str, Float[Tensor, "batch level _ private_rank"]]
    exchanged: dict[str, Float[Tensor, "batch level _ rank"]]
    evidence: dict[str, Float[Tensor, "batch level _"]]
    activation: dict[str, Float[Tensor, "batch level _"]]
    allocation: dict[str, Float[Tensor, "batch level _"]]
    attention: dict[str, Float[Tensor, "batch level head _ _"]]
    budget: dict[str, Float[Tensor, "batch level"]]
    participation: dict[str, Float[Tensor, "batch level"]]
    cutoff: dict[str, Float[Tensor, "batch level"]]
    shared_summary: dict[str, Float[Tensor, "batch level rank"]]
    private_summary: dict[str, Float[Tensor, "batch level private_rank"]]
    level_gate: Float[Tensor, "batch level"]
    modality_gate: Float[Tensor, "batch modality"]
    private_gate: Float[Tensor, "batch modality"]
    threshold: Float[Tensor, "batch level"]
    scale: Float[Tensor, "batch level"]
    rho: Float[Tensor, "batch level"]
    shared_code: Float[Tensor, "batch rank"]
    private_code: Float[Tensor, "batch private_rank"]
    prediction: Float[Tensor, "batch output"]
    absent: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.batch)

    def __repr__(self) -> str:
        return f"Trace({len(self)} samples, {self.level_gate.shape[1]} levels, {', '.join(self.modalities)})"

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.batch.modalities

    def others(self, modality: str) -> tuple[str, ...]:
        """The modalities whose tokens are the columns of `attention[modality]`, in order."""
        return tuple(name for name in self.modalities if name != modality)

    @checked
    def row(self, sample: int) -> int:
        """The position of a sample id. Raises DataError for an id that the trace does not hold."""
        rows = np.flatnonzero(self.batch.ids.cpu().numpy() == sample)  # numpy compares with ids of any size
        if not len(rows):
            raise DataError(f"sample: id {sample} is not in this trace of {len(self)} samples")
        return int(rows[0])

    def select(self, index: Any) -> Trace:
        """The samples at `index`, as `Batch.select` takes it."""
        positions = positions_of(index, len(self), self.level_gate.device)
        return self._map(lambda _name, _modality, tensor: tensor[positions], self.batch.select(index))

    def to(self, device: torch.device | str) -> Trace:
        """A copy on `device`."""
        return self._map(lambda _name, _modality, tensor: tensor.to(device), self.batch.to(device))

    def _map(self, function: Callable[[str, str, Tensor], Tensor], batch: Batch) -> Trace:
        values: dict[str, Any] = {name: getattr(self, name) for name in _OF_THE_PASS} | {"batch": batch}
        for name, value in _entries(self):
            if isinstance(value, dict):
                values[name] = {m: function(name, m, tensor) for m, tensor in value.items()}
            else:
                values[name] = function(name, "", value)
        return Trace(**values)

    @staticmethod
    @checked
    def join(parts: Sequence[Trace]) -> Trace:
        """One trace of many, along the batch axis; shorter sequences are padded with zeros."""
        if not parts:
            raise DataError("traces: empty; at least 1 trace is needed")
        if len({(part.modalities, part.gamma, part.task, part.sparse, part.absent) for part in parts}) > 1:
            kinds = sorted(
                {
                    f"{', '.join(part.modalities)} at gamma {part.gamma} for {part.task}"
                    f"{'' if part.sparse else ' without a budget'}{' without ' * bool(part.absent)}"
                    f"{', '.join(part.absent)}"
                    for part in parts
                }
            )
            raise DataError(
                f"traces: of {' and of '.join(kinds)}; modalities, their order, gamma, task and whether there is a "
                f"budget must be the same"
            )
        batch = concatenate([part.batch for part in parts])
        length = {m: batch.masks[m].shape[1] for m in batch.modalities}

        def lengthen(part: Trace) -> Trace:
            def pad(name: str, modality: str, tensor: Tensor) -> Tensor:
                if name in _TOKEN_WISE:
                    return pad_axis(tensor, 2, length[modality])
                if name == "attention":
                    # columns are several modalities side by side: each is padded within its own stretch
                    own = {m: part.batch.masks[m].shape[1] for m in part.others(modality)}
                    pieces = tensor.split(list(own.values()), dim=4)
                    columns = [pad_axis(p, 4, length[m]) for m, p in zip(own, pieces, strict=True)]
                    return pad_axis(torch.cat(columns, dim=4), 3, length[modality])
                return tensor

            return part._map(pad, part.batch)

        padded = [lengthen(part) for part in parts]
        streams = iter(zip(*(_tensors(part) for part in padded), strict=True))
        return padded[0]._map(lambda _name, _modality, _tensor: torch.cat(next(streams)), batch)

    def by_name(self) -> dict[str, Tensor]:
        """Its tensors, those of a modality as `name/modality`; the batch apart. The names in files and exports."""
        return _by_name(self)

    @checked
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to one safetensors file, atomically."""
        tensors = {**self.by_name(), **_by_name(self.batch, "batch.")}
        about = {
            "kind": "trace",
            "gamma": self.gamma,
            "task": self.task,
            "sparse": self.sparse,
            "absent": self.absent,
            "tensors": list(tensors),  # a file keeps no order of its own
            "label_names": self.batch.label_names,
            "attribute_names": self.batch.attribute_names,
        }
        write_tensors(path, tensors, about)

    @staticmethod
    @checked
    def load(path: str | os.PathLike[str]) -> Trace:
        """Read what `save` wrote. Raises DataError for any other file."""
        tensors, about = read_tensors(path)
        if about.get("kind") != "trace":
            raise DataError(f"{path}: holds a {about.get('kind')}, not a trace")

        def group(holder: type[Trace] | type[Batch], name: str) -> Any:
            key = f"batch.{name}" if holder is Batch else name
            if holder.__annotations__[name].startswith("dict"):
                return {k.split("/", 1)[1]: tensors[k] for k in about["tensors"] if k.startswith(key + "/")}
            return tensors.get(key) if key == "batch.labels" else tensors[key]

        try:
            if set(about["tensors"]) != set(tensors):
                raise ValueError("its tensors are not the ones it was written with")
            task, sparse, absent = about["task"], about["sparse"], tuple(map(str, about.get("absent", ())))
            if task not in TASKS or not isinstance(sparse, bool):
                raise ValueError(f"its task is {task!r} and sparse is {sparse!r}")
            batch = Batch(
                **{f.name: group(Batch, f.name) for f in fields(Batch) if f.name not in _NAMES},
                label_names=tuple(map(str, about.get("label_names", ()))),
                attribute_names={a: tuple(map(str, names)) for a, names in about.get("attribute_names", {}).items()},
            )
            values = {f.name: group(Trace, f.name) for f in fields(Trace) if f.name not in _OF_THE_PASS}
            trace = Trace(batch=batch, gamma=float(about["gamma"]), task=task, sparse=sparse, absent=absent, **values)
            for name, value in _entries(trace):
                # without an exchange there is no attention
                if isinstance(value, dict) and tuple(value) != trace.modalities and (name != "attention" or value):
                    raise ValueError(f"{name} is not there for every modality")
            return trace
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: a trace of another version, or damaged ({error})") from error


def _entries(holder: Trace | Batch, prefix: str = "") -> list[tuple[str, Any]]:
    others = _OF_THE_PASS if isinstance(holder, Trace) else _NAMES
    return [(prefix + f.name, getattr(holder, f.name)) for f in fields(holder) if f.name not in others]


def _by_name(holder: Trace | Batch, prefix: str = "") -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, value in _entries(holder, prefix):
        if isinstance(value, dict):
            tensors.update({f"{name}/{inner}": tensor for inner, tensor in value.items()})
        elif value is not None:
            tensors[name] = value
    return tensors


def _tensors(trace: Trace) -> list[Tensor]:
    """All entries in the order in which `_map` visits them."""
    tensors: list[Tensor] = []
    for _, value in _entries(trace):
        tensors.extend(value.values() if isinstance(value, dict) else [value])
    return tensors
