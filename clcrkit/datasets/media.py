"""Media: samples that lie in files (sound, frames, feature arrays) and are read when they are asked for.

What the loaders of audio-visual sets have in common. Files are untrusted: none may lie outside the folder that was
named, nothing is unpickled, and shapes are checked before memory is taken.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num
from numpy import ndarray
from tqdm.auto import tqdm

from clcrkit.batch import Batch, collate, concatenate
from clcrkit.datasets.array_files import read_array
from clcrkit.datasets.convert import PIECE, convert
from clcrkit.datasets.shards import sharded
from clcrkit.datasets.sound import log_mel, read_wav
from clcrkit.datasets.split import Split, draw_parts
from clcrkit.errors import ConfigError, DataError

PIXELS = 16  # a frame becomes the means of 16 x 16 fields
MOST_FRAMES = 32  # of a clip, evenly spaced
HOP_S = 0.02
BANDS = 40
FEATURES = (".npy", ".npz", ".safetensors")
PARTS = ("train", "valid", "test")
VALID, TEST = 0.1, 0.2  # shares of the samples
_LARGEST_LIST = 64 * 2**20  # bytes
_LARGEST_IMAGE = 64_000_000  # pixels
_LONGEST_NAME = 200

Read = Callable[[str], Mapping[str, Num[ndarray, "token ..."]]]


class Row(NamedTuple):
    """A line of a list: what the sample is called, its class, and who or what it is a recording of."""

    name: str
    label: int
    group: str


@dataclass(frozen=True)
class Listing:
    """The samples of one part. They are read by `select`, and not kept. `convert` takes it in place of a Batch."""

    rows: Sequence[Row]
    groups: Mapping[str, int]
    first_id: int
    read: Read

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: Any) -> Batch:
        """The samples at `index`: a slice, a list of positions or a bool mask."""
        chosen = torch.arange(len(self))[index if isinstance(index, slice) else torch.as_tensor(index)].tolist()
        rows = [self.rows[i] for i in chosen]
        ids = [self.first_id + i for i in chosen]
        batch = collate([self.read(row.name) for row in rows])
        return Batch.from_arrays(
            batch.tokens,
            labels=[row.label for row in rows],
            masks=batch.masks,
            ids=ids,
            attributes={"group": [self.groups[row.group] for row in rows], "name": ids},
        )


def read_parts(
    parts: Mapping[str, Sequence[Row]],
    read: Read,
    label_names: Sequence[str],
    shards: str | os.PathLike[str] | None,
    progress: bool,
    needed: Callable[[str], Sequence[Path]],
) -> Split:
    """The Split of three lists: read into memory, or, where `shards` is given, converted to that folder and opened.

    Attributes: `group` and `name`, whose `attribute_names` are the groups and the names in the lists.
    needed: the files that a sample is read from; that they are there is checked before hours of reading.
    Raises DataError for an empty part, a name that is listed twice or is no plain file name, an unknown class, and
    a missing file.
    """
    rows = [row for part in parts.values() for row in part]
    known: set[str] = set()
    for row in rows:
        check_name(row.name)
        if row.name in known:
            raise DataError(f"lists: {row.name} is listed twice; each sample must come once")
        if not 0 <= row.label < len(label_names):
            raise DataError(
                f"lists: {row.name} is of class {row.label}, but classes go from 0 to {len(label_names) - 1}"
            )
        known.add(row.name)
    lacking = [path for row in rows for path in needed(row.name) if not path.exists()]
    if lacking:
        raise DataError(f"{lacking[0]}: no such file or folder ({len(lacking)} are missing, of {len(rows)} samples)")
    groups = {group: code for code, group in enumerate(sorted({row.group for row in rows}))}
    listings: dict[str, Listing] = {}
    first = 0
    for part, listed in parts.items():
        if not listed:
            raise DataError(f"lists: no sample for the {part} part; at least 1 is needed")
        listings[part] = Listing(listed, groups, first, read)
        first += len(listed)
    names = {"group": tuple(groups), "name": tuple(row.name for row in rows)}
    if shards is not None:
        return sharded(convert(listings, shards, progress=progress, label_names=label_names, attribute_names=names))
    train, valid, test = (_whole(listings[part], part, progress) for part in PARTS)
    return Split(train, valid, test, tuple(label_names), names)


def _whole(listing: Listing, part: str, progress: bool) -> Batch:
    starts = range(0, len(listing), PIECE)
    bar = tqdm(starts, desc=f"read {part}", unit_scale=PIECE, unit="sample", disable=not progress)
    return concatenate([listing.select(slice(start, min(start + PIECE, len(listing)))) for start in bar])


def hold_out(rows: Sequence[Row], share: float, random: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """The rows without, and those of, some groups: drawn whole until they hold `share` of the rows or a little more."""
    members: dict[str, int] = {}
    for row in rows:
        members[row.group] = members.get(row.group, 0) + 1
    if len(members) < 2:
        raise DataError(f"lists: {len(members)} groups, but at least 2 are needed to keep groups apart")
    drawn: set[str] = set()
    for group in random.permutation(sorted(members)).tolist()[1:]:  # one group at least must stay
        if sum(members[g] for g in drawn) >= share * len(rows):
            break
        drawn.add(group)
    return [row for row in rows if row.group not in drawn], [row for row in rows if row.group in drawn]


def by_group(rows: Sequence[Row], seed: int) -> dict[str, list[Row]]:
    """Three parts that share no group: about 20 % of the rows for the test and 10 % for validation."""
    labels, groups = np.array([row.label for row in rows]), np.array([row.group for row in rows])
    drawn = draw_parts(labels, groups, (VALID, TEST), seed)
    return {part: [row for row, its in zip(rows, drawn, strict=True) if its == part] for part in PARTS}


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError where a setting is not one of the allowed values."""
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}, but it must be {' or '.join(map(repr, allowed))}")


def check_name(name: str) -> None:
    """Raise DataError where a sample's name cannot be that of a file in one folder."""
    if not name or len(name) > _LONGEST_NAME or set(name) & set("/\\\0") or name in (".", ".."):
        raise DataError(f"name {name[:_LONGEST_NAME]!r}: samples name files, so it must be a plain name")


def inside(folder: Path, *names: str) -> Path:
    """The path of these names in the folder. Raises DataError where it is missing or leads out of the folder."""
    path = folder.joinpath(*names)
    try:
        real, root = path.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise DataError(f"{path}: no such file or folder") from None
    if not real.is_relative_to(root):
        raise DataError(f"{path}: leads out of {folder}")
    return path


def read_lines(folder: Path, *names: str) -> list[str]:
    """The lines of a text file that are not empty."""
    path = inside(folder, *names)
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_LIST:
            raise ValueError(f"a file of at most {_LARGEST_LIST // 2**20} MiB is needed")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a list in UTF-8 ({error})") from error
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        raise DataError(f"{path}: an empty list; at least 1 line is needed")
    return filled


def sound_frames(folder: Path, *names: str) -> Float[ndarray, "frame band"]:
    """The log-mel frames of a wav file: 40 bands, one frame for each 20 ms."""
    path = inside(folder, *names)
    if not path.is_file():
        raise DataError(f"{path}: not a file")
    return log_mel(*read_wav(path), bands=BANDS, hop=HOP_S)


def image_frames(folder: Path, *names: str, grey: bool = False) -> Float[ndarray, "frame feature"]:
    """The frames of a folder in the order of their names, each as 16 x 16 means of its colours, from 0 to 1.

    At most 32 frames are taken, evenly spaced. Raises DataError for a folder without a jpg or png and for an
    image that is damaged or has more than 64 million pixels."""
    mode = "L" if grey else "RGB"
    return np.stack([open_image(path, (PIXELS, PIXELS), mode).ravel() for path in frame_files(folder, *names)])


def frame_files(folder: Path, *names: str) -> list[Path]:
    """The pictures of a folder in the order of their names, at most 32 of them."""
    place = inside(folder, *names)
    try:
        found = sorted(p.name for p in place.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    except OSError as error:
        raise DataError(f"{place}: not a folder of frames ({error})") from error
    if not found:
        raise DataError(f"{place}: holds no jpg or png")
    taken = np.linspace(0, len(found) - 1, min(len(found), MOST_FRAMES)).round().astype(int)
    return [inside(folder, *names, found[i]) for i in taken]


def open_image(path: Path, size: tuple[int, int], mode: str) -> Float[ndarray, "row column ..."]:
    """A picture scaled to `size` (width, height) by averaging, in Pillow's mode "RGB" or "L", from 0 to 1."""
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if math.prod(image.size) > _LARGEST_IMAGE:
                raise ValueError(f"{image.size[0]} x {image.size[1]} pixels")
            small = image.convert(mode).resize(size, Image.Resampling.BOX)
    except Exception as error:  # a damaged image makes Pillow raise a dozen different kinds
        raise DataError(f"{path}: not a jpg or png, or damaged ({error})") from error
    return np.asarray(small, dtype=np.float32) / 255


def features(folder: Path, modality: str, name: str) -> Float[ndarray, "token feature"]:
    """The extracted features of one sample: `<folder>/<modality>/<name>` as .npy, .npz or .safetensors, one array.

    An array of one axis is one token. Raises DataError where there is no such file, or it holds anything else."""
    path = inside(folder, modality, features_file(folder, modality, name).name)
    array = as_floats(path, read_array(path))
    if array.ndim not in (1, 2):
        raise DataError(f"{path}: shape {array.shape}, but (token, feature) is needed")
    return np.atleast_2d(array)


def features_file(folder: Path, modality: str, name: str) -> Path:
    """Where the features of a sample are; the first ending where there is no file."""
    paths = [folder / modality / f"{name}{ending}" for ending in FEATURES]
    return next((path for path in paths if path.exists()), paths[0])


def as_floats(path: Path, array: Any) -> Float[ndarray, "..."]:
    """What was read from a file, as float32. Raises DataError where it is not an array of finite numbers."""
    if not isinstance(array, ndarray) or array.dtype.kind not in "fiu" or 0 in array.shape:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, ndarray) else type(array).__name__
        raise DataError(f"{path}: {found}, but an array of numbers is needed")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise DataError(f"{path}: {bad} of {array.size} numbers are NaN, inf or beyond float32")
    return array
