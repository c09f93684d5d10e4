"""Speak the digits with espeak-ng and write data/digits.npz, the sound part of `clcrkit.datasets.digits`.

Run from anywhere: python data/make_digits.py
Needs the program espeak-ng and an installed clcrkit; takes about a minute. The same version of espeak-ng
gives the same file, byte for byte. What is in the file, and why, is told in data/README.md.
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from clcrkit.datasets.digits import VOICES, WORDS
from clcrkit.datasets.readers.sound import mel_filters

RATE_HZ = 22_050  # what espeak-ng writes
HOP = 441  # samples between frames: 20 ms
WINDOW = 551  # samples in a frame: 25 ms
FFT = 1024
BANDS = 24
FLOOR_DB = -70.0  # below the loudest cell of the utterance; all that is quieter is written as the floor
SILENCE_DB = -40.0  # frames quieter than this at either end are cut off
TAKES = 2  # utterances of each word by each voice
SPEEDS = (110, 130, 150, 170, 190)  # words a minute
PITCHES = (20, 35, 50, 65, 80)  # espeak-ng's own scale, 0 to 99

TARGET = Path(__file__).with_name("digits.npz")


def log_mel(sound: Float[ndarray, "sample"]) -> Float[ndarray, "token band"]:
    """Mel power in dB below the loudest cell, from FLOOR_DB to 0; one token for each 20 ms."""
    count = 1 + max(0, len(sound) - WINDOW) // HOP
    padded = np.pad(sound, (0, max(0, WINDOW - len(sound))))
    frames = padded[np.arange(count)[:, None] * HOP + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2 @ mel_filters(RATE_HZ, BANDS, FFT).T
    tiny = 1e-30
    return np.maximum(10 * np.log10(np.maximum(power / max(power.max(), tiny), tiny)), FLOOR_DB)


def trim(decibels: Float[ndarray, "token band"]) -> Float[ndarray, "sounding band"]:
    """The frames from the first to the last that is not silence."""
    (sounding,) = np.nonzero(decibels.max(1) > SILENCE_DB)
    return decibels[sounding[0] : sounding[-1] + 1]


def quantise(decibels: Float[ndarray, "token band"]) -> UInt8[ndarray, "token band"]:
    """FLOOR_DB becomes 0, and 0 dB becomes 255."""
    return np.rint((1 - decibels / FLOOR_DB) * 255).astype(np.uint8)


def speak(word: str, language: str, voice: str, speed: int, pitch: int) -> Float[ndarray, "sample"]:
    """The word as espeak-ng says it, from -1 to 1 at RATE_HZ."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/word.wav"
        command = ["espeak-ng", "-v", f"{language}+{voice}", "-s", str(speed), "-p", str(pitch), "-w", path, word]
        subprocess.run(command, check=True)
        with wave.open(path) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
            return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768


def version() -> str:
    """The program and its version."""
    answer = subprocess.run(["espeak-ng", "--version"], check=True, capture_output=True, text=True).stdout
    return answer.split("  ")[0].strip()


def main() -> None:
    voices = [voice for part in VOICES.values() for voice in part]
    languages = list(WORDS)
    available = set(
        subprocess.run(["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True).stdout.split()
    )
    missing = [voice for voice in voices if f"!v/{voice}" not in available]
    assert not missing, f"this espeak-ng has no voice {missing}; it would speak with its default voice instead"

    grid = [range(len(voices)), range(len(languages)), range(10), range(TAKES)]
    voice, language, digit, _ = (axis.ravel() for axis in np.meshgrid(*grid, indexing="ij"))
    random = np.random.default_rng(0)
    speed = random.integers(len(SPEEDS), size=len(voice))
    pitch = random.integers(len(PITCHES), size=len(voice))

    def utterance(i: int) -> UInt8[ndarray, "token band"]:
        code = languages[language[i]]
        sound = speak(WORDS[code][digit[i]], code, voices[voice[i]], SPEEDS[speed[i]], PITCHES[pitch[i]])
        return quantise(trim(log_mel(sound)))

    with ThreadPoolExecutor() as pool:
        utterances = list(pool.map(utterance, range(len(voice))))
    np.savez_compressed(
        TARGET,
        frames=np.concatenate(utterances),
        lengths=np.array([len(u) for u in utterances], dtype=np.int16),
        voice=voice.astype(np.int8),
        language=language.astype(np.int8),
        digit=digit.astype(np.int8),
        speed=speed.astype(np.int8),
        pitch=pitch.astype(np.int8),
        voice_names=np.array(voices),
        language_names=np.array(languages),
        speed_names=np.array([f"{s} words a minute" for s in SPEEDS]),
        pitch_names=np.array([f"pitch {p}" for p in PITCHES]),
        made_with=np.array(version()),
    )
    lengths = [len(u) for u in utterances]
    print(
        f"{TARGET.name}: {len(utterances)} utterances of {min(lengths)} to {max(lengths)} tokens, "
        f"{TARGET.stat().st_size / 1e6:.2f} MB, {version()}"
    )


if __name__ == "__main__":
    main()
