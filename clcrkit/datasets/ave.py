"""AVE: 28 audio-visual events in ten-second clips. Files as in YapengTian/AVE-ECCV18; nothing is bundled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from tqdm.auto import tqdm

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.datasets.clips import Row, read_clips
from clcrkit.datasets.readers.array_files import finite_floats, h5_array
from clcrkit.datasets.readers.frames import frame_pictures, picture_source
from clcrkit.datasets.readers.paths import inside, read_lines
from clcrkit.datasets.readers.sound import COLUMNS, SOUND_PICTURES, sound_pictures
from clcrkit.datasets.split import PARTS, Split
from clcrkit.errors import DataError, require

SECONDS = 10
EVENTS = 28  # the 29th column of the labels is the background
LEVELS = 3
ANNOTATIONS = "Annotations.txt"
_KEY = "avadataset"
_MOST_CLIPS = 100_000
_LARGEST_CHUNK = 256 * 2**20


@public
def ave(folder: str | os.PathLike[str], progress: bool = True, pixels: int = 0) -> Split:
    """Modalities `acoustic` (128 VGGish features) and `vision` (512 VGG features, the 7 x 7 places averaged).

    folder: holds audio_feature.h5 (clip, 10, 128), visual_feature.h5 (clip, 10, 7, 7, 512; read clip by clip, so
        that its 7.7 GB need no memory), labels.h5 (clip, 10, 29), mil_labels.h5 (clip, 29), all under the key
        `avadataset`, and train_order.h5, val_order.h5 and test_order.h5 (key `order`): the published parts.

    A clip is a sample of ten tokens, a second each. Batch.labels: the event of the clip, 28 classes, from
    mil_labels (the event column of the greatest value; the last column, background, is no class). The labels of
    the seconds become Batch.evidence: True in both modalities where the event is seen and heard, False where the
    second is background; the same at each of 3 levels, since nobody knows at which level an event shows. [ours]
    Attribute `event_seconds`: how many seconds that are, 0 to 10. Ids are the clip's rows in the files. Which video
    a clip is from (`group`) and what the classes are called is in Annotations.txt (lines
    `<event>&<video>&<quality>&<start>&<end>`, in the order of the rows), where it lies in the folder. 8 videos are in
    the published training and test part at once, which `check` finds.
    pixels: 0, or tokens are pictures of the clips, as in `cremad`; the folder then holds trainSet.txt, valSet.txt and
        testSet.txt (lines as above), AudioWAV/<video>.wav and Image-01-FPS/<video>/*.jpg, as `unpack_clip` writes
        them of the videos. Classes are in the order of the alphabet; there is no evidence. A video with several
        events is several samples.
    Raises DataError for a missing or damaged file, links to other files, shapes other than these, a clip in two
    parts or without an event, and annotations that do not fit the labels; ConfigError for pixels beyond 32 to 512.
    """
    place = Path(folder)
    if pixels:
        return _clips(place, progress, pixels)
    shapes = {
        "audio_feature": (SECONDS, 128),
        "visual_feature": (SECONDS, 7, 7, 512),
        "labels": (SECONDS, EVENTS + 1),
        "mil_labels": (EVENTS + 1,),
    }
    orders = {part: _order(place, f"{part}_order.h5") for part in ("train", "val", "test")}
    with ExitStack() as stack:
        files = {n: stack.enter_context(_opened(place, f"{n}.h5", _KEY, shape)) for n, shape in shapes.items()}
        clips = {name: len(file) for name, file in files.items()}
        if len(set(clips.values())) > 1:
            raise DataError(f"{place}: the files hold different numbers of clips: {clips}")
        rows = np.concatenate(list(orders.values()))
        wrong = rows[(rows < 0) | (rows >= clips["labels"])]
        if len(wrong):
            raise DataError(f"{place}: the orders name clip {wrong[0]}, but there are {clips['labels']} clips")
        if len(np.unique(rows)) < len(rows):
            raise DataError(f"{place}: {len(rows) - len(np.unique(rows))} clips are named twice in the orders")
        parts = {part: _part(place, files, order, part, progress) for part, order in orders.items()}
    names: dict[int, str] = {}
    attribute_names: dict[str, tuple[str, ...]] = {}
    if (place / ANNOTATIONS).exists():
        events, videos = _annotations(place, clips["labels"])
        codes = {video: code for code, video in enumerate(sorted(set(videos)))}
        attribute_names["group"] = tuple(codes)
        for batch in parts.values():
            assert batch.labels is not None
            for label, row in zip(batch.labels.tolist(), batch.ids.tolist(), strict=True):
                if names.setdefault(label, events[row]) != events[row]:
                    raise DataError(
                        f"{place / ANNOTATIONS}: line of clip {row} says {events[row]!r}, others of its class "
                        f"{names[label]!r}; without this file classes have numbers and videos are not known"
                    )
            batch.attributes["group"] = torch.tensor([codes[videos[row]] for row in batch.ids.tolist()])
    label_names = tuple(names.get(i, f"event {i}") for i in range(EVENTS))
    return Split(parts["train"], parts["val"], parts["test"], label_names, attribute_names)


def _clips(folder: Path, progress: bool, pixels: int) -> Split:
    """The sound and frames of the published videos, in the published lists."""
    files = dict(zip(PARTS, ("trainSet.txt", "valSet.txt", "testSet.txt"), strict=True))
    lists = {part: _fields(folder, file) for part, file in files.items()}
    short = [f"{files[p]}: line {line[0][:80]!r}" for p, lines in lists.items() for line in lines if len(line) < 2]
    if short:
        raise DataError(f"{folder}/{short[0]}, but '<event>&<video>&<quality>&<start>&<end>' is needed")
    events = sorted({line[0] for lines in lists.values() for line in lines})
    seen: Counter[str] = Counter()
    videos: dict[str, str] = {}  # of each sample
    parts: dict[str, list[Row]] = {part: [] for part in lists}
    for part, lines in lists.items():
        for event, video, *_ in lines:
            seen[video] += 1
            name = video if seen[video] == 1 else f"{video} {seen[video]}"
            videos[name] = video
            parts[part].append(Row(name, events.index(event), video))
    return read_clips(
        parts,
        read={
            "acoustic": lambda name: sound_pictures(folder, "AudioWAV", f"{videos[name]}.wav"),
            "vision": lambda name: frame_pictures(folder, "Image-01-FPS", videos[name], size=(pixels, pixels)),
        },
        files=lambda name: [folder / f"AudioWAV/{videos[name]}.wav", folder / f"Image-01-FPS/{videos[name]}"],
        label_names=events,
        features_folder=None,
        shards=None,
        progress=progress,
        sources={"acoustic": SOUND_PICTURES, "vision": picture_source(pixels)},
        pictures={"acoustic": (1, COLUMNS), "vision": (3, pixels)},
    )


def _fields(folder: Path, name: str) -> list[list[str]]:
    """Of each line of a list or of the annotations, without a heading."""
    lines = [line.split("&") for line in read_lines(folder, name)]
    return lines[1:] if lines and lines[0][0] == "Category" else lines


def _annotations(folder: Path, clips: int) -> tuple[list[str], list[str]]:
    """Event and video of each row."""
    lines = _fields(folder, ANNOTATIONS)
    short = [line for line in lines if len(line) != 5]
    if len(lines) != clips or short:
        raise DataError(
            f"{folder / ANNOTATIONS}: {len(lines)} lines, {len(short)} of them not "
            f"'<event>&<video>&<quality>&<start>&<end>', for {clips} clips"
        )
    return [line[0] for line in lines], [line[1] for line in lines]


def _part(folder: Path, files: dict[str, Any], order: Int64[ndarray, "clip"], part: str, progress: bool) -> Batch:
    arrays: dict[str, list[ndarray]] = {name: [] for name in files}
    for clip in tqdm(order.tolist(), desc=f"read {part}", unit="clip", disable=not progress):
        for name, file in files.items():
            try:
                row = np.asarray(file[clip])
            except Exception as error:  # damaged chunks make h5py raise several kinds
                raise DataError(f"{folder / name}.h5: clip {clip} cannot be read ({error})") from error
            row = finite_floats(folder / f"{name}.h5", row)
            arrays[name].append(row.mean((1, 2)) if name == "visual_feature" else row)
    events = np.stack(arrays["mil_labels"])[:, :EVENTS]
    none = order[~(events.max(1) > 0)]
    if len(none):
        raise DataError(f"{folder / 'mil_labels.h5'}: clip {none[0]} has no event among its {EVENTS} columns")
    labels = events.argmax(1)
    seconds = np.stack(arrays["labels"])
    eventful = np.take_along_axis(seconds, labels[:, None, None], axis=2)[:, :, 0] > 0
    evidence = np.repeat(eventful[:, None], LEVELS, axis=1)
    return Batch.from_arrays(
        {"acoustic": np.stack(arrays["audio_feature"]), "vision": np.stack(arrays["visual_feature"])},
        labels=labels,
        ids=order,
        attributes={"event_seconds": eventful.sum(1)},
        evidence={"acoustic": evidence, "vision": evidence},
        classes=EVENTS,
    )


def _order(folder: Path, name: str) -> Int64[ndarray, "clip"]:
    with _opened(folder, name, "order", ()) as file:
        if file.dtype.kind not in "iu" or not len(file):
            raise DataError(f"{folder / name}: {file.dtype} of shape {file.shape}, but row numbers are needed")
        return np.asarray(file[:]).astype(np.int64)


@contextmanager
def _opened(folder: Path, name: str, key: str, shape: tuple[int, ...]) -> Iterator[Any]:
    """The array of an h5 file, of this shape behind its first axis; it lies in the file itself and nowhere else."""
    h5py = require("h5py", "data")
    path = inside(folder, name)
    with ExitStack() as stack:
        try:
            array = h5_array(stack.enter_context(h5py.File(path, "r")), key)
            if array.dtype.kind == "b" or not array.shape or array.shape[1:] != shape:
                wanted = ", ".join(map(str, ("clip", *shape)))
                raise ValueError(
                    f"{key!r} is {array.dtype} of shape {array.shape}, but numbers of ({wanted}) are needed"
                )
            if len(array) > _MOST_CLIPS or np.prod(array.chunks or 1, dtype=float) * 8 > _LARGEST_CHUNK:
                raise ValueError(f"{key!r} of shape {array.shape} in chunks of {array.chunks} is too large")
        except Exception as error:  # a damaged file makes h5py raise a dozen different kinds
            raise DataError(f"{path}: not the h5 file that is needed, or damaged ({error})") from error
        yield array
