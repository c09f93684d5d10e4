"""Kinetics-Sounds: 31 actions that are seen and heard. Files as in GeWu-Lab/OGM-GE_CVPR2022; nothing is bundled."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num
from numpy import ndarray

from clcrkit.datasets import media
from clcrkit.datasets.array_files import read_array
from clcrkit.datasets.media import Row
from clcrkit.datasets.split import Split
from clcrkit.datasets.unpickle import unpickle
from clcrkit.errors import DataError

MODALITIES = ("acoustic", "vision")
CLASSES = 31
POOLED = 8  # columns of a spectrogram that make one token


def kinetics_sounds(
    folder: str | os.PathLike[str],
    split: str = "published",
    features_folder: str | os.PathLike[str] | None = None,
    shards: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Split:
    """Modalities `acoustic` (spectrogram columns, 8 averaged) and `vision` (frames as 16 x 16 means); 31 classes.

    folder: holds my_train.txt and my_test.txt (lines `<id>,<frames>,<class 0-30>`), audio_spec/<id>.npy or .pkl
        (a spectrogram, frequency by time) and visual/<id>/frame_0000N.jpg.
    split: "published" (the two lists; validation takes whole videos from the training list) or "videos" (all
        clips divided anew, no video in two parts). The id is the video and the second at which the clip begins.
    features_folder, shards, seed: as in `cremad`.

    The classes have no names in these lists. Attributes: `group` is the video, `name` the id. A .pkl goes through
    the restricted unpickler. Raises DataError for a missing, damaged or linked file, ConfigError for an unknown split.
    """
    media.one_of("split", split, ("published", "videos"))
    place = Path(folder)
    listed, test = (_rows(place, f"my_{part}.txt") for part in ("train", "test"))
    if split == "published":
        train, valid = media.hold_out(listed, media.VALID, np.random.default_rng(seed))
        parts = {"train": train, "valid": valid, "test": test}
    else:
        parts = media.by_group(listed + test, seed)

    def read(name: str) -> dict[str, Num[ndarray, "token _"]]:
        if features_folder is not None:
            return {m: media.features(Path(features_folder), m, name) for m in MODALITIES}
        return {"acoustic": _spectrogram(place, name), "vision": media.image_frames(place, "visual", name)}

    def needed(name: str) -> list[Path]:
        if features_folder is not None:
            return [media.features_file(Path(features_folder), m, name) for m in MODALITIES]
        return [place / _spectrogram_file(place, name), place / f"visual/{name}"]

    return media.read_parts(parts, read, tuple(f"class {i}" for i in range(CLASSES)), shards, progress, needed)


def _rows(folder: Path, name: str) -> list[Row]:
    rows = []
    for line in media.read_lines(folder, name):
        clip, *numbers = line.rsplit(",", 2)
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
            raise DataError(f"{folder / name}: line {line[:80]!r}, but '<id>,<frames>,<class>' is needed")
        rows.append(Row(clip, int(numbers[1]), clip.rpartition("_")[0] or clip))
    return rows


def _spectrogram_file(folder: Path, name: str) -> str:
    ending = "pkl" if (folder / "audio_spec" / f"{name}.pkl").exists() else "npy"
    return f"audio_spec/{name}.{ending}"


def _spectrogram(folder: Path, name: str) -> Float[ndarray, "token frequency"]:
    path = media.inside(folder, _spectrogram_file(folder, name))
    array = media.as_floats(path, unpickle(path) if path.suffix == ".pkl" else read_array(path))
    if array.ndim != 2:
        raise DataError(f"{path}: shape {array.shape}, but (frequency, time) is needed")
    columns = array.T
    starts = np.arange(0, len(columns), POOLED)
    return np.add.reduceat(columns, starts) / np.diff([*starts, len(columns)])[:, None].astype(np.float32)
