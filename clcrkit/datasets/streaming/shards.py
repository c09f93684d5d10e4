"""Shards: a converted data set, read from its files batch by batch, however large it is. `convert` writes it.

Only what has one value for each sample is kept in memory; the index has its digest, and with it the checksums, so that
any flipped bit is noticed when it is read. The tokens of a batch are read straight into its padded
arrays, so that memory does not grow over an epoch.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clcrkit.arguments import checked, public
from clcrkit.batch import Batch, order_of, positions_of
from clcrkit.datasets.readers.provenance import Provenance
from clcrkit.datasets.split import PARTS, Split
from clcrkit.datasets.streaming.shard_files import Rows, ShardFile, checksum, index_digest, read_index, stored_rows
from clcrkit.errors import DataError, check_range

_POOL = 50  # batches that are sorted by length together


class Shards:
    """One part of a converted data set. `fit` takes it in place of a Batch.

    folder    what `convert` wrote
    part      'train', 'valid' or 'test', or what the parts were called
    workers   processes that read ahead; 0 reads in this process. By default one for every two processors beyond the
              first two, at most 4: on two, reading in this process was as fast. And none where processes are not
              forked (Windows, macOS, Python 3.14), since there each would run an unguarded script again

    Known in memory, as in a Batch: `labels`, `ids`, `attributes`, `modalities`; and from the data set:
    `label_names`, `attribute_names`, `vocabulary`, `sources`. A configuration is read from a small piece:
    `CLCRConfig.of(shards.select(slice(256)), outputs=len(shards.label_names))`.
    Raises DataError where the index or a file is missing, damaged, not what the index says, or a link.
    """

    @checked
    def __init__(self, folder: str | os.PathLike[str], part: str = "train", workers: int | None = None) -> None:
        self.folder, self.part = Path(folder), part
        self.workers = _default_workers() if workers is None else workers
        check_range("workers", self.workers, 0, 1024)
        index = read_index(self.folder)
        if part not in index["parts"]:
            raise DataError(f"{self.folder}: no part {part!r}; there are {', '.join(index['parts'])}")
        self._sizes: dict[str, int | None] = index["modalities"]
        self._levels: dict[str, int] = index["evidence"]
        self.label_names: tuple[str, ...] = tuple(index["label_names"])
        self.attribute_names = {name: tuple(values) for name, values in index["attribute_names"].items()}
        self.vocabulary = {name: tuple(values) for name, values in index["vocabulary"].items()}
        self.sources = {name: Provenance(*values) for name, values in index.get("sources", {}).items()}
        self._files = [ShardFile(self.folder, entry, index) for entry in index["parts"][part]]
        self._starts = np.cumsum([0, *(len(file) for file in self._files)])
        self.digest = index_digest({**index, "parts": index["parts"][part]})  # of all its data, files included
        self._checksums = self._joined("checksums").tolist()
        self.ids = self._joined("ids")
        self.labels = self._joined("labels") if index["labels"] else None
        self.attributes = {name: self._joined(f"attributes.{name}") for name in index["attributes"]}
        self._spans: dict[str, ndarray] = {}  # (sample, 2): the first token of each, and the one behind its last
        for m in self._sizes:
            offsets = [file.per_sample[f"offsets.{m}"] for file in self._files]
            self._spans[m] = np.concatenate([np.stack([each[:-1], each[1:]], axis=1) for each in offsets])
        if len(torch.unique(self.ids)) < len(self.ids):
            raise DataError(f"{self.folder}: ids of the {part} part are repeated; each must be unique")

    def _joined(self, name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([file.per_sample[name] for file in self._files]))

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self._sizes)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Shards({self.part}: {len(self)} samples in {len(self._files)} files; {', '.join(self.modalities)})"

    def select(self, index: Any) -> Batch:
        """The samples at `index`, in memory; as `Batch.select`."""
        return self._read(torch.arange(len(self))[positions_of(index, len(self), torch.device("cpu"))])

    @checked
    def batches(self, size: int, order: Tensor | None = None, drop_last: bool = False) -> Iterator[Batch]:
        """Batches of `size` samples, in the given order of positions (default: as they are), read ahead by workers.

        They are the batches that `Batch.batches` would give for the same data and order.
        """
        check_range("size", size, 1)
        order = order_of(order, len(self))
        pieces = [piece.tolist() for piece in order.split(size) if len(piece) == size or (len(piece) and not drop_last)]
        loader = DataLoader(
            _Reader(self),
            batch_size=None,
            sampler=pieces,
            num_workers=min(self.workers, len(pieces)),
            worker_init_fn=_end_with_the_trainer,
            generator=torch.Generator(),  # the loader must not draw from the generator that training uses
        )
        for read in loader:
            if isinstance(read, DataError):
                raise read
            yield read

    def shuffled(self, generator: torch.Generator | None, size: int) -> Int64[Tensor, "sample"]:
        """A random order for `batches(size, order)` in which the samples of a batch are of similar length.

        Samples are shuffled, sorted by length within pools of 50 batches, and the batches shuffled; an incomplete
        batch comes last, and holds a random part of the samples. Every order follows from the generator alone.
        """
        lengths = torch.from_numpy(sum(spans[:, 1] - spans[:, 0] for spans in self._spans.values()))
        order = torch.randperm(len(self), generator=generator)
        full = len(self) // size * size
        pools = [pool[lengths[pool].argsort(stable=True)] for pool in order[:full].split(_POOL * size)]
        batches = torch.cat([*pools, order[:0]]).reshape(-1, size)
        return torch.cat([batches[torch.randperm(len(batches), generator=generator)].flatten(), order[full:]])

    def _read(self, positions: Int64[Tensor, "sample"]) -> Batch:
        wanted = positions.numpy()
        wrong = wanted[(wanted < 0) | (wanted >= len(self))]
        if len(wrong):
            raise DataError(f"{self.folder}: position {wrong[0]}, but part {self.part} has {len(self)} samples")
        numbers = np.searchsorted(self._starts, wanted, side="right") - 1  # of the file that holds each sample
        arrays: dict[str, ndarray] = {}
        reads: dict[int, list[Rows]] = defaultdict(list)  # by file
        for m, size in self._sizes.items():
            spans = self._spans[m][wanted]
            shape = (len(wanted), int((spans[:, 1] - spans[:, 0]).max(initial=1)))
            own: dict[str, ndarray] = {
                f"tokens.{m}": np.zeros(shape, np.int64) if size is None else np.zeros((*shape, size), np.float32),
                f"masks.{m}": np.zeros(shape, np.uint8),
            }
            if m in self._levels:
                own[f"evidence.{m}"] = np.zeros((*shape, self._levels[m]), np.uint8)
            for i, (number, span) in enumerate(zip(numbers.tolist(), spans.tolist(), strict=True)):
                reads[number] += [(name, *span, array[i]) for name, array in own.items()]
            arrays |= own
        for number, of_file in reads.items():
            self._files[number].prefetch(of_file)
        for number, of_file in reads.items():
            self._files[number].read(of_file)
        for m, size in self._sizes.items():
            values = arrays[f"tokens.{m}"]
            usable = values >= 0 if size is None else np.isfinite(values)
            if not usable.all():
                bad = int((~usable).reshape(len(wanted), -1).any(1).argmax())
                what = "holds a negative token id" if size is None else "is not finite"
                raise DataError(f"{self._files[numbers[bad]].path}: {m} of id {int(self.ids[wanted[bad]])} {what}")
        lengths = {m: np.diff(self._spans[m][wanted])[:, 0].tolist() for m in self._sizes}
        for i, position in enumerate(wanted.tolist()):
            rows = (arrays[f"{what}.{m}"][i, : lengths[m][i]] for what, m in stored_rows(self._sizes, self._levels))
            if checksum(rows) != self._checksums[position]:
                path, sample = self._files[numbers[i]].path, int(self.ids[position])
                raise DataError(f"{path}: id {sample} is damaged (its checksum is another one); convert again")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return Batch(
            tokens={m: tensors[f"tokens.{m}"] for m in self._sizes},
            masks={m: tensors[f"masks.{m}"] != 0 for m in self._sizes},
            labels=None if self.labels is None else self.labels[positions],
            ids=self.ids[positions],
            attributes={name: values[positions] for name, values in self.attributes.items()},
            evidence={m: (tensors[f"evidence.{m}"] != 0).transpose(1, 2).contiguous() for m in self._levels},
        )


def _end_with_the_trainer(_: int) -> None:
    """Let this worker end when the process that started it is killed.

    PyTorch's workers watch their parent, and those from a fork server are children of that server, which in its turn
    lives as long as they do.
    """

    def watch() -> None:
        if trainer := multiprocessing.parent_process():
            trainer.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _default_workers() -> int:
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return max(0, min(4, (os.cpu_count() or 1) // 2 - 1)) if method == "fork" else 0


@dataclass(frozen=True)
class ShardedSplit(Split):
    """A Split whose parts are Shards."""

    train: Shards  # type: ignore[assignment]
    valid: Shards  # type: ignore[assignment]
    test: Shards  # type: ignore[assignment]


@public
def sharded(folder: str | os.PathLike[str]) -> ShardedSplit:
    """Open a converted Split. Raises DataError as Shards does."""
    train, valid, test = (Shards(folder, part) for part in PARTS)
    about = {name: getattr(train, name) for name in ("label_names", "attribute_names", "vocabulary", "sources")}
    return ShardedSplit(train, valid, test, **about)


class _Reader(Dataset[Any]):
    """What the workers of a DataLoader run: one batch for one list of positions."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards

    def __getitem__(self, positions: list[int]) -> Batch | DataError:
        try:
            return self.shards._read(torch.tensor(positions))
        except DataError as error:  # handed over as it is: a worker's exception would come with its traceback as text
            return error
