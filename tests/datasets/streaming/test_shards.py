"""Shards: what goes in comes out, in any order, through workers; damage is refused when opened."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from clcrkit import CLCR, Batch, CLCRConfig, DataError, collate
from clcrkit.datasets import Shards, asynchrony, convert
from clcrkit.datasets.streaming.shard_files import index_digest
from clcrkit.files import digest
from clcrkit.training import TrainConfig, fit
from tests.datasets.streaming.ragged import ragged


def same(a: Batch, b: Batch) -> None:
    """Equal, but for padding behind the last real token of a batch."""
    assert a.modalities == b.modalities
    assert torch.equal(a.ids, b.ids)
    assert (a.labels is None) == (b.labels is None)
    if a.labels is not None and b.labels is not None:
        assert a.labels.dtype == b.labels.dtype
        assert torch.equal(a.labels, b.labels)
    assert a.attributes.keys() == b.attributes.keys()
    assert all(torch.equal(a.attributes[n], b.attributes[n]) for n in a.attributes)
    for m in a.modalities:
        length = max(_longest(a, m), _longest(b, m))
        for x in (a, b):
            assert not x.masks[m][:, length:].any()
        assert torch.equal(a.masks[m][:, :length], b.masks[m][:, :length])
        real = a.masks[m][:, :length]
        assert torch.equal(a.tokens[m][:, :length][real], b.tokens[m][:, :length][real])
        assert (m in a.evidence) == (m in b.evidence)
        if m in a.evidence:
            real_levels = real[:, None].expand(-1, a.evidence[m].shape[1], -1)
            assert torch.equal(
                a.evidence[m][:, :, :length][real_levels],
                b.evidence[m][:, :, :length][real_levels],
            )


def _longest(batch: Batch, m: str) -> int:
    return 1 + int((batch.masks[m] * torch.arange(batch.masks[m].shape[1])).max())


@pytest.mark.parametrize("labels", ["classes", "values", "multi", "none"])
def test_what_goes_in_comes_out(tmp_path: Path, labels: str):
    batch = ragged(labels=labels)
    convert({"all": batch}, tmp_path, shard_bytes=400, progress=False)
    shards = Shards(tmp_path, "all", workers=0)
    assert len(list(tmp_path.glob("all-*.safetensors"))) > 3
    assert (len(shards), shards.modalities) == (len(batch), batch.modalities)
    same(shards.select(slice(None)), batch)
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
    same(shards.select(order[:9]), batch.select(order[:9]))
    same(shards.select(batch.ids > 1010), batch.select(batch.ids > 1010))
    same(shards.select([-1]), batch.select([-1]))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_those_of_the_same_data_in_memory(tmp_path: Path, workers: int, drop_last: bool):
    batch = ragged()
    shards = Shards(convert({"all": batch}, tmp_path, shard_bytes=400, progress=False), "all", workers)
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
    for chosen in (None, order, order[:20]):
        mine, expected = list(shards.batches(8, chosen, drop_last)), list(batch.batches(8, chosen, drop_last))
        assert len(mine) == len(expected) == (len(order if chosen is None else chosen) + (0 if drop_last else 7)) // 8
        for a, b in zip(mine, expected, strict=True):
            same(a, b)
            assert all(a.tokens[m].shape == b.tokens[m].shape for m in a.modalities)
            assert all(not a.tokens[m][~a.masks[m]].any() for m in a.modalities)


def test_reading_leaves_the_random_generator_alone(tmp_path: Path):
    shards = Shards(convert({"all": ragged()}, tmp_path, progress=False), "all", workers=1)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(shards.batches(8))
    assert torch.equal(torch.rand(3), expected)


def test_the_shuffled_order_is_a_permutation_of_batches_of_similar_lengths(tmp_path: Path):
    draw = np.random.default_rng(0)
    rows = [{"a": draw.normal(size=(n, 1)), "b": draw.normal(size=(n, 1))} for n in draw.integers(1, 60, 1003)]
    batch = collate(rows)
    shards = Shards(convert({"all": batch}, tmp_path, shard_bytes=20_000, progress=False), "all", workers=0)
    order = shards.shuffled(torch.Generator().manual_seed(3), 10)
    assert torch.equal(order.sort().values, torch.arange(1003))
    assert torch.equal(order, shards.shuffled(torch.Generator().manual_seed(3), 10))
    assert not torch.equal(order, shards.shuffled(torch.Generator().manual_seed(4), 10))
    lengths = batch.masks["a"].sum(1)
    padded = sum(int(lengths[piece].max()) * len(piece) for piece in order.split(10))
    random_order = torch.randperm(1003, generator=torch.Generator().manual_seed(3))
    padded_randomly = sum(int(lengths[piece].max()) * len(piece) for piece in random_order.split(10))
    real = int(lengths.sum())
    assert padded - real < 0.1 * (padded_randomly - real)
    first = torch.stack([lengths[piece].float().mean() for piece in order[:1000].split(10)])
    assert abs(float(torch.corrcoef(torch.stack([first, torch.arange(100.0)]))[0, 1])) < 0.4
    assert sorted(shards.shuffled(None, 2000).tolist()) == list(range(1003))


def test_training_from_shards_is_training_from_memory(tmp_path: Path):
    split = asynchrony((96, 32, 32), seed=1)
    convert(split, tmp_path, shard_bytes=50_000, progress=False)
    config = CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(0))
    losses: dict[str, list[float]] = {}
    for name, source in (("memory", split.train), ("shards", Shards(tmp_path, "train", workers=1))):
        torch.manual_seed(0)
        model = CLCR(config)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        losses[name] = []
        for batch in source.batches(32, order):
            optimizer.zero_grad()
            loss = model.losses(batch).total
            loss.backward()
            optimizer.step()
            losses[name].append(loss.item())
    assert losses["memory"] == losses["shards"]


def test_fit_takes_shards_for_training_and_validation(tmp_path: Path):
    split = asynchrony((96, 32, 32), seed=1)
    convert(split, tmp_path, shard_bytes=50_000, progress=False)
    config = CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2)
    train, valid = (Shards(tmp_path, part, workers=1) for part in ("train", "valid"))
    settings = TrainConfig(epochs=2, batch_size=32, device="cpu")
    histories = []
    for chosen in (valid, split.valid):
        torch.manual_seed(0)
        histories.append(fit(CLCR(config), train, chosen, settings, progress=False).history)
    assert histories[0].drop(columns="learning_rate").notna().all(axis=None)
    torch.testing.assert_close(histories[0].to_numpy(float), histories[1].to_numpy(float))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return convert({"train": ragged()}, tmp_path, progress=False)


def spoiled(folder: Path, change) -> None:
    index = json.loads((folder / "index.json").read_text())
    del index["digest"]
    change(index)
    (folder / "index.json").write_text(json.dumps({**index, "digest": index_digest(index)}))


INDEX_DAMAGE = {
    "a path out of the folder": lambda i: i["parts"]["train"][0].update(file="../secret.safetensors"),
    "an absolute path": lambda i: i["parts"]["train"][0].update(file="/etc/passwd"),
    "a windows path": lambda i: i["parts"]["train"][0].update(file="a\\b"),
    "an empty name": lambda i: i["parts"]["train"][0].update(file=""),
    "another size": lambda i: i["parts"]["train"][0].update(bytes=17),
    "a size that is a text": lambda i: i["parts"]["train"][0].update(bytes="17"),
    "more samples": lambda i: i["parts"]["train"][0].update(samples=10**9),
    "true samples": lambda i: i["parts"]["train"][0].update(samples=True),
    "no parts": lambda i: i.update(parts={}),
    "a part of nothing": lambda i: i["parts"].update(train=[]),
    "another width": lambda i: i["modalities"].update(sound=2**40),
    "a lost modality": lambda i: i["modalities"].pop("sound"),
    "no modalities": lambda i: i.update(modalities={}),
    "another format": lambda i: i.update(format="something"),
    "a later version": lambda i: i.update(version=3),
    "labels of another kind": lambda i: i.update(labels=["values"]),
    "attributes that are no list": lambda i: i.update(attributes="group"),
    "evidence of nobody": lambda i: i.update(evidence={"nobody": 3}),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_a_damaged_index_is_refused(folder: Path, damage: str):
    Shards(folder)
    spoiled(folder, INDEX_DAMAGE[damage])
    with pytest.raises(DataError, match=str(folder)):
        Shards(folder)


def test_links_and_missing_files_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(DataError, match="no part 'test'; there are train"):
        Shards(folder, "test")
    shard = folder / "train-00000.safetensors"
    shard.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="no such file"):
        Shards(folder)
    shard.symlink_to(tmp_path / "moved")
    with pytest.raises(DataError, match="a link"):
        Shards(folder)
    (folder / "index.json").unlink()
    with pytest.raises(DataError, match=r"index\.json: no such file; convert"):
        Shards(folder)


def rewritten(folder: Path, change) -> None:
    """Change the arrays of the shard, and the index with it."""
    path = folder / "train-00000.safetensors"
    tensors = {name: x.clone() for name, x in load_file(path).items()}  # older safetensors map the file
    change(tensors)
    save_file(tensors, path)
    kept = {name: x for name, x in tensors.items() if not name.startswith(("tokens.", "masks.", "evidence."))}
    spoiled(folder, lambda i: i["parts"]["train"][0].update(bytes=path.stat().st_size, digest=digest(kept)))


SHARD_DAMAGE = {
    "offsets that fall": lambda t: t["offsets.sound"][3:5].copy_(torch.tensor([9, 2])),
    "offsets beyond the end": lambda t: t["offsets.words"][-1:].add_(1),
    "negative classes": lambda t: t["labels"][:1].fill_(-1),
    "ids twice": lambda t: t["ids"].fill_(3),
    "another type": lambda t: t.update({"tokens.sound": t["tokens.sound"].double()}),
    "another rank": lambda t: t.update({"tokens.words": t["tokens.words"][:, None].contiguous()}),
    "an array too many": lambda t: t.update(extra=torch.zeros(1)),
    "an array less": lambda t: t.pop("masks.words"),
}


@pytest.mark.parametrize("damage", SHARD_DAMAGE)
def test_a_damaged_shard_is_refused_when_opened(folder: Path, damage: str):
    rewritten(folder, SHARD_DAMAGE[damage])
    with pytest.raises(DataError, match=str(folder)):
        Shards(folder)


@pytest.mark.parametrize("workers", [0, 1])
def test_values_that_cannot_be_used_are_refused_when_read(folder: Path, workers: int):
    rewritten(folder, lambda t: t["tokens.sound"][0].fill_(float("nan")))
    with pytest.raises(DataError, match=r"00000\.safetensors: sound of id \d+ is not finite") as caught:
        list(Shards(folder, workers=workers).batches(8))
    assert "\n" not in str(caught.value)
    rewritten(folder, lambda t: (t["tokens.sound"].fill_(0), t["tokens.words"][:1].fill_(-4)))
    with pytest.raises(DataError, match="words of id"):
        Shards(folder).select(slice(None))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path: Path, data: st.DataObject):
    if not (tmp_path / "index.json").exists():
        convert({"train": ragged()}, tmp_path, progress=False)
    path = data.draw(st.sampled_from(sorted(tmp_path.iterdir())))
    content = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
    try:
        read = Shards(tmp_path, workers=0)
        same(read.select(slice(None)), ragged())
    except DataError:
        return
    finally:
        path.write_bytes(content)
    assert read.digest == Shards(tmp_path).digest


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_only_where_they_are_forked(folder: Path, monkeypatch, method: str):
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none: method)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert Shards(folder).workers == (3 if method == "fork" else 0)


def test_batches_of_nothing_are_none(tmp_path: Path):
    """A run that was stopped after the last step of an epoch has no batch left in it."""
    shards = Shards(convert({"all": ragged()}, tmp_path, progress=False), "all", workers=2)
    for drop_last in (False, True):
        assert list(shards.batches(8, torch.arange(0), drop_last)) == []


def test_truncation_anywhere_is_refused(folder: Path):
    path = folder / "train-00000.safetensors"
    content = path.read_bytes()
    for size in (0, 5, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        spoiled(folder, lambda i, size=size: i["parts"]["train"][0].update(bytes=max(size, 1)))
        with pytest.raises(DataError, match="00000"):
            Shards(folder)


def test_a_file_that_shrinks_or_goes_after_it_was_opened_is_refused(folder: Path):
    shards = Shards(folder)
    path = folder / "train-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"00000\.safetensors: shorter than when it was opened"):
        shards.select(slice(None))
    path.unlink()
    with pytest.raises(DataError, match=r"00000\.safetensors: cannot be read"):
        shards.select(slice(None))
