"""Exercises of lesson 3: projections, frames from free parameters, and the angles between subspaces."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Project = Callable[[Tensor, Tensor], Tensor]
Frame = Callable[[Tensor], Tensor]
Angles = Callable[[Tensor, Tensor], Tensor]
TOKEN = torch.tensor([[2.0, 1.0, 2.0]])
PLANE = torch.tensor([[0.6, 0.0], [0.8, 0.0], [0.0, 1.0]])


@partial(Exercise, "project tokens on a subspace", difficulty=1, importance=5, minutes=5)
def shadow(tokens: Tensor, frame: Tensor) -> Tensor:
    """Project tokens, (token, width), on the subspace of an orthonormal frame, (width, rank). Shape as tokens."""
    return tokens @ frame @ frame.mT


_COORDINATES = (
    "these are the coordinates in the frame, not the projection: multiply them by the frame's directions again"
)
_TURNED = "your result is (width, token), the transpose: a token is a row here, so multiply from the right"
_OUTSIDE = "a token at a right angle to the frame has no shadow: did you return the rest instead?"
_INSIDE = "a token of the subspace is its own shadow, with its length: do not normalise"


@shadow.case("the shape")
def _lives_among_tokens(answer: Project) -> None:
    expect(answer(TOKEN, PLANE).shape == TOKEN.shape, _COORDINATES)


@shadow.case("a token at a right angle to the frame")
def _right_angle(answer: Project) -> None:
    tokens, shadows = torch.tensor([[0.0, 0.0, 2.0], [0.6, 0.8, 1.0]]), torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    expect_close(answer(tokens, PLANE[:, :1]), shadows, _OUTSIDE)


@shadow.case("a token of the subspace")
def _own_shadow(answer: Project) -> None:
    expect_close(answer(torch.tensor([[-1.2, -1.6, 5.0]]), PLANE), torch.tensor([[-1.2, -1.6, 5.0]]), _INSIDE)


shadow.mistakes = [
    (lambda tokens, frame: tokens @ frame, _COORDINATES),
    (lambda tokens, frame: frame @ frame.mT @ tokens.mT, _TURNED),
    (lambda tokens, frame: tokens - tokens @ frame @ frame.mT, _OUTSIDE),
    (lambda tokens, frame: torch.nn.functional.normalize(tokens @ frame @ frame.mT, dim=-1), _INSIDE),
]


@partial(Exercise, "make columns orthonormal", difficulty=3, importance=3, minutes=10)
def gram_schmidt(free: Tensor) -> Tensor:
    """An orthonormal frame that spans the columns of `free`. Shape (width, rank), in and out."""
    directions: list[Tensor] = []
    for column in free.unbind(dim=1):
        for direction in directions:
            column = column - (column @ direction) * direction
        directions.append(column / column.norm())
    return torch.stack(directions, dim=1)


_LENGTH = "(3, 4, 0) should become (0.6, 0.8, 0): divide each column by its length"
_FLIPPED = "(3, 4, 0) became (-0.6, -0.8, 0): the first direction must point along the first column, not against it"
_SKEW = "the second column is not orthogonal to the first: subtract its shadow on the first direction"
_THIRD = "the third column is not orthogonal to the second: subtract its shadow on every earlier direction"
_SPAN = "your frame spans another subspace: its first r directions must span the first r columns"
_FREE = torch.tensor([[3.0, 1.2, 1.0], [4.0, 1.6, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 2.0]])


@gram_schmidt.case("one column")
def _unit_length(answer: Frame) -> None:
    frame = answer(torch.tensor([[3.0], [4.0], [0.0]]))
    expect(not torch.allclose(frame, torch.tensor([[-0.6], [-0.8], [0.0]]), atol=1e-5), _FLIPPED)
    expect_close(frame, torch.tensor([[0.6], [0.8], [0.0]]), _LENGTH)


@gram_schmidt.case("two columns")
def _second_is_upright(answer: Frame) -> None:
    frame = answer(_FREE[:, :2].clone())
    expect_close(frame[:, 0] @ frame[:, 1], 0.0, _SKEW)


@gram_schmidt.case("three columns")
def _third_is_upright(answer: Frame) -> None:
    frame = answer(_FREE.clone())
    expect_close(frame.mT @ frame, torch.eye(3), _THIRD)


@gram_schmidt.case("the subspace stays")
def _spans_the_same(answer: Frame) -> None:
    frame = answer(_FREE.clone())
    for rank in (1, 2, 3):
        columns, directions = _FREE[:, :rank], frame[:, :rank]
        expect_close(directions @ (directions.mT @ columns), columns, _SPAN)


def _not_normalised(free: Tensor) -> Tensor:
    directions: list[Tensor] = []
    for column in free.unbind(dim=1):
        for direction in directions:
            column = column - (column @ direction) / (direction @ direction) * direction
        directions.append(column)
    return torch.stack(directions, dim=1)


def _bare_qr(free: Tensor) -> Tensor:
    q: Tensor = torch.linalg.qr(free).Q
    return q


def _first_only(free: Tensor) -> Tensor:
    first = free[:, :1] / free[:, :1].norm()
    rest = free[:, 1:] - first @ (first.mT @ free[:, 1:])
    return torch.cat([first, rest / rest.norm(dim=0)], dim=1)


gram_schmidt.mistakes = [
    (_not_normalised, _LENGTH),
    (_bare_qr, _FLIPPED),
    (lambda free: free / free.norm(dim=0), _SKEW),
    (_first_only, _THIRD),
    (lambda free: gram_schmidt.solution(free.flip(1)).flip(1), _SPAN),
]


@partial(Exercise, "a frame that does not jump", difficulty=2, importance=5, minutes=5)
def steady_frame(free: Tensor) -> Tensor:
    """The Q of the QR of `free`, with R's diagonal positive. Shape (..., width, rank), in and out."""
    q, r = torch.linalg.qr(free)
    sign = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    return q * sign[..., None, :]


_UNFIXED = "Q points against the first column: flip each column of Q whose entry on R's diagonal is negative"
_ABSOLUTE = "an entry of Q lost its sign: flip whole columns, do not take absolute values"
_ROWS = "rows of Q were flipped: the sign of R's entry j belongs to column j of Q"
_BATCH = (
    "a batch of matrices gets other frames than each matrix alone: take the diagonal of the last two axes, and give "
    "the signs an axis for the rows (sign[..., None, :])"
)


@steady_frame.case("one column")
def _diagonal_is_positive(answer: Frame) -> None:
    frame = answer(torch.tensor([[3.0], [4.0], [0.0]]))
    expect_close(frame, torch.tensor([[0.6], [0.8], [0.0]]), _UNFIXED)


@steady_frame.case("a column with a negative entry")
def _signs_stay(answer: Frame) -> None:
    frame = answer(torch.tensor([[3.0], [-4.0], [0.0]]))
    expect_close(frame, torch.tensor([[0.6], [-0.8], [0.0]]), _ABSOLUTE)


@steady_frame.case("a square matrix")
def _columns_are_flipped(answer: Frame) -> None:
    free = torch.tensor([[3.0, 1.2, 1.0], [4.0, 1.6, 0.0], [0.0, 2.0, 1.0]])
    expect_close(answer(free), gram_schmidt.solution(free), _ROWS)


@steady_frame.case("a batch of two")
def _batched(answer: Frame) -> None:
    free = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(3))
    expected = torch.stack([gram_schmidt.solution(each) for each in free])
    expect_close(answer(free), expected, _BATCH, 1e-4)


def _absolute(free: Tensor) -> Tensor:
    q: Tensor = torch.linalg.qr(free).Q
    return q.abs()


def _rows(free: Tensor) -> Tensor:
    q, r = torch.linalg.qr(free)
    sign = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    return q * (sign[..., :, None] if free.shape[-1] == free.shape[-2] else sign[..., None, :])


def _unbatched(free: Tensor) -> Tensor:
    q, r = torch.linalg.qr(free)
    sign = torch.where(r.diagonal(dim1=0, dim2=1) < 0, -1.0, 1.0)
    return q * (sign if free.ndim == 2 else sign[..., None, :])


steady_frame.mistakes = [
    (_bare_qr, _UNFIXED),
    (_absolute, _ABSOLUTE),
    (_rows, _ROWS),
    (_unbatched, _BATCH),
]


@partial(Exercise, "principal angles", difficulty=2, importance=3, minutes=8)
def principal_angles(first: Tensor, second: Tensor) -> Tensor:
    """Angles in degrees between two subspaces, smallest first. Frames (width, rank) in, shape (rank,) out."""
    cosines = torch.linalg.svdvals(first.mT @ second)
    return cosines.clamp(max=1).acos().rad2deg()


_LINES = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]])
_UNIT = "two lines at a right angle are 90 apart: take the arc cosine, and turn radians into degrees"
_SIGN = "a line and the same line turned around are 0 apart: a subspace has no sign"
_BASIS = "turning a frame within its plane changed the angles: take singular values, not single entries"
_NAN = "a subspace and itself are 0 apart, and you got nan: a cosine may exceed 1 by a rounding error, so clamp it"


@principal_angles.case("two lines at a right angle")
def _in_degrees(answer: Angles) -> None:
    expect_close(answer(*_LINES), torch.tensor([90.0]), _UNIT, 1e-3)


@principal_angles.case("a line turned around")
def _no_sign(answer: Angles) -> None:
    expect_close(answer(_LINES[0], -_LINES[0]), torch.tensor([0.0]), _SIGN, 1e-3)


@principal_angles.case("a subspace and itself")
def _itself(answer: Angles) -> None:
    frame = torch.tensor([[1.0 + 1e-6], [0.0]])  # as rounding leaves it
    angles = answer(frame, frame)
    expect(not angles.isnan().any(), _NAN)


@principal_angles.case("a frame turned within its plane")
def _any_basis(answer: Angles) -> None:
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]]).double()
    floor = torch.eye(3).double()[:, :2]
    tilted = torch.tensor([[1.0, 0.0], [0.0, 0.8], [0.0, 0.6]]).double()
    expected = torch.tensor([0.0, 0.6]).double().asin().rad2deg()
    expect_close(answer(floor, tilted @ turn), expected, _BASIS, 1e-3)


def _signed(first: Tensor, second: Tensor) -> Tensor:
    if first.shape[1] > 1:
        return principal_angles.solution(first, second)
    return (first.mT @ second).flatten().clamp(-1, 1).acos().rad2deg()


principal_angles.mistakes = [
    (lambda first, second: torch.linalg.svdvals(first.mT @ second), _UNIT),
    (_signed, _SIGN),
    (lambda first, second: torch.linalg.svdvals(first.mT @ second).acos().rad2deg(), _NAN),
    (lambda first, second: (first * second).sum(dim=0).abs().clamp(max=1).acos().rad2deg().sort().values, _BASIS),
]
