"""Operations that several layers share: products at each level, masks, means over tokens, positions, guards.

Everything here is plain tensor code without parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from clcrkit.errors import ConfigError

FARTHEST = 10.0  # standard deviations; what is beyond is cut


def level_axis(levels: list[Float[Tensor, "batch token width"]]) -> Float[Tensor, "batch level token width"]:
    """Stack levels on axis 1. Each level stays contiguous in memory, which makes `at_each_level` fast."""
    return torch.stack(levels, dim=0).transpose(0, 1)


def at_each_level(
    x: Float[Tensor, "batch level token in"], weight: Float[Tensor, "level in out"]
) -> Float[Tensor, "batch level token out"]:
    """x @ weight with a weight for each level: one matrix product per level, not one per sample and level."""
    rows = x.transpose(0, 1).flatten(1, 2)  # (level, batch * token, in), no copy where levels come first in memory
    return (rows @ weight).unflatten(1, x.shape[::2]).transpose(0, 1)


def weighted_mean(
    x: Float[Tensor, "*batch token width"], weight: Float[Tensor, "*#batch token"]
) -> Float[Tensor, "*batch width"]:
    """Mean over tokens with these weights (>= 0); zero where all weights are zero."""
    total = weight.sum(-1, keepdim=True)
    # einsum would first copy x on a CPU, because `level_axis` keeps levels before samples in memory
    return (x * weight[..., None]).sum(-2) / total.clamp(min=1e-6)


def masked_mean(
    x: Float[Tensor, "*batch token width"], mask: Bool[Tensor, "*#batch token"]
) -> Float[Tensor, "*batch width"]:
    """Mean over the tokens where the mask is True; zero where there are none."""
    return weighted_mean(x, mask.to(x.dtype))


def zero_padding(tokens: Shaped[Tensor, "batch token ..."], mask: Bool[Tensor, "batch token"]) -> Tensor:
    """Tokens (features or ids) with 0 wherever the mask is False, whatever was there (NaN included)."""
    return tokens.masked_fill(~(mask if tokens.ndim == 2 else mask[..., None]), 0)


def key_padding_mask(mask: Bool[Tensor, "batch token"]) -> Bool[Tensor, "batch token"]:
    """torch's `key_padding_mask`: True at the keys that attention must ignore, the padding.

    A softmax over no key at all is NaN. So a row that is all padding (a missing modality) ignores nothing, and the
    caller sets its output to zero.
    """
    return ~mask & mask.any(1, keepdim=True)


def positions(mask: Bool[Tensor, "batch token"]) -> Int64[Tensor, "batch token"]:
    """The position of each token among the real ones, from 0; the same for padding in front and behind."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def sinusoid(
    position: Int64[Tensor, "..."], width: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "... width"]:
    """Sines and cosines of the position at wavelengths from 2 pi to 10,000 * 2 pi tokens; width must be even."""
    rates = torch.exp(torch.arange(0, width, 2, device=position.device, dtype=dtype) * (-math.log(10_000.0) / width))
    angles = position[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def position_signal(
    mask: Bool[Tensor, "batch token"], width: int, dtype: torch.dtype
) -> Float[Tensor, "batch token width"]:
    """The sinusoid of every token's position, looked up in one table for all samples; in float32 at least."""
    table = sinusoid(torch.arange(mask.shape[1], device=mask.device), width, torch.promote_types(dtype, torch.float32))
    return F.embedding(positions(mask), table)


def at_least_float32(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """x in float32, or unchanged in float64: for steps that lose too much in half precision."""
    return x if x.dtype == torch.float64 else x.float()


def as_device(name: torch.device | str, there: bool = True) -> torch.device:
    """The device of this name. Raises ConfigError where torch knows no such name, or (unless `there` is False) this
    machine has no such device."""
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise ConfigError(f"device: {name!r}, but it must be cuda, cuda:0, mps, cpu, ...") from None
    if device.type == "cpu" or not there:
        return device
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        present = [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available()]
        raise ConfigError(
            f"device: {str(device)!r} is not there; this machine has {', '.join([*present, 'cpu'])}"
        ) from None
    return device


@contextmanager
def plain_torch() -> Iterator[None]:
    """Within it, and within a function that it decorates, torch is as it starts, with gradients, float32 and the CPU,
    whatever grad mode, inference mode, default dtype and default device the caller has; these come back at the end."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if device.type != "cpu":  # a default device costs time at every call
            stack.enter_context(torch.device("cpu"))
        torch.set_default_dtype(torch.float32)
        stack.callback(torch.set_default_dtype, dtype)
        yield


def on_host(x: Tensor) -> bool:
    """Whether Python may look at values: not on a device that it would wait for, nor while a graph is compiled."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def all_true(mask: Bool[Tensor, "..."]) -> bool:
    """Whether nothing is masked; False where finding out is not free (`on_host`). Then masking can be skipped."""
    return on_host(mask) and bool(mask.all())
