"""Sound: what goes into a wav file comes out, damaged files are refused, and a tone lights its own band."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from clcrkit import collate
from clcrkit.datasets.readers.sound import log_mel, read_wav, sound_frames
from clcrkit.errors import ConfigError, DataError


def as_wav(samples: np.ndarray, rate: int = 16_000, width: int = 2, channels: int = 1) -> bytes:
    """samples: integers, interleaved."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        raw = samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width]
        file.writeframes(((samples + 128).astype(np.uint8) if width == 1 else raw).tobytes())
    return written.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_every_width_come_back(width):
    highest = 2 ** (8 * width - 1)
    samples = np.array([-highest, -1, 0, 1, highest // 2, highest - 1], dtype=np.int64)
    waveform, rate = read_wav(io.BytesIO(as_wav(samples, 8_000, width)))
    assert rate == 8_000
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, samples / highest, atol=1e-7)


def test_agrees_with_scipy_and_averages_channels(tmp_path: Path):
    random = np.random.default_rng(0)
    left_right = random.integers(-(2**15), 2**15, size=(500, 2))
    (tmp_path / "two.wav").write_bytes(as_wav(left_right.ravel(), 44_100, 2, channels=2))
    waveform, rate = read_wav(tmp_path / "two.wav")
    expected_rate, expected = wavfile.read(tmp_path / "two.wav")
    assert rate == expected_rate
    np.testing.assert_allclose(waveform, expected.astype(float).mean(1) / 2**15, atol=1e-6)


@given(st.integers(0, 60), st.integers(0, 255), st.integers(0, 400))
def test_a_damaged_file_is_read_or_refused(at: int, value: int, cut: int):
    content = bytearray(as_wav(np.arange(150)))
    content[at % len(content)] = value
    try:
        waveform, rate = read_wav(io.BytesIO(bytes(content[: max(0, len(content) - cut)])))
    except DataError:
        return
    assert np.abs(waveform).max(initial=0) <= 1
    assert 1_000 <= rate <= 384_000


def test_refusals_name_the_file(tmp_path: Path):
    short = tmp_path / "short.wav"
    short.write_bytes(as_wav(np.arange(100))[:-10])
    with pytest.raises(DataError, match=r"short\.wav: holds 190 bytes of sound, but its header says 200"):
        read_wav(short)
    with pytest.raises(DataError, match=r"none\.wav: no such file"):
        read_wav(tmp_path / "none.wav")
    wavfile.write(tmp_path / "float.wav", 16_000, np.zeros(10, np.float32))
    with pytest.raises(DataError, match=r"float\.wav: not a PCM wav file"):
        read_wav(tmp_path / "float.wav")


def test_a_file_without_sound_is_a_missing_modality_and_told(tmp_path: Path):
    (tmp_path / "empty.wav").write_bytes(as_wav(np.arange(0)))
    assert len(read_wav(tmp_path / "empty.wav")[0]) == 0
    with pytest.warns(UserWarning, match=r"empty\.wav: no sound in it; the modality is missing in this sample"):
        frames = sound_frames(tmp_path, "empty.wav")
    batch = collate([{"sound": frames, "other": np.ones((2, 1))}, {"sound": np.ones((3, 40), np.float32)}])
    assert batch.masks["sound"].any(1).tolist() == [False, True]


@pytest.mark.parametrize("width", [2, 3])
def test_the_extensible_format_is_read_where_it_is_pcm(tmp_path: Path, width: int):
    plain = as_wav(np.arange(-50, 50), width=width)
    kind = bytes.fromhex("0100000000001000800000aa00389b71")
    extra = (22).to_bytes(2, "little") + (8 * width).to_bytes(2, "little") + (4).to_bytes(4, "little") + kind
    body = b"WAVEfmt " + (40).to_bytes(4, "little") + b"\xfe\xff" + plain[22:36] + extra + plain[36:]
    (tmp_path / "x.wav").write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    np.testing.assert_array_equal(read_wav(tmp_path / "x.wav")[0], read_wav(io.BytesIO(plain))[0])
    (tmp_path / "x.wav").write_bytes((b"RIFF" + len(body).to_bytes(4, "little") + body).replace(kind, b"\3" + kind[1:]))
    with pytest.raises(DataError, match="not a PCM wav file"):
        read_wav(tmp_path / "x.wav")


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_tone_lights_the_band_that_its_frequency_lies_in(rate):
    bands = 40
    top = min(8_000, rate / 2)
    mel_top, mel_low = (2595 * np.log10(1 + hz / 700) for hz in (top, 60))
    for hz in (200.0, 440.0, 1_000.0, 3_000.0):
        frames = log_mel(np.sin(2 * np.pi * hz * np.arange(rate) / rate), rate, bands)
        mel = 2595 * np.log10(1 + hz / 700)
        expected = (mel - mel_low) / (mel_top - mel_low) * (bands + 1) - 1
        assert np.abs(frames.argmax(1) - expected).max() <= 1.0
        assert frames.max() == 1.0


def test_frames_are_counted_in_hops_and_ignore_the_volume():
    random = np.random.default_rng(1)
    sound = random.normal(size=16_000).astype(np.float32)
    frames = log_mel(sound, 16_000)
    assert frames.shape == (1 + (16_000 - 400) // 160, 40)
    np.testing.assert_allclose(log_mel(0.01 * sound, 16_000), frames, atol=1e-6)
    alone = log_mel(sound[160 * 7 : 160 * 7 + 400], 16_000)
    assert alone.shape == (1, 40)
    difference = frames[7] - alone[0]  # the same cells against another loudest one
    np.testing.assert_allclose(difference, difference[0], atol=1e-5)
    assert not log_mel(np.zeros(5_000), 16_000).any()
    assert log_mel(sound[:30], 16_000).shape == (1, 40)


def test_a_long_sound_is_transformed_in_blocks_without_a_seam(monkeypatch):
    sound = np.random.default_rng(2).normal(size=9_000)
    whole = log_mel(sound, 16_000)
    monkeypatch.setattr("clcrkit.datasets.readers.sound._BLOCK", 7)
    np.testing.assert_array_equal(log_mel(sound, 16_000), whole)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="bands: 2000 at 16000 Hz"):
        log_mel(np.ones(500), 16_000, bands=2_000)
    with pytest.raises(ConfigError, match="hop"):
        log_mel(np.ones(500), 16_000, hop=1e-6)
    with pytest.raises(DataError, match="waveform"):
        log_mel(np.array([1.0, np.nan]), 16_000)
