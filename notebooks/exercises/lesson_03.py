"""Exercises of lesson 3: projections, frames from free parameters, and the angles between subspaces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Project = Callable[[Tensor, Tensor], Tensor]
Frame = Callable[[Tensor], Tensor]
Angles = Callable[[Tensor, Tensor], Tensor]

TOKEN = torch.tensor([[2.0, 1.0, 2.0]])
PLANE = torch.tensor([[0.6, 0.0], [0.8, 0.0], [0.0, 1.0]])


# --- shadow -----------------------------------------------------------------------------------------------------


def shadow_stub(tokens: Tensor, frame: Tensor) -> Tensor:
    """Project tokens, (token, width), on the subspace of an orthonormal frame, (width, rank). Shape as tokens."""
    raise NotImplementedError


def shadow_solution(tokens: Tensor, frame: Tensor) -> Tensor:
    """Project tokens, (token, width), on the subspace of an orthonormal frame, (width, rank). Shape as tokens."""
    return tokens @ frame @ frame.mT


_COORDINATES = (
    "that are the coordinates in the frame, not the projection: multiply them by the frame's directions again"
)
_OUTSIDE = "a token at a right angle to the frame casts no shadow: is that the rest that you return?"
_INSIDE = "a token of the subspace is its own shadow, with its length: do not normalise"


def _lives_among_tokens(shadow: Project) -> None:
    """the shape"""
    expect(shadow(TOKEN, PLANE).shape == TOKEN.shape, _COORDINATES)


def _right_angle(shadow: Project) -> None:
    """a token at a right angle to the frame"""
    expect_close(shadow(torch.tensor([[0.8, -0.6, 0.0]]), PLANE), torch.zeros(1, 3), _OUTSIDE)


def _own_shadow(shadow: Project) -> None:
    """a token of the subspace"""
    expect_close(shadow(torch.tensor([[1.2, 1.6, 5.0]]), PLANE), torch.tensor([[1.2, 1.6, 5.0]]), _INSIDE)


def _only_coordinates(tokens: Tensor, frame: Tensor) -> Tensor:
    return tokens @ frame


def _the_rest(tokens: Tensor, frame: Tensor) -> Tensor:
    return tokens - tokens @ frame @ frame.mT


def _unit_shadow(tokens: Tensor, frame: Tensor) -> Tensor:
    return torch.nn.functional.normalize(tokens @ frame @ frame.mT, dim=-1)


shadow = Exercise(
    title="project tokens on a subspace",
    difficulty=1,
    importance=5,
    minutes=5,
    stub=shadow_stub,
    solution=shadow_solution,
    checks=[_lives_among_tokens, _right_angle, _own_shadow],
    mistakes=[(_only_coordinates, _COORDINATES), (_the_rest, _OUTSIDE), (_unit_shadow, _INSIDE)],
)


# --- gram_schmidt -----------------------------------------------------------------------------------------------


def gram_schmidt_stub(free: Tensor) -> Tensor:
    """An orthonormal frame that spans the columns of `free`. Shape (width, rank), in and out."""
    raise NotImplementedError


def gram_schmidt_solution(free: Tensor) -> Tensor:
    """An orthonormal frame that spans the columns of `free`. Shape (width, rank), in and out."""
    made: list[Tensor] = []
    for column in free.unbind(dim=1):
        for direction in made:
            column = column - (column @ direction) * direction
        made.append(column / column.norm())
    return torch.stack(made, dim=1)


_LENGTH = "(3, 4, 0) should become (0.6, 0.8, 0): divide each column by its length"
_FLIPPED = "(3, 4, 0) became (-0.6, -0.8, 0): the first direction must point along the first column, not against it"
_SKEW = "the second column still leans on the first: take its shadow on the first direction away"
_THIRD = "the third column leans on the second: take its shadow on every earlier direction away, not on the first only"
_SPAN = "your frame spans other columns than the ones given: the first r directions must span the first r columns"
_FREE = torch.tensor([[3.0, 1.2, 1.0], [4.0, 1.6, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 2.0]])


def _unit_length(gram_schmidt: Frame) -> None:
    """one column"""
    made = gram_schmidt(torch.tensor([[3.0], [4.0], [0.0]]))
    expect(not torch.allclose(made, torch.tensor([[-0.6], [-0.8], [0.0]]), atol=1e-5), _FLIPPED)
    expect_close(made, torch.tensor([[0.6], [0.8], [0.0]]), _LENGTH)


def _second_is_upright(gram_schmidt: Frame) -> None:
    """two columns"""
    made = gram_schmidt(_FREE[:, :2].clone())
    expect_close(made[:, 0] @ made[:, 1], 0.0, _SKEW)


def _third_is_upright(gram_schmidt: Frame) -> None:
    """three columns"""
    made = gram_schmidt(_FREE.clone())
    expect_close(made.mT @ made, torch.eye(3), _THIRD)


def _spans_the_same(gram_schmidt: Frame) -> None:
    """the subspace stays"""
    made = gram_schmidt(_FREE.clone())
    for rank in (1, 2, 3):
        given, frame = _FREE[:, :rank], made[:, :rank]
        expect_close(frame @ (frame.mT @ given), given, _SPAN)


def _not_normalised(free: Tensor) -> Tensor:
    made: list[Tensor] = []
    for column in free.unbind(dim=1):
        for direction in made:
            column = column - (column @ direction) / (direction @ direction) * direction
        made.append(column)
    return torch.stack(made, dim=1)


def _bare_qr(free: Tensor) -> Tensor:
    q: Tensor = torch.linalg.qr(free).Q
    return q


def _only_normalised(free: Tensor) -> Tensor:
    return free / free.norm(dim=0)


def _first_only(free: Tensor) -> Tensor:
    first = free[:, :1] / free[:, :1].norm()
    rest = free[:, 1:] - first @ (first.mT @ free[:, 1:])
    return torch.cat([first, rest / rest.norm(dim=0)], dim=1)


def _from_the_end(free: Tensor) -> Tensor:
    return gram_schmidt_solution(free.flip(1)).flip(1)


gram_schmidt = Exercise(
    title="make columns orthonormal",
    difficulty=3,
    importance=3,
    minutes=10,
    stub=gram_schmidt_stub,
    solution=gram_schmidt_solution,
    checks=[_unit_length, _second_is_upright, _third_is_upright, _spans_the_same],
    mistakes=[
        (_not_normalised, _LENGTH),
        (_bare_qr, _FLIPPED),
        (_only_normalised, _SKEW),
        (_first_only, _THIRD),
        (_from_the_end, _SPAN),
    ],
)


# --- steady_frame -----------------------------------------------------------------------------------------------


def steady_frame_stub(free: Tensor) -> Tensor:
    """The Q of the QR of `free`, with R's diagonal positive. Shape (..., width, rank), in and out."""
    raise NotImplementedError


def steady_frame_solution(free: Tensor) -> Tensor:
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


def _diagonal_is_positive(steady_frame: Frame) -> None:
    """one column"""
    made = steady_frame(torch.tensor([[3.0], [4.0], [0.0]]))
    expect_close(made, torch.tensor([[0.6], [0.8], [0.0]]), _UNFIXED)


def _signs_stay(steady_frame: Frame) -> None:
    """a column with a negative entry"""
    made = steady_frame(torch.tensor([[3.0], [-4.0], [0.0]]))
    expect_close(made, torch.tensor([[0.6], [-0.8], [0.0]]), _ABSOLUTE)


def _columns_are_flipped(steady_frame: Frame) -> None:
    """a square matrix"""
    free = torch.tensor([[3.0, 1.2, 1.0], [4.0, 1.6, 0.0], [0.0, 2.0, 1.0]])
    expect_close(steady_frame(free), gram_schmidt_solution(free), _ROWS)


def _batched(steady_frame: Frame) -> None:
    """a batch of two"""
    free = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(3))
    expected = torch.stack([gram_schmidt_solution(each) for each in free])
    expect_close(steady_frame(free), expected, _BATCH, 1e-4)


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


steady_frame = Exercise(
    title="a frame that does not jump",
    difficulty=2,
    importance=5,
    minutes=5,
    stub=steady_frame_stub,
    solution=steady_frame_solution,
    checks=[_diagonal_is_positive, _signs_stay, _columns_are_flipped, _batched],
    mistakes=[(_bare_qr, _UNFIXED), (_absolute, _ABSOLUTE), (_rows, _ROWS), (_unbatched, _BATCH)],
)


# --- principal_angles -------------------------------------------------------------------------------------------


def principal_angles_stub(first: Tensor, second: Tensor) -> Tensor:
    """Angles in degrees between two subspaces, smallest first. Frames (width, rank) in, shape (rank,) out."""
    raise NotImplementedError


def principal_angles_solution(first: Tensor, second: Tensor) -> Tensor:
    """Angles in degrees between two subspaces, smallest first. Frames (width, rank) in, shape (rank,) out."""
    cosines = torch.linalg.svdvals(first.mT @ second)
    return cosines.clamp(max=1).acos().rad2deg()


_LINES = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]])
_UNIT = "two lines at a right angle are 90 apart: take the arc cosine, and turn radians into degrees"
_SIGN = "a line and the same line turned around are 0 apart: a subspace has no sign"
_BASIS = "turning a frame within its plane changed the angles: take singular values, not single entries"
_NAN = "a subspace and itself are 0 apart, and you got nan: a cosine may exceed 1 by a rounding error, so clamp it"


def _in_degrees(principal_angles: Angles) -> None:
    """two lines at a right angle"""
    expect_close(principal_angles(*_LINES), torch.tensor([90.0]), _UNIT, 1e-3)


def _no_sign(principal_angles: Angles) -> None:
    """a line turned around"""
    expect_close(principal_angles(_LINES[0], -_LINES[0]), torch.tensor([0.0]), _SIGN, 1e-3)


def _any_basis(principal_angles: Angles) -> None:
    """a frame turned within its plane"""
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]]).double()
    floor = torch.eye(3).double()[:, :2]
    tilted = torch.tensor([[1.0, 0.0], [0.0, 0.8], [0.0, 0.6]]).double()
    expected = torch.tensor([0.0, 0.6]).double().asin().rad2deg()
    expect_close(principal_angles(floor, tilted @ turn), expected, _BASIS, 1e-3)


def _itself(principal_angles: Angles) -> None:
    """a subspace and itself"""
    frame = torch.tensor([[1.0 + 1e-6], [0.0]])  # as rounding leaves it
    angles = principal_angles(frame, frame)
    expect(not angles.isnan().any(), _NAN)


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    return torch.linalg.svdvals(first.mT @ second)


def _signed(first: Tensor, second: Tensor) -> Tensor:
    if first.shape[1] > 1:
        return principal_angles_solution(first, second)
    return (first.mT @ second).flatten().clamp(-1, 1).acos().rad2deg()


def _entries(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=0).abs().clamp(max=1).acos().rad2deg().sort().values


def _unclamped(first: Tensor, second: Tensor) -> Tensor:
    return torch.linalg.svdvals(first.mT @ second).acos().rad2deg()


principal_angles = Exercise(
    title="principal angles",
    difficulty=2,
    importance=3,
    minutes=8,
    stub=principal_angles_stub,
    solution=principal_angles_solution,
    checks=[_in_degrees, _no_sign, _itself, _any_basis],
    mistakes=[(_cosines, _UNIT), (_signed, _SIGN), (_unclamped, _NAN), (_entries, _BASIS)],
)
