"""The messages hold what the trace holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
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


def sent_attention(trace: Trace, row: int, level: int, modality: str) -> torch.Tensor:
    """Without the padding that follows the sample's last real token, and one row or column of it at least."""
    last = {
        m: int((mask[row] * torch.arange(1, mask.shape[1] + 1)).max()) or 1 for m, mask in trace.batch.masks.items()
    }
    weights, columns = trace.attention[modality][row, level], []
    for other in trace.others(modality):
        width = trace.batch.masks[other].shape[1]
        columns.append(weights[:, : last[modality], : last[other]])
        weights = weights[..., width:]
    return torch.cat(columns, dim=-1)


@given(
    level=st.integers(0, 2),
    modality=st.sampled_from(["vision", "text", "sound"]),
    row=st.integers(0, 29),
    pool=st.integers(2, 9),
)
def test_attention_of_blocks_is_the_mean_of_their_real_pairs(shared_trace, level, modality, row, pool):
    message = Payload(shared_trace).attention([row], [level], [modality], pool)
    listener = message["of"][modality]
    weights = (unpacked(listener["weights"]) / 255 * unpacked(listener["top"])[..., None])[0, 0]
    full = sent_attention(shared_trace, row, level, modality)
    rows = shared_trace.batch.masks[modality][row, : full.shape[1]]
    assert message["pool"] == pool
    assert weights.shape[1] == -(-len(rows) // pool)
    first = column = 0
    for other, count in listener["others"]:
        columns = shared_trace.batch.masks[other][row, : full.shape[2]]
        columns = columns[: int(columns.nonzero().max()) + 1] if columns.any() else columns[:1]
        assert count == -(-len(columns) // pool)
        piece = full[:, :, first : first + len(columns)]
        for i in range(0, len(rows), pool):
            for j in range(0, len(columns), pool):
                block = piece[:, i : i + pool, j : j + pool][:, rows[i : i + pool]][:, :, columns[j : j + pool]]
                expected = block.mean((1, 2)) if block.numel() else torch.zeros(len(block))
                np.testing.assert_allclose(weights[:, i // pool, column + j // pool], expected, atol=1 / 255)
        first += len(columns)
        column += count
    assert column == weights.shape[-1]


@given(level=st.integers(0, 2), modality=st.sampled_from(["vision", "text", "sound"]), row=st.integers(0, 29))
def test_attention_arrives_whole(shared_trace: Trace, level: int, modality: str, row: int) -> None:
    listener = Payload(shared_trace).attention([row], [level], [modality])["of"][modality]
    weights = unpacked(listener["weights"]) / 255 * unpacked(listener["top"])[..., None]
    np.testing.assert_allclose(weights[0, 0], sent_attention(shared_trace, row, level, modality), atol=1 / 255)
    assert [name for name, _ in listener["others"]] == list(shared_trace.others(modality))
    assert sum(count for _, count in listener["others"]) == weights.shape[-1]


@pytest.mark.parametrize("head", [-1, 0, 1])
def test_of_one_head_or_the_mean_no_other_travels(trace: Trace, head: int) -> None:
    message = Payload(trace).attention([4], [1], ["vision"], head=head)
    weights = unpacked(message["of"]["vision"]["weights"]) / 255 * unpacked(message["of"]["vision"]["top"])[..., None]
    heads = sent_attention(trace, 4, 1, "vision")
    assert message["head"] == head
    np.testing.assert_allclose(weights[0, 0], (heads.mean(0) if head < 0 else heads[head])[None], atol=1 / 255)


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


def test_attributes_may_be_called_like_our_own_columns(batch, model):
    names = ("label", "modality", "error", "prediction", "error_type", "prediction_month")
    values = torch.arange(len(batch)) % 3
    trace = model.trace(replace(batch, attributes=dict.fromkeys(names, values)))
    explorer = viz.Explorer(trace)
    assert len(set(explorer.colors)) == len(explorer.colors)
    columns = {column["name"]: column for column in explorer._table["columns"]}
    for name in names:
        title = name if "_" in name else f"attribute {name}"
        assert unpacked(columns[title]["values"]).tolist() == values.tolist()
        explorer.color = title
    source = Payload(trace)
    source.add_probes("shared", 0, trace.modalities[0])
    probed = {row["target"] for rows in source.probes.values() for row in rows}
    assert {"error_type", "prediction_month", "attribute error", "label"} <= probed
    assert not {"error", "prediction"} & probed


def test_whole_numbers_keep_their_digits(batch, model):
    many = Batch.from_arrays(
        {m: torch.cat([tokens, tokens]) for m, tokens in batch.tokens.items()},
        masks={m: torch.cat([mask, mask]) for m, mask in batch.masks.items()},
        attributes={"serial": torch.arange(2 * len(batch)) + 2**40 + 1},
    )
    table = Payload(model.trace(many)).table()
    (column,) = (column for column in table["columns"] if column["name"] == "serial")
    assert column["kind"] == "number"
    assert unpacked(column["values"]).tolist() == many.attributes["serial"].tolist()
    assert column["names"] == []


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=60, max_size=60, unique=True))
def test_attributes_of_any_size_keep_their_digits(shared_trace, values):
    many = shared_trace.select([0] * len(values))
    many = replace(many, batch=replace(many.batch, attributes={"nanoseconds": torch.tensor(values)}))
    (column,) = (column for column in columns(many, None) if column.name == "nanoseconds")
    assert column.kind == "number"
    assert column.names in ([], [str(v) for v in values])
    assert column.names or column.values.astype(int).tolist() == values


_FAR = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(2**53 - 9, 2**53 + 9))


@given(ids=st.lists(_FAR, min_size=30, max_size=30, unique=True), data=st.data())
def test_ids_of_any_size_come_and_go(shared_trace, ids, data):
    """What the browser sends back is what it was sent: text, since its numbers hold no id above 2**53 exactly."""
    trace = replace(shared_trace, batch=replace(shared_trace.batch, ids=torch.tensor(ids)))
    explorer = viz.Explorer(trace, views=("budget", "attention"))
    table = sent(explorer, "_table")
    assert table["ids"] == [str(i) for i in ids]
    row = data.draw(st.integers(0, 29))
    explorer.set_state({"selection": [table["ids"][row]], "picked": table["ids"][row]})
    assert (explorer.error, explorer.picked, explorer.selection) == ("", ids[row], [ids[row]])
    assert sent(explorer, "_block")["ids"] == sent(explorer, "_attention")["ids"] == [str(ids[row])]
    lane = sent(explorer, "_block")["lanes"]["vision"]["mask"]
    assert unpacked(lane)[0].sum() == trace.batch.masks["vision"][row].sum()
    explorer.set_state({"picked": "2" + "0" * 30})
    assert "is not in this trace" in explorer.error or "below 2**63" in explorer.error
    assert explorer.picked == ids[row]


def test_labels_are_named_by_the_split_the_batch_or_the_model(make_batch, make_model, split):
    batch = make_batch(samples=14)
    model = make_model(batch, label_names=("of", "the", "model"))
    trace = model.trace(batch)
    named = replace(trace, batch=replace(batch, label_names=("of", "the", "batch")))
    assert sent(viz.Explorer(trace), "_table")["outputs"] == ["0", "1", "2"]
    for explorer, names in (
        (viz.Explorer(trace, model), ["of", "the", "model"]),
        (viz.Explorer(trace, model, replace(split, label_names=())), ["of", "the", "model"]),
        (viz.Explorer(named, model), ["of", "the", "batch"]),
        (viz.Explorer(named, model, split), ["no", "yes", "maybe"]),
    ):
        table = sent(explorer, "_table")
        assert table["outputs"] == names
        assert [c["names"] for c in table["columns"] if c["name"] in ("label", "prediction")] == [names, names]


def test_attributes_are_named_by_the_batch_where_there_is_no_split(trace):
    named = replace(trace.batch, attribute_names={"speaker": ("Ada", "Bo")})
    (column,) = (c for c in columns(replace(trace, batch=named), None) if c.name == "speaker")
    assert column.names == ["Ada", "Bo"]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, pd.Series, lambda ids: list(np.array(ids))])
def test_a_selection_may_be_an_array(trace, kind):
    ids = trace.batch.ids[[3, 1]].tolist()
    explorer = viz.Explorer(trace, selection=kind(ids))
    assert (explorer.selection, explorer.picked) == (ids, ids[0])
    explorer.selection = kind(ids[::-1])
    assert explorer.selection == ids[::-1]
    explorer.picked = trace.batch.ids[7]
    assert explorer.picked == trace.batch.ids[7].item()
