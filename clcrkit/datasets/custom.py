"""Data of your own: arrays in memory, or a folder of files with a list of them (manifest.csv)."""

from __future__ import annotations

import csv
import math
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.conversion import as_list, by_name, is_missing
from clcrkit.datasets.readers.array_files import read_array
from clcrkit.datasets.readers.paths import inside, read_lines
from clcrkit.datasets.readers.provenance import provenance_of
from clcrkit.datasets.split import PARTS, Split, draw_parts
from clcrkit.errors import DataError
from clcrkit.files import FREE_BYTES, LARGEST_RATIO

_SPELLINGS = {**{part: part for part in PARTS}, "val": "valid", "dev": "valid", "validation": "valid"}
_FACTS = ("id", "split", "label", "group")
_MOST_MODALITIES = 32
_NO_LABEL = ("", "nan", "inf", "+inf", "-inf", "infinity")
_MOST_DIGITS = 18  # of a whole number


@public
def from_arrays(
    tokens: Any,
    labels: Any,
    masks: Any = None,
    groups: Any = None,
    parts: Any = None,
    names: Any = None,
    seed: int = 0,
    attributes: Any = None,
    **settings: Any,
) -> Split:
    """A Split of arrays that hold all samples.

    tokens, labels, masks, attributes, settings: as in `Batch.from_arrays`, which says what they may be.
    groups: who or what each sample is a recording of (a speaker, a video). parts: "train", "valid" or "test" for each
        sample; without them 70 %, 10 % and 20 % are drawn from `seed`, with no group in two parts and classes balanced.
    names: what each sample is called. Batch.ids are positions in the arrays; attributes `group` and `name` where given.
    Raises DataError for values that cannot be used and for an empty part. Nothing is scaled: `check` says what should
    be, and the training part alone may say how.
    """
    known = by_name("attributes", attributes)
    for what, values in (("group", groups), ("name", names)):
        if values is not None:
            listed = as_list(f"{what}s", values)
            if missing := sum(map(is_missing, listed)):
                raise DataError(f"{what}s: {missing} of {len(listed)} are missing; give each sample its own")
            known[what] = np.array([str(value) for value in listed], dtype=object)
    batch = Batch.from_arrays(tokens, labels, masks, attributes=known, **settings)
    if batch.labels is None:
        raise DataError("labels: None, but a data set to train on needs one for each sample")
    if names is not None and len(batch.attribute_names["name"]) < len(batch):
        raise DataError(f"names: {len(batch) - len(batch.attribute_names['name'])} of {len(batch)} are repeated")
    if parts is None:
        members = batch.attributes["group"].numpy() if groups is not None else None
        part_of = draw_parts(batch.labels.numpy(), members, seed=seed)
    else:
        spelt = [str(value).strip().lower() for value in as_list("parts", parts)]
        for i, value in enumerate(spelt):
            if value not in _SPELLINGS:
                raise DataError(f"parts: sample {i} is in {value[:40]!r}, but train, valid or test is needed")
        part_of = np.array([_SPELLINGS[value] for value in spelt])
    if len(part_of) != len(batch):
        raise DataError(f"parts: {len(part_of)} of them, but there are {len(batch)} samples")
    counts = {part: int((part_of == part).sum()) for part in PARTS}
    if not all(counts.values()):
        raise DataError(f"parts: {counts}, but each needs a sample at least")
    train, valid, test = (batch.select(np.flatnonzero(part_of == part)) for part in PARTS)
    is_class = not batch.labels.is_floating_point()
    label_names = tuple(map(str, range(int(batch.labels.max()) + 1))) if is_class else ()
    return Split(train, valid, test, batch.label_names or label_names, batch.attribute_names)


@public
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
    files: dict[str, list[Path]] = {m: [] for m in modalities}
    for line, row in enumerate(rows, start=2):
        sample = {}
        for m in modalities:
            if not row[m]:
                continue
            file, _, name = row[m].partition("::")
            try:
                file_path = inside(path.parent, file)
                if (m, file_path.resolve(), name) in names_used:  # however it is spelt
                    raise DataError(f"{row[m]} is named again; each sample needs arrays of its own")
                names_used.add((m, file_path.resolve(), name))
                files[m].append(file_path)
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
        if not shapes:
            raise DataError(f"{path}: column {m} names no file; leave it out")
        longest = max(shape[0] for shape in shapes)
        padded = len(samples) * longest * math.prod(max(shapes)[1:]) * 4
        if padded > max(FREE_BYTES, LARGEST_RATIO * memory):
            raise DataError(f"{path}: {m} padded to {longest} tokens takes {padded} bytes")
    try:
        labels, task = _labels([row["label"] for row in rows])
        sources = {m: source for m, paths in files.items() if (source := provenance_of(paths))}
        split = from_arrays(
            {m: [sample.get(m) for sample in samples] for m in modalities},
            labels,
            groups=_column(rows, "group"),
            parts=_column(rows, "split"),
            names=[row["id"] for row in rows],
            seed=seed,
            task=task,
        )
        return replace(split, sources=sources)
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
    ids: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise DataError(f"{path}: line {number} has {len(line)} cells, but the header has {len(header)}")
        sample = line[header.index("id")].strip()
        if not sample or ids.setdefault(sample, number) < number:
            what = f"id {sample} is that of line {ids[sample]}" if sample else "no id"
            raise DataError(f"{path}: line {number}: {what}; each sample needs one of its own")
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


def _labels(cells: list[str]) -> tuple[list[Any], str]:
    """Whole numbers, else numbers, else names of classes; and the task that they are for."""
    for line, cell in enumerate(cells, start=2):
        if cell.lower() in _NO_LABEL or (cell.lstrip("+-").isdecimal() and len(cell) > _MOST_DIGITS):
            raise DataError(f"line {line}: label {cell!r}, but a number or the name of a class is needed")
    for kind, task in ((np.int64, "classification"), (float, "regression")):
        with suppress(ValueError, OverflowError):
            return [kind(cell) for cell in cells], task
    return cells, "classification"
