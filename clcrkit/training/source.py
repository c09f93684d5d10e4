"""What `fit` trains on: a Batch, or a Source of batches that need not be in memory all at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from clcrkit.batch import Batch
from clcrkit.errors import DataError


@runtime_checkable
class Source(Protocol):
    """What `fit`, `evaluate` and `predict` ask of data: a Batch has it, and so has `datasets.Shards`.

    `batches` yields the samples at the positions in `order`, in exactly that order. A source may also have
    `shuffled(generator, size) -> Tensor`, an order of its own for an epoch, in which for instance samples of
    similar length come together; it must follow from the generator alone. Without it the order is uniform.
    """

    @property
    def labels(self) -> Tensor | None: ...
    @property
    def modalities(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def batches(self, size: int, order: Tensor | None = None, drop_last: bool = False) -> Iterator[Batch]: ...


def opened(name: str, source: Source, model: Any, device: torch.device, least: int = 1) -> Source:
    """The source, checked as far as that is possible before training; a Batch moves to the device as a whole.

    Raises DataError where it has less than `least` samples or no labels, or does not fit the model. The tokens of a
    source that is no Batch are checked batch by batch.
    """
    if len(source) < least:
        raise DataError(f"samples: the {name} part has {len(source)}, but {least} or more are needed")
    if source.labels is None:
        raise DataError(f"labels: the {name} part has none")
    classes = model.config.outputs if model.config.task == "classification" else math.inf
    if source.labels.max() >= classes:
        highest = int(source.labels.max())
        raise DataError(f"labels: the {name} part holds class {highest}, but classes must be below {classes}")
    if isinstance(source, Batch):
        return model.ready(source).to(device)
    model.ready(first(source))
    return source


def ready_batches(
    model: Any, source: Source, size: int, device: torch.device, order: Tensor | None = None
) -> Iterator[Batch]:
    """Batches on the device, with the model's modalities."""
    whole = isinstance(source, Batch)
    if whole:
        source = model.ready(source)  # at once: looking up the largest token id makes the host wait for the device
    for batch in source.batches(size, order):
        yield batch.to(device) if whole else _sent(model.ready(batch), device)


def epoch_order(source: Source, seed: int, size: int) -> Int64[Tensor, "sample"]:
    """The order of one epoch, from the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    if hasattr(source, "shuffled"):
        return source.shuffled(generator, size)
    return torch.randperm(len(source), generator=generator)


def part_of(order: Int64[Tensor, "sample"], size: int, rank: int, count: int) -> Int64[Tensor, "_"]:
    """What one of `count` processes takes of every batch of `size` in this order: parts of the same size, since streams
    of unequal parts cannot be gathered. `size` is a multiple of `count`; what is left of the last batch is left out."""
    return torch.cat([batch[: len(batch) // count * count].chunk(count)[rank] for batch in order.split(size)])


def first(source: Source) -> Batch:
    """The first sample."""
    return next(source.batches(1, torch.zeros(1, dtype=torch.int64)))


def _sent(batch: Batch, device: torch.device) -> Batch:
    """On the way to the device; for CUDA out of pinned memory, so that the host need not wait for the copy."""
    if device.type != "cuda":
        return batch.to(device)

    def pinned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner.pin_memory() for name, inner in value.items()}
        return value.pin_memory() if isinstance(value, Tensor) else value

    return replace(batch, **{f.name: pinned(getattr(batch, f.name)) for f in fields(batch)}).to(
        device, non_blocking=True
    )
