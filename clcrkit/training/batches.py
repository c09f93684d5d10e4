"""The data of a training: a Batch, or a Source of batches that need not be in memory all at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from clcrkit.arguments import wrong
from clcrkit.batch import Batch
from clcrkit.errors import DataError
from clcrkit.files import digest
from clcrkit.tasks import TASKS


@runtime_checkable
class Source(Protocol):
    """The data that `fit`, `evaluate` and `predict` take: a Batch, `datasets.Shards`, or anything with these members.

    `batches` yields the samples at the positions in `order`, in exactly that order. A source may also have
    `shuffled(generator, size) -> Tensor`, an order of its own for an epoch, in which for instance samples of
    similar length come together; it must follow from the generator alone. Without it the order is uniform. And it may
    have `digest`, a text that tells its data from others (see `digest_of`).
    """

    @property
    def labels(self) -> Tensor | None: ...
    @property
    def modalities(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def batches(self, size: int, order: Tensor | None = None, drop_last: bool = False) -> Iterator[Batch]: ...


def part(data: Any, name: str) -> Source:
    """The part of a Split; other data as they are. Raises DataError for what is no data."""
    source = getattr(data, name) if all(hasattr(data, part) for part in ("train", "valid", "test")) else data
    if not isinstance(source, Source):
        raise wrong(name, source, "a Batch, Shards or a Split")
    if not len(source):
        raise DataError(f"samples: the {name} part has 0, but 1 or more are needed")
    return source


def check_labels(name: str, source: Source, model: Any) -> None:
    """Raise DataError where the source's labels are not those of the model."""
    if source.labels is None:
        raise DataError(f"labels: the {name} part has none")
    TASKS[model.config.task].check_labels(source.labels, model.config.outputs, name)
    theirs, ours = (tuple(getattr(x, "label_names", ())) for x in (source, model.config))
    if theirs and ours and theirs != ours:
        raise DataError(
            f"labels: the {name} part calls its classes {', '.join(theirs[:5])} and the model {', '.join(ours[:5])}; "
            f"pass the same classes=[...] for all parts"
        )


def opened(name: str, source: Source, model: Any, device: torch.device, least: int = 1) -> Source:
    """The source, checked as far as that is possible before training; a Batch moves to the device at once.

    Raises DataError where it has fewer than `least` samples or no labels, or does not fit the model. Of a source that
    is no Batch, only the first sample's tokens are checked here; each batch is checked when it is read.
    """
    if len(source) < least:
        raise DataError(f"samples: the {name} part has {len(source)}, but {least} or more are needed")
    check_labels(name, source, model)
    if isinstance(source, Batch):
        return model.ready(source).to(device)
    model.ready(next(source.batches(1, torch.zeros(1, dtype=torch.int64))))
    return source


def digest_of(source: Source) -> str:
    """A digest of what training sees of the data. A Batch is read in full (on one core 0.5 to 2 GB/s). Shards and other
    sources may have a `digest` that costs less: theirs is that of the index, which holds one of every file. Of a source
    without it the labels and the first sample are taken."""
    own = getattr(source, "digest", None)
    if isinstance(own, str):
        return own
    batch = source if isinstance(source, Batch) else next(source.batches(1, torch.zeros(1, dtype=torch.int64)))
    tensors = {f"{what}/{m}": x for what in ("tokens", "masks") for m, x in getattr(batch, what).items()}
    return digest(tensors if source.labels is None else {**tensors, "labels": source.labels})


def ready_batches(
    model: Any, source: Source, size: int, device: torch.device, order: Tensor | None = None
) -> Iterator[Batch]:
    """Batches on the device, with the model's modalities."""
    if isinstance(source, Batch):
        # once: looking up the largest token id makes the host wait for the device
        for batch in model.ready(source).batches(size, order):
            yield batch.to(device)
        return
    for batch in source.batches(size, order):
        ready = model.ready(batch)
        if device.type == "cuda":  # out of pinned memory, so that the host need not wait for the copy
            yield ready.map(Tensor.pin_memory).to(device, non_blocking=True)
        else:
            yield ready.to(device)


def epoch_order(source: Source, seed: int, size: int) -> Int64[Tensor, "sample"]:
    """The order of one epoch, from the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    if hasattr(source, "shuffled"):
        return source.shuffled(generator, size)
    return torch.randperm(len(source), generator=generator)


def part_of(order: Int64[Tensor, "sample"], size: int, rank: int, count: int) -> Int64[Tensor, "_"]:
    """The samples of process `rank` of `count`: an equal part of every batch of `size` in this order.

    Parts must be equal, since streams of unequal parts cannot be gathered. `size` is a multiple of `count`; the
    remainder of the last batch is dropped."""
    return torch.cat([batch[: len(batch) // count * count].chunk(count)[rank] for batch in order.split(size)])
