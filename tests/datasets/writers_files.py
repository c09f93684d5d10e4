"""Tiny files in the exact published layouts of MMSA and MulT, and a folder with a manifest: write_xxx(folder, seed).

What the loaders' tests, and the fuzzing, read."""

from __future__ import annotations

import csv
import io
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

SIZES = {"train": 12, "valid": 4, "test": 6}
WIDTHS = {"text": 8, "audio": 5, "vision": 4}
ANNOTATIONS = ("Negative", "Neutral", "Positive")


class Python2Pickler(pickle._Pickler):
    """Protocol 2 as Python 2 writes it: strings and the bytes of arrays are both str."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, text: str | bytes) -> None:
        raw = text.encode("latin-1") if isinstance(text, str) else text
        head = pickle.SHORT_BINSTRING + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))
        self.write(head + raw)  # type: ignore[attr-defined]
        self.memoize(text)  # type: ignore[attr-defined]

    dispatch[str] = dispatch[bytes] = save_string


def python2(value: Any) -> bytes:
    """A pickle by Python 2 and an old numpy."""
    held = io.BytesIO()
    Python2Pickler(held, protocol=2).dump(value)
    return held.getvalue().replace(b"numpy._core", b"numpy.core")


def mmsa_parts(seed: int, aligned: bool = True) -> dict[str, dict[str, Any]]:
    """MMSA's dicts: text_bert with [CLS] ... [SEP], padding at the end, ids video$_$clip, no video in two parts."""
    rng = np.random.default_rng(seed)
    parts = {}
    for number, (part, count) in enumerate(SIZES.items()):
        lengths = {key: rng.integers(2, 7, count) for key in WIDTHS}
        longest = {"text": 7, "audio": 9, "vision": 11}
        if aligned:
            lengths, longest = dict.fromkeys(WIDTHS, lengths["text"]), dict.fromkeys(WIDTHS, 7)
        score = rng.uniform(-3, 3, count).round(1)
        held: dict[str, Any] = {}
        for key, width in WIDTHS.items():
            values = rng.normal(size=(count, longest[key], width)).astype(np.float32) + score[:, None, None] / 3
            values[np.arange(longest[key]) >= lengths[key][:, None]] = 0
            held[key] = values.astype(np.float32)
        attention = np.arange(longest["text"]) < lengths["text"][:, None]
        ids = np.where(attention, rng.integers(5, 50, attention.shape), 0)
        ids[:, 0] = 2
        held["text_bert"] = np.stack([ids, attention, np.zeros_like(ids)], axis=1).astype(np.float32)
        held["raw_text"] = np.array([f"clip {i} says" for i in range(count)], dtype=object)
        held["id"] = [f"video{number}{i // 2}$_${i % 2}" for i in range(count)]
        held["regression_labels"] = score.astype(np.float32)
        held["classification_labels"] = np.sign(score).astype(np.float32) + 1
        held["annotations"] = [ANNOTATIONS[int(np.sign(s)) + 1] for s in score]
        if not aligned:
            held["audio_lengths"] = lengths["audio"].tolist()
            held["vision_lengths"] = lengths["vision"]
        parts[part] = held
    return parts


def write_mmsa(folder: Path, seed: int) -> None:
    (folder / "aligned_50.pkl").write_bytes(pickle.dumps(mmsa_parts(seed), protocol=4))


def write_mmsa_unaligned(folder: Path, seed: int) -> None:
    (folder / "unaligned_50.pkl").write_bytes(pickle.dumps(mmsa_parts(seed, aligned=False), protocol=5))


def mult_parts(seed: int, in_front: bool = False) -> dict[str, dict[str, Any]]:
    """MulT's dicts: labels (sample, 1, 1), ids (sample, 3): video, start, end."""
    parts = {}
    for part, held in mmsa_parts(seed, aligned=False).items():
        arrays = {key: held[key].astype(np.float64) for key in WIDTHS}
        if in_front:
            for key, values in arrays.items():
                arrays[key] = np.stack([np.roll(row, int((row == 0).all(1).sum()), axis=0) for row in values])
        clips = [name.split("$_$") for name in held["id"]]
        ids = np.array([[video.encode(), b"%d.0" % int(clip), b"9.5"] for video, clip in clips], dtype=object)
        parts[part] = {**arrays, "labels": held["regression_labels"][:, None, None], "id": ids}
    return parts


def write_mult(folder: Path, seed: int) -> None:
    (folder / "mosi_data_noalign.pkl").write_bytes(python2(mult_parts(seed)))


def write_iemocap(folder: Path, seed: int) -> None:
    """MulT's layout: labels (sample, 4, 2), no and yes for each emotion, and no ids."""
    parts, random = mult_parts(seed), np.random.default_rng(seed)
    for held in parts.values():
        del held["id"]
        held["labels"] = np.eye(2)[random.integers(0, 2, (len(held["labels"]), 4))]
    (folder / "iemocap_data.pkl").write_bytes(python2(parts))


def write_folder(folder: Path, seed: int) -> None:
    """manifest.csv over files of all five kinds; a sample lacks its sound."""
    import h5py
    from safetensors.numpy import save_file

    rng = np.random.default_rng(seed)
    rows = [["id", "split", "label", "group", "sound", "words", "face"]]
    sounds = h5py.File(folder / "sound.h5", "w")
    for i in range(24):
        part, label = ("train", "valid", "test", "train")[i % 4], ("cat", "dog")[i // 4 % 2]
        sound = (rng.normal(size=(rng.integers(2, 6), 3)) + i // 4 % 2).astype(np.float32)
        words = rng.integers(0, 9, rng.integers(2, 5))
        face = rng.normal(size=(3, 2)).astype(np.float32)
        if i % 3 == 0:
            np.savetxt(folder / f"sound{i}.csv", sound, delimiter=",", fmt="%.9g")
        elif i % 3 == 1:
            sounds.create_dataset(f"clips/{i}", data=sound, compression="gzip")
        else:
            np.save(folder / f"sound{i}.npy", sound)
        place = (f"sound{i}.csv", f"sound.h5::clips/{i}", f"sound{i}.npy")[i % 3]
        np.savez_compressed(folder / f"words{i}.npz", words=words, other=words)
        save_file({"face": face}, folder / f"face{i}.safetensors")
        sound_cell = "" if i == 5 else place
        rows.append(
            [f"clip{i}", part, label, f"speaker{i % 4}", sound_cell, f"words{i}.npz::words", f"face{i}.safetensors"]
        )
    sounds.close()
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
