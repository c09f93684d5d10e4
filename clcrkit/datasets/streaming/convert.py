"""convert: any data set, in memory or made piece by piece, to the files that `Shards` reads."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from tqdm.auto import tqdm

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.datasets.split import PARTS, Split
from clcrkit.datasets.streaming.shard_files import FORMAT, INDEX, checksum, index_digest, read_index, stored_rows
from clcrkit.errors import DataError
from clcrkit.files import digest, read_tensors, write_json, write_tensors

SHARD_BYTES = 64 * 2**20
PIECE = 256  # samples read at a time


@runtime_checkable
class Selectable(Protocol):
    """Samples that can be read at any position: a Batch, Shards, or files read on demand."""

    def __len__(self) -> int: ...
    def select(self, index: Any) -> Batch: ...


@public
def convert(
    source: Split | Mapping[str, Selectable | Iterable[Batch]],
    folder: str | os.PathLike[str],
    shard_bytes: int = SHARD_BYTES,
    progress: bool = True,
    label_names: Sequence[str] = (),
    attribute_names: Mapping[str, Sequence[str]] | None = None,
    sources: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write a data set as safetensors shards with a JSON index, and return the folder. `Shards(folder, part)` reads it.

    source: a Split, or by part the samples: a Batch, anything with `__len__` and `select`, or an iterable of Batches
    (a generator is enough). Names and `sources` come from a Split; else they may be given. A Split's functions
    (`describe`, `sound`, `picture`) cannot be written. Only one shard (`shard_bytes` of tokens) and the piece that is
    being read are in memory at a time.

    Called again with the same source, a conversion that was killed goes on after its last complete shard (an iterable
    is run through from its start) and ends in the same files, byte for byte; a finished folder is left as it is. One
    conversion at a time may work on a folder.
    Raises DataError where batches do not fit each other, where the folder holds another data set or cannot be
    written.
    """
    folder = Path(folder)
    names: dict[str, Any] = {"label_names": label_names, "attribute_names": attribute_names or {}, "vocabulary": {}}
    names["sources"] = sources or {}
    parts: Mapping[str, Any]
    if isinstance(source, Split):
        parts = {part: getattr(source, part) for part in PARTS}
        names = {name: getattr(source, name) for name in names}
    else:
        parts = source
    if not parts:
        raise DataError("source: no part given; at least 1 is needed")
    for part in parts:
        if not part or part != Path(part).name or "\\" in part or part.startswith("."):
            raise DataError(f"part {part!r}: it names files, so it must be a plain name")
    if (folder / INDEX).exists():
        stored = {part: sum(e["samples"] for e in entries) for part, entries in read_index(folder)["parts"].items()}
        counts = {part: len(s) if isinstance(s, Selectable) else stored.get(part) for part, s in parts.items()}
        if stored != counts:
            raise DataError(f"{folder}: holds a converted data set of {stored} samples, not {counts}; remove it first")
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for prefix in (f".{INDEX}.", *(f".{part}-" for part in parts)):
            for leftover in folder.glob(f"{glob.escape(prefix)}*"):
                leftover.unlink()  # a killed conversion was writing it
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error})") from error
    index: dict[str, Any] = {}
    entries = {part: _write_part(folder, part, each, index, shard_bytes, progress) for part, each in parts.items()}
    index = json.loads(json.dumps({**FORMAT, **index, **names, "parts": entries}))  # as it is read: lists, no tuples
    write_json(folder / INDEX, {**index, "digest": index_digest(index)})
    return folder


def _write_part(
    folder: Path, part: str, samples: Any, index: dict[str, Any], shard_bytes: int, progress: bool
) -> list[dict[str, Any]]:
    """The part's shards, and what the index says of each. The first batch of all fills `index`."""
    entries: list[dict[str, Any]] = []
    last_id, position = None, 0
    while (path := _shard_path(folder, part, len(entries))).exists():
        entry, last_id = _entry_of(path, index)
        entries.append(entry)
        position += entry["samples"]
    total = len(samples) if isinstance(samples, Selectable) else None
    with tqdm(total=total, initial=position, desc=f"convert {part}", unit="sample", disable=not progress) as bar:
        pieces = _pieces(samples, max(position - 1, 0))
        if last_id is not None:
            piece = next(pieces, None)
            if piece is None or int(piece.ids[0]) != last_id:
                raise DataError(f"{folder}: begun from another source ({part}, sample {position - 1}); remove it first")
            pieces = chain([piece.select(slice(1, None))], pieces)
        waiting: list[Batch] = []
        size = 0
        for piece in pieces:
            _check_fits(index, piece, part)
            first = 0
            for end, more in enumerate(_sample_bytes(piece), start=1):
                size += more
                if size >= shard_bytes or end == len(piece):
                    waiting.append(piece.select(slice(first, end)))
                    first = end
                if size >= shard_bytes:
                    entries.append(_write_shard(_shard_path(folder, part, len(entries)), waiting, index))
                    waiting, size = [], 0
            bar.update(len(piece))
        if waiting:
            entries.append(_write_shard(_shard_path(folder, part, len(entries)), waiting, index))
    if not entries:
        raise DataError(f"{part}: no sample; at least 1 is needed")
    return entries


def _pieces(samples: Selectable | Iterable[Batch], skip: int) -> Iterator[Batch]:
    """The samples from position `skip` on, some at a time."""
    if isinstance(samples, Selectable):
        for start in range(skip, len(samples), PIECE):
            yield samples.select(slice(start, min(start + PIECE, len(samples))))
        return
    for batch in samples:
        if skip < len(batch):
            yield batch.select(slice(skip, None))
        skip = max(0, skip - len(batch))


def _shard_path(folder: Path, part: str, number: int) -> Path:
    return folder / f"{part}-{number:05d}.safetensors"


def _write_shard(path: Path, batches: list[Batch], index: Mapping[str, Any]) -> dict[str, Any]:
    """Write the samples without their padding. The description goes with them, for a conversion that is resumed."""
    tensors = {"ids": torch.cat([b.ids for b in batches])}
    if index["labels"]:
        tensors["labels"] = torch.cat([b.labels for b in batches if b.labels is not None])
    tensors |= {f"attributes.{a}": torch.cat([b.attributes[a] for b in batches]) for a in index["attributes"]}
    for m in index["modalities"]:
        lengths = [_lengths(b.masks[m]) for b in batches]
        within = [torch.arange(b.masks[m].shape[1]) < n[:, None] for b, n in zip(batches, lengths, strict=True)]
        arrays = {"tokens": [b.tokens[m] for b in batches], "masks": [b.masks[m] for b in batches]}
        if m in index["evidence"]:
            arrays["evidence"] = [b.evidence[m].transpose(1, 2) for b in batches]
        tensors[f"offsets.{m}"] = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(lengths).cumsum(0)])
        for name, each in arrays.items():
            tensors[f"{name}.{m}"] = torch.cat([array[keep] for array, keep in zip(each, within, strict=True)])
    rows = [(m, tensors[f"{what}.{m}"].numpy()) for what, m in stored_rows(index["modalities"], index["evidence"])]
    starts = {m: tensors[f"offsets.{m}"].tolist() for m in index["modalities"]}
    tensors["checksums"] = torch.tensor(
        [checksum(array[starts[m][i] : starts[m][i + 1]] for m, array in rows) for i in range(len(tensors["ids"]))]
    )
    write_tensors(path, tensors, {"index": index})
    return _entry(path, tensors)


def _entry(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the index says of a shard. The digest is of what `Shards` keeps in memory."""
    kept = {name: x for name, x in tensors.items() if not name.startswith(("tokens.", "masks.", "evidence."))}
    return {"file": path.name, "samples": len(kept["ids"]), "bytes": path.stat().st_size, "digest": digest(kept)}


def _entry_of(path: Path, index: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """What the index says of a shard that is there, and the id of its last sample."""
    tensors, about = read_tensors(path)
    if "index" not in about or (index and index != about["index"]):
        raise DataError(f"{path}: begun from another source; remove it first")
    index |= about["index"]
    return _entry(path, tensors), int(tensors["ids"][-1])


def _check_fits(index: dict[str, Any], batch: Batch, part: str) -> None:
    labels = batch.labels
    facts = {
        "modalities": {m: t.shape[-1] if t.is_floating_point() else None for m, t in batch.tokens.items()},
        "evidence": {m: e.shape[1] for m, e in batch.evidence.items()},
        "labels": labels
        if labels is None
        else ["values" if labels.is_floating_point() else "classes", *labels.shape[1:]],
        "attributes": list(batch.attributes),
    }
    for what, value in facts.items():
        if index and index[what] != value:
            raise DataError(f"{part}: {what} {value} (first id {batch.ids[:1].tolist()}), but {index[what]} before")
    index |= facts


def _sample_bytes(batch: Batch) -> list[int]:
    """What the tokens of each sample take, without padding."""
    each = {m: t.shape[2] * 4 if t.is_floating_point() else 8 for m, t in batch.tokens.items()}
    return sum(_lengths(batch.masks[m]) * width for m, width in each.items()).tolist()  # type: ignore[union-attr]


def _lengths(mask: Bool[Tensor, "batch token"]) -> Int64[Tensor, "batch"]:
    """Up to the last real token."""
    return (mask * torch.arange(1, mask.shape[1] + 1)).amax(1)
