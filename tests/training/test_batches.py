"""Data that `fit` reads batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clcrkit import CLCR, Batch, CLCRConfig, DataError
from clcrkit.baselines import LateFusion
from clcrkit.config import to_module
from clcrkit.datasets import Shards, convert
from clcrkit.training import Source, TrainConfig, evaluate, fit, predict
from clcrkit.training.batches import part_of

QUICK = TrainConfig(epochs=2, batch_size=8, device="cpu")


class Lazy:
    """Gives batches, and nothing that is as long as the data set but labels."""

    def __init__(self, batch: Batch) -> None:
        self._batch, self.labels, self.modalities = batch, batch.labels, batch.modalities
        self.largest = 0

    def __len__(self) -> int:
        return len(self._batch)

    def batches(self, size: int, order: Tensor | None = None, drop_last: bool = False) -> Iterator[Batch]:
        for batch in self._batch.batches(size, order, drop_last):
            self.largest = max(self.largest, len(batch))
            yield batch


class Backwards(Lazy):
    """Has an order of its own."""

    def shuffled(self, generator: torch.Generator, size: int) -> Tensor:
        return torch.arange(len(self)).flip(0)

    def batches(self, size: int, order: Tensor | None = None, drop_last: bool = False) -> Iterator[Batch]:
        self.last = order
        return super().batches(size, order, drop_last)


def test_a_source_trains_as_a_batch_does(make_batch, make_model):
    train, valid = make_batch(samples=20, seed=1), make_batch(samples=10, seed=2)
    whole, piecewise = make_model(train, dropout=0.2), make_model(train, dropout=0.2)
    expected = fit(whole, train, valid, QUICK, progress=False)
    lazy = Lazy(train)
    done = fit(piecewise, lazy, Lazy(valid), QUICK, progress=False)
    assert done.history.equals(expected.history)
    assert all(map(torch.equal, whole.state_dict().values(), piecewise.state_dict().values()))
    assert lazy.largest == 8
    assert torch.equal(predict(whole, lazy), predict(whole, train))
    assert evaluate(whole, Lazy(valid)) == evaluate(whole, valid)


def test_a_source_may_have_an_order_of_its_own(make_batch, make_model):
    train = make_batch(samples=20, seed=1)
    source = Backwards(train)
    fit(make_model(train), source, train, QUICK, progress=False)
    assert torch.equal(source.last, torch.arange(20).flip(0))


def test_shards_are_a_source(make_batch, make_model, tmp_path):
    train = make_batch(samples=20, seed=1)
    shards = Shards(convert({"train": train}, tmp_path, progress=False), workers=0)
    assert isinstance(shards, Source)
    assert isinstance(train, Source)
    a, b = make_model(train), make_model(train)
    fit(a, shards, train, QUICK, folder=tmp_path / "run", progress=False)
    fit(b, shards, train, QUICK, progress=False)
    assert all(map(torch.equal, a.state_dict().values(), b.state_dict().values()))


def test_what_does_not_fit_is_refused_before_training(make_batch, make_model):
    train, model = make_batch(samples=20), make_model(make_batch(samples=20))
    for bad, message in [
        (replace(train, labels=None), "labels: the train part has none"),
        (replace(train, labels=train.labels + 5), "the train part holds class 7, but classes must be below 3"),
        (train.only("vision", "text"), "sound: not in the batch"),
        (train.select(slice(0)), "samples: the train part has 0, but 1 or more"),
    ]:
        for source in (bad, Lazy(bad)):
            with pytest.raises(DataError, match=message):
                fit(model, source, train, QUICK, progress=False)


@given(st.integers(0, 60), st.integers(1, 6), st.integers(1, 4))
def test_parts_are_equal_and_make_up_every_batch(samples, each, count):
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(samples))
    parts = [part_of(order, each * count, rank, count) for rank in range(count)]
    assert len({len(part) for part in parts}) == 1
    for i, batch in enumerate(order.split(each * count)):
        together = torch.cat([part[i * each : (i + 1) * each] for part in parts])
        assert torch.equal(together, batch[: len(batch) // count * count])


def test_a_model_takes_a_batch_of_another_device(make_batch):
    batch = make_batch()
    model = LateFusion(CLCRConfig.of(batch)).to("meta")
    assert model(batch).device.type == "meta"
    assert batch.ids.device.type == "cpu"
    assert to_module in CLCR(CLCRConfig.of(batch))._forward_pre_hooks.values()
