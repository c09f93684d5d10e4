"""What the explorer plays is the sample's waveform."""

from __future__ import annotations

import io
import wave
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clcrkit import CLCR, DataError, Trace, viz
from clcrkit.datasets.split import Split
from clcrkit.viz.explorer import html as page_module
from clcrkit.viz.explorer.sound import wav
from tests.viz.explorer.conftest import page_array, page_state, sent, tone


def heard(file: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(file)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth()) == (1, 2)
        return np.frombuffer(opened.readframes(opened.getnframes()), "<i2") / 32767, opened.getframerate()


def test_the_picked_sample_can_be_heard(trace: Trace, split: Split) -> None:
    explorer = viz.Explorer(trace, split=replace(split, sound={"sound": tone}), picked=104)
    assert sent(explorer, "_table")["audible"] == ["sound"]
    for sample in (104, 120):
        explorer.picked = sample
        assert sent(explorer, "_sound")["ids"] == [str(sample)]
        waveform, rate = heard(sent(explorer, "_sound")["of"]["sound"][0]["data"])
        assert rate == 8000
        np.testing.assert_allclose(waveform, tone(sample)[0], atol=1 / 32767)
    silent = int(trace.batch.ids[~trace.batch.masks["sound"].any(1)][0])
    explorer.picked = silent
    assert sent(explorer, "_sound")["of"]["sound"] == [None]
    assert sent(viz.gates(trace, split), "_table")["audible"] == []


def test_only_lanes_send_sound_and_its_error_shows(trace: Trace, model: CLCR, split: Split) -> None:
    def broken(sample: int) -> tuple[np.ndarray, int]:
        if sample == 105:
            raise DataError("sound: 105.wav: no such file")
        return tone(sample)

    noisy = replace(split, sound={"sound": broken})
    assert sent(viz.subspaces(trace, noisy), "_sound") == {}
    explorer = viz.Explorer(trace, model, noisy, picked=104)
    explorer.picked = 105
    assert explorer.error == "DataError: sound: 105.wav: no such file"
    for part in (sent(explorer, "_block"), sent(explorer, "_attention"), sent(explorer, "_answer")):
        assert part["ids"] == ["105"]  # all else is there
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
        wav(waveform, rate)


def test_page_keeps_as_many_sounds_as_fit(trace: Trace, split: Split, monkeypatch: Any) -> None:
    noisy = replace(split, sound={"sound": tone})
    explorer = viz.Explorer(trace, split=noisy, views=("budget",), selection=[120, 110])
    text = explorer.page()
    state = page_state(text)
    assert len(state["_sound"]["of"]["sound"]) == len(trace)
    assert "media-src blob:" in text
    monkeypatch.setattr(page_module, "SOUND_BYTES", 4 * 900)
    text = explorer.page()
    state = page_state(text)
    ids = [int(i) for i in state["_sound"]["ids"]]
    assert ids[:2] == [120, 110]
    assert 3 <= len(ids) <= 5
    for sample, kept in zip(ids, state["_sound"]["of"]["sound"], strict=True):
        if kept is not None:
            waveform, _ = heard(page_array(text, kept).tobytes())
            np.testing.assert_allclose(waveform, tone(sample)[0], atol=1 / 32767)
