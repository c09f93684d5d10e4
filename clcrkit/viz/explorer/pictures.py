"""What tokens show, as small images that a browser can draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch.nn.functional import adaptive_avg_pool2d

from clcrkit.errors import DataError

LONGEST = 48  # pixels of a side; larger images are averaged into so many


def thumbnails(images: Any, tokens: int) -> UInt8[ndarray, "token height width color"]:
    """Images of all real tokens of a sample, as `Split.picture` gives them: uint8, or floats from 0 to 1; grey (token,
    height, width), or with 3 colours as a fourth axis.

    Raises DataError for other shapes, types, values, or another number of images than tokens.
    """
    values = np.asarray(images)
    if values.ndim not in (3, 4) or 0 in values.shape or (values.ndim == 4 and values.shape[3] not in (1, 3)):
        raise DataError(f"shape {values.shape}, but (token, height, width), or 3 colours behind them, is needed")
    if len(values) != tokens:
        raise DataError(f"{len(values)} images, but one for each of its {tokens} real tokens is needed")
    if values.dtype != np.uint8:
        if values.dtype.kind != "f":
            raise DataError(f"images of {values.dtype}, but uint8, or floats from 0 to 1, are needed")
        low, high = float(values.min()), float(values.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):  # nan is not, either
            raise DataError(f"values from {low:g} to {high:g}, but floats must lie in 0 to 1")
        values = np.clip(values, 0, 1) * 255
    planes = torch.from_numpy(np.ascontiguousarray(values, np.float32)).reshape(*values.shape[:3], -1).movedim(3, 1)
    scale = min(1.0, LONGEST / max(planes.shape[2:]))
    height, width = (max(1, round(side * scale)) for side in planes.shape[2:])
    small: ndarray = adaptive_avg_pool2d(planes, (height, width)).movedim(1, 3).round().to(torch.uint8).numpy()
    return small
