"""Video: one clip, decoded into the sound and the frames from which data sets are read. Needs clcrkit[video]."""

from __future__ import annotations

import io
import os
import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from clcrkit.arguments import public
from clcrkit.datasets.readers.frames import LARGEST_IMAGE
from clcrkit.errors import ConfigError, DataError, check_range, require
from clcrkit.files import write_bytes

RATE_HZ = 16_000
LONGEST_S, MOST_PER_SECOND = 300, 240
QUALITY = 95  # of the pictures, as the published frames have
# containers that hold their own streams: a playlist would name other files, or addresses
_CONTAINERS = "mov,matroska,webm,avi,flv,mpeg,mpegts,ogg,asf,wav,mp3,aac,flac"


@public
def unpack_clip(
    path: str | os.PathLike[str],
    sound: str | os.PathLike[str] | None = None,
    frames: str | os.PathLike[str] | None = None,
    frames_per_second: int = 1,
) -> tuple[bool, bool]:
    """Write a clip's sound to a wav file (one channel, 16 kHz, 16 bits) and its frames to a folder of jpg files.

    Returns whether sound, and whether frames were written: what the clip lacks is not, nor what has no place (None).
    So a folder of clips becomes the items of `extract_features`, or CREMA-D's AudioWAV and Image-01-FPS. Frames are
    taken as OGM-GE's script does:
    of every whole second (the frame rate, rounded down, in frames) `frames_per_second`, evenly spaced from its first.
    A picture is turned as the clip says. The first stream of each kind counts, and a cover is no frame.

    Raises DataError for a file that is missing or damaged, has nothing of it, is a playlist, lasts more than 5 minutes
    or has frames of more than 64 million pixels, and where something is at the places already; ConfigError for more
    frames than there are.
    """
    check_range("frames_per_second", frames_per_second, 1)
    av, path = require("av", "video"), Path(path)
    require("PIL.Image", "video")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    for place in (sound, frames):
        if place is not None and Path(place).exists():
            raise DataError(f"{place}: is there already; remove it, or choose another place")
    waveform, seen = b"", False
    try:
        if sound is not None:
            with _opened(av, path) as clip:
                waveform = _waveform(av, clip, path)
        if frames is not None:
            with _opened(av, path) as clip, _all_or_none(Path(frames)) as scratch:
                seen = _write_frames(av, clip, path, scratch, frames_per_second)
    except av.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{path}: not a clip that can be decoded, or damaged ({reason})") from error
    except OSError as error:
        raise DataError(f"{frames}: cannot be written ({error})") from error
    if not (waveform or seen):
        raise DataError(f"{path}: nothing of what was asked for in it")
    if sound is not None and waveform:
        write_bytes(Path(sound), waveform)
    return bool(waveform), seen


def _opened(av: Any, path: Path) -> Any:
    # resolved, so that it begins with a slash and not with a protocol
    clip = av.open(str(path.resolve()), options={"format_whitelist": _CONTAINERS})
    if (clip.duration or 0) > LONGEST_S * av.time_base:
        clip.close()
        raise _too_long(path)
    return clip


@contextmanager
def _all_or_none(folder: Path) -> Iterator[Path]:
    """A scratch folder that gets its name when all is in it; one that was never made gets none."""
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # left behind by a call that was killed
    try:
        yield scratch
        if scratch.exists():
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _too_long(path: Path) -> DataError:
    return DataError(f"{path}: more than {LONGEST_S // 60} minutes, the most that a clip may last; cut it")


def _waveform(av: Any, clip: Any, path: Path) -> bytes:
    """The sound as a wav file; nothing where there is none."""
    if not clip.streams.audio:
        return b""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    content, samples = io.BytesIO(), 0
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        for frame in chain(clip.decode(clip.streams.audio[0]), [None]):  # None: what the resampler still holds
            for piece in resampler.resample(frame):
                samples += piece.samples
                if samples > LONGEST_S * RATE_HZ:  # whatever the header says
                    raise _too_long(path)
                file.writeframes(piece.to_ndarray().tobytes())
    return content.getvalue() if samples else b""


def _write_frames(av: Any, clip: Any, path: Path, folder: Path, frames_per_second: int) -> bool:
    """Write the frames that are taken; whether there are any."""
    streams = [s for s in clip.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        return False
    second = max(1, int(float(streams[0].average_rate or 1)))  # a fraction, or PyAV 19's own kind
    step = second // frames_per_second
    if step < 1:
        raise ConfigError(f"frames_per_second: {frames_per_second}, but {path} has {second} in a second")
    count = 0
    for count, frame in enumerate(clip.decode(streams[0]), start=1):
        if count > LONGEST_S * MOST_PER_SECOND:
            raise _too_long(path)
        if frame.width * frame.height > LARGEST_IMAGE:
            raise DataError(
                f"{path}: frames of {frame.width} x {frame.height}, but {LARGEST_IMAGE} pixels are the most"
            )
        place = (count - 1) % second
        folder.mkdir(parents=True, exist_ok=True)
        if place % step == 0 and place < step * frames_per_second:
            image = frame.to_image().rotate(frame.rotation, expand=True)
            image.save(folder / f"{count - 1:05d}.jpg", quality=QUALITY)
    return count > 0
