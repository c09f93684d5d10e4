"""Batch: what a model is given. Token sequences by modality, with masks, labels, ids and known truth.

Everything that enters the kit enters here: `Batch.from_arrays` and `collate` check values once, at the door,
so that nothing behind it has to. The rest of the kit trusts a Batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from clcrkit.errors import DataError


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of several modalities. Modalities may differ in length; each has its own mask.

    tokens      by modality: (batch, token, feature) floats, or (batch, token) int64 token ids
    masks       by modality: (batch, token), True where the token is real; a row without any True is a
                missing modality. What lies under False never matters.
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

        tokens: by modality (batch, token, feature) floats or (batch, token) integers; (batch, feature) floats
        are taken as one token. masks: by modality (batch, token); a modality without one is all real.
        Integer labels are classes; floats of one axis are regression targets, of two axes multi-label 0/1.
        Raises DataError for empty, NaN or infinite input (where the mask says real), wrong axes or lengths.
        """
        if not tokens:
            raise DataError("tokens: no modality given; at least 1 is needed")
        made: dict[str, Tensor] = {}
        made_masks: dict[str, Tensor] = {}
        size: int | None = None
        for name, values in tokens.items():
            array = _as_numbers(name, values)
            if array.is_floating_point() and array.ndim == 2:
                array = array[:, None, :]
            wanted = 3 if array.is_floating_point() else 2
            if array.ndim != wanted or 0 in array.shape:
                axes = "(batch, token, feature)" if wanted == 3 else "(batch, token)"
                raise DataError(f"{name}: shape {tuple(array.shape)}, but {axes} with no empty axis is needed")
            size = array.shape[0] if size is None else size
            if array.shape[0] != size:
                raise DataError(f"{name}: {array.shape[0]} samples, but {next(iter(made))} has {size}")
            mask = torch.ones(array.shape[:2], dtype=torch.bool)
            if masks is not None and name in masks:
                mask = _as_tensor(f"{name} mask", masks[name]).bool()
                if mask.shape != array.shape[:2]:
                    raise DataError(
                        f"{name}: mask of shape {tuple(mask.shape)}, but (batch, token) is {tuple(array.shape[:2])}"
                    )
            made[name], made_masks[name] = array, mask
        unknown = set(masks or ()) - set(made)
        if unknown:
            raise DataError(f"masks: {_names(unknown)} is no modality; there are {_names(made)}")
        assert size is not None
        id_tensor = torch.arange(size) if ids is None else _as_tensor("ids", ids).long()
        if id_tensor.shape != (size,):
            raise DataError(f"ids: shape {tuple(id_tensor.shape)}, but ({size},) is needed")
        if len(torch.unique(id_tensor)) != size:
            raise DataError(f"ids: {size - len(torch.unique(id_tensor))} of {size} are repeated; each must be unique")
        batch = cls(
            tokens={name: _cleaned(name, made[name], made_masks[name], id_tensor) for name in made},
            masks=made_masks,
            labels=None if labels is None else _checked_labels(labels, size, id_tensor),
            ids=id_tensor,
            attributes={name: _checked_attribute(name, values, size) for name, values in (attributes or {}).items()},
            evidence={name: _checked_evidence(name, values, made_masks) for name, values in (evidence or {}).items()},
        )
        present = torch.stack([mask.any(1) for mask in made_masks.values()]).any(0)
        if not present.all():
            raise DataError(
                f"masks: {int((~present).sum())} of {size} samples have no token in any modality "
                f"(first: id {int(id_tensor[~present][0])}); drop them"
            )
        return batch

    def select(self, index: Any) -> Batch:
        """The samples at `index`: a slice, a list of positions or a bool mask."""
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.ids.device)

        def pick(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor[index] for name, tensor in values.items()}

        return Batch(
            tokens=pick(self.tokens),
            masks=pick(self.masks),
            labels=None if self.labels is None else self.labels[index],
            ids=self.ids[index],
            attributes=pick(self.attributes),
            evidence=pick(self.evidence),
        )

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

        def move(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: move(inner) for name, inner in value.items()}
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value

        return Batch(**{f.name: move(getattr(self, f.name)) for f in fields(self)})

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
            yield self.select(index.to(self.ids.device))._cut(lengths)

    def _cut(self, lengths: Mapping[str, int]) -> Batch:
        return replace(
            self,
            tokens={m: t[:, : lengths[m]] for m, t in self.tokens.items()},
            masks={m: t[:, : lengths[m]] for m, t in self.masks.items()},
            evidence={m: t[:, :, : lengths[m]] for m, t in self.evidence.items()},
        )


def collate(samples: Sequence[Mapping[str, Any]], labels: Any = None, ids: Any = None) -> Batch:
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
        rows = [_as_numbers(name, s[name]) if s.get(name) is not None else None for s in samples]
        known = [row for row in rows if row is not None and row.numel()]
        if not known:
            raise DataError(f"{name}: no sample has a token; leave the modality out")
        if len({(row.ndim, row.shape[1:], row.is_floating_point()) for row in known}) > 1:
            kinds = sorted({f"{str(row.dtype).removeprefix('torch.')} {tuple(row.shape[1:])}" for row in known})
            raise DataError(f"{name}: samples differ in width or kind: {', '.join(kinds)}")
        if known[0].ndim != (2 if known[0].is_floating_point() else 1):
            raise DataError(
                f"{name}: a sample of shape {tuple(known[0].shape)}, but (token, feature) floats or "
                f"(token,) integers are needed"
            )
        longest = max(len(row) for row in known)
        tokens[name] = known[0].new_zeros((len(rows), longest, *known[0].shape[1:]))
        masks[name] = torch.zeros(len(rows), longest, dtype=torch.bool)
        for i, row in enumerate(rows):
            if row is not None and row.numel():
                tokens[name][i, : len(row)] = row
                masks[name][i, : len(row)] = True
    return Batch.from_arrays(tokens, labels=labels, masks=masks, ids=ids)


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
        return values
    shape = list(values.shape)
    shape[axis] = length - values.shape[axis]
    return torch.cat([values, values.new_zeros(shape)], dim=axis)


def _names(names: Any) -> str:
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


def _cleaned(name: str, values: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
    """Zero what the mask hides; refuse what it shows and cannot be used."""
    values = values.masked_fill(~(mask[..., None] if values.ndim == 3 else mask), 0)
    if values.is_floating_point():
        for kind, bad in (("NaN", values.isnan()), ("inf", values.isinf())):
            if bad.any():
                _refuse(name, f"hold {kind}; only finite numbers are allowed", bad.any(-1), ids)
    elif (values < 0).any():
        _refuse(name, f"hold a token id of {int(values.min())}; ids start at 0", values < 0, ids)
    return values


def _refuse(name: str, what: str, bad: Tensor, ids: Tensor) -> None:
    rows = bad.any(1)
    row = int(rows.nonzero()[0])
    raise DataError(
        f"{name}: {int(rows.sum())} of {len(bad)} samples {what} "
        f"(first: id {int(ids[row])}, token {int(bad[row].nonzero()[0])})"
    )


def _checked_labels(labels: Any, size: int, ids: Tensor) -> Tensor:
    tensor = _checked_length("labels", _as_tensor("labels", labels), size)
    if tensor.ndim > 2:
        raise DataError(f"labels: {tensor.ndim} axes, but (batch,) or (batch, label) is needed")
    if tensor.ndim == 2 and not ((tensor == 0) | (tensor == 1)).all():
        raise DataError("labels: (batch, label) labels must be 0 or 1 each")
    if tensor.is_floating_point():
        tensor = tensor.float()  # first: a float64 may be beyond float32
        bad = ~tensor.isfinite()
        if bad.any():
            _refuse("labels", "are NaN or inf; only finite numbers are allowed", bad.reshape(size, -1), ids)
        return tensor
    if (tensor < 0).any():
        _refuse(
            "labels",
            f"are negative ({int(tensor.min())}); classes start at 0",
            (tensor < 0).reshape(size, -1),
            ids,
        )
    return tensor.float() if tensor.ndim == 2 else tensor.long()


def _checked_attribute(name: str, values: Any, size: int) -> Tensor:
    tensor = _checked_length(f"attribute {name}", _as_tensor(f"attribute {name}", values), size)
    if tensor.ndim != 1 or tensor.is_floating_point():
        found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise DataError(f"attribute {name}: {found}, but ({size},) integers are needed")
    return tensor.long()


def _checked_evidence(name: str, values: Any, masks: Mapping[str, Tensor]) -> Tensor:
    if name not in masks:
        raise DataError(f"evidence: {name} is no modality; there are {_names(masks)}")
    size, length = masks[name].shape
    tensor = _checked_length(f"evidence {name}", _as_tensor(f"evidence {name}", values), size)
    if tensor.ndim != 3 or tensor.shape[2] != length:
        raise DataError(f"evidence {name}: shape {tuple(tensor.shape)}, but ({size}, level, {length}) is needed")
    return tensor.bool()


def _checked_length(name: str, values: Tensor, size: int) -> Tensor:
    if values.ndim == 0 or values.shape[0] != size:
        raise DataError(f"{name}: shape {tuple(values.shape)}, but {size} samples are needed")
    return values
