"""Kinetics-Sounds: 31 actions that are seen and heard. Files as in GeWu-Lab/OGM-GE_CVPR2022; nothing is bundled."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.datasets.clips import Read, Row, parts_by_group, published_parts, read_clips
from clcrkit.datasets.readers.array_files import finite_floats, read_array
from clcrkit.datasets.readers.frames import IMAGE_FRAMES, frame_pictures, image_frames, picture_source
from clcrkit.datasets.readers.paths import inside, read_lines
from clcrkit.datasets.readers.provenance import Provenance
from clcrkit.datasets.readers.sound import COLUMNS, pictures_of
from clcrkit.datasets.readers.unpickle import unpickle
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError, check_choice

CLASSES = 31
VIDEO = 11  # characters of a video's name, with which every id begins
SPECTROGRAM_PICTURES = Provenance(f"clcrkit: the set's spectrograms, cut into pictures of {COLUMNS} columns")
POOLED = 8  # columns of a spectrogram that make one token


@public
def kinetics_sounds(
    folder: str | os.PathLike[str],
    split: str = "published",
    features_folder: str | os.PathLike[str] | None = None,
    shards: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool = True,
    pixels: int = 0,
) -> Split:
    """Modalities `acoustic` (spectrogram columns, 8 averaged) and `vision` (frames as 16 x 16 means); 31 classes.

    folder: holds my_train.txt and my_test.txt (lines `<id>,<frames>,<class 0-30>`), audio_spec/<id>.npy or .pkl
        (a spectrogram, frequency by time) and visual/<id>/frame_0000N.jpg.
    split: "published" (the two lists; validation takes whole videos from the training list) or "videos" (all
        clips divided anew, no video in two parts).
    An id is the video's 11 characters, then start and end in the training list, a number in the test list.
    features_folder, shards, seed: as in `cremad`; pixels, too, but of the sound all frequencies by 64 columns.

    The classes have no names in these lists. Attributes: `group` is the video, `name` the id. A .pkl goes through
    the restricted unpickler. Raises DataError for a missing, damaged or linked file, ConfigError for an unknown split
    or pixels beyond 32 to 512.
    """
    check_choice("split", split, ("published", "videos"))
    place = Path(folder)
    train, test = (_rows(place, f"my_{part}.txt") for part in ("train", "test"))
    read: dict[str, Read] = {
        "acoustic": lambda name: _columns(_spectrogram(place, name)),
        "vision": lambda name: image_frames(place, "visual", name),
    }
    sources = {"vision": IMAGE_FRAMES}
    if pixels:
        sources = {"acoustic": SPECTROGRAM_PICTURES, "vision": picture_source(pixels)}
        read = {
            "acoustic": lambda name: pictures_of(_spectrogram(place, name)),
            "vision": lambda name: frame_pictures(place, "visual", name, size=(pixels, pixels)),
        }
    return read_clips(
        published_parts(train, test, seed) if split == "published" else parts_by_group(train + test, seed),
        read=read,
        files=lambda name: [place / _spectrogram_file(place, name), place / f"visual/{name}"],
        label_names=tuple(f"class {i}" for i in range(CLASSES)),
        features_folder=features_folder,
        shards=shards,
        progress=progress,
        sources=sources,
        pictures={"acoustic": (1, COLUMNS), "vision": (3, pixels)} if pixels else {},
    )


def _rows(folder: Path, name: str) -> list[Row]:
    rows = []
    for line in read_lines(folder, name):
        clip, *numbers = line.rsplit(",", 2)
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
            raise DataError(f"{folder / name}: line {line[:80]!r}, but '<id>,<frames>,<class>' is needed")
        rows.append(Row(clip, int(numbers[1]), clip[:VIDEO]))
    return rows


def _spectrogram_file(folder: Path, name: str) -> str:
    ending = "pkl" if (folder / "audio_spec" / f"{name}.pkl").exists() else "npy"
    return f"audio_spec/{name}.{ending}"


def _spectrogram(folder: Path, name: str) -> Float[ndarray, "frequency column"]:
    path = inside(folder, _spectrogram_file(folder, name))
    array = finite_floats(path, unpickle(path) if path.suffix == ".pkl" else read_array(path))
    if array.ndim != 2:
        raise DataError(f"{path}: shape {array.shape}, but (frequency, time) is needed")
    return array


def _columns(spectrogram: Float[ndarray, "frequency column"]) -> Float[ndarray, "token frequency"]:
    """8 columns averaged."""
    columns = spectrogram.T
    starts = np.arange(0, len(columns), POOLED)
    return np.add.reduceat(columns, starts) / np.diff([*starts, len(columns)])[:, None].astype(np.float32)
