"""mosi_utterances, mmmo and spoken_digits: on small files in the published layouts, and on the real ones if there."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import types
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from clcrkit import CLCR, CLCRConfig, ConfigError, DataError
from clcrkit.datasets import Split, mmmo, mosi_utterances, spoken_digits
from clcrkit.training import TrainConfig, fit
from tests.datasets.writers_public import WRITERS, write_fsdd

PARTS = ("train", "valid", "test")
LOADERS: dict[str, Callable[..., Split]] = {
    "mosi_utt.npz": mosi_utterances,
    "mfn_sequences.npz": mmmo,
    "fsdd.zip": spoken_digits,
}
spoken = sys.modules["clcrkit.datasets.spoken_digits"]
real = pytest.mark.skipif("CLCRKIT_DATA" not in os.environ, reason="the real files are not here (CLCRKIT_DATA)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("public")
    for write in WRITERS.values():
        write(made, 0)
    return made


@pytest.mark.parametrize("file", LOADERS)
def test_from_file_to_trained_model(file, folder):
    split = LOADERS[file](folder)
    model = CLCR(CLCRConfig.of(split.train, width=8, rank=4, private_rank=4, heads=2))
    fit(model, split.train, split.valid, TrainConfig(epochs=1), progress=False)
    assert len(model.trace(split.test).prediction) == len(split.test)
    for m, describe in split.describe.items():
        for tokens in split.test.tokens[m][:3]:
            assert len(describe(tokens)) == len(tokens)


@pytest.mark.parametrize("file", LOADERS)
def test_where_the_file_is_looked_for(file, folder, tmp_path, monkeypatch):
    load = LOADERS[file]
    monkeypatch.setenv("CLCRKIT_DATA", str(folder))
    assert len(load().train)
    with pytest.raises(DataError, match=f"{file}: no such file; "):
        load(tmp_path)
    if load is not spoken_digits:
        monkeypatch.delenv("CLCRKIT_DATA")
        with pytest.raises(DataError, match=f"{file}: no folder given and CLCRKIT_DATA is not set; "):
            load()


@pytest.mark.parametrize("file", LOADERS)
def test_damaged_files_are_refused(file, folder, tmp_path):
    """Cut short, with bytes changed, empty, or something else: one DataError that names the file, or the same data."""
    content = (folder / file).read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"PK", content[: len(content) // 2], content[:-30], b"\x80\x04." + content[3:]]
    for _ in range(25):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 20):
            changed[place] ^= int(rng.integers(1, 256))
        damaged.append(bytes(changed))
    refused = 0
    for bad in damaged:
        (tmp_path / file).write_bytes(bad)
        with contextlib.suppress(DataError):
            LOADERS[file](tmp_path)
            continue
        refused += 1
    assert refused >= 20


@pytest.mark.parametrize("file", ["mosi_utt.npz", "mfn_sequences.npz"])
def test_arrays_that_do_not_fit_are_refused(file, folder, tmp_path):
    with np.load(folder / file) as opened:
        good = dict(opened)
    for name in good:
        changes = {
            "missing": {k: v for k, v in good.items() if k != name},
            "pickled": {**good, name: np.array([{}], dtype=object)},
            "of other rank": {**good, name: good[name][..., None]},
            "shorter": {**good, name: good[name][:-1]},
            "complex": {**good, name: np.zeros(good[name].shape, complex)},
        }
        if good[name].dtype.kind == "f":
            changes["not finite"] = {**good, name: np.full_like(good[name], np.inf)}
        for change, arrays in changes.items():
            np.savez(tmp_path / file, **arrays)
            print(name, change)
            with pytest.raises(DataError, match=file):
                LOADERS[file](tmp_path)


# mosi_utterances


def mosi_rows(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "mosi_utt.npz") as opened:
        return dict(opened)


@pytest.mark.parametrize("window", [0, 2, None])
def test_a_sample_is_an_utterance_in_the_context_of_its_video(folder, window):
    """Against a loop over utterances, with the standardisation computed from the training utterances alone."""
    split, rows = mosi_utterances(folder, window=window), mosi_rows(folder)
    chosen = split.train.ids.numpy()
    for m, key in (("language", "text_feat"), ("acoustic", "audio_feat"), ("vision", "vision_feat")):
        spread = rows[key][chosen].std(0)
        scaled = (rows[key] - rows[key][chosen].mean(0)) / np.where(spread > 1e-5, spread, 1)
        for part in (split.train, split.valid, split.test):
            for i, target in enumerate(part.ids.tolist()):
                at = 0
                for other in range(len(rows["video"])):
                    away = other - target
                    if rows["video"][other] != rows["video"][target] or (window is not None and abs(away) > window):
                        continue
                    absent = not rows[key][other].any()
                    assert bool(part.masks[m][i, at]) != absent
                    if not absent:
                        token = part.tokens[m][i, at].numpy()
                        halves = np.zeros((2, len(scaled[other])))
                        halves[int(away != 0)] = scaled[other] * (1 if away else 2)
                        np.testing.assert_allclose(token[:-2], halves.reshape(-1), atol=1e-4)
                        np.testing.assert_allclose(token[-2:], [away == 0, away / 8])
                    at += 1
                assert not part.masks[m][i, at:].any()
                assert part.labels is not None
                assert int(part.labels[i]) == rows["y_bin"][target]
                assert int(part.attributes["group"][i]) == rows["video"][target]


def test_the_published_test_part_is_the_test_part_and_no_video_is_in_two(folder):
    rows = mosi_rows(folder)
    valid = []
    for seed in range(4):
        split = mosi_utterances(folder, seed=seed)
        assert set(split.test.ids.tolist()) == set(np.flatnonzero(rows["split_poria"] == 1))
        groups = [set(getattr(split, part).attributes["group"].tolist()) for part in PARTS]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 8
        valid.append(frozenset(groups[1]))
    assert len(set(valid)) > 1
    assert torch.equal(mosi_utterances(folder, seed=0).valid.ids, mosi_utterances(folder, seed=0).valid.ids)


def test_mosi_settings_out_of_range(folder):
    with pytest.raises(ConfigError, match="split: 'std', but it must be 'poria'"):
        mosi_utterances(folder, split="std")
    with pytest.raises(ConfigError, match="window: -1"):
        mosi_utterances(folder, window=-1)
    with pytest.raises(ConfigError, match="seed: -1"):
        mosi_utterances(folder, seed=-1)


# mmmo


def test_mmmo_masks_what_is_all_zero_and_scales_by_the_training_part(folder):
    split = mmmo(folder)
    with np.load(folder / "mfn_sequences.npz") as opened:
        for m, key in (("acoustic", "audio"), ("vision", "vision")):
            raw = {part: opened[f"mmmo_{part}_{key}"] for part in PARTS}
            known = raw["train"].reshape(-1, raw["train"].shape[-1])
            known = known[known.any(1)]
            for part in PARTS:
                batch = getattr(split, part)
                there = raw[part].any(-1)
                assert np.array_equal(batch.masks[m].numpy(), there)
                expected = (raw[part] - known.mean(0)) / known.std(0)
                np.testing.assert_allclose(batch.tokens[m].numpy()[there], expected[there], atol=1e-4)
        for part in PARTS:
            assert np.array_equal(getattr(split, part).labels.numpy(), opened[f"mmmo_{part}_y"])
    assert not split.test.masks["acoustic"][1].any()
    assert split.test.masks["vision"][1].all()


# spoken_digits


@pytest.mark.parametrize("kind", ["official", "speakers"])
def test_spoken_digits_keeps_apart_what_must_be(folder, kind):
    scans, digits = load_digits(return_X_y=True)
    for seed in range(3):
        split = spoken_digits(folder, split=kind, seed=seed)
        used = [getattr(split, part).attributes["scan"] for part in PARTS]
        assert sum(len(set(x.tolist())) for x in used) == len(set(torch.cat(used).tolist()))
        assert max(int(x.bincount().max()) for x in used) <= 2
        assert sorted(torch.cat([getattr(split, part).ids for part in PARTS]).tolist()) == list(range(480))
        for part in PARTS:
            batch = getattr(split, part)
            scan = batch.attributes["scan"].numpy()
            assert np.array_equal(batch.labels.numpy(), digits[scan])
            np.testing.assert_allclose(batch.tokens["vision"].flatten(1).numpy(), scans[scan] / 16)
        groups = [set(getattr(split, part).attributes["group"].tolist()) for part in PARTS]
        if kind == "official":
            assert groups == [{0, 1, 2, 3}] * 3
            assert set(split.test.attributes["take"].tolist()) == set(range(5))
            assert set(split.valid.attributes["take"].tolist()) == set(range(5, 10))
        else:
            assert [len(g) for g in groups] == [1, 1, 2]
            assert len(set.union(*groups)) == 4


def test_the_sound_of_a_sample_is_its_recording(folder):
    split = spoken_digits(folder)
    with zipfile.ZipFile(folder / "fsdd.zip") as archive:
        for i in (0, 7):
            take, speaker = int(split.test.attributes["take"][i]), int(split.test.attributes["group"][i])
            name = f"{int(split.test.labels[i])}_{split.attribute_names['group'][speaker]}_{take}.wav"
            with wave.open(io.BytesIO(archive.read(f"free-spoken-digit-dataset/recordings/{name}"))) as sound:
                raw = np.frombuffer(sound.readframes(9999), "<i2")
            heard, rate = split.sound["acoustic"](int(split.test.ids[i]))
            assert rate == 8000
            np.testing.assert_allclose(heard * 2**15, raw)
            tokens = split.test.masks["acoustic"][i].sum()
            assert tokens == 1 + (len(raw) - 200) // 160


def test_the_download_is_checked_by_its_recordings(folder, tmp_path, monkeypatch):
    """Whatever the packing; what is not the published set is refused, deleted, and fetched anew the next time."""
    repacked = tmp_path / "fsdd.zip"
    asked = []

    def retrieve(url: str, **_: object) -> str:
        asked.append(url)
        with zipfile.ZipFile(folder / "fsdd.zip") as old, zipfile.ZipFile(repacked, "w") as new:
            for member in reversed(old.infolist()):
                new.writestr(member.filename.replace("free-spoken-digit-dataset", "root-26eb9aa"), old.read(member))
        return str(repacked)

    monkeypatch.delenv("CLCRKIT_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", types.SimpleNamespace(retrieve=retrieve, os_cache=lambda name: tmp_path))
    with pytest.raises(DataError, match="it was deleted"):
        spoken_digits()
    assert not repacked.exists()
    monkeypatch.setattr(spoken, "DIGEST", spoken._digest(spoken._read(folder / "fsdd.zip")))
    assert len(spoken_digits().train) == 80
    assert asked[0] == spoken.URL

    def offline(url: str, **_: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setitem(sys.modules, "pooch", types.SimpleNamespace(retrieve=offline, os_cache=lambda name: tmp_path))
    with pytest.raises(DataError, match=r"cannot be downloaded from https.*no network.*fetch it elsewhere"):
        spoken_digits()


def test_spoken_digits_refuses_what_it_cannot_use(folder, tmp_path):
    with pytest.raises(ConfigError, match="split: 'random'"):
        spoken_digits(folder, split="random")
    write_fsdd(tmp_path, 0, takes=4)
    with pytest.raises(DataError, match="no recording for the train part"):
        spoken_digits(tmp_path)


# the real files


@real
def test_real_mosi():
    split = mosi_utterances()
    assert [len(getattr(split, part)) for part in PARTS] == [1150, 297, 752]
    assert float(split.test.labels.float().mean()) == pytest.approx(0.621, abs=1e-3)  # the majority


@real
def test_real_mmmo():
    split = mmmo()
    assert [len(getattr(split, part)) for part in PARTS] == [220, 40, 80]
    for part in PARTS:
        batch = getattr(split, part)
        assert batch.labels.min() >= 1
        assert batch.labels.max() <= 5
        assert max(float(x.abs().max()) for x in batch.tokens.values()) <= 10


@real
def test_real_spoken_digits():
    split = spoken_digits(split="speakers")
    assert [len(getattr(split, part)) for part in PARTS] == [1500, 500, 1000]
    assert spoken._digest(spoken._read(Path(os.environ["CLCRKIT_DATA"]) / "fsdd.zip")) == spoken.DIGEST
