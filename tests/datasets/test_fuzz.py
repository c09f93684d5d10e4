"""Damaged and hostile files for every loader: each is refused in one sentence, or harmless. Nothing else happens.

A new loader is one line in LOADERS. Each starts from files in its published layout; FILES of them are damaged, one at
a time, from a fixed seed: bytes flipped, cut out, repeated or set, the file cut short or emptied, a hostile file in
its place. What still loads must be a Split whose tokens are finite; anything but a DataError fails."""

from __future__ import annotations

import os
import pickle
import random
import resource
import shutil
import signal
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from clcrkit import Batch, DataError
from clcrkit import datasets as d
from tests.datasets import writers_files, writers_media, writers_public
from tests.datasets.readers.test_unpickle import HOSTILE

FILES = 2_100  # over all loaders
SECONDS = 20  # that no file may take
LONGEST = 500  # characters of a message
MEMORY = 2**30  # that all of them may add


class Loader(NamedTuple):
    """write(folder, seed) makes the files, load(folder) reads them; weight: how many files, against the others."""

    write: Callable[[Path, int], None]
    load: Callable[[Path], d.Split]
    weight: int


LOADERS: dict[str, Loader] = {
    "mmsa": Loader(writers_files.write_mmsa, lambda f: d.mmsa(f / "aligned_50.pkl"), 8),
    "mmsa ids": Loader(writers_files.write_mmsa_unaligned, lambda f: d.mmsa(f / "unaligned_50.pkl", "ids"), 8),
    "multibench": Loader(writers_files.write_mult, lambda f: d.multibench(f / "mosi_data_noalign.pkl"), 8),
    "from_folder": Loader(writers_files.write_folder, lambda f: d.from_folder(f / "manifest.csv"), 4),
    "ave": Loader(writers_media.write_ave, lambda f: d.ave(f, progress=False), 4),
    "cremad": Loader(writers_media.write_cremad, lambda f: d.cremad(f, progress=False), 1),
    "kinetics_sounds": Loader(writers_media.write_kinetics_sounds, lambda f: d.kinetics_sounds(f, progress=False), 2),
    "ucf101": Loader(writers_media.write_ucf101, lambda f: d.ucf101(f, progress=False), 1),
    "shards": Loader(writers_media.write_shards, lambda f: d.sharded(f), 6),
    "mosi_utterances": Loader(writers_public.write_mosi, lambda f: d.mosi_utterances(f), 6),
    "mmmo": Loader(writers_public.write_mmmo, lambda f: d.mmmo(f), 6),
    "spoken_digits": Loader(writers_public.write_fsdd, lambda f: d.spoken_digits(f), 2),
}


class Runs:
    def __reduce__(self) -> Any:
        return os.system, ("touch pwned",)


def huge_npy(shape: str = "(1000000000, 1000000)", kind: str = "<f4") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


_PARTS: list[Any] = [None, [], {}, {"text": Runs()}, 7]
SUBSTITUTES = [
    *HOSTILE.values(),
    *(pickle.dumps(Runs(), protocol) for protocol in range(6)),
    *(pickle.dumps({"train": value, "valid": value, "test": value}) for value in _PARTS),
    huge_npy(),
    huge_npy("(4,)", "|O"),
    huge_npy("(-1,)"),
    struct.pack("<Q", 2**62) + b"{}",
    struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4]}}',
    b"\x89HDF\r\n\x1a\n" + bytes(200),
    b"PK\x05\x06" + bytes(18),
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00" + b"\xff" * 30,
    b"\xff\xd8\xff\xe0" + bytes(100),
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x02\x00\x00\x00" + bytes(8),
    b"[" * 100_000,
    b'{"parts": {}}',
    b"id,label,a\n" + b"x,1,../../../etc/passwd\n" * 3,
    b"a,NEU\n" * 10,
    b"\xff" * 500,
    b"\n" * 5_000,
]


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """One kind of damage, drawn."""
    held = bytearray(raw)
    size = len(held)
    kind = draw.randrange(8)
    place = draw.randrange(size) if size and draw.random() < 0.5 else draw.randrange(min(size, 400) or 1)
    if kind == 0:
        return draw.choice(SUBSTITUTES)
    if kind == 1:
        return bytes(held[:place])
    if kind == 2 and size:
        held[place] ^= 1 << draw.randrange(8)
    elif kind == 3:
        for _ in range(draw.randrange(1, 20) if size else 0):
            held[draw.randrange(size)] = draw.randrange(256)
    elif kind == 4:
        del held[place : place + draw.randrange(1, 64)]
    elif kind == 5:
        held[place:place] = held[place : place + draw.randrange(1, 64)]
    elif kind == 6:
        held[place : place + 8] = draw.choice((b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7, b"99999999"))
    else:
        held[place : place + 4] = draw.choice((b"nan,", b"-inf", b"1e99", b"\n\n\n\n", b"..//", b"'\"\\,"))
    return bytes(held)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp("fuzz") for name in LOADERS}
    for name, loader in LOADERS.items():
        loader.write(made[name], 0)
    return made


@pytest.fixture(autouse=True)
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file may hang; the peak of all of a loader's may not grow by 1 GB; code that ran would leave its mark here."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    signal.alarm(0)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
    assert not list(tmp_path.iterdir())


def usable(split: d.Split) -> None:
    for part in (split.train, split.valid, split.test):
        batch = part if isinstance(part, Batch) else part.select(slice(0, 4))
        for m in batch.modalities:
            assert batch.tokens[m].isfinite().all()
            assert batch.masks[m].dtype == torch.bool
        assert batch.labels is not None
        assert batch.labels.isfinite().all()


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", LOADERS)
def test_damaged_files(places: dict[str, Path], name: str):
    loader, folder = LOADERS[name], places[name]
    draw = random.Random(name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    kinds = sorted({path.suffix for path in files})
    before = listing(folder)
    usable(loader.load(folder))
    messages = []
    count = -(-FILES * loader.weight // sum(each.weight for each in LOADERS.values()))
    for _ in range(count):
        suffix = draw.choice(kinds)  # as many of a folder's few lists as of its many frames
        path = draw.choice([path for path in files if path.suffix == suffix])
        raw = path.read_bytes()
        path.write_bytes(damaged(raw, draw))
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                usable(loader.load(folder))
        except DataError as error:
            messages.append(str(error))
        finally:
            signal.alarm(0)
            path.write_bytes(raw)
        assert listing(folder) == before
    assert len(messages) > count / 10
    assert max(map(len, messages)) < LONGEST


@pytest.mark.parametrize("name", LOADERS)
def test_missing_files(places: dict[str, Path], name: str, tmp_path_factory: pytest.TempPathFactory):
    """A file that is absent, a folder, a link to nothing or to a place outside is refused, or not needed."""
    loader, folder = LOADERS[name], places[name]
    outside = tmp_path_factory.mktemp("outside")
    draw = random.Random(name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in draw.sample(files, min(3, len(files))):
        kept = outside / path.name
        shutil.move(path, kept)
        for put in (Path.exists, Path.mkdir, lambda place: place.symlink_to(outside / "nothing")):
            put(path)
            try:
                usable(loader.load(folder))
                assert len(files) > 1  # one of several frames may be missing
            except DataError:
                pass
            if path.is_dir():
                path.rmdir()
            path.unlink(missing_ok=True)
        shutil.move(kept, path)


def test_hostile_parts_of_pickles(tmp_path_factory: pytest.TempPathFactory):
    """Every key of a sound MMSA or MulT file, with every value that it should not have."""
    folder = tmp_path_factory.mktemp("keys")
    odd: list[Any] = [
        None, True, -1, 2**62, 0.5, float("nan"), "a", b"a", [], [[]], [None], {}, {"a": 1}, (), ((1, 2), 3),
        np.zeros(0), np.zeros(()), np.zeros((12, 0, 5)), np.zeros((12, 3)), np.zeros((12, 3, 4, 5)),
        np.full((12, 3, 4), "a"),
        np.full((12, 3, 4), None), np.full((12, 3, 4), np.nan), np.full((12, 3, 4), -np.inf), np.full(12, "a"),
        np.array([b"\xff"] * 12), np.full((12, 1), 1e300), np.full((12, 3, 4), 2**62), [2**62] * 12,
        [np.zeros(2)] * 12,
        np.zeros((12, 3, 4), dtype=bool), np.zeros((12, 3, 7)), ["a" * 100_000] * 12, list(range(12)),
    ]  # fmt: skip
    tried, messages = 0, []
    for write, load in (
        (writers_files.mmsa_parts, lambda path: d.mmsa(path)),
        (writers_files.mmsa_parts, lambda path: d.mmsa(path, text="ids", labels="annotations", replace=True)),
        (writers_files.mult_parts, lambda path: d.multibench(path, replace=True)),
    ):
        for key in write(0)["train"]:
            for value in odd:
                parts = write(0)
                parts["train"][key] = value
                (folder / "file.pkl").write_bytes(pickle.dumps(parts))
                signal.alarm(SECONDS)
                try:
                    usable(load(folder / "file.pkl"))
                except DataError as error:
                    messages.append(str(error))
                tried += 1
    assert tried > 500
    assert all(message.startswith(str(folder / "file.pkl")) and len(message) < LONGEST for message in messages)
