"""A waveform as the file that a browser can play."""

from __future__ import annotations

import io

import numpy as np
from numpy import ndarray
from scipy.io import wavfile

from clcrkit.errors import DataError


def wav(waveform: ndarray, rate: int) -> bytes:
    """A waveform from -1 to 1 at `rate` Hz as a WAV file of 16 bits, one channel.

    Raises DataError for another number of axes, an empty one, values that are not finite or beyond 1, or a rate
    below 1.
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or not len(samples):
        raise DataError(f"waveform: shape {samples.shape}, but one axis of at least 1 value is needed")
    loudest = float(np.abs(samples).max())
    if not loudest <= 1 + 1e-6:  # nan is not, either
        raise DataError(f"waveform: a value of size {loudest:g}, but all must lie in -1 to 1")
    if rate < 1:
        raise DataError(f"rate: {rate} Hz, but at least 1 is needed")
    file = io.BytesIO()
    wavfile.write(file, int(rate), np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16))
    return file.getvalue()
