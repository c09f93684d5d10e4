"""Encoders against convolutions and layers written out, their receptive fields, and what padding may not do."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch

from clcrkit.hierarchy import POSITION_SCALE, TCN, HierarchyEncoder, ShiftedProducts, TransformerTaps
from clcrkit.ops import positions, sinusoid

ERF = np.vectorize(math.erf)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + ERF(x / math.sqrt(2)))


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def loop_tcn(tcn: TCN, tokens: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The TCN on one sample, token by token: (level, token, width)."""
    x = (tokens @ as_numpy(tcn.embed.weight).T + as_numpy(tcn.embed.bias)) * real[:, None]
    levels, apart = [], 1
    for convolution in tcn.stages:
        weight, bias = as_numpy(cast(Any, convolution).weight), as_numpy(cast(Any, convolution).bias)
        heard = np.zeros_like(x)
        for t in range(len(x)):
            heard[t] = bias
            for place, u in enumerate((t - apart, t, t + apart)):
                if 0 <= u < len(x):
                    heard[t] += weight[:, :, place] @ x[u]
        x = (x + gelu(heard)) * real[:, None]
        apart *= 3
        levels.append(x)
    return np.stack(levels)


def test_tcn_equals_its_loops():
    tcn = TCN(features=3, width=6, levels=3)
    tokens, mask = torch.randn(2, 11, 3), torch.arange(11) < torch.tensor([11, 7])[:, None]
    found = tcn(tokens, mask)
    for b in range(2):
        expected = loop_tcn(tcn, as_numpy(tokens[b]), mask[b].numpy())
        np.testing.assert_allclose(as_numpy(found[b]), expected, atol=1e-5)


@pytest.mark.parametrize("shift", [1, 4, 9, 12])  # a sample may be shorter than the reach
def test_gradients_of_shifted_products(shift):
    inputs = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((9, 4), (3, 4, 5), (5,))]
    assert torch.autograd.gradcheck(lambda *given: ShiftedProducts.apply(*given, shift), inputs)


def test_dropout_keeps_the_mean_and_no_padding():
    """With convolutions that give 1 for every input, a stage adds 0 or gelu(1) / (1 - p) where a token is real."""
    tcn = TCN(features=2, width=64, levels=1, dropout=0.25)
    torch.nn.init.zeros_(cast(Any, tcn.stages[0]).weight)
    torch.nn.init.ones_(cast(Any, tcn.stages[0]).bias)
    tokens, mask = torch.randn(8, 50, 2), torch.arange(50) < torch.randint(1, 51, (8, 1))
    added = (tcn(tokens, mask)[:, 0] - tcn.embed(tokens) * mask[..., None]).detach()
    full = float(gelu(np.ones(())))
    torch.testing.assert_close(added, torch.where(added > 0.5, full / 0.75, 0.0), atol=1e-5, rtol=0)
    assert (added[~mask] == 0).all()
    assert float((added[mask] > 0.5).float().mean()) == pytest.approx(0.75, abs=0.03)
    everything = (tcn.eval()(tokens, mask)[:, 0] - tcn.embed(tokens))[mask]
    torch.testing.assert_close(everything, torch.full_like(everything, full), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("level", "reach"), [(0, 1), (1, 4), (2, 13)])
def test_tcn_sees_1_4_and_13_tokens_to_either_side(level, reach):
    tcn = TCN(features=2, width=4, levels=3)
    tokens = torch.randn(1, 81, 2, requires_grad=True)
    out = tcn(tokens, torch.ones(1, 81, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(out[0, level, 40].square().sum(), tokens)
    seen = gradient[0].abs().sum(1) > 0
    assert seen.nonzero().flatten().tolist() == list(range(40 - reach, 40 + reach + 1))


def test_transformer_taps_see_all_real_tokens_and_no_others():
    taps = TransformerTaps(vocabulary=7, width=8, levels=3).eval()
    tokens, mask = torch.randint(7, (1, 9)), torch.arange(9)[None] < 6
    with torch.no_grad():
        before = taps(tokens, mask)
        for t in range(9):
            moved = tokens.clone()
            moved[0, t] = (moved[0, t] + 1) % 7
            change = (taps(moved, mask) - before)[0, :, :6].abs().amax(-1)
            assert (change > 1e-6).all() if t < 6 else (change == 0).all()


def test_each_tap_is_one_block_further():
    taps = TransformerTaps(vocabulary=7, width=8, levels=3).eval()
    tokens, mask = torch.randint(7, (2, 5)), torch.ones(2, 5, dtype=torch.bool)
    out = taps(tokens, mask)
    for level in range(2):
        torch.testing.assert_close(taps.blocks[level + 1](out[:, level]), out[:, level + 1])


@pytest.mark.parametrize("ids", [False, True])
def test_level_tokens_follow_the_formula(ids):
    """H = GELU(LayerNorm(Z W + P)) less its mean over the width, zero where masked."""
    encoder = HierarchyEncoder(6, ids, width=8, levels=2).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tokens = torch.randint(6, (2, 5)) if ids else torch.randn(2, 5, 6)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 0]]).bool()
    z = as_numpy(encoder.stages(tokens, mask))
    found = as_numpy(encoder(tokens, mask))
    for b in range(2):
        for level in range(2):
            position = 0
            for t in range(5):
                if not mask[b, t]:
                    assert (found[b, level, t] == 0).all()
                    continue
                rates = 10_000.0 ** (-np.arange(0, 8, 2) / 8)
                place = np.concatenate([np.sin(position * rates), np.cos(position * rates)])
                h = (
                    z[b, level, t] @ as_numpy(encoder.project)[level]
                    + POSITION_SCALE * place
                    + as_numpy(encoder.level_embedding)[level, 0]
                )
                h = (h - h.mean()) / np.sqrt(h.var() + 1e-5)
                h = gelu(h * as_numpy(encoder.scale)[level, 0] + as_numpy(encoder.shift)[level, 0])
                h -= h.mean()
                np.testing.assert_allclose(found[b, level, t], h, atol=2e-5)
                position += 1


@pytest.mark.parametrize("ids", [False, True])
def test_padding_in_front_or_behind_changes_nothing(ids):
    encoder = HierarchyEncoder(6, ids, width=8, levels=3).eval()
    tokens = torch.randint(6, (2, 5)) if ids else torch.randn(2, 5, 6)
    mask = torch.arange(5) < torch.tensor([5, 3])[:, None]
    rubbish = torch.full((2, 4), 5) if ids else torch.full((2, 4, 6), 1e6)
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    found = encoder(torch.cat([rubbish, tokens, rubbish], 1), torch.cat([nothing, mask, nothing], 1))
    torch.testing.assert_close(found[:, :, 4:9], encoder(tokens, mask), atol=1e-6, rtol=0)
    assert (found[:, :, :4] == 0).all()
    assert (found[:, :, 9:] == 0).all()


@pytest.mark.parametrize("rubbish", [1e6, 1e38, float("inf"), float("nan")])
def test_garbage_under_the_mask_changes_no_value_and_no_gradient(rubbish):
    """Also where it did not come through Batch.from_arrays, which would have zeroed it."""
    encoder = HierarchyEncoder(4, False, width=8, levels=3)
    tokens, mask = torch.randn(2, 6, 4), torch.arange(6) < torch.tensor([6, 3])[:, None]
    dirty = tokens.masked_fill(~mask[..., None], rubbish)
    clean = tokens.masked_fill(~mask[..., None], 0)
    torch.testing.assert_close(encoder(dirty, mask), encoder(clean, mask), atol=1e-6, rtol=0)
    parameters = list(encoder.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(encoder(dirty, mask).square().sum(), parameters),
        torch.autograd.grad(encoder(clean, mask).square().sum(), parameters),
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("ids", [False, True])
def test_a_missing_modality_is_zero_with_finite_gradients(ids):
    encoder = HierarchyEncoder(6, ids, width=8, levels=3)
    tokens = torch.randint(6, (2, 5)) if ids else torch.randn(2, 5, 6)
    mask = torch.tensor([[True] * 5, [False] * 5])
    for mode in (True, False):
        out = encoder.train(mode)(tokens, mask)
        assert (out[1] == 0).all()
        gradients = torch.autograd.grad(out.square().sum(), list(encoder.parameters()))
        assert all(g.isfinite().all() for g in gradients)
    with torch.no_grad():  # torch's fast path for evaluation
        torch.testing.assert_close(encoder(tokens, mask), out, atol=1e-5, rtol=0)


def test_positions_count_real_tokens():
    mask = torch.tensor([[0, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()
    assert positions(mask).tolist() == [[0, 0, 0, 1, 1], [0, 1, 2, 3, 4], [0, 0, 0, 0, 0]]


def test_sinusoid_tells_positions_apart():
    codes = sinusoid(torch.arange(300), 16)
    assert torch.cdist(codes, codes).add(10 * torch.eye(300)).min() > 0.05
    torch.testing.assert_close(codes.norm(dim=1), torch.full((300,), 8**0.5))
