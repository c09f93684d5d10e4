"""The pickles of MulT and MultiBench: word vectors, audio and vision of CMU-MOSI and CMU-MOSEI, aligned or not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from numpy import ndarray

from clcrkit.datasets.mmsa import KEYS, Part, features, make_split, read_parts, real_numbers, texts
from clcrkit.datasets.preprocessing import mask_from_zeros
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError

_CLIP = re.compile(r"(\$_\$.*|\[\d+\]|_\d+)$")


def multibench(path: str | os.PathLike[str], replace: bool = False) -> Split:
    """Modalities `language`, `acoustic` and `vision` of one file; a regression to the sentiment, from -3 to 3.

    path: a pickle of {"train", "valid", "test"}, each a dict of text, audio and vision (sample, token, feature),
        labels (sample, 1, 1) and id; often written by Python 2. It is read without running any of it.
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
        labels = real_numbers(where, "labels", content.get("labels"))
        parts[part] = Part(tokens, masks, labels, *_names(where, content.get("id")))
    return make_split(path, parts, (), replace)


def _names(where: str, ids: Any) -> tuple[list[str], list[str]]:
    """Of each sample its id and its video."""
    if isinstance(ids, ndarray) and ids.ndim == 2 and ids.shape[1] > 1:
        if ids.shape[1] > 3:
            raise DataError(f"{where}: id of shape {ids.shape}, but at most (sample, 3) is needed")
        columns = [texts(where, "id", column) for column in ids.T]
        return ["_".join(row) for row in zip(*columns, strict=True)], columns[0]
    names = texts(where, "id", ids)
    return names, [_CLIP.sub("", name) for name in names]
