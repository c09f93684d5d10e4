"""The explorer without a browser: traits in, arrays out."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import wave
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import CLCR, Batch, ConfigError, DataError, Trace, viz
from clcrkit.datasets.split import Split
from clcrkit.viz import arrays


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(samples=30)


@pytest.fixture
def trace(model: CLCR, batch: Batch) -> Trace:
    return model.trace(batch)


@pytest.fixture
def split(batch: Batch) -> Split:
    return Split(
        batch,
        batch,
        batch,
        label_names=("no", "yes", "maybe"),
        attribute_names={"speaker": ("Ada", "Bo")},
        vocabulary={"text": tuple("abcdefghi")},
        describe={"vision": lambda tokens: [f"row {i}" for i in range(len(tokens))]},
    )


def unpacked(packed: Any) -> np.ndarray:
    values: np.ndarray = np.frombuffer(packed["data"], f"<{packed['dtype']}").reshape(packed["shape"])
    return values * packed.get("scale", 1)


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
    np.testing.assert_array_equal(unpacked(explorer._table["ids"]), trace.batch.ids)
    np.testing.assert_allclose(unpacked(explorer._table["level_gate"]), trace.level_gate)
    speaker = explorer._table["columns"][-1]
    assert speaker["names"] == ["Ada", "Bo"]
    np.testing.assert_array_equal(unpacked(speaker["values"]), trace.batch.attributes["speaker"])


def test_error_column_is_what_the_prediction_missed(trace: Trace, split: Split) -> None:
    columns = {c["name"]: c["values"] for c in arrays.columns(trace, split)}
    assert trace.batch.labels is not None
    np.testing.assert_array_equal(columns["error"] == 1, (trace.prediction.argmax(1) != trace.batch.labels).numpy())


def test_selection_moves_the_picked_sample_and_its_tokens(trace: Trace, split: Split) -> None:
    explorer = viz.Explorer(trace, split=split)
    explorer.selection = [117, 105]
    assert explorer.picked == 117
    assert explorer._block["picked"] == 117
    row = 17
    for m in trace.modalities:
        lane = explorer._block["lanes"][m]
        length = lane["mask"]["shape"][1]
        np.testing.assert_array_equal(unpacked(lane["mask"])[0], trace.batch.masks[m][row, :length])
        np.testing.assert_allclose(unpacked(lane["activation"])[0], trace.activation[m][row, :, :length])
        np.testing.assert_allclose(unpacked(lane["budget"])[0], trace.budget[m][row])
    explorer.selection = [105]
    assert explorer.picked == 105
    explorer.selection = []
    assert explorer.picked == 105


def test_tokens_say_what_they_are(trace: Trace, split: Split) -> None:
    block = viz.Explorer(trace, split=split, picked=100)._block
    said = [block["texts"][i] for i in unpacked(block["lanes"]["vision"]["text"])[0]]
    assert said == [f"row {i}" for i in range(7)]
    said = [block["texts"][i] for i in unpacked(block["lanes"]["text"]["text"])[0]]
    assert said == ["abcdefghi"[i] for i in trace.batch.tokens["text"][0].tolist()]


@pytest.mark.parametrize("gamma", [0.0, 0.4, 1.7])
def test_gamma_reruns_the_model_on_the_picked_sample(trace: Trace, model: CLCR, batch: Batch, gamma: float) -> None:
    explorer = viz.Explorer(trace, model, picked=104)
    explorer.gamma = gamma
    wanted = model.trace(batch, gamma=gamma)
    np.testing.assert_allclose(unpacked(explorer._answer["prediction"])[0, 0], wanted.prediction[4], atol=1e-5)
    np.testing.assert_allclose(unpacked(explorer._answer["level_gate"])[0, 0], wanted.level_gate[4], atol=1e-5)
    # and without the model, the allocation alone follows
    alone = viz.Explorer(trace, picked=104, gamma=gamma).now()
    for m in trace.modalities:
        np.testing.assert_allclose(alone.allocation[m][0], wanted.allocation[m][4], atol=1e-5)
        np.testing.assert_allclose(alone.participation[m][0], wanted.participation[m][4], atol=1e-5)


def test_mute_takes_a_token_out(trace: Trace, model: CLCR) -> None:
    explorer = viz.Explorer(trace, model, picked=100)
    before = unpacked(explorer._answer["prediction"])
    explorer.muted = [("vision", 1, 2)]
    now = explorer.now()
    assert now.allocation["vision"][0, 1, 2] == 0
    assert now.allocation["vision"][0, 2, 2] > 0
    assert not np.allclose(unpacked(explorer._answer["prediction"]), before, atol=1e-6)
    explorer.picked = 101
    assert explorer.muted == []


@given(level=st.integers(0, 2), modality=st.sampled_from(["vision", "text", "sound"]), row=st.integers(0, 29))
def test_attention_arrives_whole(shared_trace: Trace, level: int, modality: str, row: int) -> None:
    sent = arrays.Tokens(shared_trace, None).attention([row], [level], [modality])["of"][modality]
    weights = unpacked(sent["weights"]) / 255 * unpacked(sent["top"])[..., None]
    np.testing.assert_allclose(weights[0, 0], shared_trace.attention[modality][row, level], atol=1 / 255)
    assert [name for name, _ in sent["others"]] == list(shared_trace.others(modality))
    assert sum(count for _, count in sent["others"]) == weights.shape[-1]


@pytest.fixture(scope="module")
def shared_trace(make_batch: Callable[..., Batch], make_model: Callable[..., CLCR]) -> Trace:
    batch = make_batch(samples=30)
    return make_model(batch).trace(batch)


def test_thresholds_are_read_off_the_trace(trace: Trace, model: CLCR) -> None:
    rank = trace.shared["vision"].shape[-1]
    budget: Any = model.intraced.budget
    for found in arrays.thresholds(trace).values():
        np.testing.assert_allclose(
            np.array(found, dtype=float), budget.threshold.detach().numpy() * rank**0.5, rtol=1e-3
        )


def test_points_are_one_fit_per_level_turned_but_not_stretched(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    explorer.space, explorer.level, explorer.modality = "shared", 1, "sound"
    values = trace.shared_summary["sound"][:, 1].numpy()
    everyone = np.concatenate([trace.shared_summary[m][:, 1].numpy() for m in trace.modalities])
    centre = everyone.mean(0)
    directions = np.linalg.svd(everyone - centre)[2][:2]
    wanted = (values - centre) @ directions.T
    np.testing.assert_allclose(
        np.linalg.norm(explorer.points()[:, None] - explorer.points()[None], axis=-1),
        np.linalg.norm(wanted[:, None] - wanted[None], axis=-1),
        atol=1e-4,
    )
    sent = explorer._points["pca/shared"]["shared/1/sound"]
    np.testing.assert_allclose(unpacked(sent)[0] - sent["reach"], explorer.points(), atol=2 * sent["reach"] / 65535)


def test_traits_choose_the_space(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    seen = [explorer.points()]
    for change in ({"level": 0}, {"modality": "text"}, {"space": "private"}, {"space": "private_code"}):
        for name, value in change.items():
            setattr(explorer, name, value)
        assert all(not np.allclose(explorer.points(), other) for other in seen)
        seen.append(explorer.points())
        assert f"pca/{explorer.space}" in explorer._points


def test_epochs_are_seen_through_the_last_ones_eyes(
    trace: Trace, make_model: Callable[..., CLCR], batch: Batch
) -> None:
    earlier = make_model(batch, seed=5).trace(batch)
    explorer = viz.Explorer(trace, epochs=[earlier, trace])
    assert explorer.epoch == 2
    last = explorer.points()
    np.testing.assert_array_equal(last, viz.Explorer(trace).points())
    explorer.epoch = 1
    np.testing.assert_allclose(explorer.points(), last, atol=1e-6)
    explorer.epoch = 0
    assert not np.allclose(explorer.points(), last)
    with pytest.raises(DataError, match="epochs: trace 0 holds other samples"):
        viz.Explorer(trace, epochs=[trace.select(slice(0, 5))])


def test_probe_rows_have_their_control(trace: Trace) -> None:
    rows = viz.Explorer(trace).probes("shared_code")
    assert [row["target"] for row in rows] == ["label", "speaker"]
    assert all(0 <= row[key] <= 1 for row in rows for key in ("accuracy", "shuffled", "chance"))


def test_browser_asks_for_probes(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    explorer._handle_custom_msg({"probe": ["shared", 0, "text"]}, [])
    assert explorer._probes["shared/0/text"] == explorer.probes("shared", 0, "text")
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
        def trace(self, batch: Batch, *, gamma: float = 1.0, mute: Any = None) -> Trace:
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
    assert "<svg" in explorer._repr_mimebundle_()[0]["text/html"]
    assert (
        page_state(explorer.page(gammas=(0.3,)))["_table"]["task"]
        == {"classification": "classes", "regression": "value", "multilabel": "labels"}[task]
    )


def test_a_model_without_exchange_has_no_attention(batch: Batch, make_model: Callable[..., CLCR]) -> None:
    model = make_model(batch, intraced=False)
    explorer = viz.Explorer(model.trace(batch), model)
    assert explorer._attention["of"] == {}
    assert not explorer._table["budgeted"]
    assert "no exchange" in explorer._repr_mimebundle_()[0]["text/html"]


def test_dense_exchange_ignores_gamma_as_the_model_does(batch: Batch, make_model: Callable[..., CLCR]) -> None:
    model = make_model(batch, sparse=False)
    assert not arrays.budgeted(model.trace(batch))
    assert arrays.budgeted(make_model(batch).trace(batch))
    alone = viz.Explorer(model.trace(batch), gamma=0.3).now()
    for m, wanted in model.trace(batch.select([0]), gamma=0.3).allocation.items():
        torch.testing.assert_close(alone.allocation[m], wanted)


def test_umap_is_made_for_the_space_looked_at_only(trace: Trace, monkeypatch: Any) -> None:
    fitted = []

    def fake(values: Any, seed: int) -> Any:  # UMAP itself is tested with the projections; here, when it is asked
        fitted.append(len(values))
        return lambda rows: np.asarray(rows[:, :2], dtype=np.float32)

    monkeypatch.setattr(arrays.projections, "_umap", fake)
    explorer = viz.Explorer(trace, projection="umap", level=1, modality="text")
    assert set(explorer._points["umap/shared"]) == {f"shared/1/{m}" for m in trace.modalities}
    assert fitted == [90]
    explorer.modality = "sound"
    assert fitted == [90]
    explorer.level = 0
    assert len(fitted) == 2
    assert len(explorer._points["umap/shared"]) == 6
    values = trace.shared_summary["sound"][:, 0, :2].numpy()
    np.testing.assert_allclose(
        np.linalg.norm(explorer.points() - explorer.points()[0], axis=1),
        np.linalg.norm(values - values[0], axis=1),
        atol=1e-5,
    )


def tone(sample: int) -> tuple[np.ndarray, int]:
    """A sound of its own for each sample: a sine, so many waves in 50 ms of 8 kHz."""
    return np.sin(np.arange(400) * 2 * np.pi * (sample - 99) / 400).astype(np.float32), 8000


def heard(file: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(file)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth()) == (1, 2)
        return np.frombuffer(opened.readframes(opened.getnframes()), "<i2") / 32767, opened.getframerate()


def test_the_picked_sample_can_be_heard(trace: Trace, split: Split) -> None:
    explorer = viz.Explorer(trace, split=replace(split, sound={"sound": tone}), picked=104)
    assert explorer._table["heard"] == ["sound"]
    for sample in (104, 120):
        explorer.picked = sample
        assert unpacked(explorer._sound["ids"]).tolist() == [sample]
        waveform, rate = heard(explorer._sound["of"]["sound"][0]["data"])
        assert rate == 8000
        np.testing.assert_allclose(waveform, tone(sample)[0], atol=1 / 32767)
    silent = int(trace.batch.ids[~trace.batch.masks["sound"].any(1)][0])
    explorer.picked = silent
    assert explorer._sound["of"]["sound"] == [None]
    assert viz.gates(trace, split)._table["heard"] == []


def test_only_lanes_send_sound_and_its_error_shows(trace: Trace, model: CLCR, split: Split) -> None:
    def broken(sample: int) -> tuple[np.ndarray, int]:
        if sample == 105:
            raise DataError("sound: 105.wav: no such file")
        return tone(sample)

    noisy = replace(split, sound={"sound": broken})
    assert viz.subspaces(trace, noisy)._sound == {}
    explorer = viz.Explorer(trace, model, noisy, picked=104)
    explorer.picked = 105
    assert explorer.error == "DataError: sound: 105.wav: no such file"
    for part in (explorer._block, explorer._attention, explorer._answer):
        assert unpacked(part["ids"]).tolist() == [105]  # all else is there
    explorer.picked = 106
    assert explorer.error == ""
    # a click sets both at once, and the callback that succeeds must not wipe out the other's error
    explorer.set_state({"picked": 105, "selection": [105]})
    assert explorer.error == "DataError: sound: 105.wav: no such file"
    explorer.set_state({"picked": 106, "selection": [106]})
    assert explorer.error == ""


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (np.zeros((2, 5)), 8000, r"waveform: shape \(2, 5\)"),
        (np.zeros(0), 8000, r"waveform: shape \(0,\)"),
        (np.array([0.1, np.nan]), 8000, "waveform: a value of size nan"),
        (np.array([0.1, -3.0]), 8000, "waveform: a value of size 3"),
        (np.zeros(5), 0, "rate: 0 Hz"),
    ],
)
def test_what_is_no_sound_is_refused(waveform: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        arrays.wav(waveform, rate)


def test_page_keeps_as_many_sounds_as_fit(trace: Trace, split: Split, monkeypatch: Any) -> None:
    noisy = replace(split, sound={"sound": tone})
    explorer = viz.Explorer(trace, split=noisy, views=("budget",), selection=[120, 110])
    text = explorer.page()
    state = page_state(text)
    assert len(state["_sound"]["of"]["sound"]) == len(trace)
    assert "media-src blob:" in text
    monkeypatch.setattr(viz.explorer.page, "SOUND_BYTES", 4 * 900)
    text = explorer.page()
    state = page_state(text)
    ids = page_array(text, state["_sound"]["ids"]).astype(int).tolist()
    assert ids[:2] == [120, 110]
    assert 3 <= len(ids) <= 5
    for sample, kept in zip(ids, state["_sound"]["of"]["sound"], strict=True):
        if kept is not None:
            waveform, _ = heard(page_array(text, kept).tobytes())
            np.testing.assert_allclose(waveform, tone(sample)[0], atol=1 / 32767)


def test_each_view_alone(trace: Trace, model: CLCR, split: Split) -> None:
    alone = {
        "subspaces": viz.subspaces(trace, split),
        "budget": viz.budget(trace, model, split),
        "attention": viz.attention(trace, model, split),
        "gates": viz.gates(trace, split),
    }
    for view, explorer in alone.items():
        assert explorer.views == [view]
        assert bool(explorer._block) == (view in ("budget", "attention"))


def test_still_picture_is_the_same_every_time_and_holds_no_script(trace: Trace, split: Split, monkeypatch: Any) -> None:
    monkeypatch.delenv("CLCRKIT_EMBED_PAGES", raising=False)
    data, _ = viz.Explorer(trace, split=split)._repr_mimebundle_()
    again, _ = viz.Explorer(trace, split=split)._repr_mimebundle_()
    assert data["text/html"] == again["text/html"]
    assert data["text/plain"] == again["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "script" not in data["text/html"]
    assert len(data["text/html"]) < 60_000


def test_embedded_page_replaces_widget_and_picture(trace: Trace, monkeypatch: Any) -> None:
    monkeypatch.setenv("CLCRKIT_EMBED_PAGES", "1")
    explorer = viz.Explorer(trace, views=("gates",))
    data, _ = explorer._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"}
    source = re.fullmatch(r'<iframe [^>]*srcdoc="([^"]*)"></iframe>', data["text/html"])
    assert source
    assert html.unescape(source[1]) == explorer.page()


def page_state(page: str) -> Any:
    return json.loads(re.search(r'id="state">(.*?)</script>', page, re.S)[1])  # type: ignore[index]


def page_array(page: str, packed: Any) -> np.ndarray:
    blob = zlib.decompress(base64.b64decode(re.search(r'id="arrays">(.*?)</script>', page, re.S)[1]))  # type: ignore[index]
    return unpacked({**packed, "data": blob[packed["at"] : packed["at"] + packed["bytes"]]})


def test_page_holds_the_models_answers_at_each_gamma(trace: Trace, model: CLCR, batch: Batch, tmp_path: Path) -> None:
    explorer = viz.Explorer(trace, model, views=("budget", "attention"), selection=[103])
    page = explorer.export(tmp_path / "deep" / "page.html", gammas=(0.2, 1.5)).read_text()
    state = page_state(page)
    assert state["selection"] == [103]
    assert state["_answer"]["gammas"] == [0.2, 1.0, 1.5]
    ids = page_array(page, state["_answer"]["ids"]).astype(int)
    assert sorted(ids) == batch.ids.tolist()
    answers = page_array(page, state["_answer"]["prediction"])
    for g, gamma in enumerate((0.2, 1.0, 1.5)):
        np.testing.assert_allclose(answers[:, g], model.trace(batch, gamma=gamma).prediction[ids - 100], atol=1e-5)
    lane = state["_block"]["lanes"]["vision"]
    np.testing.assert_allclose(page_array(page, lane["activation"]), trace.activation["vision"][ids - 100], atol=1e-4)


def test_page_says_how_much_it_keeps(trace: Trace, monkeypatch: Any) -> None:
    monkeypatch.setattr(viz.explorer.page, "TOKEN_BYTES", 4000)
    monkeypatch.setattr(viz.explorer.page, "ATTENTION_BYTES", 1)
    explorer = viz.Explorer(trace, views=("budget", "attention"), selection=[120, 110])
    page = explorer.page()
    state = page_state(page)
    kept = page_array(page, state["_block"]["ids"]).astype(int)
    assert list(kept[:2]) == [120, 110]
    assert 2 < len(kept) < 30
    assert list(page_array(page, state["_attention"]["ids"])) == [120]


def test_page_cannot_be_broken_out_of(trace: Trace, batch: Batch) -> None:
    hostile = '</script><script>alert("x")</script><!-- <b>'
    split = Split(
        batch, batch, batch, label_names=(hostile, hostile, hostile), attribute_names={"speaker": (hostile, "b")}
    )
    page = viz.Explorer(trace, split=split, views=("budget", "gates")).page()
    assert "<script>alert" not in page
    assert page.count("</script>") == 3
    assert page_state(page)["_table"]["outputs"] == [hostile] * 3


def test_page_asks_nothing_of_the_network(trace: Trace) -> None:
    page = viz.Explorer(trace, views=("gates",)).page()
    assert set(re.findall(r"https?://[^\s\"'<>]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "import(" not in page
    assert "fetch(" not in page


def test_wrong_gammas_and_paths_are_refused(trace: Trace, tmp_path: Path) -> None:
    explorer = viz.Explorer(trace, views=("gates",))
    with pytest.raises(ConfigError, match=r"gammas: -1"):
        explorer.page(gammas=(1.0, -1.0))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        explorer.export(tmp_path / "file" / "page.html")


def test_now_works_on_samples_that_lack_a_modality(trace: Trace, model: CLCR) -> None:
    explorer = viz.Explorer(trace, model)
    for i, m in enumerate(trace.modalities):
        assert not trace.batch.masks[m][i + 1].any()
        explorer.picked = 101 + i
        assert explorer.error == ""
        assert not explorer.now().allocation[m].any()
        assert torch.isfinite(explorer.now().prediction).all()
