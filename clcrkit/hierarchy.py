"""Semantic-hierarchy encoders: from a modality's tokens to the same tokens at several levels, shallow to deep.

[paper] Three levels. Vision and sound: a three-stage TCN with a growing receptive field. Language: hidden states of
an early, a middle and a late layer of a pretrained BERT. Then H_l = LayerNorm(Z_l W_l + P_l) with one width for all.
[ours] A small transformer trained from scratch stands in for BERT (`pretrained.with_stages` brings the real one); the
dilations; P, a learned level embedding plus a faint sinusoid of the position (at full strength it is as large as the
content, and long-range relations were learned later or not at all); and the GELU after the LayerNorm, which improved
every model we measured. The GELU leaves nearly the same constant in every coordinate of every token. A frame turns
that one direction into any other, where no LayerNorm of a summary finds it again, so `centred` takes it out here.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from clcrkit.ops import FARTHEST, all_true, key_padding_mask, level_axis, position_signal, zero_padding

POSITION_SCALE = 0.1  # amplitude of the sinusoid in P


class ShiftedProducts(torch.autograd.Function):
    """A convolution with a kernel of three: y_i = x_{i - shift} W_0 + x_i W_1 + x_{i + shift} W_2 + bias over rows i.

    Slices of rows are multiplied where they lie, forward and backward. On a CPU torch's own convolution takes half as
    long again at these sizes, and so does a product with copies of the neighbours.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "row in"], weight: Float[Tensor, "3 in out"], bias: Tensor, shift: int
    ) -> Float[Tensor, "row out"]:
        ctx.save_for_backward(x, weight)
        ctx.shift = shift
        y = torch.addmm(bias, x, weight[1])
        y[shift:].addmm_(x[:-shift], weight[0])
        y[:-shift].addmm_(x[shift:], weight[2])
        return y

    @staticmethod
    def backward(ctx: Any, g: Float[Tensor, "row out"]) -> tuple[Tensor, Tensor, Tensor, None]:
        (x, weight), shift = ctx.saved_tensors, ctx.shift
        into_x = g @ weight[1].mT
        into_x[:-shift].addmm_(g[shift:], weight[0].mT)
        into_x[shift:].addmm_(g[:-shift], weight[2].mT)
        into_weight = torch.stack([x[:-shift].mT @ g[shift:], x.mT @ g, x[shift:].mT @ g[:-shift]])
        return into_x, into_weight, g.sum(0), None


class TCN(nn.Module):
    """Temporal convolutions in `levels` stages with a growing receptive field; every stage is a level.

    The stages have kernels of three tokens and dilations 1, 3, 9, ..., so that the first three reach 1, 4 and 13
    tokens to either side, without gaps.
    """

    def __init__(self, features: int, width: int, levels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        self.stages = nn.ModuleList(nn.Conv1d(width, width, 3, padding=3**s, dilation=3**s) for s in range(levels))
        self.dropout = dropout

    def forward(
        self, tokens: Float[Tensor, "batch token feature"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        # Rows are tokens, then samples: so all samples' tokens at a distance are one slice of rows.
        samples, length = tokens.shape[:2]  # not len(), which a symbolic size does not have
        x = self.embed(tokens).transpose(0, 1).flatten(0, 1)  # (token * batch, width)
        real = mask.T.reshape(-1, 1).to(x.dtype)  # a product with booleans takes several times as long
        x = x * real
        levels = []
        for convolution in self.stages:
            assert isinstance(convolution, nn.Conv1d)
            weight, bias = (parameter.to(x.dtype) for parameter in convolution.parameters())
            shift = convolution.dilation[0] * samples
            y = ShiftedProducts.apply(x, weight.permute(2, 1, 0).contiguous(), bias, shift)
            # masked after every stage, so that padding looks like the end of the sequence
            x = x + F.gelu(y) * self._kept(real, x.shape)
            levels.append(x.unflatten(0, (length, samples)).transpose(0, 1))
        return level_axis(levels)

    def _kept(self, real: Float[Tensor, "row 1"], shape: torch.Size) -> Float[Tensor, "row _"]:
        """Dropout and mask in one factor. On a CPU uniform numbers take half as long as torch's own dropout."""
        if not (self.training and self.dropout):
            return real
        kept = torch.rand(shape, dtype=torch.float32, device=real.device) >= self.dropout
        return real / (1 - self.dropout) * kept.to(real.dtype)


class TransformerTaps(nn.Module):
    """A small transformer over token ids, read at `levels` depths: one block for each level.

    Positions are added at full strength, since attention has no other way to know the order.
    """

    def __init__(self, vocabulary: int, width: int, levels: int, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(transformer_block(width, heads, dropout) for _ in range(levels))

    def forward(
        self, tokens: Int64[Tensor, "batch token"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        x = self.embed(tokens) + position_signal(mask, self.embed.embedding_dim, self.embed.weight.dtype)
        padding = key_padding_mask(mask)
        levels = []
        for block in self.blocks:
            x = block(x, src_key_padding_mask=padding)
            levels.append(x)
        return level_axis(levels)


def transformer_block(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    """One pre-norm block with a feed-forward part of twice the width."""
    return nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )


def mix_levels(
    tokens: dict[str, Float[Tensor, "batch level _ width"]],
    masks: dict[str, Bool[Tensor, "batch _"]],
    mix: str,
    training: bool,
) -> tuple[dict[str, Float[Tensor, "batch mixed _ width"]], dict[str, Bool[Tensor, "batch _"]]]:
    """[ours] Readings of the paper's 'full mix', in which levels that do not belong together meet.

    'rotated': the levels of the i-th modality are rotated by i. The next linear maps are learned with that, so it is
    hardly a mixing. 'shuffled': a random order of levels for each modality and batch; outside training always the same
    order. 'pooled': one level, which holds the tokens of all levels.
    """
    if mix == "rotated":
        return {m: h.roll(i, dims=1) for i, (m, h) in enumerate(tokens.items())}, masks
    levels = next(iter(tokens.values())).shape[1]
    if mix == "pooled":
        pooled = {m: h.flatten(1, 2)[:, None] for m, h in tokens.items()}
        return pooled, {m: mask.repeat(1, levels) for m, mask in masks.items()}
    generator = None if training else torch.Generator().manual_seed(0)
    return {m: h[:, torch.randperm(levels, generator=generator)] for m, h in tokens.items()}, masks


class HierarchyEncoder(nn.Module):
    """One modality's encoder: stages Z by a TCN (features) or transformer taps (token ids), then level tokens H.

    mean, std: of each feature, (size,); where given, tokens are standardised with them first, and cut at +-10."""

    mean: Float[Tensor, "feature"]
    std: Float[Tensor, "feature"]

    def __init__(
        self,
        size: int,
        ids: bool,
        width: int,
        levels: int,
        dropout: float = 0.0,
        centred: bool = True,
        mean: tuple[float, ...] = (),
        std: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.centred, self.standardises = centred, bool(mean)
        # in no file of weights, since the configuration has them
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
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
        """Level tokens H: zero where the mask is False, and independent of what lies there."""
        if not all_true(mask):
            tokens = zero_padding(tokens, mask)  # NaN times 0 is NaN, and an id out of range has no embedding
        if tokens.is_floating_point():
            tokens = tokens.to(self.project.dtype)  # `model.double()` takes the same batches
        if self.standardises:
            tokens = ((tokens - self.mean) / self.std).clamp(-FARTHEST, FARTHEST).to(self.project.dtype)
            tokens = zero_padding(tokens, mask)
        stages = self.stages(tokens, mask).transpose(0, 1)  # (level, batch, token, width), as it lies in memory
        width = self.project.shape[-1]  # that of the stages may differ: see `pretrained.with_stages`
        position = (
            POSITION_SCALE * position_signal(mask, width, self.project.dtype).flatten(0, 1) + self.level_embedding
        )
        h = torch.baddbmm(position, stages.flatten(1, 2), self.project)  # (level, batch * token, width)
        h = F.layer_norm(h.unflatten(1, mask.shape), (width,)) * self.scale[:, None] + self.shift[:, None]
        h = F.gelu(h)
        if self.centred:
            h = h + h.sum(-1, keepdim=True) / -width  # minus the mean: like this no gradient is copied for it
        return (h * mask[..., None].to(h.dtype)).transpose(0, 1)
