"""Semantic-hierarchy encoders: from a modality's tokens to the same tokens at several levels, shallow to deep.

[paper] Three levels; a three-stage TCN with a growing receptive field for vision and sound, an early, a middle
and a late layer of a text encoder for language; then H_l = LayerNorm(Z_l W_l + P_l) with one width for all.
[ours] The dilations, the size of the text encoder, P (a learned level embedding plus a faint sinusoid of the
position), and the GELU after the LayerNorm, which made every model we measured better. At full strength the
sinusoid is as large as the content, and long-range relations were learned later or not at all.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn


class Convolution(nn.Conv1d):
    """nn.Conv1d over three tokens that lie `dilation` apart, as one matrix product.

    On a CPU torch's own is several times slower at these sizes, backward above all.
    """

    def forward(self, x: Float[Tensor, "batch width token"]) -> Float[Tensor, "batch width token"]:
        apart, length = self.dilation[0], x.shape[-1]
        line = F.pad(x.mT, (0, 0, apart, apart))
        seen = torch.cat([line[:, i * apart : i * apart + length] for i in range(3)], dim=-1)
        return F.linear(seen, self.weight.transpose(1, 2).flatten(1), self.bias).mT


class TCN(nn.Module):
    """Temporal convolutions in `levels` stages, each seeing further; every stage is a level.

    Each stage is one convolution over three tokens that lie 1, 3, 9, ... apart, so that three stages see 1, 4 and
    13 tokens to either side; away from the ends of the sequence no token in reach is left out.
    """

    def __init__(self, features: int, width: int, levels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        self.stages = nn.ModuleList(Convolution(width, width, 3, padding=3**s, dilation=3**s) for s in range(levels))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Float[Tensor, "batch token feature"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        real = mask[:, None, :]
        x = self.embed(tokens).transpose(1, 2) * real
        levels = []
        for convolution in self.stages:
            # masked after every step: a padded position must look like the end of the sequence
            x = (x + self.dropout(F.gelu(convolution(x)))) * real
            levels.append(x.transpose(1, 2))
        return level_axis(levels)


class TransformerTaps(nn.Module):
    """A small transformer over token ids, read at `levels` depths: one block before each tap.

    Positions are added at full strength, since attention has no other way to know the order.
    """

    def __init__(self, vocabulary: int, width: int, levels: int, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(transformer_block(width, heads, dropout) for _ in range(levels))

    def forward(
        self, tokens: Int64[Tensor, "batch token"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        x = self.embed(tokens) + position_signal(mask, self.embed.embedding_dim)
        hidden = hidden_keys(mask)
        levels = []
        for block in self.blocks:
            x = block(x, src_key_padding_mask=hidden)
            levels.append(x)
        return level_axis(levels)


def level_axis(levels: list[Float[Tensor, "batch token width"]]) -> Float[Tensor, "batch level token width"]:
    """One tensor of all levels. In memory each level stays in one piece, which makes `at_each_level` fast."""
    return torch.stack(levels, dim=0).transpose(0, 1)


def at_each_level(
    x: Float[Tensor, "batch level token in"], weight: Float[Tensor, "level in out"]
) -> Float[Tensor, "batch level token out"]:
    """x @ weight as one product for each level, not one for each sample and level."""
    return torch.einsum("blti,lio->blto", x, weight)


def transformer_block(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    """One pre-norm block with a feed-forward part of twice the width."""
    return nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )


def hidden_keys(mask: Bool[Tensor, "batch token"]) -> Bool[Tensor, "batch token"]:
    """The keys that attention must not see: the padding, but where a row is all padding (a missing modality) none.

    A softmax over nothing is NaN: such a row sees its padding, and the mask hides what comes of it.
    """
    return ~mask & mask.any(1, keepdim=True)


PLACE = 0.1  # amplitude of the position in P


class HierarchyEncoder(nn.Module):
    """One modality's encoder: stages Z by a TCN (features) or transformer taps (token ids), then level tokens H."""

    def __init__(self, size: int, ids: bool, width: int, levels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.stages: nn.Module = (
            TransformerTaps(size, width, levels, dropout=dropout) if ids else TCN(size, width, levels, dropout)
        )
        self.project = nn.Parameter(torch.empty(levels, width, width))
        self.level_embedding = nn.Parameter(0.02 * torch.randn(levels, 1, width))
        self.scale = nn.Parameter(torch.ones(levels, 1, width))
        self.shift = nn.Parameter(torch.zeros(levels, 1, width))
        for level in range(levels):
            nn.init.xavier_uniform_(self.project[level])

    def forward(
        self, tokens: Shaped[Tensor, "batch token ..."], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        """Level tokens H: zero where the mask is False, and untouched by what lies there."""
        if not all_true(mask):
            # garbage under the mask, NaN or an id out of range included, must not even be looked at
            tokens = tokens.masked_fill(~(mask if tokens.ndim == 2 else mask[..., None]), 0)
        if tokens.is_floating_point():
            tokens = tokens.to(self.project.dtype)  # `model.double()` takes the same batches
        stages = self.stages(tokens, mask).transpose(0, 1)  # levels first, as they lie in memory
        width = self.project.shape[-1]  # that of the stages may be another: see `pretrained.with_stages`
        place = PLACE * position_signal(mask, width).flatten(0, 1) + self.level_embedding
        h = torch.baddbmm(place, stages.flatten(1, 2), self.project).unflatten(1, mask.shape)
        h = F.layer_norm(h, (width,)) * self.scale[:, None] + self.shift[:, None]
        return (F.gelu(h) * mask[..., None]).transpose(0, 1)


def positions(mask: Bool[Tensor, "batch token"]) -> Int64[Tensor, "batch token"]:
    """How many real tokens come before each: the same whether the padding is in front or behind."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def position_signal(mask: Bool[Tensor, "batch token"], width: int) -> Float[Tensor, "batch token width"]:
    """The sinusoid of every token's position, from one table for all samples."""
    table = sinusoid(torch.arange(mask.shape[1], device=mask.device), width)
    return F.embedding(positions(mask), table)


def sinusoid(position: Int64[Tensor, "..."], width: int) -> Float[Tensor, "... width"]:
    """Sines and cosines of the position at wavelengths from 2 pi to 10,000 * 2 pi tokens; width must be even."""
    rates = torch.exp(torch.arange(0, width, 2, device=position.device) * (-math.log(10_000.0) / width))
    angles = position[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def on_host(x: Tensor) -> bool:
    """Whether Python can look at values: without waiting for a device, and in no graph that is being compiled."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def all_true(mask: Bool[Tensor, "..."]) -> bool:
    """Whether nothing is masked, where that can be known for free; what a mask costs can then be saved."""
    return on_host(mask) and bool(mask.all())
