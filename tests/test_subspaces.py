"""Frames stay orthonormal and mutually orthogonal whatever the optimizer does, and the map to them is smooth."""

from __future__ import annotations

import pytest
import torch

from clcrkit.subspaces import Subspaces, orthonormal

NAMES = ("a", "b", "c")


def worst_angle(subspaces: Subspaces) -> float:
    """The largest entry of |U^T U - 1| over [U_sh, U_pr] of each level and modality."""
    shared, private = subspaces.frames()
    both = torch.stack([torch.cat([shared, u], dim=-1) for u in private.values()])
    return float((both.mT @ both - torch.eye(both.shape[-1], dtype=both.dtype)).abs().max().detach())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize(("rank", "private_rank"), [(4, 6), (16, 16)])
def test_frames_stay_orthonormal_through_100_steps(dtype, tolerance, rank, private_rank):
    width = 32
    subspaces = Subspaces(NAMES, 3, width, rank, private_rank).to(dtype)
    tokens = {m: torch.randn(4, 3, 5, width, dtype=dtype) for m in NAMES}
    weight = torch.randn(width, dtype=dtype)
    optimizer = torch.optim.Adam(subspaces.parameters(), lr=0.1)
    before = subspaces.free_shared.detach().clone()
    for _ in range(100):
        shared, private = subspaces(tokens)
        loss = sum(
            (shared[m] * weight[:rank]).sin().sum() + (private[m] * weight[:private_rank]).cos().sum() for m in NAMES
        )
        optimizer.zero_grad()
        loss.backward()
        for parameter in subspaces.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
            assert parameter.grad.abs().sum() > 0
        optimizer.step()
    assert (subspaces.free_shared - before).abs().max() > 0.5  # the steps were real ones
    assert worst_angle(subspaces) < tolerance


def test_the_shared_frame_is_one_for_all_modalities():
    subspaces = Subspaces(NAMES, 2, 12, 4, 5)
    shared, private = subspaces.frames()
    assert shared.shape == (2, 12, 4)
    # each modality's own QR would give the same shared frame: it depends on A_sh alone
    for m in NAMES:
        alone = orthonormal(torch.cat([subspaces.free_shared, subspaces.free_private[m]], dim=-1))
        torch.testing.assert_close(alone[..., :4], shared, atol=1e-6, rtol=0)
        torch.testing.assert_close(alone[..., 4:], private[m], atol=1e-6, rtol=0)
    assert (private["a"] - private["b"]).abs().max() > 0.1
    x = torch.randn(2, 2, 3, 12)
    coordinates, _ = subspaces(dict.fromkeys(NAMES, x))
    assert torch.equal(coordinates["a"], coordinates["b"])
    assert torch.equal(coordinates["a"], coordinates["c"])


def test_coordinates_have_the_lengths_of_the_projections_and_split_a_full_width_token():
    subspaces = Subspaces(NAMES, 2, 10, 4, 6).double()
    x = {m: torch.randn(3, 2, 5, 10).double() for m in NAMES}
    shared_frame, private_frame = subspaces.frames()
    shared, private = subspaces(x)
    for m in NAMES:
        projected = x[m] @ (shared_frame @ shared_frame.mT)
        torch.testing.assert_close(shared[m].norm(dim=-1), projected.norm(dim=-1))
        torch.testing.assert_close(x[m], projected + private[m] @ private_frame[m].mT)
        assert (projected * (private[m] @ private_frame[m].mT)).sum(-1).abs().max() < 1e-12


def test_frames_keep_their_precision_under_autocast():
    subspaces = Subspaces(NAMES, 3, 32, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shared, private = subspaces.frames()
    assert shared.dtype == torch.float32
    assert (shared.mT @ private["b"]).abs().max() < 1e-6


def test_orthonormal_spans_the_same_columns_with_a_positive_diagonal():
    free = torch.randn(7, 9, 4).double()
    q = orthonormal(free)
    torch.testing.assert_close(q @ (q.mT @ free), free)
    r = q.mT @ free
    assert (r.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert r.tril(-1).abs().max() < 1e-12


def test_small_changes_of_the_parameter_are_small_changes_of_the_frame():
    a = torch.randn(50, 9, 4).double()
    b = a + 1e-6 * torch.randn(50, 9, 4).double()
    assert (orthonormal(a) - orthonormal(b)).abs().max() < 1e-4


def test_the_sign_fix_is_needed_and_sufficient_along_a_path():
    a, b = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(5)).double().unbind(0)
    steps = [a + t * (b - a) for t in torch.linspace(0, 1, 4001).double()]

    def longest_step(make) -> float:
        frames = torch.stack([make(step) for step in steps])
        return float((frames[1:] - frames[:-1]).abs().max())

    assert longest_step(lambda x: torch.linalg.qr(x).Q) > 0.5  # the control: bare QR jumps
    assert longest_step(orthonormal) < 0.02


def test_gradcheck_of_the_frames():
    free = torch.randn(2, 6, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(orthonormal, (free,))
