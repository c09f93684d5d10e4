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
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clcrkit.errors import DataError
from clcrkit.ops import zero_padding


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
    """

    tokens: dict[str, Shaped[Tensor, "batch ..."]]
    masks: dict[str, Bool[Tensor, "batch _"]]
    labels: Shaped[Tensor, "batch ..."] | None
    ids: Int64[Tensor, "batch"]
    attributes: dict[str, Int64[Tensor, "batch"]] = field(default_factory=dict)
    evidence: dict[str, Bool[Tensor, "batch level _"]] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.tokens)

    def __len__(self) -> int:
        return self.ids.shape[0]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(t.shape[1:])}" for name, t in self.tokens.items())
        return f"Batch({len(self)} samples: {shapes})"

    @classmethod
    def from_arrays(
        cls,
        tokens: Mapping[str, Any],
        labels: Any = None,
        masks: Mapping[str, Any] | None = None,
        ids: Any = None,
        attributes: Mapping[str, Any] | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Batch:
        """Check arrays or tensors and make a Batch of them.

        The arguments are the fields of a Batch. (batch, feature) floats are taken as one token; a modality without a
        mask is all real. Integer labels are classes; floats of one axis are regression targets, of two multi-label.
        Raises DataError for empty, NaN or infinite input (where the mask says real), wrong axes or lengths.
        """
        if not tokens:
            raise DataError("tokens: no modality given; at least 1 is needed")
        sequences = {name: _as_sequences(name, values) for name, values in tokens.items()}
        first = next(iter(sequences))
        size = len(sequences[first])
        for name, values in sequences.items():
            if len(values) != size:
                raise DataError(f"{name}: {len(values)} samples, but {first} has {size}")
        for what, by_modality in (("masks", masks), ("evidence", evidence)):
            unknown = set(by_modality or ()) - set(sequences)
            if unknown:
                raise DataError(f"{what}: {_names(unknown)} is no modality; there are {_names(sequences)}")
        real = {name: _as_mask(name, (masks or {}).get(name), values) for name, values in sequences.items()}
        id_tensor = torch.arange(size) if ids is None else _as_tensor("ids", ids).long()
        if id_tensor.shape != (size,):
            raise DataError(f"ids: shape {tuple(id_tensor.shape)}, but ({size},) is needed")
        if len(id_tensor.unique()) != size:
            raise DataError(f"ids: {size - len(id_tensor.unique())} of {size} are repeated; each must be unique")
        batch = cls(
            tokens={name: _cleaned(name, values, real[name], id_tensor) for name, values in sequences.items()},
            masks=real,
            labels=None if labels is None else _as_labels(labels, size, id_tensor),
            ids=id_tensor,
            attributes={name: _as_attribute(name, values, size) for name, values in (attributes or {}).items()},
            evidence={name: _as_evidence(name, values, real[name]) for name, values in (evidence or {}).items()},
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
                return {name: function(tensor) for name, tensor in value.items()}
            return None if value is None else function(value)

        return Batch(**{f.name: apply(getattr(self, f.name)) for f in fields(self)})

    def select(self, index: Any) -> Batch:
        """The samples at `index`: a slice, a list of positions or a bool mask."""
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.ids.device)
        return self.map(lambda tensor: tensor[index])

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
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def batches(self, size: int, order: Tensor | None = None, drop_last: bool = False) -> Iterator[Batch]:
        """Batches of `size` samples, in the given order of positions (default: as they are).

        A batch is cut to its longest sequence, which changes no result: padding never matters.
        """
        order = torch.arange(len(self)) if order is None else order.cpu()
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


def collate(samples: Sequence[Mapping[str, Any]], labels: Any = None, ids: Any = None, attributes: Any = None) -> Batch:
    """Pad samples of different lengths into one Batch.

    samples: one mapping per sample, modality -> (token, feature) floats or (token,) integers. A modality that
    a sample lacks (absent, None, or of no tokens) is a missing modality: its mask is all False.
    Raises DataError where a modality changes its width or kind between samples.
    """
    if not samples:
        raise DataError("samples: empty; at least 1 sample is needed")
    tokens: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    for name in dict.fromkeys(name for sample in samples for name in sample):
        rows = {i: _as_numbers(name, s[name]) for i, s in enumerate(samples) if s.get(name) is not None}
        rows = {i: row for i, row in rows.items() if row.numel()}
        if not rows:
            raise DataError(f"{name}: no sample has a token; leave the modality out")
        first, *_ = rows.values()
        if len({(row.ndim, row.shape[1:], row.is_floating_point()) for row in rows.values()}) > 1:
            kinds = sorted({f"{str(row.dtype).removeprefix('torch.')} {tuple(row.shape[1:])}" for row in rows.values()})
            raise DataError(f"{name}: samples differ in width or kind: {', '.join(kinds)}")
        if first.ndim != (2 if first.is_floating_point() else 1):
            raise DataError(
                f"{name}: a sample of shape {tuple(first.shape)}, but (token, feature) floats or "
                f"(token,) integers are needed"
            )
        padded = [rows.get(i, first[:0]) for i in range(len(samples))]
        tokens[name] = pad_sequence(padded, batch_first=True)
        masks[name] = torch.arange(tokens[name].shape[1]) < torch.tensor([[len(row)] for row in padded])
    return Batch.from_arrays(tokens, labels=labels, masks=masks, ids=ids, attributes=attributes)


def repeat_tokens(batch: Batch, times: int) -> Batch:
    """The batch with each modality's tokens, masks and evidence `times` times in a row, on the token axis."""
    tokens = {m: t.repeat(1, times, *[1] * (t.ndim - 2)) for m, t in batch.tokens.items()}
    masks = {m: mask.repeat(1, times) for m, mask in batch.masks.items()}
    evidence = {m: e.repeat(1, 1, times) for m, e in batch.evidence.items()}
    return replace(batch, tokens=tokens, masks=masks, evidence=evidence)


def concatenate(parts: Sequence[Batch]) -> Batch:
    """Join batches of the same modalities along the batch axis, padding to the longest.

    Labels are kept only where every part has them."""
    first = parts[0]
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
    )


def pad_axis(values: Shaped[Tensor, "..."], axis: int, length: int) -> Shaped[Tensor, "..."]:
    """Lengthen one axis to `length` with zeros (False, id 0) at the end."""
    if values.shape[axis] == length:
        return values  # no copy
    return F.pad(values, [0, 0] * (values.ndim - 1 - axis) + [0, length - values.shape[axis]])


def _names(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names)))


def _as_tensor(name: str, values: Any) -> Tensor:
    try:
        # a copy: torch takes no array that is reversed or read-only, and a later change must not reach the Batch
        tensor = values.detach().clone() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: not an array of numbers ({error})") from None
    if tensor.is_complex():
        raise DataError(f"{name}: complex numbers, but real ones are needed")
    return tensor


def _as_numbers(name: str, values: Any) -> Tensor:
    tensor = _as_tensor(name, values)
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def _as_sequences(name: str, values: Any) -> Tensor:
    """(batch, token, feature) floats or (batch, token) ids."""
    tensor = _as_numbers(name, values)
    if tensor.is_floating_point() and tensor.ndim == 2:
        tensor = tensor[:, None, :]
    axes = "(batch, token, feature)" if tensor.is_floating_point() else "(batch, token)"
    if tensor.ndim != axes.count(",") + 1 or 0 in tensor.shape:
        raise DataError(f"{name}: shape {tuple(tensor.shape)}, but {axes} with no empty axis is needed")
    return tensor


def _as_mask(name: str, values: Any, sequences: Tensor) -> Tensor:
    if values is None:
        return torch.ones(sequences.shape[:2], dtype=torch.bool)
    mask = _as_tensor(f"{name} mask", values).bool()
    if mask.shape != sequences.shape[:2]:
        raise DataError(
            f"{name}: mask of shape {tuple(mask.shape)}, but (batch, token) is {tuple(sequences.shape[:2])}"
        )
    return mask


def _cleaned(name: str, values: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
    """Tokens with 0 at padding; refused where a real one cannot be used."""
    values = zero_padding(values, mask)
    if values.is_floating_point():
        for kind, bad in (("NaN", values.isnan()), ("inf", values.isinf())):
            _refuse(name, f"hold {kind}; only finite numbers are allowed", bad.any(-1), ids)
    else:
        _refuse(name, f"hold a token id of {int(values.min())}; ids start at 0", values < 0, ids)
    return values


def _refuse(name: str, what: str, bad: Tensor, ids: Tensor) -> None:
    """Raise DataError where any of `bad`, (batch, token), is True, and name the first."""
    rows = bad.any(1)
    if rows.any():
        row = int(rows.nonzero()[0])
        raise DataError(
            f"{name}: {int(rows.sum())} of {len(bad)} samples {what} "
            f"(first: id {int(ids[row])}, token {int(bad[row].nonzero()[0])})"
        )


def _as_labels(values: Any, size: int, ids: Tensor) -> Tensor:
    labels = _of_length("labels", values, size)
    if labels.ndim > 2:
        raise DataError(f"labels: {labels.ndim} axes, but (batch,) or (batch, label) is needed")
    if labels.ndim == 2 and not ((labels == 0) | (labels == 1)).all():
        raise DataError("labels: (batch, label) labels must be 0 or 1 each")
    labels = labels.float() if labels.is_floating_point() else labels  # before: a float64 may be beyond float32
    _refuse("labels", "are NaN or inf; only finite numbers are allowed", ~labels.isfinite().reshape(size, -1), ids)
    if labels.is_floating_point() or labels.ndim == 2:
        return labels.float()
    _refuse("labels", f"are negative ({int(labels.min())}); classes start at 0", (labels < 0)[:, None], ids)
    return labels.long()


def _as_attribute(name: str, values: Any, size: int) -> Tensor:
    tensor = _of_length(f"attribute {name}", values, size)
    if tensor.ndim != 1 or tensor.is_floating_point():
        shape = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise DataError(f"attribute {name}: {shape}, but ({size},) integers are needed")
    return tensor.long()


def _as_evidence(name: str, values: Any, mask: Tensor) -> Tensor:
    size, length = mask.shape
    tensor = _of_length(f"evidence {name}", values, size)
    if tensor.ndim != 3 or tensor.shape[2] != length:
        raise DataError(f"evidence {name}: shape {tuple(tensor.shape)}, but ({size}, level, {length}) is needed")
    return tensor.bool()


def _of_length(name: str, values: Any, size: int) -> Tensor:
    tensor = _as_tensor(name, values)
    if tensor.ndim == 0 or tensor.shape[0] != size:
        raise DataError(f"{name}: shape {tuple(tensor.shape)}, but {size} samples are needed")
    return tensor
