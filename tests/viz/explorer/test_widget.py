"""The explorer without a browser: traits in, messages out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from clcrkit import CLCR, Batch, ConfigError, DataError, Trace, viz
from clcrkit.datasets.split import Split
from clcrkit.viz.explorer.samples import Column, frame
from tests.viz.explorer.conftest import page_state, sent, unpacked


def test_starts_with_the_whole_trace(trace: Trace, model: CLCR, split: Split) -> None:
    explorer = viz.Explorer(trace, model, split)
    assert (explorer.level, explorer.modality, explorer.color, explorer.gamma) == (2, "vision", "label", 1.0)
    assert explorer.selection == []
    assert explorer.picked == 100
    assert explorer.live
    assert explorer.colors == ("modality", "label", "prediction", "error", "speaker")
    assert repr(explorer) == (
        "Explorer(30 samples; vision, text, sound; shallow, mid, deep; views: subspaces, budget, attention, gates)"
    )
    assert sent(explorer, "_table")["ids"] == [str(i) for i in trace.batch.ids.tolist()]
    np.testing.assert_allclose(unpacked(sent(explorer, "_table")["level_gate"]), trace.level_gate)
    speaker = sent(explorer, "_table")["columns"][-1]
    assert speaker["names"] == ["Ada", "Bo"]
    np.testing.assert_array_equal(unpacked(speaker["values"]), trace.batch.attributes["speaker"])


def test_selection_moves_the_picked_sample_and_its_tokens(trace: Trace, split: Split) -> None:
    explorer = viz.Explorer(trace, split=split)
    explorer.selection = [117, 105]
    assert explorer.picked == 117
    assert sent(explorer, "_block")["ids"] == ["117"]
    row = 17
    for m in trace.modalities:
        lane = sent(explorer, "_block")["lanes"][m]
        length = lane["mask"]["shape"][1]
        np.testing.assert_array_equal(unpacked(lane["mask"])[0], trace.batch.masks[m][row, :length])
        np.testing.assert_allclose(unpacked(lane["activation"])[0], trace.activation[m][row, :, :length])
        np.testing.assert_allclose(unpacked(lane["budget"])[0], trace.budget[m][row])
    explorer.selection = [105]
    assert explorer.picked == 105
    explorer.selection = []
    assert explorer.picked == 105


def test_tokens_and_attention_travel_in_one_message(
    trace: Trace, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = viz.Explorer(trace, split=split)
    messages: list[set[str]] = []
    monkeypatch.setattr(explorer.comm, "send", lambda data, **_: messages.append(set(data["state"])))
    explorer.set_state({"selection": ["105"], "picked": 105})
    tokens = {"_block", "_attention"}
    assert [message & tokens for message in messages if message & tokens] == [tokens]


@pytest.mark.parametrize("gamma", [0.0, 0.4, 1.7])
def test_gamma_reruns_the_model_on_the_picked_sample(trace: Trace, model: CLCR, batch: Batch, gamma: float) -> None:
    explorer = viz.Explorer(trace, model, picked=104)
    explorer.gamma = gamma
    wanted = model.trace(batch, gamma=gamma)
    np.testing.assert_allclose(unpacked(sent(explorer, "_answer")["prediction"])[0, 0], wanted.prediction[4], atol=1e-5)
    np.testing.assert_allclose(unpacked(sent(explorer, "_answer")["level_gate"])[0, 0], wanted.level_gate[4], atol=1e-5)
    # and without the model, the allocation alone follows
    alone = viz.Explorer(trace, picked=104, gamma=gamma).now()
    for m in trace.modalities:
        np.testing.assert_allclose(alone.allocation[m][0], wanted.allocation[m][4], atol=1e-5)
        np.testing.assert_allclose(alone.participation[m][0], wanted.participation[m][4], atol=1e-5)


def test_what_was_traced_is_not_computed_again(trace: Trace) -> None:
    asked = []

    class Watched:
        def trace(self, batch: Batch, *, gamma: float = 1.0, mute: Any = None, attention: bool = True) -> Trace:
            asked.append((batch.ids.tolist(), gamma, bool(mute), attention))
            return replace(trace.select([trace.row(int(i)) for i in batch.ids]), gamma=gamma)

    explorer = viz.Explorer(trace, Watched(), picked=104)
    explorer.picked, explorer.level = 101, 1
    assert asked == []
    np.testing.assert_array_equal(unpacked(sent(explorer, "_answer")["prediction"])[0, 0], trace.prediction[1])
    explorer.gamma = 0.5
    explorer.muted, explorer.gamma = [("vision", 1, 0)], trace.gamma
    assert asked == [([101], 0.5, False, False), ([101], 0.5, True, False), ([101], trace.gamma, True, False)]
    assert explorer.now().attention
    assert asked[3:] == [([101], trace.gamma, True, True)]


def test_mute_takes_a_token_out(trace: Trace, model: CLCR) -> None:
    explorer = viz.Explorer(trace, model, picked=100)
    before = unpacked(sent(explorer, "_answer")["prediction"])
    token = int(explorer.now().allocation["vision"][0, 1].argmax())
    explorer.muted = [("vision", 1, token)]
    now = explorer.now()
    assert now.allocation["vision"][0, 1, token] == 0
    assert (now.allocation["vision"][0, 1] > 0).any()
    assert not np.allclose(unpacked(sent(explorer, "_answer")["prediction"]), before, atol=1e-6)
    explorer.picked = 101
    assert explorer.muted == []


def test_browser_asks_for_probes(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    explorer._handle_custom_msg({"probe": ["shared", 0, "text"]}, [])
    assert sent(explorer, "_probes")["shared/0/text"] == explorer.probes("shared", 0, "text")
    assert explorer.error == ""


def test_browser_asks_for_words(trace: Trace, split: Split) -> None:
    explorer, letters = viz.Explorer(trace, split=split), "abcdefghi"
    rows = zip(trace.batch.tokens["text"], trace.batch.masks["text"], strict=True)
    spelt = ["".join(letters[i] if i < len(letters) else str(int(i)) for i in tokens[real]) for tokens, real in rows]
    word = max(spelt, key=len)[1:3]
    wanted = [str(i) for i, text in zip(trace.batch.ids.tolist(), spelt, strict=True) if word in text]
    assert 0 < len(wanted) < len(spelt)
    for text, ids in ((word, wanted), (" ".join(word), wanted), ("row 1", [])):  # a row is named by its position
        explorer._handle_custom_msg({"find": text}, [])
        assert sent(explorer, "_found") == {"asked": text, "ids": ids}
    assert explorer.error == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("level", 3, "level: 3, but 0 to 2 are there"),
        ("gamma", -0.5, "gamma: -0.5, but a finite number of at least 0"),
        ("modality", "smell", "modality: 'smell', but one of vision, text, sound"),
        ("space", "public", "space: 'public', but one of shared, private"),
        ("color", "mood", "color: 'mood', but one of modality, label"),
        ("head", 2, r"head: 2, but -1 \(mean\) to 1 are there"),
        ("picked", 7, "sample: id 7 is not in this trace of 30 samples"),
        ("selection", [100, 7], "selection: id 7 is not in this trace of 30 samples"),
        ("muted", [("vision", 0, 0)], "muted: needs a model"),
    ],
)
def test_wrong_values_are_refused_and_change_nothing(trace: Trace, name: str, value: Any, message: str) -> None:
    explorer = viz.Explorer(trace)
    before = getattr(explorer, name)
    with pytest.raises((ConfigError, DataError), match=message):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before
    # from the browser the same value is refused too, and the widget says why
    explorer.set_state({name: value})
    assert getattr(explorer, name) == before
    assert re.search(message, explorer.error)


def test_an_error_in_a_callback_shows_in_the_widget(trace: Trace) -> None:
    class Broken:
        def trace(self, batch: Batch, *, gamma: float = 1.0, mute: Any = None, attention: bool = True) -> Trace:
            if gamma == 0.5:
                raise RuntimeError("out of memory")
            return trace.select([0])

    explorer = viz.Explorer(trace, Broken())
    explorer.gamma = 0.5
    assert explorer.error == "RuntimeError: out of memory"
    explorer.gamma = 0.6
    assert explorer.error == ""


def test_unknown_settings_and_views_are_refused(trace: Trace) -> None:
    with pytest.raises(ConfigError, match="colour: no setting of Explorer"):
        viz.Explorer(trace, colour="label")
    with pytest.raises(ConfigError, match=r"views: \['heads'\]"):
        viz.Explorer(trace, views=("heads",))
    with pytest.raises(DataError, match="trace: empty"):
        viz.Explorer(trace.select(slice(0, 0)))


@pytest.mark.parametrize(
    ("task", "levels", "modalities"), [("regression", 1, 2), ("multilabel", 2, 4), ("classification", 4, 2)]
)
def test_other_tasks_levels_and_modalities(
    make_batch: Callable[..., Batch], make_model: Callable[..., CLCR], task: str, levels: int, modalities: int
) -> None:
    batch = make_batch(samples=14, task=task, modalities=modalities)
    model = make_model(batch, levels=levels)
    explorer = viz.Explorer(model.trace(batch), model)
    for color in explorer.colors:
        explorer.color = color
    explorer.gamma = 0.3
    assert explorer.error == ""
    assert "<svg" in explorer._repr_mimebundle_()[0]["image/svg+xml"]
    assert page_state(explorer.page(gammas=(0.3,)))["_table"]["task"] == task


def test_a_model_without_exchange_has_no_attention(batch: Batch, make_model: Callable[..., CLCR]) -> None:
    model = make_model(batch, intraced=False)
    explorer = viz.Explorer(model.trace(batch), model)
    assert sent(explorer, "_attention")["of"] == {}
    assert not sent(explorer, "_table")["sparse"]
    assert "no exchange" in explorer._repr_mimebundle_()[0]["image/svg+xml"]


def test_each_view_alone(trace: Trace, model: CLCR, split: Split) -> None:
    alone = {
        "subspaces": viz.subspaces(trace, split),
        "budget": viz.budget(trace, model, split),
        "attention": viz.attention(trace, model, split),
        "gates": viz.gates(trace, split),
    }
    for view, explorer in alone.items():
        assert explorer.views == [view]
        assert bool(sent(explorer, "_block")) == (view in ("budget", "attention"))


def test_now_works_on_samples_that_lack_a_modality(trace: Trace, model: CLCR) -> None:
    explorer = viz.Explorer(trace, model)
    for i, m in enumerate(trace.modalities):
        assert not trace.batch.masks[m][i + 1].any()
        explorer.picked = 101 + i
        assert explorer.error == ""
        assert not explorer.now().allocation[m].any()
        assert torch.isfinite(explorer.now().prediction).all()


def test_the_table_is_what_is_selected(trace: Trace, split: Split) -> None:
    explorer = viz.Explorer(trace, split=split)
    everything = explorer.table()
    assert list(everything.columns) == ["label", "prediction", "error", "speaker"]
    assert everything.index.tolist() == trace.batch.ids.tolist()
    labels = trace.batch.labels
    assert labels is not None
    assert everything["label"].tolist() == [("no", "yes", "maybe")[i] for i in labels.tolist()]
    right = (everything["label"] == everything["prediction"]).map({True: "right", False: "wrong"})
    assert everything["error"].tolist() == right.tolist()
    explorer.selection = [117, 105]
    assert explorer.table().equals(everything.loc[[117, 105]])
    large = Column("time", "number", np.array([2.0**60, 2.0**60]), [str(2**60), str(2**60 + 1)])
    assert frame([large], [7, 8], [1]).to_dict() == {"time": {8: 2**60 + 1}}  # as floats they would be one number


def test_the_browser_may_ask_for_all_levels_of_attention(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    assert (sent(explorer, "_attention")["levels"], sent(explorer, "_attention")["head"]) == ([2], -1)
    explorer.head = 1
    assert (sent(explorer, "_attention")["levels"], sent(explorer, "_attention")["head"]) == ([2], 1)
    explorer._handle_custom_msg({"levels": True}, [])
    assert (sent(explorer, "_attention")["levels"], sent(explorer, "_attention")["head"]) == ([0, 1, 2], None)
    explorer.picked = 104
    assert (sent(explorer, "_attention")["ids"], sent(explorer, "_attention")["levels"]) == (["104"], [0, 1, 2])
    before = explorer._attention
    explorer.head = 0
    assert explorer._attention is before  # all heads are there
