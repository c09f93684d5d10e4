"""The messages hold what the trace holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import CLCR, Batch, Trace, viz
from clcrkit.datasets.split import Split
from clcrkit.viz.explorer.payload import Payload
from clcrkit.viz.explorer.samples import columns
from tests.viz.explorer.conftest import sent, unpacked


def test_tokens_say_what_they_are(trace: Trace, split: Split) -> None:
    block = sent(viz.Explorer(trace, split=split, picked=100), "_block")
    said = [block["texts"][i] for i in unpacked(block["lanes"]["vision"]["text"])[0]]
    assert said == [f"row {i}" for i in range(7)]
    said = [block["texts"][i] for i in unpacked(block["lanes"]["text"]["text"])[0]]
    assert said == ["abcdefghi"[i] for i in trace.batch.tokens["text"][0].tolist()]


@given(level=st.integers(0, 2), modality=st.sampled_from(["vision", "text", "sound"]), row=st.integers(0, 29))
def test_attention_arrives_whole(shared_trace: Trace, level: int, modality: str, row: int) -> None:
    listener = Payload(shared_trace).attention([row], [level], [modality])["of"][modality]
    weights = unpacked(listener["weights"]) / 255 * unpacked(listener["top"])[..., None]
    np.testing.assert_allclose(weights[0, 0], shared_trace.attention[modality][row, level], atol=1 / 255)
    assert [name for name, _ in listener["others"]] == list(shared_trace.others(modality))
    assert sum(count for _, count in listener["others"]) == weights.shape[-1]


def test_thresholds_are_the_models_in_the_unit_of_evidence(trace: Trace, model: CLCR) -> None:
    rank = trace.shared["vision"].shape[-1]
    budget: Any = model.intraced.budget
    block = Payload(trace).block([3, 7])
    for threshold, scale in zip(unpacked(block["threshold"]), unpacked(block["scale"]), strict=True):
        np.testing.assert_allclose(threshold, budget.threshold.detach().numpy() * rank**0.5, rtol=1e-3)
        np.testing.assert_allclose(scale, budget.log_scale.exp().detach().numpy() / rank**0.5, rtol=1e-3)
    for m in trace.modalities:  # above its level's threshold, and there only, a token's activation is positive
        above = trace.evidence[m] > trace.threshold[..., None]
        real = trace.batch.masks[m][:, None].expand_as(above)
        assert torch.equal(above[real], (trace.activation[m] > 0)[real])


def test_a_trace_at_gamma_0_still_knows_its_budget(trace: Trace, model: CLCR, batch: Batch) -> None:
    silent = model.trace(batch, gamma=0.0)
    lanes = Payload(silent).block([4])["lanes"]
    alone = viz.Explorer(silent, picked=104, gamma=0.7).now()
    wanted = model.trace(batch, gamma=0.7)
    for m in trace.modalities:
        np.testing.assert_allclose(unpacked(lanes[m]["budget"])[0], trace.budget[m][4], rtol=1e-6)
        torch.testing.assert_close(alone.allocation[m][0], wanted.allocation[m][4], atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", ["classification", "regression", "multilabel"])
def test_the_task_is_the_models_with_labels_and_without(
    make_batch: Callable[..., Batch], make_model: Callable[..., CLCR], task: str
) -> None:
    batch = make_batch(samples=14, task=task)
    for labels in (batch.labels, None):
        trace = make_model(batch).trace(replace(batch, labels=labels))
        assert Payload(trace).table()["task"] == task
        names = [column.name for column in columns(trace, None)]
        assert any(name.startswith("prediction") for name in names)
        assert ("error" in names) == (labels is not None)


def test_dense_exchange_ignores_gamma_as_the_model_does(batch: Batch, make_model: Callable[..., CLCR]) -> None:
    model = make_model(batch, sparse=False)
    assert not model.trace(batch).sparse
    assert make_model(batch).trace(batch).sparse
    alone = viz.Explorer(model.trace(batch), gamma=0.3).now()
    for m, wanted in model.trace(batch.select([0]), gamma=0.3).allocation.items():
        torch.testing.assert_close(alone.allocation[m], wanted)


def test_error_column_is_what_the_prediction_missed(trace: Trace, split: Split) -> None:
    by_name = {c.name: c.values for c in columns(trace, split)}
    assert trace.batch.labels is not None
    np.testing.assert_array_equal(by_name["error"] == 1, (trace.prediction.argmax(1) != trace.batch.labels).numpy())
