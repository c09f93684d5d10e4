"""OGM-GE against its paper's rule, computed by hand on concatenation's own gradients."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from clcrkit import ConfigError
from clcrkit.baselines import OGMGE, Concatenation
from clcrkit.baselines import modulation as module
from clcrkit.config import CLCRConfig


@pytest.fixture
def pair(make_batch):
    """Concatenation and OGM-GE of the same weights, on two modalities; in one the class is plain to see."""
    batch = make_batch(samples=12)
    batch = batch.only("text", "vision")
    torch.manual_seed(0)
    config = CLCRConfig.of(batch, width=8, dropout=0.0)
    concat, modulated = Concatenation(config), OGMGE(config)
    with torch.no_grad():
        concat.head.weight[:, : config.width] *= 8  # the first modality's term is the louder one
    modulated.load_state_dict(concat.state_dict())
    return concat.train(), modulated.train(), batch


def gradients(model, batch):
    model.zero_grad()
    model.losses(batch).total.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@torch.no_grad()
def confidences(concat, batch):
    """The sum of softmax(W_m z_m + b / 2) at the true class, sample by sample."""
    width, sums = concat.config.width, []
    for i, (m, z) in enumerate(concat.pooled(batch).items()):
        assert m == concat.modalities[i]
        weight, total = concat.head.weight[:, i * width : (i + 1) * width], 0.0
        for row, label in zip(z, batch.labels, strict=True):
            logits = [float(w @ row + b / 2) for w, b in zip(weight, concat.head.bias, strict=True)]
            highest = max(logits)
            total += math.exp(logits[label] - highest) / sum(math.exp(x - highest) for x in logits)
        sums.append(total)
    return sums


def test_the_dominant_modality_alone_learns_more_slowly(pair, monkeypatch: pytest.MonkeyPatch):
    concat, modulated, batch = pair
    monkeypatch.setattr(module.torch, "randn_like", torch.zeros_like)  # without the noise
    plain, changed = gradients(concat, batch), gradients(modulated, batch)
    first, second = confidences(concat, batch)
    assert first != second
    ratios = {"text": first / second, "vision": second / first}
    factor = {m: 1 - math.tanh(0.8 * r) if r > 1 else 1.0 for m, r in ratios.items()}
    assert min(factor.values()) < 0.5 < max(factor.values()) == 1
    assert set(plain) == set(changed)
    for name, gradient in plain.items():
        expected = factor.get(name.split(".")[1], 1.0) if name.startswith("encoders.") else 1.0
        torch.testing.assert_close(changed[name], expected * gradient, atol=1e-6, rtol=1e-4)


def test_the_noise_has_each_gradients_own_deviation(pair):
    concat, modulated, batch = pair
    plain = gradients(concat, batch)
    draws = [gradients(modulated, batch) for _ in range(20)]
    factors = modulated.coefficients(concat.pooled(batch), batch)
    for name, gradient in plain.items():
        if not name.startswith("encoders."):
            torch.testing.assert_close(draws[0][name], gradient)
        elif gradient.ndim >= 2 and gradient.numel() > 100:
            noise = torch.stack([draw[name] - factors[name.split(".")[1]] * gradient for draw in draws])
            assert float(noise.std()) == pytest.approx(float(gradient.std()), rel=0.1), name
            assert all(not torch.equal(a, b) for a, b in pairwise(noise))


def test_a_prediction_is_the_sum_of_what_the_modalities_contribute(pair):
    concat, modulated, batch = pair
    terms = concat.contributions(concat.pooled(batch))
    torch.testing.assert_close(sum(terms.values()), concat(batch), atol=1e-5, rtol=0)
    assert torch.equal(modulated.eval()(batch), concat.eval()(batch))
    assert modulated.losses(batch) == concat.losses(batch)


def test_three_modalities_are_each_held_against_the_mean_of_the_others(make_batch):
    batch = make_batch(samples=8)
    model = OGMGE(CLCRConfig.of(batch, width=8)).eval()
    with torch.no_grad():
        terms = model.contributions(model.pooled(batch))
    factors = model.coefficients(model.pooled(batch), batch)
    sums = {m: float(x.softmax(-1).gather(1, batch.labels[:, None]).sum()) for m, x in terms.items()}
    for m, factor in factors.items():
        ratio = sums[m] / (sum(v for n, v in sums.items() if n != m) / 2)
        assert float(factor) == pytest.approx(1 - math.tanh(0.8 * ratio) if ratio > 1 else 1.0, abs=1e-5)


def test_only_classes_have_a_confidence(make_batch):
    with pytest.raises(ConfigError, match="OGM-GE: 3 modalities and regression"):
        OGMGE(CLCRConfig.of(make_batch(task="regression"), width=8))
