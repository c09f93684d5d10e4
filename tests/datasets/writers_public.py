"""Small files in the published layouts of the sets that test_public_sets.py reads: write_xxx(folder, seed)."""

from __future__ import annotations

import io
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("train", "valid", "test")


def write_mosi(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    video = np.repeat(np.arange(8), rng.integers(1, 7, 8))
    arrays: dict[str, Any] = {
        f"{m}_feat": rng.normal(size=(len(video), d)).astype("f4")
        for m, d in (("text", 4), ("audio", 3), ("vision", 5))
    }
    arrays["audio_feat"][1] = 0
    arrays["vision_feat"][:, 2] = 7
    np.savez(
        folder / "mosi_utt.npz",
        **arrays,
        video=video.astype("i2"),
        segment=np.concatenate([np.arange(n) + 1 for n in np.bincount(video)]).astype("i2"),
        y_bin=rng.integers(0, 2, len(video)).astype("u1"),
        split_poria=(video % 4 == 1).astype("u1"),
    )


def write_mmmo(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for part, count in zip(PARTS, (8, 4, 4), strict=True):
        for m, d in (("audio", 3), ("vision", 4)):
            x = rng.normal(size=(count, 5, d)).astype("f4") * 100
            x[0, :2] = 0
            x[1] = 0 if m == "audio" else x[1]
            arrays[f"mmmo_{part}_{m}"] = x
        arrays[f"mmmo_{part}_y"] = rng.integers(2, 11, count).astype("f4") / 2
    np.savez(folder / "mfn_sequences.npz", **arrays)


def write_fsdd(folder: Path, seed: int, takes: int = 12) -> None:
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(folder / "fsdd.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("free-spoken-digit-dataset/README.md", "not a recording")
        for digit in range(10):
            for speaker in ("ann", "bob", "cat", "dan"):
                for take in range(takes):
                    held = io.BytesIO()
                    with wave.open(held, "wb") as sound:
                        sound.setparams((1, 2, 8000, 0, "NONE", ""))
                        sound.writeframes(rng.integers(-9000, 9000, 300 + 100 * digit).astype("<i2").tobytes())
                    archive.writestr(
                        f"free-spoken-digit-dataset/recordings/{digit}_{speaker}_{take}.wav", held.getvalue()
                    )


WRITERS = {"mosi_utt.npz": write_mosi, "mfn_sequences.npz": write_mmmo, "fsdd.zip": write_fsdd}
