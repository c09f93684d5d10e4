"""MulT: a cross-modal transformer for every ordered pair of modalities, target and source."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.arguments import checked
from clcrkit.baselines.base import Baseline
from clcrkit.batch import Batch
from clcrkit.config import MOST_LEVELS, MOST_WIDTH, CLCRConfig
from clcrkit.errors import ConfigError, check_range
from clcrkit.model import make_head
from clcrkit.ops import key_padding_mask, masked_mean


class MulT(Baseline):
    """Multimodal transformer (Tsai et al. 2019) on the deepest level of CLCR's encoders.

    For each ordered pair (target, source) a stack of `layers` blocks whose queries are the target's tokens and whose
    keys and values are the source's encoder tokens. The outputs for all sources of a target are joined along the
    feature axis and go through `layers` blocks of self-attention. width, heads: of the pairwise stacks, default the
    configuration's. [ours] The means over real tokens go to CLCR's head, where MulT takes the last token, which may
    be padding. Attention to a missing modality adds nothing.

    Raises ConfigError for a single modality, and for a width that is no multiple of heads.
    """

    reads = ("shared_summary",)

    @checked
    def __init__(
        self,
        config: CLCRConfig,
        modalities: tuple[str, ...] | None = None,
        width: int | None = None,
        heads: int | None = None,
        layers: int = 2,
    ) -> None:
        super().__init__(config, modalities)
        width = config.width if width is None else width
        heads = config.heads if heads is None else heads
        check_range("width", width, 1, MOST_WIDTH)
        check_range("heads", heads, 1, width)
        check_range("layers", layers, 1, MOST_LEVELS)
        others = len(self.modalities) - 1
        if not others:
            raise ConfigError(f"modalities: {self.modalities[0]} alone, but MulT needs 2 or more")
        if width % heads:
            raise ConfigError(f"width: {width}, but a multiple of {heads} heads is needed")
        self.narrow = nn.ModuleDict({m: nn.Linear(config.width, width) for m in self.modalities})
        self.pairs = nn.ModuleDict(
            {
                target: nn.ModuleDict(
                    {m: Stack(width, heads, layers, config.dropout) for m in self.modalities if m != target}
                )
                for target in self.modalities
            }
        )
        self.memory = nn.ModuleDict({m: Stack(others * width, heads, layers, config.dropout) for m in self.modalities})
        self.head = make_head(len(self.modalities) * others * width, config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        pooled = [masked_mean(x, batch.masks[m]) for m, x in self._remembered(batch, self._narrowed(batch)).items()]
        return self.head(torch.cat(pooled, dim=-1))

    def _narrowed(self, batch: Batch) -> dict[str, Float[Tensor, "batch _ width"]]:
        return {m: self.narrow[m](x) for m, x in self.deepest(batch).items()}

    def _remembered(
        self, batch: Batch, tokens: dict[str, Float[Tensor, "batch _ width"]]
    ) -> dict[str, Float[Tensor, "batch _ joined"]]:
        """Each target's tokens, once they have looked at every source and at themselves."""
        remembered = {}
        for target, stacks in self.pairs.items():
            assert isinstance(stacks, nn.ModuleDict)
            seen = [stack(tokens[target], tokens[m], batch.masks[m]) for m, stack in stacks.items()]
            remembered[target] = self.memory[target](torch.cat(seen, dim=-1), None, batch.masks[target])
        return remembered

    def named(self, batch: Batch) -> dict[str, Any]:
        """Tokens; what they are in the end as exchanged, and its mean as shared summary; and each pairwise stack's last
        attention, whose rows sum to 1 for every source, so that those of a token sum to their number."""
        tokens, attention = self._narrowed(batch), {}
        for target, stacks in self.pairs.items():
            assert isinstance(stacks, nn.ModuleDict)
            weights = [
                cast(Stack, stack).weights(tokens[target], tokens[m], batch.masks[m]) for m, stack in stacks.items()
            ]
            attention[target] = torch.cat(weights, -1)[:, None] * batch.masks[target][:, None, None, :, None]
        remembered = self._remembered(batch, tokens)
        return {
            **super().named(batch),
            "exchanged": {m: (x * batch.masks[m][..., None])[:, None] for m, x in remembered.items()},
            "attention": attention,
            "shared_summary": {m: masked_mean(x, batch.masks[m])[:, None] for m, x in remembered.items()},
        }


class Stack(nn.Module):
    """Blocks of attention one after the other, and a LayerNorm."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        source: Float[Tensor, "batch other width"] | None,
        mask: Bool[Tensor, "batch _"],
    ) -> Float[Tensor, "batch token width"]:
        """source: the tokens to attend to, the same in every block; None for self-attention. mask: of the source."""
        for block in self.blocks:
            x = block(x, x if source is None else source, mask)
        return self.norm(x)

    def weights(
        self,
        x: Float[Tensor, "batch token width"],
        source: Float[Tensor, "batch other width"],
        mask: Bool[Tensor, "_ _"],
    ) -> Float[Tensor, "batch head token other"]:
        """The last block's attention to the source; 0 where the source is missing."""
        *first, last = cast(list[Block], list(self.blocks))
        for block in first:
            x = block(x, source, mask)
        key, about = last.norm(source), {"key_padding_mask": key_padding_mask(mask), "average_attn_weights": False}
        return last.attention(last.norm(x), key, key, **about)[1] * mask.any(1)[:, None, None, None]


class Block(nn.Module):
    """Pre-norm attention from x to a source, and a feed-forward part of four times the width. As in MulT, queries,
    keys and values share one LayerNorm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        source: Float[Tensor, "batch other width"],
        mask: Bool[Tensor, "batch other"],
    ) -> Float[Tensor, "batch token width"]:
        key, padding = self.norm(source), key_padding_mask(mask)
        mixed, _ = self.attention(self.norm(x), key, key, key_padding_mask=padding, need_weights=False)
        x = x + self.dropout(mixed) * mask.any(1)[:, None, None]
        return x + self.dropout(self.feed(x))
