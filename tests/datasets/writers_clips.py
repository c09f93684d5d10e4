"""Clips whose every frame and sample the test knows: lossless, in a Matroska or QuickTime file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy import ndarray

RATE_HZ = 16_000


def clip_pixels(frames: int, seed: int = 0) -> ndarray:
    """(frame, 48, 64, 3) bytes: 6 x 8 fields of one colour each."""
    random = np.random.default_rng(seed)
    return random.integers(40, 215, (frames, 6, 8, 3)).repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def clip_sound(seconds: float, seed: int = 0) -> ndarray:
    """(sample,) int16: a tone with noise."""
    random, time = np.random.default_rng(seed), np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = 0.4 * np.sin(2 * np.pi * 440 * time) + 0.05 * random.normal(size=len(time))
    return (tone * 32767).astype(np.int16)


def write_clip(
    path: Path, pixels: ndarray | None, sound: ndarray | None, rate: Fraction = Fraction(8), turned: int = 0
) -> Path:
    """A clip of these frames and samples; either may be None."""
    import av

    with av.open(str(path), "w") as file:
        video = audio = None
        if pixels is not None:
            video = file.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
            video.height, video.width, video.pix_fmt = *pixels.shape[1:3], "rgb24"
            if turned:
                video.set_display_rotation(turned)
        if sound is not None:
            audio = file.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        if video is not None:
            for i, picture in enumerate(pixels if pixels is not None else ()):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = i
                frame.time_base = 1 / rate
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                piece = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="s16", layout="mono")
                piece.sample_rate, piece.pts = RATE_HZ, start
                file.mux(audio.encode(piece))
            file.mux(audio.encode(None))
    return path
