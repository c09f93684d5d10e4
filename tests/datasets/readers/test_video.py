"""unpack_clip: what it writes is what was put into the clip, and what it cannot read is refused in one sentence."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clcrkit import ConfigError, DataError
from clcrkit.datasets import unpack_clip
from clcrkit.datasets.readers import video
from clcrkit.datasets.readers.sound import read_wav
from tests.datasets.writers_clips import RATE_HZ, clip_pixels, clip_sound, write_clip

pytest.importorskip("av")


def unpacked(path: Path, **options) -> tuple[Path, Path]:
    unpack_clip(path, path.parent / "a.wav", path.parent / "frames", **options)
    return path.parent / "a.wav", path.parent / "frames"


def as_jpg(pixels: np.ndarray) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=95)
    return np.asarray(Image.open(content))


def pictures(folder: Path) -> dict[str, np.ndarray]:
    return {p.stem: np.asarray(Image.open(p)) for p in sorted(folder.iterdir())}


def test_sound_and_frames_are_those_of_the_clip(tmp_path: Path):
    pixels, sound = clip_pixels(20), clip_sound(2.5)
    assert unpack_clip(write_clip(tmp_path / "a.mkv", pixels, sound), tmp_path / "a.wav", tmp_path / "f") == (
        True,
        True,
    )
    waveform, rate = read_wav(tmp_path / "a.wav")
    assert rate == RATE_HZ
    np.testing.assert_array_equal(waveform, sound.astype(np.float32) / 2**15)
    found = pictures(tmp_path / "f")
    assert list(found) == ["00000", "00008", "00016"]
    for name, picture in found.items():
        np.testing.assert_array_equal(picture, as_jpg(pixels[int(name)]))
    assert not list(tmp_path.glob(".*"))


# what the script of OGM-GE writes (video2frame_update), followed step by step
def published_places(frames: int, rate: Fraction, each: int) -> list[str]:
    second, kept, place = int(rate), [], 0
    for count in range(frames):
        if count % second == 0:
            place = 0
        if place < second // each * each and place % (second // each) == 0:
            kept.append(f"{count:05d}")
        place += 1
    return kept


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 25), st.sampled_from([Fraction(8), Fraction(30000, 1001), Fraction(5)]), st.integers(1, 5))
def test_frames_are_taken_as_for_the_published_sets(tmp_path_factory, frames: int, rate: Fraction, each: int):
    folder = tmp_path_factory.mktemp("clip")
    _, found = unpacked(write_clip(folder / "a.mkv", clip_pixels(frames), None, rate), frames_per_second=each)
    assert list(pictures(found)) == published_places(frames, rate, each)


def test_a_picture_is_turned_as_the_clip_says(tmp_path: Path):
    pixels = clip_pixels(1)
    _, found = unpacked(write_clip(tmp_path / "a.mov", pixels, None, turned=90))
    (picture,) = pictures(found).values()
    np.testing.assert_array_equal(picture, as_jpg(np.rot90(pixels[0]).copy()))


def test_what_a_clip_lacks_is_not_written(tmp_path: Path):
    silent, unseen = tmp_path / "silent", tmp_path / "unseen"
    silent.mkdir()
    unseen.mkdir()
    sound, frames = unpacked(write_clip(silent / "a.mkv", clip_pixels(3), None))
    assert not sound.exists()
    assert len(list(frames.iterdir())) == 1
    sound, frames = unpacked(write_clip(unseen / "a.mkv", None, clip_sound(0.5)))
    assert sound.exists()
    assert not frames.exists()
    with pytest.raises(DataError, match=r"a.wav: is there already"):
        unpacked(unseen / "a.mkv")
    with pytest.raises(DataError, match=r"nothing of what was asked for"):
        unpack_clip(unseen / "a.mkv", frames=tmp_path / "none")
    assert unpack_clip(silent / "a.mkv", frames=tmp_path / "some") == (False, True)


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    good = write_clip(tmp_path / "good.mkv", clip_pixels(20), clip_sound(2.5))
    with pytest.raises(DataError, match=r"gone.mp4: no such file"):
        unpacked(tmp_path / "gone.mp4")
    with pytest.raises(ConfigError, match=r"frames_per_second: 9, but .*good.mkv has 8"):
        unpacked(good, frames_per_second=9)
    (tmp_path / "text.mp4").write_text("this is no clip " * 100)
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{good.name}\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.mp4").write_text(f"ffconcat version 1.0\nfile {good.name}\n")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("text", "list", "concat", "empty"):
        with pytest.raises(DataError, match=rf"{name}.mp4: not a clip that can be decoded, or damaged"):
            unpacked(tmp_path / f"{name}.mp4")
    monkeypatch.setattr(video, "LONGEST_S", 1)
    with pytest.raises(DataError, match=r"good.mkv: more than 0 minutes"):
        unpacked(good)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["good.mkv", *(f"{n}.mp4" for n in ("text", "list", "concat", "empty"))]
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_damaged_clip_is_read_or_refused(tmp_path_factory, place: int, byte: int, cut: bool):
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(write_clip(folder / "a.mkv", clip_pixels(9), clip_sound(1.0)).read_bytes())
    place %= len(content)
    content[place] = byte
    (folder / "a.mkv").write_bytes(content[:place] if cut else content)
    with suppress(DataError):
        unpacked(folder / "a.mkv")
    assert not list(folder.glob(".*"))
