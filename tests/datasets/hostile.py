"""Hostile files of a stranger, drawn from seeds: small ones that take gigabytes, damaged ones, and odd ones.

`MAKERS[kind](draw, folder)` writes one and returns how it is read. What must follow is a usable value or one
sentence."""

from __future__ import annotations

import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as packed_tensors

from clcrkit import CLCR, CLCRConfig, Modality
from clcrkit import datasets as d
from clcrkit.datasets.readers.array_files import read_array, read_arrays
from clcrkit.datasets.readers.sound import read_wav
from clcrkit.datasets.readers.unpickle import unpickle
from clcrkit.files import read_tensors, write_tensors
from clcrkit.training.checkpoint import load

Read = Callable[[], Any]
Maker = Callable[[random.Random, Path], Read]
HUGE = (2**20, 2**31, 2**40, 2**62, 10**6, 10**9, 10**12)
ODD: tuple[Any, ...] = (None, True, -1, 0, 2**70, 1e308, "", "x", [], {}, [[]], [None], "\x1b[31m\r\n", "a" * 9_000)


def npy(shape: str, kind: str = "'<f4'", body: bytes = bytes(64), version: int = 1) -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 if version == 1 else 4, "little") + header + body


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """The bytes with some set, cut out, repeated or exchanged for extreme numbers."""
    held = bytearray(raw)
    for _ in range(draw.randrange(1, 6)):
        place = draw.randrange(len(held) or 1)
        place = draw.choice((place, place % 200))
        width = draw.choice((1, 2, 4, 8, 40))
        kind = draw.randrange(4)
        if kind == 0:
            held[place : place + width] = bytes(draw.randrange(256) for _ in range(width))
        elif kind == 1:
            held[place : place + width] = draw.choice((b"\xff", b"\x00", b"\x7f", b"9", b"\x1b")) * width
        elif kind == 2:
            del held[place : place + width]
        else:
            held[place:place] = held[: place + width][-200:]
    return bytes(held)


def shape_of(draw: random.Random) -> str:
    sizes = [str(draw.choice((*HUGE, -1, 0, 1, 3, "None", "1.5", "True"))) for _ in range(draw.randrange(4))]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def npy_file(draw: random.Random, folder: Path) -> Read:
    path = folder / "a.npy"
    kind = draw.choice(
        ("'<f4'", "'|O'", "'<U999999999'", "'|V2000000000'", "[('a', '<f8')]", "'<M8[s]'", "7", "'" * 99)
    )
    raw = npy(shape_of(draw), kind, version=draw.choice((1, 2, 3)))
    saved = BytesIO()
    np.save(saved, np.arange(12.0).reshape(3, 4))
    path.write_bytes(draw.choice((raw, damaged(saved.getvalue(), draw), npy("(2, 2)" + "(" * 3_000))))
    if draw.random() < 0.3:  # a file with a hole
        count = draw.choice((2**28, 2**30, 2**32))
        path.write_bytes(npy(f"({count},)", body=b""))
        with path.open("r+b") as file:
            file.truncate(128 + 4 * count)
    return lambda: read_array(path)


def npz_file(draw: random.Random, folder: Path) -> Read:
    path = folder / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for _ in range(draw.randrange(3)):
            name = draw.choice(("a.npy", "b.npy", "../../a.npy", "a\x1b[31m\n.npy", "n" * 9_000, "a.npy/"))
            count = draw.choice((4, 2**20, 2**22))
            body = npy(draw.choice((shape_of(draw), f"({count},)")), draw.choice(("'<f4'", "'|O'")), bytes(4 * count))
            archive.writestr(name, body, draw.choice((0, 8, 12, 14)))
    raw = path.read_bytes()
    if draw.random() < 0.5:
        path.write_bytes(damaged(raw, draw))
    name = draw.choice(("", "a", "b", "nothing"))
    return draw.choice((lambda: read_array(path, name), lambda: read_arrays(path, {"a": ("f", 1)})))


def h5_file(draw: random.Random, folder: Path) -> Read:
    import h5py

    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        kind = draw.randrange(8)
        size = draw.choice((2**26, 2**31, 2**40))
        if kind == 0:
            file.create_dataset("a", (size,), "f4")  # nothing of it is stored
        elif kind == 1:
            file.create_dataset("a", (size,), "f4", chunks=(min(size, 2**29),), compression="gzip")
        elif kind == 2:
            file["a"] = h5py.SoftLink(draw.choice(("/a", "/b", "/")))
        elif kind == 3:
            file["a"] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == 4:
            file["a"] = draw.choice((np.zeros(0), np.float64(3), np.full(3, np.nan), h5py.Empty("f4")))
        elif kind == 5:
            file.create_dataset("a", data=["x", "\x1b"], dtype=h5py.string_dtype())
        elif kind == 6:
            file.create_group("g" * 300)["a"] = file
        else:
            file["a"] = np.arange(12.0)
    if draw.random() < 0.4:
        path.write_bytes(damaged(path.read_bytes(), draw))
    name = draw.choice(("", "a", "g" * 300 + "/a/a", "a/b"))
    return lambda: read_array(path, name)


def csv_file(draw: random.Random, folder: Path) -> Read:
    path = folder / "a.csv"
    cells = ("1", "nan", "1e999", "9" * 400, "", "#", '"', "\x00", "0x1", "\x1b", "1_000", "½")
    rows = [",".join(draw.choice(cells) for _ in range(draw.randrange(4))) for _ in range(draw.randrange(9))]
    path.write_text(draw.choice(("\n", "\r", "\r\n")).join(rows) * draw.choice((1, 1, 2_000)), encoding="utf-8")
    return lambda: read_array(path)


def pickle_file(draw: random.Random, folder: Path) -> Read:
    path = folder / "a.pkl"
    path.write_bytes(
        draw.choice(
            (
                b"(" * draw.choice((10, 10**5)),
                b"\x80\x04" + b"]" * 10**5 + b"a" * 10**5 + b".",
                b"\x80\x04X" + struct.pack("<I", draw.choice((2**31, 2**32 - 1))) + b"a.",
                b"\x80\x04\x8e" + struct.pack("<Q", draw.choice(HUGE)) + b"a.",
                b"\x80\x04]" + b"\x94h\x00h\x00\x86" * draw.choice((9, 40)) + b".",
                b"\x80\x02c"
                + draw.choice((b"os\nsystem", b"\x1b\r\nx", b"builtins\neval", b"n" * 9_000 + b"\nx"))
                + b"\n.",
                b"r" + str(draw.choice(HUGE)).encode() + b"\n.",
                b"\x80\x02I" + b"9" * draw.choice((5, 10**6)) + b"\n.",
                b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\xff" * 10**6 + b".",
                damaged(pickle.dumps({p: {"text": np.ones((4, 2, 3)), "id": list("abcd")} for p in PARTS}, 2), draw),
                pickle.dumps({p: draw.choice(ODD) for p in PARTS}),
                pickle.dumps({draw.choice(("\x1b\r\n", 7, ())): np.zeros((3, 4))}),
            )
        )
    )
    return draw.choice((lambda: unpickle(path), lambda: d.mmsa(path), lambda: d.multibench(path)))


PARTS = ("train", "valid", "test")
MODEL = CLCR(CLCRConfig({"a": Modality(3), "b": Modality(2)}, outputs=2, width=8, rank=2, private_rank=2, heads=1))


def about_model(draw: random.Random) -> dict[str, Any]:
    """What a model's file says of it, with some of it absurd."""
    from clcrkit.training.checkpoint import described

    about: dict[str, Any] = json.loads(json.dumps({"kind": "model", **described(MODEL)}))
    for _ in range(draw.randrange(1, 3)):
        target: Any = about if draw.random() < 0.3 else about["settings"]
        if isinstance(target, dict) and target:
            target[draw.choice(list(target))] = draw.choice((*ODD, *HUGE, 8_000, 10**5, {"a": None}, ["a", "b"]))
        if not isinstance(about.get("settings"), dict):
            break
    return about


def checkpoint_file(draw: random.Random, folder: Path) -> Read:
    path = folder / draw.choice(("a.safetensors", "state.safetensors"))
    weights, kind = MODEL.state_dict(), draw.randrange(6)
    if kind < 3:
        write_tensors(path, weights, about_model(draw))
    elif kind == 3:
        write_tensors(path, weights, {"kind": "model"})
        path.write_bytes(damaged(path.read_bytes(), draw))
    elif kind == 4:  # a nested description, or none, with a digest or without
        text = draw.choice(("[" * 200_000, '{"about": ' * 9_000, "7", "null", '{"about": {}, "digest": 3}', "\x1b"))
        path.write_bytes(packed_tensors({"a": torch.zeros(2)}, {"clcrkit": text}))
    else:  # a file with a hole
        header = json.dumps({"a": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        with path.open("r+b") as file:
            file.truncate(8 + len(header) + 2**32)
    return draw.choice((lambda: load(path), lambda: read_tensors(path), lambda: read_array(path)))


def run_folder(draw: random.Random, folder: Path) -> Read:
    about = {
        "kind": "run",
        "version": 5,
        "shape": draw.choice((*ODD, {"best_weights": {"tensor": "a"}, "best_epoch": 1})),
    }
    about["run"] = draw.choice((*ODD, about_model(draw)))
    write_tensors(folder / "state.safetensors", {"a": torch.zeros(2), **MODEL.state_dict()}, about)
    return lambda: load(folder)


def wav_file(draw: random.Random, folder: Path) -> Read:
    path = folder / "a.wav"
    numbers = [draw.choice((0, 1, 2, 3, 8, 24, 0xFFFE, 0xFFFF)) for _ in range(4)]
    rate = draw.choice((0, 1, 8_000, 2**31, 2**32 - 1))
    form = struct.pack("<HHIIHH", numbers[0], numbers[1], rate, rate, numbers[2], numbers[3])
    parts = b"fmt " + struct.pack("<I", draw.choice((16, 18, 40, 2**31))) + form
    body = b"data" + struct.pack("<I", draw.choice((0, 7, 64, 2**32 - 1))) + bytes(64)
    sound = b"RIFF" + struct.pack("<I", draw.choice((36, 2**32 - 1))) + b"WAVE" + parts + body
    path.write_bytes(draw.choice((sound, damaged(sound, draw), sound[: draw.randrange(len(sound))])))
    return lambda: read_wav(path)


def manifest(draw: random.Random, folder: Path) -> Read:
    np.save(folder / "a.npy", np.ones((3, 2), np.float32))
    np.save(folder / "b.npy", np.ones((9, 2), np.float32))
    cells = (
        "",
        "a.npy",
        "./a.npy",
        "b.npy",
        "../a.npy",
        "/etc/passwd",
        "a.npy::x",
        "nan",
        "\x1b[31m",
        "9" * 30,
        "1",
        "x",
    )
    header = draw.choice(
        ("id,label,a,b", "id,label,split,a", "id,label", "id,id,label,a", "a", "id,label,a," + "m," * 99)
    )
    rows = [[draw.choice(cells) for _ in header.split(",")] for _ in range(draw.randrange(12))]
    for i, row in enumerate(rows):
        row[0] = draw.choice((f"s{i}", f"s{i}", row[0]))
    text = "\n".join([header, *(",".join(row) for row in rows)])
    (folder / "manifest.csv").write_bytes(damaged(text.encode(), draw) if draw.random() < 0.4 else text.encode())
    return lambda: d.from_folder(folder / "manifest.csv")


def shards_folder(draw: random.Random, folder: Path) -> Read:
    d.convert(d.asynchrony((8, 4, 4)), folder / "s", progress=False)
    index = folder / "s" / "index.json"
    if draw.random() < 0.3:
        path = draw.choice(sorted(p for p in (folder / "s").rglob("*") if p.is_file()))
        path.write_bytes(damaged(path.read_bytes(), draw))
    else:
        about: Any = json.loads(index.read_text())
        target = about
        for _ in range(draw.randrange(5)):
            inner = [
                v for v in (target.values() if isinstance(target, dict) else target) if isinstance(v, dict | list) and v
            ]
            target = draw.choice(inner) if inner else target
        key = draw.choice(list(target) if isinstance(target, dict) else range(len(target)))
        target[key] = draw.choice((*ODD, *HUGE))
        index.write_text(json.dumps(about))
    return lambda: [d.sharded(folder / "s").train.select(slice(0, 4)), d.sharded(folder / "s").test.select([0])]


def trial_file(draw: random.Random, folder: Path) -> Read:
    from clcrkit.experiments.trials import _read

    row = dict.fromkeys(("score", "valid_score", "best_epoch", "parameters"), 0.5)
    row[draw.choice(list(row))] = draw.choice(ODD)
    whole = json.dumps({"row": row}).encode()
    texts = (whole, damaged(whole, draw), b'{"row": {}}', b"[" * 10**5, b'{"row": ' * 10**5, b"7", b"null", b"\xff")
    (folder / "k.json").write_bytes(draw.choice(texts))
    return lambda: _read(folder, "k", row)


def notebook_file(draw: random.Random, folder: Path) -> Read:
    from clcrkit.pages import read_notebook, to_html

    path = folder / "n.ipynb"
    cell: dict[str, Any] = {
        "cell_type": draw.choice(("markdown", "code", "x")),
        "id": "a",
        "metadata": {},
        "source": "$x$",
    }
    cell |= {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
    book: dict[str, Any] = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    target = draw.choice((book, cell))
    target[draw.choice(list(target))] = draw.choice(ODD)
    whole = json.dumps(book).encode()
    path.write_bytes(draw.choice((whole, damaged(whole, draw), b"[" * 10**5)))
    return lambda: to_html(read_notebook(path), "x")


MAKERS: dict[str, Maker] = {
    "npy": npy_file, "npz": npz_file, "h5": h5_file, "csv": csv_file, "pickle": pickle_file, "model": checkpoint_file,
    "run folder": run_folder, "wav": wav_file, "manifest": manifest, "shards": shards_folder, "trial": trial_file,
    "notebook": notebook_file,
}  # fmt: skip
