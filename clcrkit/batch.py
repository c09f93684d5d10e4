"""Batch: the input of every model. Token sequences by modality, with masks, labels, ids and known truth.

All data enter the kit through `Batch.from_arrays` or `collate`, which check every value once. The rest of the kit
trusts a Batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from clcrkit.arguments import checked, public
from clcrkit.conversion import (
    MOST_TOKEN_IDS,
    as_attribute,
    as_bool,
    as_labels,
    as_mask,
    as_sequences,
    as_tensor,
    as_whole,
    by_name,
    of_length,
    refuse,
)
from clcrkit.errors import DataError, check_range
from clcrkit.ops import as_device, on_host, plain_torch, zero_padding


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of several modalities. Modalities may differ in length; each has its own mask.

    tokens      by modality: (batch, token, feature) floats, or (batch, token) int64 token ids
    masks       by modality: (batch, token), True where the token is real; a row without any True is a
                missing modality. Tokens where the mask is False change no result.
    labels      (batch,) int64 classes, (batch,) floats, (batch, label) 0/1 floats; None where unknown
    ids         (batch,) int64, one for each sample: the key that links every table and picture
    attributes  by name: (batch,) int64, known facts that are not the label (speaker, private factor, ...)
    evidence    by modality: (batch, level, token) bool, the tokens that are known to carry shared
                information at each level; empty where the truth is unknown
    label_names, attribute_names   what classes and an attribute's values are called, where they have names
    """

    tokens: dict[str, Shaped[Tensor, "batch ..."]]
    masks: dict[str, Bool[Tensor, "batch _"]]
    labels: Shaped[Tensor, "batch ..."] | None
    ids: Int64[Tensor, "batch"]
    attributes: dict[str, Int64[Tensor, "batch"]] = field(default_factory=dict)
    evidence: dict[str, Bool[Tensor, "batch level _"]] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    attribute_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.tokens)

    def __len__(self) -> int:
        return self.ids.shape[0]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(t.shape[1:])}" for name, t in self.tokens.items())
        return f"Batch({len(self)} samples: {shapes})"

    @classmethod
    @plain_torch()
    def from_arrays(
        cls,
        tokens: Any,
        labels: Any = None,
        masks: Any = None,
        ids: Any = None,
        attributes: Any = None,
        evidence: Any = None,
        task: str | None = None,
        classes: int | Sequence[Any] | None = None,
        axes: str | Mapping[str, str] | None = None,
    ) -> Batch:
        """Check arrays and make a Batch of them: of numpy, torch (on any device) or pandas, or lists.

        tokens: by modality, (batch, token, feature) floats or (batch, token) integers, which are token ids; or a list
            of one array for each sample, (token, feature) or (token,), of any length. A sample that is None or nothing
            but NaN lacks the modality. Masked entries of a masked array are padding.
        labels: integers or names are classes, floats of one axis a regression, 0/1 of two axes several labels.
        masks: by modality, (batch, token), True where real; or (batch,), lengths, or booleans: is it there?
            A modality without one is real wherever it has tokens.
        attributes: by name, integers or names.
        task: a name of `tasks.TASKS`, where labels may be of two ("classification" for 0., 1., 2.).
        classes: their values in order where labels lack some or are not 0, 1, 2, ...; or their number.
        axes: for floats of one axis for each sample, what it is, "feature" or "token"; for all or by modality.

        Raises DataError for empty, NaN or infinite input (where the mask says real), wrong axes or lengths, values that
        would change on the way (0.7 as an id), absurd sizes, and input that may mean two things.
        """
        sequences, there = {}, {}
        for name, values in by_name("tokens", tokens).items():
            axis = axes.get(name) if isinstance(axes, Mapping) else axes
            sequences[name], there[name] = as_sequences(name, values, axis)
        if not sequences:
            raise DataError("tokens: no modality given; at least 1 is needed")
        first = next(iter(sequences))
        size = len(sequences[first])
        for name, values in sequences.items():
            if len(values) != size:
                raise DataError(f"{name}: {len(values)} samples, but {first} has {size}")
        given = {"masks": by_name("masks", masks), "evidence": by_name("evidence", evidence)}
        for what, names in (*given.items(), ("axes", axes if isinstance(axes, Mapping) else {})):
            if unknown := set(names) - set(sequences):
                raise DataError(f"{what}: {_names(unknown)} is no modality; there are {_names(sequences)}")
        real = {name: as_mask(name, given["masks"].get(name), there[name]) for name in sequences}
        id_tensor = torch.arange(size) if ids is None else as_whole("ids", as_tensor("ids", ids))
        if id_tensor.shape != (size,):
            raise DataError(f"ids: shape {tuple(id_tensor.shape)}, but ({size},) is needed")
        if len(id_tensor.unique()) != size:
            raise DataError(f"ids: {size - len(id_tensor.unique())} of {size} are repeated; each must be unique")
        known = {name: as_attribute(name, x, size) for name, x in by_name("attributes", attributes).items()}
        label_tensor, label_names = (None, ()) if labels is None else as_labels(labels, id_tensor, task, classes)
        batch = cls(
            tokens={name: _cleaned(name, values, real[name], id_tensor) for name, values in sequences.items()},
            masks=real,
            labels=label_tensor,
            ids=id_tensor,
            attributes={name: tensor for name, (tensor, _) in known.items()},
            evidence={name: _as_evidence(name, values, real[name]) for name, values in given["evidence"].items()},
            label_names=label_names,
            attribute_names={name: names for name, (_, names) in known.items() if names},
        )
        empty = ~torch.stack([mask.any(1) for mask in real.values()]).any(0)
        if empty.any():
            raise DataError(
                f"masks: {int(empty.sum())} of {size} samples have no token in any modality "
                f"(first: id {int(id_tensor[empty][0])}); drop them"
            )
        return batch

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """A Batch of function(tensor) for each of its tensors."""

        def apply(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: apply(entry) for name, entry in value.items()}
            return function(value) if isinstance(value, Tensor) else value

        return Batch(**{f.name: apply(getattr(self, f.name)) for f in fields(self)})

    def select(self, index: Any) -> Batch:
        """The samples at `index`, as numpy takes it: a slice, positions, a bool mask; `batch[index]` is the same, and
        `batch[3]` a Batch of one. Raises DataError for an index that does not fit."""
        positions = positions_of(index, len(self), self.ids.device)
        return self.map(lambda tensor: tensor[positions])

    __getitem__ = select

    def __iter__(self) -> Iterator[Batch]:
        return (self[i] for i in range(len(self)))

    @checked
    def only(self, *modalities: str) -> Batch:
        """The same samples with these modalities only."""
        unknown = set(modalities) - set(self.tokens)
        if unknown or not modalities:
            raise DataError(f"modalities: {_names(unknown) or 'none'} asked for, but there are {_names(self.tokens)}")
        return replace(
            self,
            tokens={m: self.tokens[m] for m in modalities},
            masks={m: self.masks[m] for m in modalities},
            evidence={m: e for m, e in self.evidence.items() if m in modalities},
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """A copy on `device`."""
        device = as_device(device)
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    @checked
    def batches(self, size: int, order: Tensor | None = None, drop_last: bool = False) -> Iterator[Batch]:
        """Batches of `size` samples, in the given order of positions (default: as they are).

        A batch is cut to its longest sequence, which changes no result: padding never matters.
        """
        check_range("size", size, 1)
        order = order_of(order, len(self))
        longest = {m: mask.cumsum(1).argmax(1).add(1).cpu() for m, mask in self.masks.items()}
        for start in range(0, len(order), size):
            index = order[start : start + size]
            if drop_last and len(index) < size:
                return
            lengths = {m: int(longest[m][index].max()) for m in self.masks}
            batch = self.select(index.to(self.ids.device))
            yield replace(
                batch,
                tokens={m: t[:, : lengths[m]] for m, t in batch.tokens.items()},
                masks={m: t[:, : lengths[m]] for m, t in batch.masks.items()},
                evidence={m: t[:, :, : lengths[m]] for m, t in batch.evidence.items()},
            )


@public
def collate(samples: Sequence[Mapping[str, Any]], labels: Any = None, **settings: Any) -> Batch:
    """Pad samples of different lengths into one Batch.

    samples: one mapping per sample, modality -> (token, feature) floats or (token,) integers. A modality that
    a sample lacks (absent, None, or of no tokens) is a missing modality: its mask is all False.
    settings: other arguments of `Batch.from_arrays`, which raises DataError for what cannot be used.
    """
    if not samples:
        raise DataError("samples: empty; at least 1 sample is needed")
    modalities = dict.fromkeys(name for sample in samples for name in sample)
    return Batch.from_arrays({m: [sample.get(m) for sample in samples] for m in modalities}, labels, **settings)


def repeat_tokens(batch: Batch, times: int) -> Batch:
    """The batch with each modality's tokens, masks and evidence `times` times in a row, on the token axis."""
    tokens = {m: t.repeat(1, times, *[1] * (t.ndim - 2)) for m, t in batch.tokens.items()}
    masks = {m: mask.repeat(1, times) for m, mask in batch.masks.items()}
    evidence = {m: e.repeat(1, 1, times) for m, e in batch.evidence.items()}
    return replace(batch, tokens=tokens, masks=masks, evidence=evidence)


def concatenate(parts: Sequence[Batch]) -> Batch:
    """Join batches of the same modalities along the batch axis, padding to the longest.

    Labels are kept only where every part has them."""
    if not parts:
        raise DataError("batches: empty; at least 1 is needed")
    first = parts[0]
    names = {(part.label_names, tuple(part.attribute_names.items())) for part in parts}
    if len(names) > 1:
        raise DataError("batches: their classes or attributes have different names, so equal numbers are not the same")
    labels = [p.labels for p in parts if p.labels is not None]

    def join(pieces: list[Tensor], axis: int) -> Tensor:
        longest = max(piece.shape[axis] for piece in pieces)
        return torch.cat([pad_axis(piece, axis, longest) for piece in pieces])

    return Batch(
        tokens={m: join([p.tokens[m] for p in parts], 1) for m in first.tokens},
        masks={m: join([p.masks[m] for p in parts], 1) for m in first.masks},
        labels=None if len(labels) < len(parts) else torch.cat(labels),
        ids=torch.cat([p.ids for p in parts]),
        attributes={a: torch.cat([p.attributes[a] for p in parts]) for a in first.attributes},
        evidence={m: join([p.evidence[m] for p in parts], 2) for m in first.evidence},
        label_names=first.label_names,
        attribute_names=first.attribute_names,
    )


def pad_axis(values: Shaped[Tensor, "..."], axis: int, length: int) -> Shaped[Tensor, "..."]:
    """Lengthen one axis to `length` with zeros (False, id 0) at the end."""
    if values.shape[axis] == length:
        return values  # no copy
    return F.pad(values, [0, 0] * (values.ndim - 1 - axis) + [0, length - values.shape[axis]])


def order_of(order: Any, size: int) -> Int64[Tensor, "position"]:
    """The order of positions as it is given, on the CPU; by default all `size` as they are."""
    positions = torch.arange(size) if order is None else as_whole("order", as_tensor("order", order))
    if positions.ndim != 1:
        raise DataError(f"order: {positions.ndim} axes, but one position after the other is needed")
    return positions


def positions_of(index: Any, size: int, device: torch.device) -> slice | Shaped[Tensor, "position"]:
    """What picks the samples at `index` of `size` from tensors on the device. Raises DataError where it cannot."""
    if isinstance(index, slice) and (index.step is None or (isinstance(index.step, int) and index.step > 0)):
        return index  # a view
    if isinstance(index, Tensor) and index.ndim == 1 and index.dtype == torch.int64 and not on_host(index):
        return index.to(device)  # no look at its values, for which the host would wait
    try:
        if not isinstance(index, slice):
            values = index.detach().cpu().numpy() if isinstance(index, Tensor) else np.asarray(index)
            index = (
                values.astype(np.int64) if values.size == 0 else values.astype(bool) if _all_bool(values) else values
            )
        positions = np.array(np.arange(size)[index], ndmin=1)
        if positions.ndim > 1:
            raise IndexError(f"{positions.ndim} axes")
        return torch.from_numpy(positions).to(device)
    except (IndexError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"index: {error}; positions below {size}, a slice or {size} booleans are needed") from None


def _all_bool(values: ndarray) -> bool:
    """Also of pandas' booleans, which are objects."""
    return values.dtype == object and all(isinstance(value, (bool, np.bool_)) for value in values.ravel())


def _names(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names)))


def _cleaned(name: str, values: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
    """Tokens with 0 at padding; refused where a real one cannot be used."""
    values = zero_padding(values, mask)
    if values.is_floating_point():
        for kind, bad in (("NaN", values.isnan()), ("inf", values.isinf())):
            refuse(name, f"hold {kind}; only finite numbers are allowed", bad.any(-1), ids, ": fill or mask them")
        return values
    cure = ": integers are token ids; pass floats for measurements"
    refuse(name, f"hold a token id of {int(values.min())}; ids start at 0", values < 0, ids, cure)
    what = f"hold a token id of {int(values.max())}; ids must be below {MOST_TOKEN_IDS}"
    refuse(name, what, values >= MOST_TOKEN_IDS, ids, cure)
    return values


def _as_evidence(name: str, values: Any, mask: Tensor) -> Tensor:
    size, length = mask.shape
    tensor = of_length(f"evidence {name}", values, size)
    if tensor.ndim != 3 or tensor.shape[2] != length:
        raise DataError(f"evidence {name}: shape {tuple(tensor.shape)}, but ({size}, level, {length}) is needed")
    return as_bool(f"evidence {name}", tensor)
