"""Folders of the published sets of media with one thing in them that is hostile, drawn from seeds (see hostile.py)."""

from __future__ import annotations

import functools
import os
import pickle
import random
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from clcrkit import datasets as d
from clcrkit.datasets.readers.frames import open_image
from tests.datasets.hostile import HUGE, Maker, Read, damaged, npy
from tests.datasets.writers_media import write_ave, write_cremad, write_kinetics_sounds, write_ucf101
from tests.datasets.writers_public import write_fsdd, write_mmmo, write_mosi

LINES = (
    "", ",", "x", "1001_IEO_NEU_XX,NEU", "../a_b,NEU", "/etc/passwd_a,NEU", "a_b,\x1b[31m", "a,1,31", "a,1," + "9" * 30,
    "a,١,٢", "Class/v_X_g01_c01.avi", "ApplyLipstick/v_ApplyLipstick_g99_c01.avi 1", "1 " + "n" * 9_000, "\x00", "½",
    "Kind 0&video0&good&0&6", "&&&&", "a&b&c&d&e&f", "a/b_c,NEU", "a\\b_c,NEU", "con_a,NEU",
)  # fmt: skip


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def picture(draw: random.Random) -> bytes:
    """A PNG that says that it is of this size and kind, and may hold less, more or something else."""
    width, height = (draw.choice((0, 1, 16, 7_999, 8_000, 2**16, 2**31 - 1)) for _ in range(2))
    depth, kind = draw.choice((1, 8, 16)), draw.choice((0, 2, 3, 4, 6, 7))
    rows = zlib.compress(bytes(draw.choice((0, 9, 2**20, 2**26))))
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, draw.choice((0, 0, 1))))]
    if draw.random() < 0.3:
        parts.append(chunk(draw.choice((b"iCCP", b"zTXt")), b"x\0\0" + zlib.compress(bytes(2**26))))
    if draw.random() < 0.3:
        parts.append(chunk(b"acTL", struct.pack(">II", 10**9, 0)))
    whole = b"".join([b"\x89PNG\r\n\x1a\n", *parts, chunk(b"IDAT", rows), chunk(b"IEND", b"")])
    return draw.choice((whole, damaged(whole, draw), b"GIF89a" + bytes(40), b"\xff\xd8\xff" + bytes(40), b""))


def image_file(draw: random.Random, folder: Path) -> Read:
    path = folder / "a.png"
    path.write_bytes(picture(draw))
    return lambda: open_image(path, (16, 16), draw.choice(("RGB", "L")))


@functools.cache
def whole(write: Callable[[Path, int], None]) -> tempfile.TemporaryDirectory[str]:
    """The folder as it is published, written once."""
    place = tempfile.TemporaryDirectory()
    write(Path(place.name), 0)
    return place


NUMBERS = ("f4", "f8", "i8", "u1", "?")


def odd_array(draw: random.Random, kinds: tuple[str, ...] = (*NUMBERS, "S3", "c8", "M8[s]")) -> np.ndarray:
    shapes: tuple[tuple[int, ...], ...] = ((), (0,), (4,), (4, 3), (8, 5, 3), (12, 10, 128), (3, 0, 2))
    array = np.full(draw.choice(shapes), draw.choice((0.0, -1.0, 1.0, 7.5, np.nan, np.inf, 1e38)))
    return array.astype(draw.choice(kinds))


def with_another_member(path: Path, draw: random.Random) -> None:
    """An archive or an h5 file that is whole, with one thing in it exchanged or called otherwise."""
    name = draw.choice(("../x.npy", "\x1b[31m.npy", "n" * 300, "recordings/9_x_1.wav", "x/"))
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as file:
            file.create_dataset(draw.choice(("avadataset", "order", "x")), data=odd_array(draw, NUMBERS))
        return
    held = BytesIO()
    np.save(held, odd_array(draw))
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    chosen = draw.choice(list(members))
    raw = members.pop(chosen)
    body = draw.choice((held.getvalue(), damaged(raw, draw), raw, b""))
    members[draw.choice((chosen, chosen, chosen, name))] = body
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def spoilt(write: Callable[[Path, int], None], read: Callable[[Path], object]) -> Maker:
    """A set's maker: its folder with one file damaged, exchanged, taken away, linked, or with a line of LINES."""

    def make(draw: random.Random, folder: Path) -> Read:
        place = folder / "set"
        shutil.copytree(whole(write).name, place, copy_function=os.link)  # what is spoilt is unlinked first
        files = sorted(path for path in place.rglob("*") if path.is_file())
        kinds = sorted({path.suffix for path in files})
        kind = draw.choice(kinds)  # there are many more pictures than lists
        path = draw.choice([path for path in files if path.suffix == kind])
        raw, change = path.read_bytes(), draw.randrange(6)
        path.unlink()
        if path.suffix in (".npz", ".zip", ".h5") and draw.random() < 0.7:
            path.write_bytes(raw)
            with_another_member(path, draw)
            return lambda: read(place)
        if change == 0:
            path.write_bytes(damaged(raw, draw))
        elif change == 1:
            path.write_bytes(raw[: draw.randrange(len(raw) or 1)])
        elif change == 2:
            size = draw.choice(HUGE)
            count = draw.choice((np.float64(3), np.zeros((2, 2), object), np.full((3, 9), np.nan), [[1, [2]], "x"]))
            path.write_bytes(draw.choice((picture(draw), npy(f"({size}, 2)"), pickle.dumps(count), b"\x1b[31m\r\n")))
        elif change == 3:
            path.symlink_to("/etc/passwd")
        elif change == 4 and path.suffix in (".csv", ".txt"):
            lines = raw.decode().splitlines()
            lines.insert(draw.randrange(len(lines) + 1), draw.choice(LINES))
            path.write_text(draw.choice(("\n", "\r\n")).join(lines), encoding="utf-8")
        elif change == 5:
            path.mkdir()
        return lambda: read(place)

    return make


SETS: dict[str, Maker] = {
    "image": image_file,
    "CREMA-D": spoilt(write_cremad, lambda place: d.cremad(place, progress=False)),
    "Kinetics-Sounds": spoilt(write_kinetics_sounds, lambda place: d.kinetics_sounds(place, progress=False)),
    "UCF101": spoilt(write_ucf101, lambda place: d.ucf101(place, progress=False)),
    "AVE": spoilt(write_ave, lambda place: d.ave(place, progress=False)),
    "spoken digits": spoilt(write_fsdd, lambda place: d.spoken_digits(place)),
    "MOSI utterances": spoilt(write_mosi, lambda place: d.mosi_utterances(place, window=2)),
    "MMMO": spoilt(write_mmmo, lambda place: d.mmmo(place)),
}
