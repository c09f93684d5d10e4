"""Traces of other models: what is named is the model's own, what is not is left out everywhere."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from clcrkit import ConfigError, DataError, Trace
from clcrkit.baselines import BASELINES, EarlyFusion, MulT
from clcrkit.naming import Traceable, trace_of
from clcrkit.viz import Explorer
from tests.baselines.test_baselines import moved
from tests.test_model import stretched

VIEWS = {
    "late fusion": ["subspaces"], "early fusion": ["subspaces", "attention"], "low-rank fusion": ["subspaces"],
    "MulT": ["subspaces", "attention"], "MISA": ["subspaces"],
}  # fmt: skip


@pytest.fixture(params=BASELINES)
def named(request, model, batch) -> tuple[str, Any, Trace]:
    torch.manual_seed(3)
    baseline = moved(BASELINES[request.param](model.config)).double()  # the same to 1e-6 on every processor
    return request.param, baseline, baseline.trace(batch)


def test_a_baselines_trace_is_its_forward_pass(named, batch):
    _, baseline, trace = named
    assert isinstance(baseline, Traceable)
    assert_close(baseline(batch), trace.prediction)
    assert not trace.prediction.requires_grad
    for m, tokens in baseline.deepest(batch).items():
        assert_close(tokens, trace.tokens[m][:, 0])
    assert len(trace.absent) > 2
    assert baseline.train().trace(batch).prediction.equal(trace.prediction)
    assert baseline.training


def test_the_head_reads_what_is_named_and_nothing_else(named, batch):
    """From these values alone the predictions follow, and other values there change them as a changed forward pass."""
    _, baseline, trace = named
    fields_read = {name: getattr(trace, name) for name in baseline.reads}
    assert baseline.reads
    assert not set(baseline.reads) & set(trace.absent)
    assert_close(baseline.decide(batch, fields_read), trace.prediction)
    for name in baseline.reads:
        places = [name] if name.endswith("code") else [f"{name}/{m}" for m in batch.modalities]
        own = {place: trace.by_name()[place] for place in places}
        assert_close(baseline.trace(batch, patch=own).prediction, trace.prediction)
    # of the sample before, whose prediction it then is: the head has seen nothing else
    turned = {
        place: value.roll(1, 0)
        for name in baseline.reads
        for place, value in trace.by_name().items()
        if place.split("/")[0] == name
    }
    whole = torch.stack([mask.any(1) for mask in batch.masks.values()], 1).all(1)
    both = whole & whole.roll(1)  # a patch of a missing modality is left out
    assert both.any()
    patched = baseline.trace(batch, patch=turned)
    torch.testing.assert_close(patched.prediction[both], trace.prediction.roll(1, 0)[both], atol=1e-6, rtol=0)
    with pytest.raises(DataError, match="patch tokens/text: this model does not read it; it reads "):
        baseline.trace(batch, patch={"tokens/text": trace.tokens["text"]})


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.detach(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("make", [EarlyFusion, MulT])
def test_attention_is_that_of_the_last_layer(model, batch, make):
    baseline = moved(make(model.config))
    trace, kept = baseline.trace(batch), []
    attend = torch.nn.functional.multi_head_attention_forward

    def watched(*given: Any, **more: Any) -> Any:
        """What the forward pass attends with."""
        more |= {"need_weights": True, "average_attn_weights": False}
        output, weights = attend(*given, **more)
        kept.append(weights)
        return output, weights

    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "multi_head_attention_forward", watched)
            baseline(batch)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    lengths = {m: batch.masks[m].shape[1] for m in batch.modalities}
    del kept[:3]  # those of the text's encoder
    # MulT runs for each target its stacks of two layers for both sources, then a memory of two
    weights = dict(zip(batch.modalities, (kept[6 * i : 6 * i + 4] for i in range(3)), strict=True))
    for i, m in enumerate(batch.modalities):
        rows = batch.masks[m][:, None, :, None]
        if make is MulT:
            pieces = [weights[m][1], weights[m][3]]
            pieces = [
                p * batch.masks[o].any(1)[:, None, None, None] for p, o in zip(pieces, trace.others(m), strict=True)
            ]
        else:
            whole = kept[1].split(list(lengths.values()), 2)[i].split(list(lengths.values()), 3)
            pieces = [piece for j, piece in enumerate(whole) if j != i]
        assert_close(trace.attention[m][:, 0], torch.cat(pieces, 3) * rows)
        assert trace.attention[m].sum() > 0


def test_padding_changes_nothing_that_is_named(named, batch):
    _, baseline, trace = named
    longer = baseline.trace(stretched(batch, 0, 3, float("nan")))
    for field in fields(Trace):
        value, other = getattr(trace, field.name), getattr(longer, field.name)
        if field.name in ("private_summary", "shared_summary", "shared_code", "private_code", "prediction"):
            torch.testing.assert_close(other, value, atol=1e-5, rtol=0)
        elif field.name in ("tokens", "exchanged"):
            for m, x in value.items():
                torch.testing.assert_close(other[m][:, :, : x.shape[2]], x, atol=1e-5, rtol=0)


def test_what_is_absent_is_saved_joined_and_left_out_of_the_explorer(named, batch, tmp_path):
    name, _, trace = named
    trace.save(tmp_path / "t")
    assert Trace.load(tmp_path / "t").absent == trace.absent
    assert Trace.join([trace.select([0, 1]), trace.select([2, 3, 4, 5])]).absent == trace.absent
    explorer = Explorer(trace)
    assert explorer.views == VIEWS[name]
    assert explorer._table["spaces"][0] == explorer.space
    assert "allocation" in explorer._table["absent"]
    for view in ("budget", "gates"):
        with pytest.raises(ConfigError, match=f"views: {view}, but this trace names no "):
            Explorer(trace, views=(view,))
    missing = {"shared", "private", "shared_code", "private_code"} - set(explorer._table["spaces"])
    with pytest.raises(ConfigError, match=r"space: .* but one of"):
        explorer.space = missing.pop()
    assert len(explorer.page()) > 10_000
    with pytest.raises(DataError, match=r"traces: of .* without .* and of"):
        Trace.join([trace, trace_of(trace.batch, trace.task, trace.prediction)])


def test_a_trace_of_nothing_but_a_prediction_has_neutral_values(batch):
    trace = trace_of(batch, "classification", torch.randn(6, 3))
    present = torch.stack([mask.any(1) for mask in batch.masks.values()], 1)
    assert_close(trace.modality_gate.sum(1), torch.ones(6))
    assert not trace.modality_gate[~present].any()
    for m, mask in batch.masks.items():
        assert torch.equal(trace.allocation[m][:, 0], mask.float())
        assert torch.equal(trace.budget[m][:, 0], mask.sum(1).float())
    with pytest.raises(ConfigError, match="views: subspaces, but this trace names no shared or private"):
        Explorer(trace)


@pytest.mark.parametrize(
    ("named_", "message"),
    [
        ({"smell": torch.ones(6)}, "smell: no field that a model can name; there are tokens"),
        ({"tokens": {"text": torch.ones(6, 1, 6, 2)}}, "tokens: a tensor for each of vision, text, sound"),
        ({"shared_code": torch.ones(5, 2)}, "shared_code: not as many samples as the batch, which has 6"),
    ],
)
def test_what_cannot_be_named_is_refused(batch, named_, message):
    with pytest.raises(DataError, match=message):
        trace_of(batch, "classification", torch.randn(6, 3), **named_)
    with pytest.raises(ConfigError, match="task: 'guessing'"):
        trace_of(batch, "guessing", torch.randn(6, 3))
