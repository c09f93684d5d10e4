"""Sound: wav files read safely, and log-mel frames, the tokens that spoken and environmental sound become here."""

from __future__ import annotations

import io
import os
import warnings
import wave
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.datasets.readers.paths import inside
from clcrkit.datasets.readers.provenance import Provenance
from clcrkit.errors import ConfigError, DataError

LARGEST_BYTES = 256 * 2**20  # about 25 minutes of stereo sound at 44.1 kHz and 16 bits
RATES_HZ = (1_000, 384_000)
FLOOR_DB = 80.0  # below the loudest cell; all that is quieter is written as the floor
WINDOW_S = 0.025
LOWEST_HZ, HIGHEST_HZ = 60.0, 8_000.0  # of the mel bands
BANDS, HOP_S = 40, 0.02  # of the sets that are read here; a frame is a token
SOUND_FRAMES = Provenance(f"clcrkit: {BANDS} log-mel bands, a frame every {HOP_S:g} s")
COLUMNS = 64  # of a spectrogram that make one picture
PICTURE_BANDS, PICTURE_HOP_S = 64, 0.01
SOUND_PICTURES = Provenance(
    f"clcrkit: {PICTURE_BANDS} log-mel bands every {PICTURE_HOP_S:g} s, cut into pictures of {COLUMNS} columns"
)
_PCM = bytes.fromhex("0100000000001000800000aa00389b71")  # the kind of sound in an extensible header
_BLOCK = 4096  # frames transformed at a time, so that memory does not grow with the length


def read_wav(file: str | os.PathLike[str] | io.BufferedIOBase) -> tuple[Float[ndarray, "sample"], int]:
    """A PCM wav file (8, 16, 24 or 32 bits) as one channel of float32 from -1 to 1, and its rate in Hz.

    Channels are averaged. `file` is a path or an open binary file. Raises DataError for a file that is
    missing, damaged, shorter than its header says, larger than 256 MiB or of another format. One without any sound
    gives no sample.
    """
    name = str(file) if isinstance(file, str | os.PathLike) else str(getattr(file, "name", "sound"))
    try:
        with open(file, "rb") if isinstance(file, str | os.PathLike) else nullcontext(file) as opened:
            content = opened.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error})") from error
    if len(content) > LARGEST_BYTES:
        raise DataError(f"{name}: more than {LARGEST_BYTES // 2**20} MiB, the most that one sound may have")
    try:
        with wave.open(io.BytesIO(_plain_format(content))) as sound:
            channels, width, rate, count = sound.getparams()[:4]
            frames = sound.readframes(count)
    except Exception as error:  # a damaged header makes wave raise a dozen different kinds
        raise DataError(f"{name}: not a PCM wav file, or damaged ({error or 'it ends too early'})") from error
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise DataError(f"{name}: {rate} Hz, but a rate from {RATES_HZ[0]} to {RATES_HZ[1]} is needed")
    if width not in (1, 2, 3, 4):
        raise DataError(f"{name}: {8 * width} bits a sample, but 8, 16, 24 or 32 are needed")
    if len(frames) != count * width * channels:
        raise DataError(f"{name}: holds {len(frames)} bytes of sound, but its header says {count * width * channels}")
    samples = _integers(frames, width).reshape(-1, channels) / 2.0 ** (8 * width - 1)
    return samples.mean(1).astype(np.float32), rate


def log_mel(
    waveform: Float[ndarray, "sample"], rate: int, bands: int = 40, hop: float = 0.01
) -> Float[ndarray, "frame band"]:
    """Log-mel frames: one token for each `hop` seconds, from 0 (80 dB below the loudest cell, or less) to 1.

    waveform: from -1 to 1 at `rate` Hz; a sound shorter than one window (25 ms) gives one frame. The bands are
    triangles evenly spaced on the mel scale from 60 Hz to 8 kHz, or to half the rate where that is lower.
    The loudest cell of the sound is 1, so the result does not change with the volume. Silence is 0 throughout.
    Raises DataError for an empty or non-finite waveform, ConfigError for bands that no frequency falls into.
    """
    if waveform.ndim != 1 or not len(waveform) or not np.isfinite(waveform).all():
        raise DataError(f"waveform: shape {waveform.shape}, but one axis of at least 1 finite sample is needed")
    step, window = round(hop * rate), round(WINDOW_S * rate)
    if step < 1:
        raise ConfigError(f"hop: {hop} s, but at least one sample ({1 / rate:g} s) is needed")
    transform = 2 ** (int(np.ceil(np.log2(window))) + 1)
    filters = mel_filters(rate, bands, transform)
    padded = np.pad(waveform.astype(np.float64), (0, max(0, window - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::step]
    power = np.concatenate([
        np.abs(np.fft.rfft(frames[start : start + _BLOCK] * np.hanning(window), transform)) ** 2 @ filters.T
        for start in range(0, len(frames), _BLOCK)
    ])  # fmt: skip
    tiny = 1e-30
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), tiny), tiny))
    return (1 + np.maximum(decibels, -FLOOR_DB) / FLOOR_DB).astype(np.float32)


def sound_frames(folder: Path, *names: str) -> Float[ndarray, "frame band"]:
    """The log-mel frames of a wav file in this folder: 40 bands, one frame for each 20 ms. Without any sound there is
    no frame, a missing modality, and a warning."""
    return _log_mel_of(folder, *names, bands=BANDS, hop=HOP_S)


def sound_pictures(folder: Path, *names: str) -> Float[ndarray, "picture pixel"]:
    """The log-mel spectrogram of a wav file in this folder as `pictures_of` cuts it: 64 bands, a column each 10 ms.
    Without any sound as `sound_frames`."""
    return pictures_of(_log_mel_of(folder, *names, bands=PICTURE_BANDS, hop=PICTURE_HOP_S).T)


def pictures_of(spectrogram: Float[ndarray, "frequency column"]) -> Float[ndarray, "picture pixel"]:
    """A spectrogram cut along time into pictures of 64 columns, each flattened to (frequency, column); the last one is
    filled up with the smallest value, as if silence followed."""
    frequencies, columns = spectrogram.shape
    if not columns:
        return np.zeros((0, frequencies * COLUMNS), np.float32)
    filled = np.pad(spectrogram, ((0, 0), (0, -columns % COLUMNS)), constant_values=spectrogram.min())
    return filled.reshape(frequencies, -1, COLUMNS).transpose(1, 0, 2).reshape(-1, frequencies * COLUMNS)


def _log_mel_of(folder: Path, *names: str, bands: int, hop: float) -> Float[ndarray, "frame band"]:
    path = inside(folder, *names)
    if not path.is_file():
        raise DataError(f"{path}: not a file")
    waveform, rate = read_wav(path)
    if not len(waveform):
        warnings.warn(f"{path}: no sound in it; the modality is missing in this sample", stacklevel=2)
        return np.zeros((0, bands), np.float32)
    return log_mel(waveform, rate, bands=bands, hop=hop)


def _plain_format(content: bytes) -> bytes:
    """A header of WAVE_FORMAT_EXTENSIBLE that says PCM, as plain PCM: Python reads it from 3.12 on only."""
    start = content.find(b"fmt ") + 8
    if content[start : start + 2] == b"\xfe\xff" and content[start + 24 : start + 40] == _PCM:
        return content[:start] + b"\x01\x00" + content[start + 2 :]
    return content


def _integers(frames: bytes, width: int) -> ndarray:
    """The samples around 0: 8 bits are unsigned in a wav file, 24 bits have no type in numpy."""
    if width == 1:
        return np.frombuffer(frames, np.uint8).astype(np.int32) - 128
    if width == 3:
        filled = np.zeros((len(frames) // 3, 4), np.uint8)
        filled[:, 1:] = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        return filled.view("<i4")[:, 0] >> 8
    return np.frombuffer(frames, f"<i{width}")


def mel_filters(rate: int, bands: int, transform: int) -> Float[ndarray, "band bin"]:
    """Triangles of height 1 over the bins of the Fourier transform, evenly spaced on the mel scale."""
    if bands < 1:
        raise ConfigError(f"bands: {bands}, but 1 or more are needed")
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, min(HIGHEST_HZ, rate / 2)))
    corners = 700 * (10 ** (np.linspace(lowest, highest, bands + 2) / 2595) - 1)
    bins = np.arange(transform // 2 + 1) * rate / transform
    left, centre, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    filters = np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    empty = int((filters.max(1) == 0).sum())
    if empty:
        raise ConfigError(f"bands: {bands} at {rate} Hz, of which {empty} hold no frequency; ask for fewer")
    return filters
