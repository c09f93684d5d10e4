"""Shared and private subspaces: orthonormal frames, and the split of a token into coordinates in them.

[paper] At each level U_sh (common to all modalities) and U_pr (one for each modality) have orthonormal columns, U_sh
is orthogonal to each U_pr, and both are parameterised on the Stiefel manifold.
[ours] The map onto it: one batched QR of [A_sh, A_pr] with R's diagonal made positive, which makes both
orthogonalities exact by construction and the frames a smooth function of A. Coordinates h U replace the projections
h U U^T: they have the same lengths and angles and fewer entries.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clcrkit.ops import at_each_level, at_least_float32


class Subspaces(nn.Module):
    """The frames of all levels and modalities, from free parameters A."""

    def __init__(self, modalities: tuple[str, ...], levels: int, width: int, rank: int, private_rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.free_shared = nn.Parameter(torch.randn(levels, width, rank) / width**0.5)
        self.free_private = nn.ParameterDict(
            {m: nn.Parameter(torch.randn(levels, width, private_rank) / width**0.5) for m in modalities}
        )

    def frames(
        self,
    ) -> tuple[Float[Tensor, "level width rank"], dict[str, Float[Tensor, "level width private_rank"]]]:
        """U_sh, and U_pr by modality. Computed in float32 at least, also under autocast."""
        names = list(self.free_private.keys())
        private = torch.stack(list(self.free_private.values()))
        free = torch.cat([self.free_shared.expand(len(names), -1, -1, -1), private], dim=-1)
        # the first columns of a QR depend on A_sh alone, so every modality gets the same shared frame
        with torch.autocast(free.device.type, enabled=False):
            u = orthonormal(at_least_float32(free))  # (modality, level, width, rank + private_rank)
        u_shared, u_private = u.split([self.rank, private.shape[-1]], dim=-1)
        return u_shared[0], dict(zip(names, u_private.unbind(0), strict=True))

    def forward(
        self, tokens: dict[str, Float[Tensor, "batch level _ width"]]
    ) -> tuple[dict[str, Float[Tensor, "batch level _ rank"]], dict[str, Float[Tensor, "batch level _ private_rank"]]]:
        """Shared and private coordinates of each modality's level tokens."""
        shared_frame, private_frame = self.frames()
        shared = {m: at_each_level(h, shared_frame) for m, h in tokens.items()}
        private = {m: at_each_level(h, private_frame[m]) for m, h in tokens.items()}
        return shared, private


def orthonormal(free: Float[Tensor, "*batch width rank"]) -> Float[Tensor, "*batch width rank"]:
    """Orthonormal columns that span the columns of `free`: the Q of its QR, with R's diagonal positive."""
    q, r = torch.linalg.qr(free)
    sign = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(q.dtype)
    return q * sign[..., None, :]
