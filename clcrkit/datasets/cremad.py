"""CREMA-D: six emotions, spoken and seen, by 91 actors. Files as in GeWu-Lab/OGM-GE_CVPR2022; nothing is bundled."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Num
from numpy import ndarray

from clcrkit.datasets import media
from clcrkit.datasets.media import Row
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError

MODALITIES = ("acoustic", "vision")
EMOTIONS = {"NEU": "neutral", "HAP": "happy", "SAD": "sad", "FEA": "fear", "DIS": "disgust", "ANG": "anger"}


def cremad(
    folder: str | os.PathLike[str],
    split: str = "actors",
    features_folder: str | os.PathLike[str] | None = None,
    shards: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Split:
    """Modalities `acoustic` (log-mel frames, 40 bands, 20 ms) and `vision` (frames as 16 x 16 colour means); 6 classes.

    folder: holds train.csv and test.csv (lines `1001_IEO_NEU_XX,NEU`), AudioWAV/<id>.wav and
        Image-01-FPS/<id>/*.jpg.
    split: "actors" (no actor in two parts: about 20 % of the clips for the test, 10 % for validation) or
        "published" (test.csv as it is, whose actors are also in train.csv; validation is a random tenth of
        train.csv). A figure on the published split says nothing about unseen speakers.
    features_folder: takes extracted features in place of the media: `acoustic/<id>` and `vision/<id>` there,
        ending in .npy, .npz or .safetensors, each one array (token, feature).
    shards: a folder to convert to first (resumable); the parts of the Split are then Shards, read from the disk.
    seed: 0 or more; draws the parts.

    Attributes: `group` is the actor, `name` the id in the lists. Raises DataError for a missing, damaged or linked
    file, ConfigError for an unknown split.
    """
    media.one_of("split", split, ("actors", "published"))
    place = Path(folder)
    train, test = (_rows(place, f"{part}.csv") for part in ("train", "test"))
    if split == "published":
        order = np.random.default_rng(seed).permutation(len(train)).tolist()
        kept = max(1, round(media.VALID * len(train)))
        parts = {"train": [train[i] for i in order[kept:]], "valid": [train[i] for i in order[:kept]], "test": test}
    else:
        parts = media.by_group(train + test, seed)

    def read(name: str) -> dict[str, Num[ndarray, "token _"]]:
        if features_folder is not None:
            return {m: media.features(Path(features_folder), m, name) for m in MODALITIES}
        sound = media.sound_frames(place, "AudioWAV", f"{name}.wav")
        return {"acoustic": sound, "vision": media.image_frames(place, "Image-01-FPS", name)}

    def needed(name: str) -> list[Path]:
        if features_folder is not None:
            return [media.features_file(Path(features_folder), m, name) for m in MODALITIES]
        return [place / f"AudioWAV/{name}.wav", place / f"Image-01-FPS/{name}"]

    return media.read_parts(parts, read, tuple(EMOTIONS.values()), shards, progress, needed)


def _rows(folder: Path, name: str) -> list[Row]:
    rows = []
    for line in media.read_lines(folder, name):
        clip, _, emotion = line.partition(",")
        if emotion not in EMOTIONS or "_" not in clip:
            raise DataError(f"{folder / name}: line {line[:80]!r}, but '<actor>_...,<emotion>' is needed, the emotion "
                            f"being {', '.join(EMOTIONS)}")  # fmt: skip
        rows.append(Row(clip, list(EMOTIONS).index(emotion), clip.split("_")[0]))
    return rows
