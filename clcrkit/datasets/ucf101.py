"""UCF101: 101 actions, as frames and as optical flow. Files as in GeWu-Lab/BalanceBenchmark; nothing is bundled."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.datasets.clips import Read, Row, parts_by_group, published_parts, read_clips
from clcrkit.datasets.readers.frames import IMAGE_FRAMES, frame_pictures, image_frames, picture_source
from clcrkit.datasets.readers.paths import read_lines
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError, check_choice

_LINE = re.compile(r"(?:[^/]+)/(v_(\w+)_g(\d+)_c\d+)\.avi(?: \d+)?", re.ASCII)


@public
def ucf101(
    folder: str | os.PathLike[str],
    split: str = "1",
    features_folder: str | os.PathLike[str] | None = None,
    shards: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool = True,
    pixels: int = 0,
) -> Split:
    """Modalities `vision` (frames as 16 x 16 colour means) and `flow` (horizontal and vertical flow as 16 x 16 means).

    folder: holds classInd.txt (`1 ApplyEyeMakeup`), trainlist01.txt and testlist01.txt (lines `Class/v_X.avi`, to
        03), visual/<v>/frame_0000N.jpg, flow_u/<v>/frame00NNNN.jpg and flow_v/<v>/frame00NNNN.jpg. At most 32
        frames of a clip are taken, evenly spaced.
    split: "1", "2" or "3", the published lists, which keep groups (one person or place, filmed in several clips)
        apart; or "groups", all clips of the first lists divided anew by group. Validation takes whole groups.
    features_folder (`vision/<v>` and `flow/<v>`), shards, seed, pixels: as in `cremad`; pictures of
        flow have two channels, horizontal first.

    Attributes: `group` is class and group, `name` the clip. Raises DataError for a missing, damaged or linked file,
    ConfigError for an unknown split or pixels beyond 32 to 512.
    """
    check_choice("split", split, ("1", "2", "3", "groups"))
    place = Path(folder)
    classes = _classes(place)
    read: dict[str, Read] = {
        "vision": lambda name: image_frames(place, "visual", name),
        "flow": lambda name: _flow(place, name, partial(image_frames, grey=True)),
    }
    sources = {"vision": IMAGE_FRAMES}
    if pixels:
        sources = {"vision": picture_source(pixels), "flow": picture_source(pixels, "fields of flow")}
        pictures = partial(frame_pictures, size=(pixels, pixels))
        read = {
            "vision": lambda name: pictures(place, "visual", name),
            "flow": lambda name: _flow(place, name, partial(pictures, grey=True)),
        }
    number = "1" if split == "groups" else split
    train, test = (_rows(place, f"{part}list0{number}.txt", classes) for part in ("train", "test"))
    return read_clips(
        parts_by_group(train + test, seed) if split == "groups" else published_parts(train, test, seed),
        read=read,
        files=lambda name: [place / f"{kind}/{name}" for kind in ("visual", "flow_u", "flow_v")],
        label_names=classes,
        features_folder=features_folder,
        shards=shards,
        progress=progress,
        sources=sources,
        pictures={"vision": (3, pixels)} if pixels else {},
    )


def _classes(folder: Path) -> tuple[str, ...]:
    """In the published order, which is alphabetical, but for the case of letters."""
    names: list[str] = []
    for line in read_lines(folder, "classInd.txt"):
        number, _, name = line.partition(" ")
        if number != str(len(names) + 1) or not name or name in names:
            raise DataError(f"{folder / 'classInd.txt'}: line {line[:80]!r}, but '{len(names) + 1} <class>' is needed")
        names.append(name)
    return tuple(names)


def _rows(folder: Path, name: str, classes: tuple[str, ...]) -> list[Row]:
    rows = []
    for line in read_lines(folder, name):
        match = _LINE.fullmatch(line)
        label = line.split("/")[0]
        if not match or label not in classes:
            raise DataError(f"{folder / name}: line {line[:80]!r}, but 'Class/v_X_gNN_cNN.avi' is needed")
        rows.append(Row(match[1], classes.index(label), f"{label} {match[3]}"))
    return rows


def _flow(folder: Path, name: str, read: Callable[..., ndarray]) -> Float[ndarray, "frame feature"]:
    """Both directions side by side, frame by frame."""
    u, v = (read(folder, direction, name) for direction in ("flow_u", "flow_v"))
    if len(u) != len(v):
        raise DataError(f"{folder / 'flow_u' / name}: {len(u)} frames, but flow_v has {len(v)}")
    return np.concatenate([u, v], axis=1)
