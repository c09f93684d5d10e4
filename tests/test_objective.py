"""Whitened cross-correlation against numpy's canonical correlations and against all shuffles; the terms around it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clcrkit.aggregation import InterCAD
from clcrkit.objective import level_mix, regularisers, stream_pairs, whiten, whitened_cross_correlation


def wcc(streams: Tensor, **choices) -> Tensor:
    """In float64 and without a ridge, so that the plain mathematics shows."""
    return whitened_cross_correlation(streams.double(), **{"ridge": 0.0, "debias": False, **choices})


def canonical(x: np.ndarray, y: np.ndarray) -> float:
    """Mean squared canonical correlation, by QR and SVD."""
    qx, qy = (np.linalg.qr(z - z.mean(0))[0] for z in (x, y))
    return float(np.square(np.linalg.svd(qx.T @ qy, compute_uv=False)).sum() / min(x.shape[1], y.shape[1]))


def test_equals_mean_squared_canonical_correlations():
    base = torch.randn(50, 3)
    streams = torch.stack([base, base @ torch.randn(3, 3) + torch.randn(50, 3), torch.randn(50, 3)])
    found = wcc(streams)
    for i, j in itertools.product(range(3), repeat=2):
        assert float(found[i, j]) == pytest.approx(canonical(streams[i].numpy(), streams[j].numpy()), abs=1e-6)


def test_one_against_itself_and_against_any_invertible_map_of_itself():
    x = torch.randn(40, 5)
    streams = torch.stack([x, x @ torch.randn(5, 5) + 7, x.flip(1)])
    torch.testing.assert_close(wcc(streams), torch.ones(3, 3).double(), atol=1e-5, rtol=0)


@given(st.integers(0, 10_000))
def test_invertible_maps_of_a_stream_change_nothing(seed):
    generator = torch.Generator().manual_seed(seed)
    streams = torch.randn(2, 30, 4, generator=generator).double()
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator).double()).Q
    scales = torch.rand(4, generator=generator).double() * 3 + 0.5
    turned = torch.stack([streams[0] @ rotation * scales @ rotation + 3, streams[1]])
    torch.testing.assert_close(wcc(turned), wcc(streams), atol=1e-5, rtol=0)
    torch.testing.assert_close(wcc(streams[[1, 0]])[0, 1], wcc(streams)[0, 1])
    assert 0 <= float(wcc(streams)[0, 1]) <= 1


def test_debias_is_the_mean_over_all_shuffles():
    """Exactly: over all 120 ways to order one stream's five samples the debiased value is 0 on average."""
    x, y = torch.randn(5, 2), torch.randn(5, 2)
    for ridge in (0.0, 0.1):
        values = [
            wcc(torch.stack([x, y[list(order)]]), debias=True, ridge=ridge)[0, 1]
            for order in itertools.permutations(range(5))
        ]
        assert float(torch.stack(values).mean()) == pytest.approx(0, abs=1e-9)


def test_debias_is_the_mean_over_all_shuffles_of_what_each_stream_has():
    """Two streams that lack different samples: over all ways to order the 4 and the 3 samples that they have."""
    x, y = torch.randn(4, 2), torch.randn(3, 2)
    orders_x, orders_y = (list(itertools.permutations(range(n))) for n in (4, 3))
    streams, present = torch.zeros(24 + 6, 5, 2), torch.zeros(24 + 6, 5, dtype=torch.bool)
    for row, order in enumerate(orders_x):
        streams[row, :4], present[row, :4] = x[list(order)], True
    for row, order in enumerate(orders_y, start=24):
        streams[row, 2:], present[row, 2:] = y[list(order)], True
    value = wcc(streams, present=present, debias=True, ridge=0.1)
    assert float(value[:24, 24:].mean()) == pytest.approx(0, abs=1e-9)
    assert float(value[:24, 24:].std()) > 0.01
    assert float(wcc(streams, present=present, ridge=0.1)[:24, 24:].mean()) > 0.1


def test_independent_streams_that_lack_different_samples_are_zero_on_average():
    streams, present = torch.randn(400, 24, 4), torch.rand(400, 24) < 0.6
    apart = ~torch.eye(400, dtype=torch.bool)
    assert float(wcc(streams, present=present, debias=True)[apart].mean()) == pytest.approx(0, abs=0.02)


def test_independent_streams_are_zero_on_average_only_when_debiased():
    streams = torch.randn(300, 24, 6)
    apart = ~torch.eye(300, dtype=torch.bool)
    expected = 6 * 6 / 23 / 6
    assert float(wcc(streams)[apart].mean()) == pytest.approx(expected, abs=0.005)
    assert float(wcc(streams, debias=True)[apart].mean()) == pytest.approx(0, abs=0.005)
    # and with a default ridge in float32, fewer samples than rank: where plain values would be near 1
    few = torch.randn(300, 6, 8)
    assert float(whitened_cross_correlation(few, debias=False)[apart].mean()) > 0.5
    assert float(whitened_cross_correlation(few)[apart].mean()) == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("debias", [False, True])
def test_absent_samples_are_as_if_they_were_not_there(debias):
    streams, here = torch.randn(3, 20, 4), torch.rand(20) < 0.7
    dirty = streams.clone()
    dirty[:, ~here] = 1e3
    found = wcc(dirty, present=here.expand(3, -1), debias=debias)
    torch.testing.assert_close(found, wcc(streams[:, here], debias=debias))


@pytest.mark.parametrize("debias", [False, True])
def test_streams_that_were_filled_up_to_full_width(debias):
    narrow, broad = torch.randn(40, 2), torch.randn(40, 5)
    streams = torch.stack([F.pad(narrow, (0, 3)), broad])
    value = whitened_cross_correlation(streams, ranks=torch.tensor([2.0, 5.0]), debias=debias)[0, 1]
    expected = canonical(narrow.double().numpy(), broad.double().numpy())
    if debias:
        expected -= 2 * 5 / 39 / 2
    assert float(value) == pytest.approx(expected, abs=0.01)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


STREAMS = {
    "one sample": normal(3, 1, 4),
    "two samples": normal(3, 2, 4),
    "constant": torch.ones(3, 10, 4),
    "one dead unit": normal(3, 10, 4) * torch.tensor([1.0, 1, 1, 0]),
    "more rank than samples": normal(3, 5, 32),
    "two equal units": normal(3, 10, 1).expand(-1, -1, 4),
    "large": 1e4 * normal(3, 10, 4) + 1e5,
    "small": 1e-6 * normal(3, 10, 4),
}


@pytest.mark.parametrize("streams", STREAMS.values(), ids=STREAMS.keys())
@pytest.mark.parametrize("debias", [True, False])
def test_degenerate_streams_stay_finite_and_in_range(streams, debias):
    streams = streams.clone().requires_grad_()
    present = torch.ones(3, streams.shape[1], dtype=torch.bool)
    present[2] = False  # and one stream that is not there at all
    value = whitened_cross_correlation(streams, present, debias=debias)
    (gradient,) = torch.autograd.grad(value.sum(), streams)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    assert -1.01 < value.min() <= value.max() < 1.01
    assert (value[2] == 0).all()


def test_whitened_streams_have_the_identity_as_covariance():
    streams, present = torch.randn(2, 60, 5).double() * 3 + 2, torch.rand(2, 60) < 0.8
    white = whiten(streams, present, ridge=0.0)
    for i in range(2):
        np.testing.assert_allclose(np.cov(white[i, present[i]].numpy().T), np.eye(5), atol=1e-6)
        assert (white[i, ~present[i]] == 0).all()


def test_gradcheck_of_the_cross_correlation():
    streams = torch.randn(2, 9, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(whitened_cross_correlation, (streams,))


@pytest.mark.parametrize(("modalities", "levels"), [(2, 1), (2, 3), (3, 2), (4, 4)])
def test_stream_pairs_are_the_wanted_pairs(modalities, levels):
    """By enumeration: each wanted pair once, in either orientation, all with the same weight."""
    streams = list(itertools.product("sp", range(modalities), range(levels)))
    wanted: dict[str, list[set]] = {"across": [], "split": [], "private": [], "leakage": []}
    for a, b in itertools.combinations(streams, 2):
        (kind_a, m, i), (kind_b, n, j) = a, b
        if kind_a == kind_b == "p":
            if m != n and i == j:
                wanted["across"].append({a, b})
            elif m == n and i != j:
                wanted["private"].append({a, b})
        elif kind_a != kind_b and i == j:
            wanted["split"].append({a, b})
        elif kind_a != kind_b and m == n:
            wanted["leakage"].append({a, b})
    found = stream_pairs(modalities, levels)

    def total(weights: Tensor, pairs: list[set]) -> list[float]:
        return [
            float(sum(weights[streams.index(a), streams.index(b)] for a, b in itertools.permutations(pair)))
            for pair in pairs
        ]

    for name in ("private", "leakage"):
        weights = getattr(found, name)
        assert total(weights, wanted[name]) == pytest.approx([1 / max(len(wanted[name]), 1)] * len(wanted[name]))
        assert float(weights.sum()) == pytest.approx(1 if wanted[name] else 0)
    assert total(found.intra, wanted["across"]) == pytest.approx([1 / len(wanted["across"])] * len(wanted["across"]))
    assert total(found.intra, wanted["split"]) == pytest.approx([1 / len(wanted["split"])] * len(wanted["split"]))
    assert float(found.intra.sum()) == pytest.approx(2)


@pytest.mark.parametrize("samples", [12, 60])  # few and many beside the rank are computed in two ways
@pytest.mark.parametrize("debias", [False, True])
def test_regularisers_equal_pairs_taken_one_at_a_time(debias, samples):
    """Three modalities, two levels, unequal ranks: every pair by numpy's canonical correlations, averaged by hand."""
    levels, rank, private_rank = 2, 3, 4
    names = ("a", "b", "c")
    common = torch.randn(samples, levels, 1)
    shared = {m: torch.randn(samples, levels, rank) + common for m in names}
    private = {m: torch.randn(samples, levels, private_rank) + 0.5 * common for m in names}
    masks = {m: torch.ones(samples, 1, dtype=torch.bool) for m in names}
    intercad = InterCAD(levels, rank, private_rank)
    one = {m: torch.ones(samples, levels, 1) for m in names}
    done = intercad(
        {m: x[:, :, None] for m, x in shared.items()}, {m: x[:, :, None] for m, x in private.items()}, one, masks
    )
    terms = regularisers(done, masks, debias=debias)

    def value(x: Tensor, y: Tensor) -> float:
        bias = max(x.shape[1], y.shape[1]) / (samples - 1) if debias else 0
        return canonical(x.double().numpy(), y.double().numpy()) - bias

    pairs = list(itertools.combinations(names, 2))
    across = [value(private[m][:, i], private[n][:, i]) for m, n in pairs for i in range(levels)]
    split = [value(shared[m][:, i], private[n][:, i]) for m in names for n in names for i in range(levels)]
    assert float(terms["intra"]) == pytest.approx(np.mean(across) + np.mean(split), abs=0.005)
    assert float(terms["inter_private"]) == pytest.approx(
        np.mean([value(private[m][:, 0], private[m][:, 1]) for m in names]), abs=0.005
    )
    leaks = [value(shared[m][:, i], private[m][:, 1 - i]) for m in names for i in range(levels)]
    assert float(terms["inter_leakage"]) == pytest.approx(np.mean(leaks), abs=0.005)
    torch.testing.assert_close(terms["inter_mix"], level_mix(done.level_gate, done.context))
    parts = terms["inter_private"] + terms["inter_leakage"] + terms["inter_mix"]
    torch.testing.assert_close(terms["inter"], parts)


def test_level_mix_by_loops():
    gate, context = torch.rand(5, 3).softmax(1), torch.randn(5, 3, 4)
    total = 0.0
    for b in range(5):
        for i, j in itertools.combinations(range(3), 2):
            x, y = context[b, i].double(), context[b, j].double()
            total += float(gate[b, i] * gate[b, j] * (1 - x @ y / (x.norm() * y.norm())))
    assert float(level_mix(gate, context)) == pytest.approx(total / 5, rel=1e-5)
    assert float(level_mix(gate, context[:, :1].expand(-1, 3, -1))) == pytest.approx(0, abs=1e-6)
    assert float(level_mix(torch.ones(5, 1), context[:, :1])) == 0


def test_level_mix_of_an_empty_context_is_finite():
    context = torch.zeros(2, 3, 4, requires_grad=True)
    loss = level_mix(torch.full((2, 3), 1 / 3), context)
    (gradient,) = torch.autograd.grad(loss, context)
    assert loss.isfinite()
    assert gradient.isfinite().all()
