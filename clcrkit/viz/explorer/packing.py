"""Arrays as they travel to the browser: raw little-endian bytes, times `scale` where there is one."""

# annotations are not strings here: as strings they would hide NotRequired from __optional_keys__
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from clcrkit.batch import Batch


class Packed(TypedDict):
    """One array: dtype f4, f8, i4, u2 or u1."""

    dtype: str
    shape: list[int]
    scale: NotRequired[float]
    data: bytes


class Points(Packed):
    """Where samples lie, (epoch, sample, 2): from 0 to twice `reach`, which is common to all spaces of the kind."""

    reach: float


def pack(array: Any, dtype: str = "f4", scale: float | None = None) -> Packed:
    """One array for the way to the browser. dtype: f4, f8, i4, u2, u1. With `scale`, whole steps of it travel."""
    values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    steps = values if scale is None else np.rint(values / scale)
    data = np.ascontiguousarray(steps, dtype=f"<{dtype}").tobytes()
    packed: Packed = {"dtype": dtype, "shape": list(values.shape), "data": data}
    return packed if scale is None else {**packed, "scale": scale}


def ids_of(batch: Batch, rows: Any = slice(None)) -> list[str]:
    """The ids of the samples at these positions, as they travel."""
    return [str(i) for i in batch.ids[rows].tolist()]


def width_of(values: Shaped[ndarray, "sample"]) -> str:
    """Whole numbers that four bytes cannot hold take eight."""
    return "f8" if np.abs(values).max(initial=0) > 2**24 else "f4"


def pack_steps(array: Tensor) -> Packed:
    """Non-negative values in 65,536 steps of two bytes each."""
    return pack(array, "u2", scale=max(float(array.numpy().max(initial=0)), 1e-6) / 65535)


def pooled(
    weights: Float[Tensor, "head _ _"], listens: Bool[Tensor, "_"], speaks: Bool[Tensor, "_"], pool: int
) -> Float[Tensor, "head _ _"]:
    """The mean weight between real tokens, in blocks of pool x pool: (head, listening block, speaking block)."""
    if pool == 1:
        return weights
    rows, columns = weights.shape[1:]
    real = (listens[:rows, None] & speaks[:columns]).float()
    # the mean over whole blocks of both, whose quotient is the mean over what is real
    spread, count = (avg_pool2d(x, pool, ceil_mode=True, count_include_pad=False) for x in (weights * real, real[None]))
    return spread / count.clamp(min=1e-12)


def pack_points(positions: Mapping[str, Any]) -> dict[str, Points]:
    """Positions on axes common to all these spaces, so that motion keeps its size."""
    reach = max((float(np.abs(p).max()) for p in positions.values()), default=0.0) or 1.0
    scale = 2 * reach / 65535
    return {key: {**pack(p + reach, "u2", scale), "reach": reach} for key, p in positions.items()}
