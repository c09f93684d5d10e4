"""An exported model computes what the model computes, whatever its settings and inputs; or it is not written."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import torch

from clcrkit import CLCR, Batch, ConfigError, export_onnx, onnx_export
from clcrkit.budget import project_truncated_simplex
from clcrkit.onnx_check import random_inputs, traced
from clcrkit.onnx_export import ExactBudget, Recorder, _frozen

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# An export takes seconds. So what is exported is compared with the model for all of these, which together have all
# switches that change an output, and a file is made of some: one for each way through the exchange.
MODELS: dict[str, dict[str, Any]] = {
    "full": {"modalities": 3, "levels": 1},
    "paper, speakers": {"paper": True, "budgeted": "speakers", "mix": "shuffled"},
    "both": {"task": "regression", "budgeted": "both"},
    "listeners": {"task": "regression", "levels": 1, "intercad": False, "of": "sound", "standardise": True},
    "pooled": {"mix": "pooled"},
    "pooled, no split": {"task": "multilabel", "mix": "pooled", "intraced": False, "split": False, "of": "sound"},
    "private sum": {"private_sum": True, "sparse": False, "normed": False},
    "no IntraCED": {"intraced": False, "intercad": False, "mix": "rotated"},
    "no hierarchy, no split": {"hierarchy": False, "intraced": False, "split": False},
}
FILES = ("paper, speakers", "listeners", "pooled, no split")
NAMES = ["no", "perhaps", "yes"]


class LinearStages(torch.nn.Module):
    """One linear map of each token for all stages."""

    def __init__(self, size: int, width: int, levels: int) -> None:
        super().__init__()
        self.linear, self.levels = torch.nn.Linear(size, levels * width), levels

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.linear(tokens).unflatten(-1, (self.levels, -1)).transpose(1, 2)


@pytest.fixture(scope="module")
def made(make_batch, make_model) -> Callable[[str], tuple[CLCR, Callable[[int], Batch]]]:
    """By name, a model and what draws its batches from a seed."""

    def make(name: str) -> tuple[CLCR, Callable[[int], Batch]]:
        choices = {"task": "classification", "modalities": 2, "levels": 2, **MODELS[name]}
        task, modalities, paper = choices.pop("task"), choices.pop("modalities"), choices.pop("paper", False)
        other = choices.pop("of", None)  # without token ids, and with the simplest stages, for speed

        def draw(seed: int) -> Batch:
            drawn = make_batch(task=task, modalities=3 if other else modalities, seed=seed)
            return drawn.only("vision", other) if other else drawn

        model = make_model(draw(0), **choices)
        if paper:
            model = CLCR(model.config.paper()).eval()
        for m, spec in model.config.modalities.items() if other else ():
            model.encoders[m].stages = LinearStages(spec.size, model.config.width, model.config.levels)
        return model, draw

    return make


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory) -> Callable[[str], Path]:
    """By name, the one file in a folder, exported only once."""

    @cache
    def export(name: str) -> Path:
        model, _ = made(name)
        path = tmp_path_factory.mktemp("onnx") / "model.onnx"
        training = name == FILES[0]  # as after training; the export does not mind
        names = NAMES if model.config.task == "classification" else []
        said: SimpleQueue[logging.LogRecord] = SimpleQueue()
        listener = QueueHandler(said)
        logging.getLogger("torch.onnx").addHandler(listener)
        with (
            warnings.catch_warnings(),
            torch._dynamo.config.patch(fake_tensor_cache_enabled=False),  # for speed: it is slow with free sizes
        ):
            warnings.simplefilter("error")
            export_onnx(model.train(training), path, names)
        logging.getLogger("torch.onnx").removeHandler(listener)
        assert said.empty(), "who exports a model reads what torch's exporter says of itself"
        assert model.training == training
        return path

    return export


def sizes(batch: Batch, seed: int) -> Batch:
    """The batch cut to other lengths, with a modality missing in some samples, and rubbish in the padding."""
    rng = np.random.default_rng(seed)
    tokens, masks = {}, {}
    for m, mask in batch.masks.items():
        length = int(rng.integers(1, mask.shape[1] + 1))
        masks[m] = mask[:, :length]
        tokens[m] = batch.tokens[m][:, :length].clone()
        tokens[m][~masks[m]] = torch.nan if tokens[m].is_floating_point() else -1
    return replace(batch, tokens=tokens, masks=masks)


def assert_same(session: Any, model: CLCR, batch: Batch, gamma: float, muted: float) -> None:
    levels, times = model.levels, model.config.levels if model.config.mix == "pooled" else 1
    mute = {m: torch.rand(len(batch), levels, times * x.shape[1]) < muted for m, x in batch.masks.items()}
    expected = model.trace(batch, gamma, mute).by_name()
    names = [output.name for output in session.get_outputs()]
    assert names == list(expected)
    feeds = {"gamma": np.array(gamma, np.float32)}
    for m in batch.modalities:
        feeds |= {f"batch.tokens/{m}": batch.tokens[m].numpy(), f"batch.masks/{m}": batch.masks[m].numpy()}
        feeds[f"mute/{m}"] = mute[m].numpy()
    for name, output in zip(names, session.run(names, feeds), strict=True):
        np.testing.assert_allclose(output, expected[name].numpy(), atol=1e-4, rtol=0, err_msg=name)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_exported_computes_what_the_model_computes(made, name):
    model, _ = made(name)
    recorder = Recorder(_frozen(model)).eval()
    rng = np.random.default_rng(2)
    for sizes, gamma in (((6, 9, 4, 12), 1.0), ((4, 5, 17, 2), 0.0), ((1, 1, 3, 2), 0.5), ((5, 30, 8, 21), 2.0)):
        inputs = random_inputs(model.config, sizes, rng, gamma)
        with torch.no_grad():
            outputs = recorder(**inputs)
        expected = traced(model, inputs).by_name()
        assert list(outputs) == list(expected)
        for key, output in outputs.items():
            torch.testing.assert_close(output, expected[key], atol=1e-4, rtol=0, msg=lambda text, key=key: key + text)


@pytest.mark.parametrize("name", FILES)
def test_the_file_computes_what_the_model_computes(made, exported, name):
    (model, draw), path = made(name), exported(name)
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["clcrkit"])
    assert about["config"] == json.loads(json.dumps(model.config.to_dict()))
    assert about["label_names"] == (NAMES if model.config.task == "classification" else [])
    assert list(about["inputs"]) == [x.name for x in session.get_inputs()]
    assert about["inputs"]["batch.masks/vision"] == ["batch", "vision_length"]
    assert about["outputs"]["prediction"] == ["batch", model.config.outputs]
    for seed, (gamma, muted) in enumerate([(1.0, 0.0), (0.0, 0.2), (0.5, 0.5), (2.0, 0.2), (1.0, 1.0)]):
        assert_same(session, model, sizes(draw(seed), seed), gamma, muted)
        assert_same(session, model, draw(0).select([seed]), gamma, muted)
    batch = draw(0)
    for m in batch.modalities:
        absent = {**batch.masks, m: torch.zeros_like(batch.masks[m])}
        assert_same(session, model, replace(batch, masks=absent), 1.0, 0.0)


def test_a_file_that_differs_is_refused_and_nothing_is_written(made, exported, tmp_path, monkeypatch):
    model, _ = made("pooled, no split")
    proto = onnx.load(exported("pooled, no split"))
    del proto.metadata_props[:]
    monkeypatch.setattr(onnx_export, "_exported", lambda reference: proto)
    with torch.no_grad():
        next(model.encoders["vision"].stages.parameters()).add_(0.1)
    with pytest.raises(ConfigError, match=r"tokens/vision: the exported model differs from torch by [\d.]+, but"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_label_names_are_one_for_each_output(model, tmp_path):
    with pytest.raises(ConfigError, match="label_names: 2, but it must be none, or one for each of 3 outputs"):
        export_onnx(model, tmp_path / "model.onnx", ["a", "b"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tokens", [1, 2, 9])
def test_breakpoints_and_bisection_find_the_same_cutoff(tokens):
    values = 3 * torch.randn(200, tokens)
    values[::5] = values[::5].round()  # ties
    budget = torch.linspace(0, 1.2 * tokens, 200)
    mask = torch.rand(200, tokens) < 0.8
    shares, cutoff = project_truncated_simplex(values, budget, mask)
    exact, exact_cutoff = project_truncated_simplex(values, budget, mask, ExactBudget.bracket)
    torch.testing.assert_close(exact, shares, atol=1e-6, rtol=0)
    funded = shares.sum(-1) > 1e-3  # at a budget of 0 every lambda above the largest value is right
    torch.testing.assert_close(exact_cutoff[funded], cutoff[funded], atol=1e-5, rtol=0)
