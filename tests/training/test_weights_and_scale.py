"""Class weights, a scaler that is saved with the model, and the range test for the learning rate."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError, Modality
from clcrkit.baselines import BASELINES
from clcrkit.datasets import from_arrays
from clcrkit.tasks import TASKS
from clcrkit.training import TrainConfig, evaluate, find_learning_rate, fit, load, predict, save

SMALL: Any = {"width": 16, "rank": 4, "private_rank": 4, "heads": 2, "levels": 2}
QUICK = TrainConfig(epochs=2, batch_size=8, device="cpu")


def raw(samples: int = 60, seed: int = 0):
    """Features of wild scales with padding, of which no model without a scaler learns."""
    rng = np.random.default_rng(seed)
    label = np.arange(samples) % 3
    lengths = rng.integers(1, 6, samples)
    scale, shift = 10.0 ** np.array([-4, 0, 3, 5]), np.array([1e-4, 5, -2e3, 1e6])
    x = rng.normal(size=(samples, 5, 4)) + label[:, None, None]
    return x * scale + shift, lengths, rng.integers(0, 7, (samples, 3)), label


@given(
    st.lists(st.floats(0, 10), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.1),
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
)
def test_a_weighted_loss_is_that_of_scikit_learn(weights: list[float], labels: list[int]):
    logits = np.random.default_rng(len(labels)).normal(size=(len(labels), 3))
    sample_weight = np.array(weights)[labels]
    if not sample_weight.sum():
        return
    found = TASKS["classification"].loss(torch.tensor(logits), torch.tensor(labels), tuple(weights))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = log_loss(labels, shares, labels=[0, 1, 2], sample_weight=sample_weight) * sample_weight.mean()
    assert float(found) == pytest.approx(wanted, abs=1e-9)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30).filter(lambda y: len(set(y)) > 1))
def test_balanced_weights_are_those_of_scikit_learn(labels: list[int]):
    batch = Batch.from_arrays({"a": np.ones((len(labels), 1, 2)), "b": np.ones((len(labels), 1, 2))}, labels, classes=4)
    weights = CLCRConfig.of(batch, outputs=4, class_weights="balanced", **SMALL).class_weights
    there = np.unique(labels)
    assert [weights[i] for i in there] == pytest.approx(compute_class_weight("balanced", classes=there, y=labels))
    assert all(weights[i] == 1 for i in set(range(4)) - set(there))


@pytest.mark.parametrize("name", ["CLCR", *BASELINES])
def test_a_weight_of_two_is_a_sample_twice(name, make_batch, tmp_path):
    """In the task loss of every model, and only there; and it comes back with the model."""
    batch = make_batch(6, missing=False)
    config = CLCRConfig.of(batch, dropout=0.0, class_weights=(1.0, 2.0, 1.0), **SMALL)
    torch.manual_seed(0)
    model = (CLCR if name == "CLCR" else BASELINES[name])(config).eval()
    twice = batch.select([*range(6), *np.flatnonzero(batch.labels.numpy() == 1)])
    model.config = replace(config, class_weights=())
    wanted = model.losses(twice).task * len(twice) / len(batch)
    plain = model.losses(batch)
    model.config = config
    weighted = model.losses(batch)
    torch.testing.assert_close(weighted.task, wanted)
    torch.testing.assert_close(weighted.total - weighted.task, plain.total - plain.task)
    assert evaluate(model, batch)["task"] == pytest.approx(plain.task.item(), abs=1e-6)
    save(model, tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").config.class_weights == (1.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("task", "weights"),
    [
        ("classification", [1, 2]),
        ("classification", [1, 2, -1]),
        ("classification", [1, 2, float("nan")]),
        ("classification", "even"),
        ("classification", {0: 1, 1: 2}),
        ("classification", 5),
        ("regression", "balanced"),
        ("regression", [1.0]),
        ("multilabel", "balanced"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_weights_that_fit_no_class_are_refused(make_batch, task, weights):
    with pytest.raises(ConfigError, match="class_weights: "):
        CLCRConfig.of(make_batch(6, task=task), class_weights=weights)


@pytest.mark.parametrize("name", ["CLCR", *BASELINES])
def test_a_model_with_a_scaler_takes_raw_data(name, tmp_path):
    """As scikit-learn's scaler and the same weights without one, NaN at padding included; after `load`, too."""
    x, lengths, words, label = raw()
    x[np.arange(5) >= lengths[:, None]] = np.nan
    batch = Batch.from_arrays({"a": x, "w": words}, label, {"a": lengths})
    real = np.arange(5) < lengths[:, None]
    scaled = np.zeros_like(x)
    scaled[real] = StandardScaler().fit_transform(x[real]).clip(-10, 10)
    by_hand = Batch.from_arrays({"a": scaled, "w": words}, label, {"a": lengths})
    torch.manual_seed(0)
    kind = CLCR if name == "CLCR" else BASELINES[name]
    model = kind(CLCRConfig.of(batch, standardise=True, **SMALL)).eval()
    plain = kind(CLCRConfig.of(batch, **SMALL)).eval()
    assert plain.config.modalities["a"] == Modality(4)
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(predict(model, batch), predict(plain, by_hand), atol=1e-4, rtol=1e-3)
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert torch.equal(predict(again, batch), predict(model, batch))
    torch.testing.assert_close(predict(again.double(), batch), predict(model, batch), atol=1e-4, rtol=1e-3)
    longer = Batch.from_arrays(
        {"a": np.pad(x, [(0, 0), (0, 3), (0, 0)]), "w": words}, label, {"a": lengths}
    )  # padding changes nothing
    torch.testing.assert_close(predict(model, longer), predict(model, batch), atol=1e-5, rtol=1e-4)


def test_the_scaler_is_the_training_parts_and_is_trained_with(tmp_path):
    x, lengths, words, label = raw(120)
    split = from_arrays({"a": x, "w": words}, label, {"a": lengths})
    model = CLCR(CLCRConfig.of(split, standardise=True, **SMALL))
    real = split.train.tokens["a"][split.train.masks["a"]].double()
    assert model.config.modalities["a"].mean == pytest.approx(real.mean(0).tolist(), rel=1e-6)
    assert model.config.modalities["w"] == Modality(7, ids=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is unscaled any more
        fit(model, split, config=replace(QUICK, epochs=8, learning_rate=1e-2), folder=tmp_path, progress=False)
    assert evaluate(model, split)["score"] > 0.7
    assert torch.equal(predict(load(tmp_path), split), predict(model, split))
    unscaled = CLCR(CLCRConfig.of(split, **SMALL))
    with pytest.warns(UserWarning, match="a: unscaled"):
        fit(unscaled, split, config=QUICK, progress=False)


def test_only_the_named_modalities_are_standardised():
    batch = Batch.from_arrays({"a": np.arange(12.0).reshape(6, 1, 2), "b": np.ones((6, 2, 3))}, [0, 1] * 3)
    whole, some = (CLCRConfig.of(batch, standardise=names) for names in (True, ["a"]))
    assert some.modalities == {"a": whole.modalities["a"], "b": Modality(3)}
    assert CLCRConfig.of(batch, standardise=[]) == CLCRConfig.of(batch)
    for wrong in ("a", ["c"]):
        with pytest.raises(ConfigError, match=r"standardise: .*, but True, False or names of the modalities"):
            CLCRConfig.of(batch, standardise=wrong)


def test_a_constant_or_missing_feature_is_left_alone():
    x = np.ones((6, 2, 3))
    x[:, :, 0] = np.arange(12).reshape(6, 2)
    batch = Batch.from_arrays({"a": x, "b": x}, [0, 1, 0, 1, 0, 1])
    assert CLCRConfig.of(batch, standardise=True).modalities["a"].std[1:] == (1.0, 1.0)
    for mean, std in (((0.0,), ()), ((0.0, 0.0), (1.0, 0.0)), ((0.0,) * 3, (1.0,) * 3)):
        with pytest.raises(ConfigError, match="mean and std of a: "):
            CLCRConfig({"a": Modality(2, mean=mean, std=std), "b": Modality(2)}, 2)


def test_the_range_test_finds_a_rate_that_learns_and_leaves_the_model_alone():
    x, lengths, words, label = raw(120)
    split = from_arrays({"a": x, "w": words}, label, {"a": lengths})
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split, standardise=True, dropout=0.2, **SMALL))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(5)
    found, again = (find_learning_rate(model, split, QUICK, steps=60) for _ in range(2))
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    assert found.table.equals(again.table)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    rates = found.table["learning_rate"].to_numpy()
    np.testing.assert_allclose(rates[1:] / rates[:-1], (1.0 / 1e-5) ** (1 / 59), rtol=1e-9)
    assert found.suggested in rates
    fitted = {}
    for rate in (1e-5, found.suggested):
        torch.manual_seed(0)
        trained = CLCR(model.config)
        fit(trained, split, config=replace(QUICK, epochs=6, learning_rate=rate), progress=False)
        fitted[rate] = evaluate(trained, split)["score"]
    assert fitted[found.suggested] > max(0.7, fitted[1e-5])


def test_ranges_that_are_none_and_weights_that_cannot_be_trained_are_refused(make_batch, make_model):
    batch = make_batch(12)
    model = make_model(batch)
    with pytest.raises(ConfigError, match="lowest, highest: "):
        find_learning_rate(model, batch, QUICK, lowest=1, highest=0.1)
    with pytest.raises(ConfigError, match="steps: 3, but it must be from 10"):
        find_learning_rate(model, batch, QUICK, steps=3)
    with pytest.raises(DataError, match="train: None, but a Batch, Shards or a Split"):
        find_learning_rate(model, None, QUICK)
    with pytest.raises(ConfigError, match="model: all of its weights are frozen"):
        find_learning_rate(model.requires_grad_(False), batch, QUICK)
    with torch.inference_mode():
        model = CLCR(model.config)
    with pytest.raises(ConfigError, match="inference_mode and cannot be trained; make the model outside"):
        fit(model, batch, batch, QUICK)
    with pytest.raises(ConfigError, match="on the meta device"):
        fit(model.to("meta"), batch, batch, QUICK)
    with pytest.raises(ConfigError, match="device: 'meta', but it holds no values"):
        replace(QUICK, device="meta")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device: 'cuda' is not there; this machine has "):
            fit(make_model(batch), batch, batch, replace(QUICK, device="cuda"))
