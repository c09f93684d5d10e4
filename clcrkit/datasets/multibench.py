"""The pickles of MulT and MultiBench: word vectors, audio and vision of CMU-MOSI, CMU-MOSEI and IEMOCAP."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.datasets.mmsa import KEYS, Part, features, make_split, read_parts, real_numbers, texts
from clcrkit.datasets.preprocessing import mask_from_zeros
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError
from clcrkit.metrics import EMOTIONS

_CLIP = re.compile(r"(\$_\$.*|\[\d+\]|_\d+)$")


@public
def multibench(path: str | os.PathLike[str], replace: bool = False) -> Split:
    """Modalities `language`, `acoustic` and `vision` of one file; a regression to the sentiment, from -3 to 3, or (of
    IEMOCAP) four labels, each there or not.

    path: a pickle of {"train", "valid", "test"}, each a dict of text, audio and vision (sample, token, feature),
        labels (sample, 1, 1) and id; often written by Python 2. It is read without running any of it. IEMOCAP has
        labels (sample, 4, 2), whose last axis is no and yes. Without an id, groups are not known.
    replace: put 0 where a real token holds NaN or inf; otherwise such a file is refused.

    The files tell no lengths: padding is the zeros at one end (MultiBench pads in front), see `mask_from_zeros`. A
    sample of nothing but zeros lacks the modality. [ours] Attributes: `group` is the video, `name` the whole id. The
    video is the first column of an id of several (video, start, end), or what stands before "$_$", "[3]" or "_3".
    Raises DataError for a damaged or hostile file, missing keys, shapes that do not fit, NaN and inf.
    """
    path, parts = Path(path), {}
    for part, content in read_parts(path).items():
        where = f"{path}: {part}"
        tokens = {m: features(where, content, key) for m, key in KEYS.items()}
        masks = {m: mask_from_zeros(values) for m, values in tokens.items()}
        labels: Any = content.get("labels")
        emotions = isinstance(labels, ndarray) and labels.shape[1:] == (len(EMOTIONS), 2)
        names: list[str]
        groups: list[str] | None
        if "id" not in content and np.ndim(labels):
            names, groups = [f"{part} {i}" for i in range(len(labels))], None
        else:
            names, groups = _names(where, content.get("id"))
        labels = _yes(where, labels) if emotions else real_numbers(where, "labels", labels)
        parts[part] = Part(tokens, masks, labels, names, groups)
    axes = {name: np.shape(part.labels)[1:] for name, part in parts.items()}
    if len(set(axes.values())) > 1:
        raise DataError(f"{path}: labels are (sample, 4, 2) in {', '.join(p for p in axes if axes[p])} only")
    return make_split(path, parts, EMOTIONS if axes["train"] else (), replace)


def is_multibench(path: Path) -> bool:
    """Whether the labels of a pickle have MulT's key, and not one of MMSA's."""
    return all("labels" in content and "regression_labels" not in content for content in read_parts(path).values())


def _yes(where: str, labels: ndarray) -> Float[ndarray, "sample label"]:
    """1 where the second of two columns, no and yes, is set."""
    if labels.dtype.kind not in "fiu" or not ((labels == 0) | (labels == 1)).all() or (labels.sum(-1) != 1).any():
        raise DataError(f"{where}: labels of shape {labels.shape}, but one 1 and one 0 in each pair are needed")
    return labels[..., 1].astype(np.float32)


def _names(where: str, ids: Any) -> tuple[list[str], list[str]]:
    """Of each sample its id and its video."""
    if isinstance(ids, ndarray) and ids.ndim == 2 and ids.shape[1] > 1:
        if ids.shape[1] > 3:
            raise DataError(f"{where}: id of shape {ids.shape}, but at most (sample, 3) is needed")
        columns = [texts(where, "id", column) for column in ids.T]
        return ["_".join(row) for row in zip(*columns, strict=True)], columns[0]
    names = texts(where, "id", ids)
    return names, [_CLIP.sub("", name) for name in names]
