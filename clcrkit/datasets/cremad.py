"""CREMA-D: six emotions, spoken and seen, by 91 actors. Files as in GeWu-Lab/OGM-GE_CVPR2022; nothing is bundled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clcrkit.arguments import public
from clcrkit.datasets.clips import VALID, Read, Row, parts_by_group, read_clips
from clcrkit.datasets.readers.frames import IMAGE_FRAMES, frame_pictures, image_frames, picture_source
from clcrkit.datasets.readers.paths import read_lines
from clcrkit.datasets.readers.sound import COLUMNS, SOUND_FRAMES, SOUND_PICTURES, sound_frames, sound_pictures
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError, check_choice

EMOTIONS = {"NEU": "neutral", "HAP": "happy", "SAD": "sad", "FEA": "fear", "DIS": "disgust", "ANG": "anger"}


@public
def cremad(
    folder: str | os.PathLike[str],
    split: str = "actors",
    features_folder: str | os.PathLike[str] | None = None,
    shards: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool = True,
    pixels: int = 0,
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
    pixels: 0, or tokens are pictures for an image encoder (`resnet.ResNet`): at most 3 frames of pixels x pixels,
        evenly spaced, colours first; and 64 log-mel bands by 64 columns (0.64 s) of the sound.
    seed: 0 or more; draws the parts.

    Attributes: `group` is the actor, `name` the id in the lists. Raises DataError for a missing, damaged or linked
    file, ConfigError for an unknown split or pixels beyond 32 to 512.
    """
    check_choice("split", split, ("actors", "published"))
    place = Path(folder)
    train, test = (_rows(place, f"{part}.csv") for part in ("train", "test"))
    parts: dict[str, Sequence[Row]]
    if split == "published":
        order = np.random.default_rng(seed).permutation(len(train)).tolist()
        count = max(1, round(VALID * len(train)))
        parts = {"train": [train[i] for i in order[count:]], "valid": [train[i] for i in order[:count]], "test": test}
    else:
        parts = parts_by_group(train + test, seed)

    read: dict[str, Read] = {
        "acoustic": lambda name: sound_frames(place, "AudioWAV", f"{name}.wav"),
        "vision": lambda name: image_frames(place, "Image-01-FPS", name),
    }
    sources = {"acoustic": SOUND_FRAMES, "vision": IMAGE_FRAMES}
    if pixels:
        sources = {"acoustic": SOUND_PICTURES, "vision": picture_source(pixels)}
        read = {
            "acoustic": lambda name: sound_pictures(place, "AudioWAV", f"{name}.wav"),
            "vision": lambda name: frame_pictures(place, "Image-01-FPS", name, size=(pixels, pixels)),
        }
    return read_clips(
        parts,
        read=read,
        files=lambda name: [place / f"AudioWAV/{name}.wav", place / f"Image-01-FPS/{name}"],
        label_names=tuple(EMOTIONS.values()),
        features_folder=features_folder,
        shards=shards,
        progress=progress,
        sources=sources,
        pictures={"acoustic": (1, COLUMNS), "vision": (3, pixels)} if pixels else {},
    )


def _rows(folder: Path, name: str) -> list[Row]:
    rows = []
    for line in read_lines(folder, name):
        clip, _, emotion = line.partition(",")
        if emotion not in EMOTIONS or "_" not in clip:
            raise DataError(f"{folder / name}: line {line[:80]!r}, but '<actor>_...,<emotion>' is needed, the emotion "
                            f"being {', '.join(EMOTIONS)}")  # fmt: skip
        rows.append(Row(clip, list(EMOTIONS).index(emotion), clip.split("_")[0]))
    return rows
