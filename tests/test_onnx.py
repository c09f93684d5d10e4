"""An exported model computes what the model computes, whatever its settings and inputs; or it is not written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from clcrkit import CLCR, Batch, ConfigError, export_onnx
from clcrkit.budget import project_truncated_simplex
from clcrkit.onnx_export import ExactBudget
from clcrkit.ops import sinusoid

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# An export takes seconds: each model has several of the switches, which lie in different places, and together they
# have them all. (The switches of the regularisers change no output.)
MODELS: dict[str, dict[str, Any]] = {
    "full": {"task": "classification", "modalities": 3, "levels": 1},
    "paper, speakers": {"task": "regression", "paper": True, "budgeted": "speakers", "mix": "shuffled"},
    "pooled, both": {"task": "multilabel", "mix": "pooled", "budgeted": "both", "private_sum": True},
    "no IntraCED": {"intraced": False, "intercad": False, "mix": "rotated"},
    "no split": {"intraced": False, "split": False, "hierarchy": False, "of": "sound"},
    "dense": {"sparse": False, "levels": 1, "intercad": False, "of": "sound"},
}


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
def test_the_file_computes_what_the_model_computes(make_batch, make_model, tmp_path, name):
    choices = {"task": "classification", "modalities": 2, "levels": 2, **MODELS[name]}
    task, modalities, paper = choices.pop("task"), choices.pop("modalities"), choices.pop("paper", False)
    other = choices.pop("of", None)  # without token ids, for speed

    def make(seed: int = 0) -> Batch:
        drawn = make_batch(task=task, modalities=3 if other else modalities, seed=seed)
        return drawn.only("vision", other) if other else drawn

    batch = make()
    model = make_model(batch, **choices)
    if paper:
        model = CLCR(model.config.paper()).eval()
    model.train(name == "full")  # as after training; the export does not mind
    names = ["no", "perhaps", "yes"][: model.config.outputs] if task == "classification" else []
    export_onnx(model, tmp_path / "model.onnx", names)
    assert model.training == (name == "full")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["clcrkit"])
    assert about["config"] == json.loads(json.dumps(model.config.to_dict()))
    assert about["label_names"] == names
    assert list(about["inputs"]) == [x.name for x in session.get_inputs()]
    assert about["inputs"]["batch.masks/vision"] == ["batch", "vision_length"]
    assert about["outputs"]["prediction"] == ["batch", model.config.outputs]
    for seed, (gamma, muted) in enumerate([(1.0, 0.0), (0.0, 0.2), (0.5, 0.5), (2.0, 0.2), (1.0, 1.0)]):
        assert_same(session, model, sizes(make(seed), seed), gamma, muted)
        assert_same(session, model, batch.select([seed]), gamma, muted)
    for m in batch.modalities:
        absent = {**batch.masks, m: torch.zeros_like(batch.masks[m])}
        assert_same(session, model, replace(batch, masks=absent), 1.0, 0.0)


class Cheat(torch.nn.Module):
    """A stage that adds something while it is exported."""

    def __init__(self, stage: torch.nn.Module) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.stage(tokens, mask) + (sinusoid(mask.long(), 16)[:, None] if torch.compiler.is_compiling() else 0)


def test_a_file_that_differs_is_refused_and_nothing_is_written(make_batch, make_model, tmp_path):
    batch = make_batch().only("vision", "sound")
    model = make_model(batch, levels=1, intraced=False, intercad=False)
    model.encoders["vision"].stages = Cheat(model.encoders["vision"].stages)
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
