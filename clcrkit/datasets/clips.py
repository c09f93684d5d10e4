"""Clips: what the loaders of audio-visual sets share. A sample's files are read only when the sample is asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num
from numpy import ndarray
from tqdm.auto import tqdm

from clcrkit.batch import Batch, collate, concatenate
from clcrkit.datasets.readers.array_files import finite_floats, read_array
from clcrkit.datasets.readers.paths import check_name, inside
from clcrkit.datasets.readers.provenance import Provenance, provenance_of
from clcrkit.datasets.split import PARTS, Split, draw_parts
from clcrkit.datasets.streaming.convert import PIECE, convert
from clcrkit.datasets.streaming.shards import sharded
from clcrkit.errors import ConfigError, DataError
from clcrkit.tasks import MOST_CLASSES

FEATURES = (".npy", ".npz", ".safetensors")
VALID = 0.1  # share of the samples

Read = Callable[[str], Num[ndarray, "token ..."]]


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
    read: Mapping[str, Read]

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: Any) -> Batch:
        """The samples at `index`: a slice, a list of positions or a bool mask."""
        positions = torch.arange(len(self))[index if isinstance(index, slice) else torch.as_tensor(index)].tolist()
        rows = [self.rows[i] for i in positions]
        ids = [self.first_id + i for i in positions]
        return collate(
            [{m: read(row.name) for m, read in self.read.items()} for row in rows],
            labels=[row.label for row in rows],
            ids=ids,
            attributes={"group": [self.groups[row.group] for row in rows], "name": ids},
            classes=MOST_CLASSES,  # the lists are checked; a few rows need not have them all
        )


def read_clips(
    parts: Mapping[str, Sequence[Row]],
    read: Mapping[str, Read],
    files: Callable[[str], Sequence[Path]],
    label_names: Sequence[str],
    features_folder: str | os.PathLike[str] | None,
    shards: str | os.PathLike[str] | None,
    progress: bool,
    sources: Mapping[str, Provenance],
    pictures: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> Split:
    """The Split of three lists: read into memory, or, where `shards` is given, converted to that folder and opened.

    read: by modality a function from a sample's name to its tokens. files: what they read of a sample, looked for
    before hours of reading. sources: what `read` makes. Where `features_folder` is given, extracted features replace
    all three. pictures: channels and columns of the modalities whose tokens are flattened pictures to be shown.
    Attributes: `group` and `name`, whose `attribute_names` are the groups and the names in the lists.
    Raises DataError for an empty part, a name that is listed twice or is no plain file name, an unknown class, and
    a missing file; ConfigError for pictures beside a features folder.
    """
    if features_folder is not None and pictures:
        raise ConfigError("pixels: given, but features_folder stands in for all pictures; leave one of the two out")
    if features_folder is not None:
        place, modalities = Path(features_folder), tuple(read)
        read = {m: partial(features, place, m) for m in modalities}
        files = lambda name: [features_file(place, m, name) for m in modalities]  # noqa: E731
    rows = [row for part in parts.values() for row in part]
    names = tuple(row.name for row in rows)
    for name, count in Counter(names).items():
        check_name(name)
        if count > 1:
            raise DataError(f"lists: {name} is listed twice; each sample must come once")
    for row in rows:
        if not 0 <= row.label < len(label_names):
            raise DataError(
                f"lists: {row.name} is of class {row.label}, but classes go from 0 to {len(label_names) - 1}"
            )
    missing = [path for name in names for path in files(name) if not path.exists()]
    if missing:
        raise DataError(f"{missing[0]}: no such file or folder ({len(missing)} are missing, of {len(rows)} samples)")
    if features_folder is not None:
        found = {m: provenance_of(features_file(place, m, name) for name in names) for m in modalities}
        sources = {m: source for m, source in found.items() if source}
    groups = {group: code for code, group in enumerate(sorted({row.group for row in rows}))}
    listings: dict[str, Listing] = {}
    for part, listed in parts.items():
        if not listed:
            raise DataError(f"lists: no sample for the {part} part; at least 1 is needed")
        listings[part] = Listing(listed, groups, sum(map(len, listings.values())), read)
    attribute_names = {"group": tuple(groups), "name": names}
    if shards is not None:
        about: dict[str, Any] = {"label_names": label_names, "attribute_names": attribute_names, "sources": sources}
        convert(listings, shards, progress=progress, **about)
        return sharded(shards)
    batches = {}
    for part, listing in listings.items():
        starts = tqdm(
            range(0, len(listing), PIECE), f"read {part}", unit_scale=PIECE, unit="sample", disable=not progress
        )
        batches[part] = concatenate([listing.select(slice(start, start + PIECE)) for start in starts])
    train, valid, test = (batches[part] for part in PARTS)
    shown = {m: partial(_shown, read[m], names, *shape) for m, shape in pictures.items()}
    return Split(train, valid, test, tuple(label_names), attribute_names, sources=sources, picture=shown)


def _shown(read: Read, names: Sequence[str], channels: int, columns: int, position: int) -> Num[ndarray, "token ..."]:
    """What the tokens of a sample show, for `Split.picture`: its frames in colour, or a spectrogram in grey, the lowest
    frequency at the bottom."""
    tokens = read(names[position])
    images = tokens.reshape(len(tokens), channels, -1, columns)
    if channels == 3:
        return np.moveaxis(images, 1, -1)
    low, high = images.min(initial=0), images.max(initial=0)
    return (images[:, 0, ::-1] - low) / max(high - low, 1e-6)


def hold_out(rows: Sequence[Row], share: float, random: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """The rows without, and those of, some groups: drawn whole until they hold `share` of the rows or a little more."""
    sizes = Counter(row.group for row in rows)
    if len(sizes) < 2:
        raise DataError(f"lists: {len(sizes)} groups, but at least 2 are needed to keep groups apart")
    held_out: set[str] = set()
    for group in random.permutation(sorted(sizes)).tolist()[1:]:  # one group at least must stay
        if sum(sizes[g] for g in held_out) >= share * len(rows):
            break
        held_out.add(group)
    return [row for row in rows if row.group not in held_out], [row for row in rows if row.group in held_out]


def published_parts(train: Sequence[Row], test: Sequence[Row], seed: int) -> dict[str, Sequence[Row]]:
    """The published lists; validation takes whole groups, about a tenth of the rows, from the training list."""
    remaining, valid = hold_out(train, VALID, np.random.default_rng(seed))
    return {"train": remaining, "valid": valid, "test": test}


def parts_by_group(rows: Sequence[Row], seed: int) -> dict[str, Sequence[Row]]:
    """Three parts that share no group: about 20 % of the rows for the test and 10 % for validation."""
    labels, groups = np.array([row.label for row in rows]), np.array([row.group for row in rows])
    part_of = draw_parts(labels, groups, seed=seed)
    return {part: [row for row, its in zip(rows, part_of, strict=True) if its == part] for part in PARTS}


def features(folder: Path, modality: str, name: str) -> Float[ndarray, "token feature"]:
    """The extracted features of one sample: `<folder>/<modality>/<name>` as .npy, .npz or .safetensors, one array.

    An array of one axis is one token. Raises DataError where there is no such file, or it holds anything else."""
    path = inside(folder, modality, features_file(folder, modality, name).name)
    array = finite_floats(path, read_array(path))
    if array.ndim not in (1, 2):
        raise DataError(f"{path}: shape {array.shape}, but (token, feature) is needed")
    return np.atleast_2d(array)


def features_file(folder: Path, modality: str, name: str) -> Path:
    """Where the features of a sample are; the first ending where there is no file."""
    paths = [folder / modality / f"{name}{ending}" for ending in FEATURES]
    return next((path for path in paths if path.exists()), paths[0])
