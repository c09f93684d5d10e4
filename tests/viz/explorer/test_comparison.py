"""Two traces side by side: matched by id, and every number that of a plain computation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes

from clcrkit import CLCR, Batch, ConfigError, DataError, Trace, viz
from clcrkit.baselines import MulT
from clcrkit.datasets.split import Split
from clcrkit.viz.explorer import comparison
from tests.viz.explorer.conftest import page_array, page_state, sent, unpacked


@pytest.fixture
def other(batch: Batch, make_model: Callable[..., CLCR]) -> Trace:
    torch.manual_seed(7)
    return make_model(batch, rank=4).trace(batch)


def answered(trace: Trace, predictions: Any, labels: Any = None) -> Trace:
    batch = trace.batch if labels is None else replace(trace.batch, labels=torch.as_tensor(labels))
    return replace(trace, prediction=torch.as_tensor(predictions), batch=batch)


def test_samples_are_matched_by_id(trace: Trace, other: Trace, split: Split) -> None:
    straight = viz.Explorer(trace, split=split, compare=other)
    order = torch.randperm(len(other), generator=torch.Generator().manual_seed(0)).tolist()
    mixed = viz.Explorer(trace, split=split, compare=other.select(order))
    assert sent(straight, "_compared") == sent(mixed, "_compared")
    assert sent(straight, "_points") == sent(mixed, "_points")
    assert sent(straight, "_block") == sent(mixed, "_block")
    torch.testing.assert_close(mixed.compare.prediction, other.prediction)  # type: ignore[union-attr]


def test_other_samples_labels_and_tasks_are_refused(trace: Trace, other: Trace) -> None:
    labels = other.batch.labels
    assert labels is not None
    turned = labels.clone()
    turned[3] = (turned[3] + 1) % 3
    twice = other.batch.ids.clone()
    twice[0] = twice[1]
    cases = [
        (other.select(slice(1, None)), "compare: 1 samples are in one trace only (first: id 100)"),
        (answered(other, other.prediction, turned), "compare: other labels than those of `trace`"),
        (replace(other, batch=replace(other.batch, labels=None)), "compare: only a has labels"),
        (replace(other, batch=replace(other.batch, ids=twice)), "compare: 1 samples are in one trace only"),
        (answered(other, other.prediction[:, :2]), "with 3 outputs and b a classification with 2 outputs"),
    ]
    for wrong, message in cases:
        with pytest.raises(DataError, match=re.escape(message)):
            viz.Explorer(trace, compare=wrong)
    with pytest.raises((DataError, ConfigError), match="compare"):
        viz.Explorer(trace, compare="b")  # type: ignore[arg-type]


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=30, max_size=30))
@settings(max_examples=30, deadline=None)
def test_verdicts_count_as_a_hand_does(shared_trace: Trace, triples: list[tuple[int, int, int]]) -> None:
    a, b, y = (np.array(x) for x in zip(*triples, strict=True))
    one, two = (answered(shared_trace, torch.eye(3)[x] * 4, y) for x in (a, b))
    found = comparison.verdict(one, two)
    words = [found.names[i] for i in found.of]
    for said_a, said_b, label, word in zip(a, b, y, words, strict=True):
        kind = ("both right" if said_a == label == said_b else "only a right" if said_a == label
                else "only b right" if said_b == label else "both wrong, alike" if said_a == said_b
                else "both wrong, not alike")  # fmt: skip
        assert word == kind
    np.testing.assert_array_equal(found.changed, a != b)
    assert comparison.sentence(one, two).startswith(f"{(a != b).sum()} of 30 predictions changed")
    p = torch.softmax(torch.eye(3)[0] * 4, 0)
    np.testing.assert_allclose(found.shift, np.where(a == b, 0, float(p[0] - p[1])), atol=1e-6)


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_other_tasks_say_who_is_nearer(make_batch: Any, make_model: Any, task: str) -> None:
    batch = make_batch(samples=30, task=task)
    a = make_model(batch).trace(batch)
    b = replace(a, prediction=a.prediction.flip(0))
    explorer = viz.Explorer(a, compare=b)
    errors = [comparison.errors(t) for t in (a, b)]
    found = comparison.verdict(a, b)
    nearer = np.array(found.names)[found.of]
    np.testing.assert_array_equal(nearer == "a nearer", (errors[0] < errors[1]) & found.changed)
    np.testing.assert_array_equal(nearer == "b nearer", (errors[1] < errors[0]) & found.changed)
    said = sent(explorer, "_compared")["says"]
    assert f"b is nearer to the label in {(nearer == 'b nearer').sum()}" in said
    assert f"a {errors[0].mean():.3f}, b {errors[1].mean():.3f}" in said


def test_the_sign_test_is_mcnemars(trace: Trace) -> None:
    labels = np.zeros(30, dtype=int)
    a, b = np.zeros(30, dtype=int), np.zeros(30, dtype=int)
    a[:9], b[9:10] = 1, 1  # only b right in 9, only a in 1: 2 * (1 + 10) / 2**10
    said = comparison.sentence(*(answered(trace, torch.eye(3)[x], labels) for x in (a, b)))
    assert said == (
        "10 of 30 predictions changed: only b is right in 9, only a in 1, neither in 0. "
        "Error rate: a 0.300, b 0.033 (exact sign test, p = 0.021)."
    )
    assert "sign test" not in comparison.sentence(trace, trace)


def test_gates_and_budgets_travel_in_a_common_order(trace: Trace, other: Trace) -> None:
    names = tuple(reversed(other.modalities))
    batch = replace(other.batch, tokens={m: other.batch.tokens[m] for m in names},
                    masks={m: other.batch.masks[m] for m in names})  # fmt: skip
    turned = replace(
        other, batch=batch, modality_gate=other.modality_gate.flip(1), private_gate=other.private_gate.flip(1)
    )
    compared = sent(viz.Explorer(trace, compare=turned), "_compared")
    for gate in ("level_gate", "modality_gate", "private_gate"):
        np.testing.assert_allclose(unpacked(compared[gate]), getattr(other, gate), atol=1e-6)
    for m in trace.modalities:
        np.testing.assert_allclose(unpacked(compared["participation"][m]), other.participation[m], atol=1e-6)
    lanes = sent(viz.Explorer(trace, compare=other, picked=104), "_block")["lanes"]
    for m, lane in lanes.items():
        length = lane["mask"]["shape"][1]
        np.testing.assert_allclose(unpacked(lane["other"])[0], other.activation[m][4, :, :length], atol=1e-6)
        np.testing.assert_allclose(unpacked(lane["other_budget"])[0], other.budget[m][4], rtol=1e-5)


def test_what_one_of_them_has_not_is_left_out_with_a_word(trace: Trace, batch: Batch, model: CLCR) -> None:
    rival = MulT(model.config, width=8, heads=2, layers=1).trace(batch)
    for a, b in ((trace, rival), (rival, trace)):
        compared = sent(viz.Explorer(a, compare=b), "_compared")
        assert not {"level_gate", "modality_gate", "private_gate"} & set(compared)
        assert compared["participation"] == compared["distance"] == {}
        assert any("names no allocation, shared, private" in line for line in compared["lacks"])
        assert any("so nothing is compared by level" in line for line in compared["lacks"])
    longer = replace(batch, masks={**batch.masks, "text": torch.ones_like(batch.masks["text"])})
    compared = sent(viz.Explorer(trace, compare=model.trace(longer)), "_compared")
    assert compared["lacks"] == ["the tokens of text are others in b"]
    assert set(compared["participation"]) == {"vision", "sound"}
    assert sent(viz.Explorer(trace), "_compared") == {}


@pytest.mark.parametrize("wide", [3, 5, 8])
def test_the_turn_is_procrustes(wide: int) -> None:
    draw = np.random.default_rng(wide)
    a, b = draw.normal(size=(40, 5)).astype(np.float32), draw.normal(size=(40, wide)).astype(np.float32)
    placed, (left, shuffled) = comparison.turn(a, b, [True] * 40)
    width = max(5, wide)
    padded = [np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (a, b)]
    assert left == pytest.approx(procrustes(*padded)[2], abs=1e-6)
    assert 0 <= shuffled <= 1
    # the same cloud, turned, moved and scaled, comes back to where it was, and nothing of it is left over
    turn = np.linalg.qr(draw.normal(size=(5, 5)))[0].astype(np.float32)
    placed, (left, shuffled) = comparison.turn(a, 3 * a @ turn + 2, [True] * 40)
    np.testing.assert_allclose(placed, a, atol=1e-5)
    assert left < 1e-6 < shuffled


def test_the_clouds_of_a_turned_model_lie_on_each_other(trace: Trace) -> None:
    turn = torch.linalg.qr(torch.randn(trace.shared_code.shape[1], trace.shared_code.shape[1]))[0]
    turned = replace(
        trace,
        shared_code=trace.shared_code @ turn,
        shared_summary={m: x @ turn for m, x in trace.shared_summary.items()},
    )
    explorer = viz.Explorer(trace, compare=turned)
    for space, keys in (("shared", [f"shared/1/{m}" for m in trace.modalities]), ("shared_code", ["shared_code"])):
        explorer.space = space
        points = sent(explorer, "_points")[f"pca/{space}"]
        for key in keys:
            a, b = unpacked(points[key])[-1], unpacked(points[f"b/{key}"])[-1]
            there = trace.batch.masks[key.split("/")[-1]].any(1).numpy() if "/" in key else slice(None)
            np.testing.assert_allclose(b[there], a[there], atol=2e-3)


def test_page_and_still_picture_compare(trace: Trace, other: Trace, split: Split) -> None:
    explorer = viz.Explorer(trace, split=split, compare=other)
    page = explorer.page()
    state = page_state(page)
    verdict = comparison.verdict(trace, other)
    np.testing.assert_array_equal(page_array(page, state["_compared"]["changed"]), verdict.changed)
    assert state["_compared"]["says"] == comparison.sentence(trace, other)
    assert "b/shared/0/vision" in state["_points"]["pca/shared"]
    data, _ = explorer._repr_mimebundle_()
    assert "Trace a against b" in data["image/svg+xml"]
    for name in verdict.names:
        assert name in data["image/svg+xml"]
