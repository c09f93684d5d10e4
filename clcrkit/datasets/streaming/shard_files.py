"""The files of a converted data set: an index, and safetensors files that are read row by row.

A folder holds `index.json` and safetensors files. A file holds its samples one after the other, without padding:

    ids                (sample,)
    labels             (sample,) or (sample, label), where there are labels
    attributes.<name>  (sample,)
    offsets.<m>        (sample + 1,), where the tokens of each sample begin; a missing modality has none
    tokens.<m>         (all tokens, feature) float32, or (all tokens,) int64
    masks.<m>          (all tokens,), where the token is real
    evidence.<m>       (all tokens, level), where it is known
    checksums          (sample,), of the last three of each sample, over all modalities (CRC-32)
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from safetensors import SafetensorError, safe_open

from clcrkit.errors import DataError
from clcrkit.files import digest

FORMAT = {"format": "clcrkit shards", "version": 2}
INDEX = "index.json"
_LARGEST_INDEX = 64 * 2**20
_DTYPES = {"F32": np.float32, "I64": np.int64, "BOOL": np.uint8}  # a byte of a damaged file may be neither 0 nor 1

Rows = tuple[str, int, int, ndarray]  # of an array: its name, the first row, the one behind the last, and a target


def read_index(folder: Path) -> dict[str, Any]:
    """The checked index of a folder. Raises DataError for anything that `convert` would not have written."""
    path = folder / INDEX
    try:
        if path.is_symlink() or path.stat().st_size > _LARGEST_INDEX:
            raise ValueError("it is a link or too large")
        index = json.loads(path.read_text(encoding="utf-8"))
        stored = index.pop("digest", None)
        _check_index(index)
        if stored != index_digest(index):
            raise ValueError("its digest is another one")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; convert(source, folder) writes it when it is done") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not an index that convert wrote, or damaged ({error})") from error
    return index


def index_digest(index: Mapping[str, Any]) -> str:
    return digest({}, json.dumps(index, sort_keys=True))


def _check_index(index: Any) -> None:
    def need(holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(what)

    def count(value: Any, least: int) -> bool:
        return type(value) is int and least <= value < 2**48

    need({name: index[name] for name in FORMAT} == FORMAT, f"{FORMAT} is needed")
    sizes, levels, labels = index["modalities"], index["evidence"], index["labels"]
    need(bool(sizes) and all(size is None or count(size, 1) for size in sizes.values()), "modalities need sizes")
    need(set(levels) <= set(sizes) and all(count(value, 1) for value in levels.values()), "evidence needs levels")
    kinds = [["classes"], ["values"]]
    multi = isinstance(labels, list) and len(labels) == 2 and labels[0] == "values" and count(labels[1], 1)
    need(labels is None or labels in kinds or multi, "labels are of no known kind")
    texts = [index["attributes"], index["label_names"], *index["attribute_names"].values()]
    sources = index.get("sources", {}).values()
    need(all(len(source) == 3 for source in sources), "sources need made_by, version and date")
    for names in [*texts, *index["vocabulary"].values(), *sources]:
        need(isinstance(names, list) and all(isinstance(name, str) for name in names), "names must be lists of text")
    need(bool(index["parts"]), "a part is needed")
    for entries in index["parts"].values():
        need(bool(entries), "a part without files")
        for entry in entries:
            name = entry["file"]
            need(isinstance(name, str) and name == Path(name).name and "\\" not in name and name not in ("", ".", ".."),
                 f"file name {name!r}")  # fmt: skip
            need(isinstance(entry["digest"], str), f"{name} needs its digest")
            need(count(entry["samples"], 1) and count(entry["bytes"], 1), f"{name} needs its samples and bytes")


def _layout(path: Path) -> dict[str, tuple[Any, tuple[int, ...], int]]:
    """By array: its type, its shape and where it starts in the file, which safetensors checks but does not tell."""
    with safe_open(path, framework="np"), open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {
        name: (_DTYPES[about["dtype"]], tuple(about["shape"]), 8 + length + about["data_offsets"][0])
        for name, about in header.items()
        if name != "__metadata__"
    }


def stored_rows(modalities: Iterable[str], evidence: Iterable[str]) -> list[tuple[str, str]]:
    """Kind and modality of the arrays on the tokens, in the order in which a sample's checksum covers them."""
    kinds = {"tokens": modalities, "masks": modalities, "evidence": evidence}
    return [(what, m) for what, names in kinds.items() for m in names]


def checksum(rows: Iterable[ndarray]) -> int:
    """CRC-32 of a sample's rows."""
    total = 0
    for row in rows:
        total = zlib.crc32(row.tobytes(), total)
    return total


class ShardFile:
    """One safetensors file of a part, checked against the index; the arrays of one value a sample are in memory."""

    def __init__(self, folder: Path, entry: Mapping[str, Any], index: Mapping[str, Any]) -> None:
        self.path = folder / entry["file"]
        self._samples = entry["samples"]
        if self.path.is_symlink() or not self.path.is_file():
            what = "a link" if self.path.is_symlink() else "no such file"
            raise DataError(f"{self.path}: {what}, but a file is needed")
        if (size := self.path.stat().st_size) != entry["bytes"]:
            raise DataError(f"{self.path}: {size} bytes, but the index says {entry['bytes']}")
        try:
            self._layout = _layout(self.path)
            self._check_layout(index)
            self.per_sample = {
                name: np.empty(shape, dtype)
                for name, (dtype, shape, _) in self._layout.items()
                if not name.startswith(("tokens.", "masks.", "evidence."))
            }
            self.read([(name, 0, len(array), array) for name, array in self.per_sample.items()])
            self._check_values(index)
            if digest({name: torch.from_numpy(array) for name, array in self.per_sample.items()}) != entry["digest"]:
                raise ValueError("its digest is not the one of the index")
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.path}: not a file that convert wrote, or damaged ({error})") from error

    def __len__(self) -> int:
        return self._samples

    def prefetch(self, wanted: Sequence[Rows]) -> None:
        """Ask the system to fetch these rows from the disk, all at once; it goes on while others are read."""
        if hasattr(os, "posix_fadvise"):  # not on Windows and macOS
            with self._opened() as file:
                for name, first, last, _ in wanted:
                    start, size = self._place(name, first, last)
                    os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_WILLNEED)

    def read(self, wanted: Sequence[Rows]) -> None:
        """Read rows to the front of their targets."""
        with self._opened() as file:
            for name, first, last, target in wanted:
                start, size = self._place(name, first, last)
                file.seek(start)
                if size and file.readinto(target[: last - first].data.cast("B")) != size:
                    raise DataError(f"{self.path}: shorter than when it was opened")

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        try:
            with open(self.path, "rb", buffering=0) as file:
                yield file
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error})") from error

    def _place(self, name: str, first: int, last: int) -> tuple[int, int]:
        """Where rows of an array begin in the file, and how many bytes they take."""
        dtype, shape, start = self._layout[name]
        row = np.dtype(dtype).itemsize * math.prod(shape[1:])
        return start + first * row, (last - first) * row

    def _check_layout(self, index: Mapping[str, Any]) -> None:
        n = self._samples
        wanted: dict[str, tuple[Any, tuple[int, ...]]] = {"ids": (np.int64, (n,)), "checksums": (np.int64, (n,))}
        wanted |= {f"attributes.{name}": (np.int64, (n,)) for name in index["attributes"]}
        if index["labels"]:
            kind, *rest = index["labels"]
            wanted["labels"] = (np.int64 if kind == "classes" else np.float32, (n, *rest))
        for m, size in index["modalities"].items():
            total = self._layout[f"masks.{m}"][1][0]
            wanted[f"offsets.{m}"] = (np.int64, (n + 1,))
            wanted[f"masks.{m}"] = (np.uint8, (total,))
            wanted[f"tokens.{m}"] = (np.int64, (total,)) if size is None else (np.float32, (total, size))
            if m in index["evidence"]:
                wanted[f"evidence.{m}"] = (np.uint8, (total, index["evidence"][m]))
        layout = {name: (dtype, shape) for name, (dtype, shape, _) in self._layout.items()}
        for name in layout | wanted:
            if layout.get(name) != wanted.get(name):
                raise ValueError(f"{name} is not what the index says")

    def _check_values(self, index: Mapping[str, Any]) -> None:
        lengths = np.zeros(self._samples, np.int64)
        for m in index["modalities"]:
            offsets, total = self.per_sample[f"offsets.{m}"], self._layout[f"masks.{m}"][1][0]
            if offsets[0] != 0 or offsets[-1] != total or (np.diff(offsets) < 0).any():
                raise ValueError(f"offsets.{m} do not rise from 0 to its number of tokens")
            lengths += np.diff(offsets)
        if not lengths.all():
            raise ValueError("a sample has no token in any modality")
        labels = self.per_sample.get("labels")
        if labels is not None and (not np.isfinite(labels).all() or (labels.dtype == np.int64 and (labels < 0).any())):
            raise ValueError("labels must be finite, and classes start at 0")
