"""Data of your own: arrays in memory, or a folder of files with a list of them (manifest.csv)."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Num
from numpy import ndarray
from torch import Tensor

from clcrkit.batch import Batch, collate
from clcrkit.datasets.readers.array_files import FREE_BYTES, LARGEST_RATIO, read_array
from clcrkit.datasets.readers.paths import inside, read_lines
from clcrkit.datasets.split import PARTS, Split, draw_parts
from clcrkit.errors import DataError

_SPELLINGS = {**{part: part for part in PARTS}, "val": "valid", "dev": "valid", "validation": "valid"}
_FACTS = ("id", "split", "label", "group")
_MOST_MODALITIES = 32
MOST_CLASSES = 2**16


def from_arrays(
    tokens: Mapping[str, Any],
    labels: Any,
    masks: Mapping[str, Any] | None = None,
    groups: Any = None,
    parts: Any = None,
    names: Any = None,
    seed: int = 0,
) -> Split:
    """A Split of arrays that hold all samples.

    tokens, masks: by modality, as in Batch.from_arrays: (sample, token, feature) floats or (sample, token) ids, and
        (sample, token), True where real; a row of all False is a missing modality.
    labels: whole numbers or strings are classes (strings in the order of the alphabet), floats a regression, 0/1
        floats of two axes several labels.
    groups: who or what each sample is a recording of (a speaker, a video). parts: "train", "valid" or "test" for each
        sample; without them 70 %, 10 % and 20 % are drawn from `seed`, with no group in two parts and classes balanced.
    names: what each sample is called. Batch.ids are positions in the arrays; attributes `group` and `name` where given.
    Raises DataError for values that cannot be used and for an empty part. Nothing is scaled: `check` says what should
    be, and the training part alone may say how.
    """
    codes, label_names = _encode_labels(labels)
    attributes: dict[str, Any] = {}
    attribute_names: dict[str, tuple[str, ...]] = {}
    for what, values in (("group", groups), ("name", names)):
        if values is not None:
            attributes[what], attribute_names[what] = _encode([str(value) for value in _as_list(values)])
    batch = Batch.from_arrays(tokens, labels=codes, masks=masks, attributes=attributes)
    if "name" in attributes and len(attribute_names["name"]) < len(batch):
        raise DataError(f"names: {len(batch) - len(attribute_names['name'])} of {len(batch)} are repeated")
    if parts is None:
        part_of = draw_parts(np.asarray(codes), attributes.get("group"), seed=seed)
    else:
        listed = [str(value).strip().lower() for value in _as_list(parts)]
        for i, value in enumerate(listed):
            if value not in _SPELLINGS:
                raise DataError(f"parts: sample {i} is in {value[:40]!r}, but train, valid or test is needed")
        part_of = np.array([_SPELLINGS[value] for value in listed])
    if len(part_of) != len(batch):
        raise DataError(f"parts: {len(part_of)} of them, but there are {len(batch)} samples")
    counts = {part: int((part_of == part).sum()) for part in PARTS}
    if not all(counts.values()):
        raise DataError(f"parts: {counts}, but each needs a sample at least")
    train, valid, test = (batch.select(np.flatnonzero(part_of == part)) for part in PARTS)
    return Split(train, valid, test, label_names, attribute_names)


def from_folder(manifest: str | os.PathLike[str], seed: int = 0) -> Split:
    """A Split of files that a csv file lists; they lie in its folder.

    manifest: a header, then a line for each sample. Columns: id (unique), label, if known group and split (all or
        none; see `from_arrays`), and one column for each modality, which names a file: npy, npz, safetensors, h5 or
        csv, with "::name" behind it where it holds several arrays. An empty cell is a missing modality.
    A file holds (token, feature) floats or (token,) ids; floats of one axis are one token. Labels that are all whole
    numbers are classes, other numbers a regression, anything else the names of classes. Samples are padded to the
    longest of all.
    Raises DataError, with the line, for what cannot be used: a file out of the folder (also by a link), damaged, named
    twice in a column, or padded to many times what all files hold.
    """
    path = Path(manifest)
    rows = _rows(path)
    modalities = [column for column in rows[0] if column not in _FACTS]
    samples, names_used, memory, on_disk = [], set(), 0, 0
    for line, row in enumerate(rows, start=2):
        sample = {}
        for m in modalities:
            if not row[m]:
                continue
            if (m, row[m]) in names_used:
                raise DataError(f"{path}: line {line}: {m} names {row[m]} again; each sample needs arrays of its own")
            names_used.add((m, row[m]))
            file, _, name = row[m].partition("::")
            try:
                file_path = inside(path.parent, file)
                sample[m] = _one_sample(file_path, read_array(file_path, name))
            except DataError as error:
                raise DataError(f"{path}: line {line}, {m}: {error}") from None
            memory += sample[m].nbytes
            on_disk += file_path.stat().st_size
            if memory > max(FREE_BYTES, LARGEST_RATIO * on_disk):
                raise DataError(f"{path}: line {line}: its arrays take {memory} bytes, but their files {on_disk}")
        if not sample:
            raise DataError(f"{path}: line {line}: no file in any modality; leave the line out")
        samples.append(sample)
    for m in modalities:
        shapes = [sample[m].shape for sample in samples if m in sample]
        longest = max((shape[0] for shape in shapes), default=0)
        padded = len(samples) * longest * math.prod(max(shapes, default=())[1:]) * 4
        if padded > max(FREE_BYTES, LARGEST_RATIO * memory):
            raise DataError(f"{path}: {m} padded to {longest} tokens takes {padded} bytes")
    try:
        batch = collate(samples)
        return from_arrays(
            batch.tokens,
            labels=_labels([row["label"] for row in rows]),
            masks=batch.masks,
            groups=_column(rows, "group"),
            parts=_column(rows, "split"),
            names=[row["id"] for row in rows],
            seed=seed,
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _rows(path: Path) -> list[dict[str, str]]:
    """The lines of the manifest, by column, with the spaces around cells left out."""
    try:
        lines = list(csv.reader(read_lines(path.parent, path.name), strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: not a csv file ({error})") from error
    header = [cell.strip() for cell in lines[0]]
    if not {"id", "label"} <= set(header) or len(set(header)) < len(header) or "" in header:
        raise DataError(
            f"{path}: columns {', '.join(header)[:200]}, but id, label and modalities, each once, are needed"
        )
    modalities = len(set(header) - set(_FACTS))
    if not 1 <= modalities <= _MOST_MODALITIES:
        raise DataError(f"{path}: {modalities} modalities, but 1 to {_MOST_MODALITIES} are needed")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(header):
            raise DataError(f"{path}: line {number} has {len(line)} cells, but the header has {len(header)}")
    if len(lines) < 2:
        raise DataError(f"{path}: no line for a sample")
    return [dict(zip(header, (cell.strip() for cell in line), strict=True)) for line in lines[1:]]


def _column(rows: list[dict[str, str]], name: str) -> list[str] | None:
    """The cells of a column; None where it is not there or empty."""
    cells = [row.get(name, "") for row in rows]
    if "" in cells and any(cells):
        raise DataError(f"line {cells.index('') + 2}: no {name}, but other lines have one")
    return cells if any(cells) else None


def _one_sample(path: Path, array: Num[ndarray, "..."]) -> Num[ndarray, "token ..."]:
    if array.dtype.kind == "f" and array.ndim == 1:
        array = array[None]
    if array.ndim != (2 if array.dtype.kind == "f" else 1) or 0 in array.shape:
        raise DataError(
            f"{path}: {array.dtype} of shape {array.shape}, but (token, feature) floats or (token,) ids are needed"
        )
    return array


def _labels(cells: list[str]) -> list[Any]:
    """Whole numbers, else numbers, else names of classes."""
    for kind in (np.int64, float):
        with suppress(ValueError, OverflowError):
            return [kind(cell) for cell in cells]
    return cells


def _encode_labels(labels: Any) -> tuple[Any, tuple[str, ...]]:
    """Labels as numbers, and what classes are called."""
    listed = _as_list(labels)
    if any(isinstance(value, str) for value in listed):
        if not all(isinstance(value, str) and value for value in listed):
            raise DataError("labels: some are names of classes, and some are empty or no names")
        return _encode(listed)
    try:
        values = np.asarray(listed)
    except ValueError:
        raise DataError("labels: rows of different lengths") from None
    if values.dtype.kind in "iub" and values.ndim == 1 and len(values):
        if values.max() >= MOST_CLASSES:
            raise DataError(f"labels: class {values.max()}, but classes go from 0 to less than {MOST_CLASSES}")
        return values.astype(np.int64), tuple(map(str, range(int(values.max()) + 1)))
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)  # what is beyond it becomes inf, and is refused
    return values, ()


def _encode(texts: list[str]) -> tuple[Int64[ndarray, "sample"], tuple[str, ...]]:
    """Each text as a number in alphabetical order, and what each number stands for."""
    names, codes = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return codes.astype(np.int64), tuple(names)


def _as_list(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, (ndarray, Tensor)) else list(values)
