"""Digits: one digit as a handwritten scan, a spoken word and a misspelt word. Bundled and offline [ours].

The scans are scikit-learn's; the sound is in digits.npz, made by data/make_digits.py; data/README.md is the
data sheet. The sound file is clean: noise, lost frames and typing errors are drawn here, from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from clcrkit.arguments import public
from clcrkit.batch import Batch, collate
from clcrkit.datasets.readers.sound import HIGHEST_HZ, LOWEST_HZ
from clcrkit.datasets.split import Split
from clcrkit.errors import ConfigError, DataError, require

WORDS: dict[str, tuple[str, ...]] = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    "fr": ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    "es": ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    "it": ("zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"),
    "nl": ("nul", "één", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen"),
}

# espeak-ng's names. Fixed, not drawn from the seed: the unseen voices of the test part are the same for everyone.
VOICES: dict[str, tuple[str, ...]] = {
    "train": (
        *("m1", "m3", "m5", "m7", "f1", "f3", "f5", "Alex", "Andrea", "Denis", "Gene"),
        *("Hugo", "Lee", "Mario", "antonio", "belinda", "caleb", "ed", "gustave", "klatt2", "linda", "whisper"),
    ),
    "valid": ("m2", "f2", "Michael", "pablo", "steph"),
    "test": ("m4", "m8", "f4", "Annie", "Diogo", "Marco", "anika", "benjamin", "quincy"),
}

SHARES = {"train": 12, "valid": 3, "test": 5}  # of 20 samples of a digit
LARGEST = 3_400  # 340 of each digit, so that its rarest digit's 174 scans are used at most twice

NAMED = ("voice", "language", "speed", "pitch")  # attributes whose values have names

RATE = 16_000  # Hz, of the sound that `sing` makes
HOP_MS = 20  # time between acoustic tokens, as in data/make_digits.py
FLOOR_DB = -70.0  # what 0 means in the sound file; 255 means 0 dB

# What `noise=1` means.
PIXEL_NOISE = 0.3  # standard deviation, of a pixel that goes from 0 to 1
HIDDEN_ROW = 0.15  # chance that a row of the scan is blank
SOUND_NOISE_DB = (-45.0, -15.0)  # noise power in a cell, against the loudest cell; drawn for each utterance
DIM = 0.35  # of the rows of a picture that are another token's
LOST_FRAME = 0.1  # chance that a frame of sound reads as silence
TYPING_ERROR = 0.65  # expected for each letter of the word

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
PLAIN = str.maketrans("éü", "eu")
# The rare letters come first: a model that takes its vocabulary from the largest id it meets then knows them all.
LETTERS = ("", *"éü", *sorted("".join(KEYBOARD)))


@public
def digits(noise: float = 1.0, size: int = LARGEST, seed: int = 0) -> Split:
    """Samples of three modalities of one digit; voices and scans of one part are in no other part.

    noise: how hard it is, from 0 (clean) to 2. It scales pixel noise and blank rows, noise and lost frames in
    the sound, and typing errors, together. size: samples in all parts together, a multiple of 200 from 200 to
    3,400; 60 % train, 15 % valid, 25 % test, the ten digits equally often in each. seed: draws which scan and
    utterance meet, which scans are in which part, and all the noise. Whatever the noise, the samples are the same.

    vision (batch, 8, 8): the rows of the scan, from 0 to 1. acoustic (batch, token, 24): log-mel frames, one for
    each 20 ms, from 0 (70 dB below the loudest cell of the clean utterance, or less) to 1. language (batch, token):
    ids into `vocabulary["language"]`; 0 is padding. Attributes: voice, language, speed and pitch of the utterance
    (named in `attribute_names`), scan (its number in scikit-learn's data), utterance (its number in the sound
    file), typing_errors (how many were made). Scan and utterance are of one digit, word and utterance of one
    language; a scan is used at most twice, an utterance once. `sound` plays the frames (`sing`), `picture` shows the
    rows (`show_rows`).

    Raises ConfigError for settings outside their range, DataError where the sound file is missing or damaged.
    """
    if not 0 <= noise <= 2:
        raise ConfigError(f"noise: {noise}, but a number from 0 to 2 is needed")
    if size not in range(200, LARGEST + 1, 200):
        raise ConfigError(f"size: {size}, but a multiple of 200 from 200 to {LARGEST} is needed")
    sound = _read(_sound_file())
    scans, scan_digits = load_scans()
    random = np.random.default_rng(seed)

    parts: dict[str, Any] = {}
    starts = np.cumsum(sound["lengths"].astype(int)) - sound["lengths"]
    for part, pairs in _pairs(scan_digits, sound, size, random).items():
        samples, errors = [], []
        for scan, utterance in pairs:
            frames = sound["frames"][starts[utterance] : starts[utterance] + sound["lengths"][utterance]]
            language = sound["language_names"][sound["language"][utterance]]
            word, typing_errors = _misspelt(WORDS[language][scan_digits[scan]], noise, random)
            errors.append(typing_errors)
            samples.append(
                {
                    "vision": _smudged(scans[scan], noise, random),
                    "acoustic": _noisy(frames / 255, noise, random),
                    "language": np.array([LETTERS.index(letter) for letter in word]),
                }
            )
        attributes = {name: sound[name][pairs[:, 1]].astype(np.int64) for name in NAMED}
        attributes |= {"scan": pairs[:, 0], "utterance": pairs[:, 1], "typing_errors": np.array(errors)}
        ids = np.arange(len(pairs)) + sum(map(len, parts.values()))
        parts[part] = collate(samples, labels=scan_digits[pairs[:, 0]], ids=ids, attributes=attributes, classes=10)
    return Split(
        **parts,
        label_names=tuple(map(str, range(10))),
        attribute_names={name: tuple(map(str, sound[f"{name}_names"])) for name in NAMED},
        vocabulary={"language": LETTERS},
        sound={"acoustic": partial(sing, tuple(parts.values()))},
        picture={"vision": partial(show_rows, tuple(parts.values()))},
        describe={"vision": describe_rows, "acoustic": describe_times, "language": _describe_letters},
    )


def sing(parts: Sequence[Batch], sample: int) -> tuple[Float[ndarray, "time"], int]:
    """What the model gets of a sample's sound, noise included: one sine for each band, as loud as the band says; and
    its rate in Hz. Raises DataError for an id that no part holds."""
    frames = _real_tokens(parts, sample, "acoustic")
    loud = np.where(frames > 0, 10 ** (-FLOOR_DB * (frames - 1) / 20), 0).repeat(RATE * HOP_MS // 1000, axis=0)
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    mel = np.linspace(lowest, highest, frames.shape[1] + 2)[1:-1]
    time = np.arange(len(loud))[:, None] / RATE
    tones = np.sin(2 * np.pi * 700 * (10 ** (mel / 2595) - 1) * time + np.arange(len(mel)) ** 2)
    waveform = (loud * tones).sum(axis=1)
    return (0.5 * waveform / max(abs(waveform).max(), 1e-6)).astype(np.float32), RATE


def show_rows(parts: Sequence[Batch], sample: int) -> Float[ndarray, "token row column"]:
    """What the model gets of a sample's scan, noise included: the scan once for each row, which is bright, the other
    rows dim. Raises DataError for an id that no part holds."""
    rows = _real_tokens(parts, sample, "vision")
    return rows[None] * np.where(np.eye(len(rows), dtype=bool), 1, DIM)[:, :, None]


def _real_tokens(parts: Sequence[Batch], sample: int, modality: str) -> Float[ndarray, "token feature"]:
    for part in parts:
        found = (part.ids == sample).nonzero()
        if len(found):
            row = int(found[0, 0])
            return part.tokens[modality][row][part.masks[modality][row]].double().numpy()
    raise DataError(f"sample: no id {sample} in the digits")


def load_scans() -> tuple[Float[ndarray, "scan row column"], Int64[ndarray, "scan"]]:
    """scikit-learn's 1,797 handwritten digits, from 0 to 1, and which digit each is."""
    scans, digit = require("sklearn.datasets", "data").load_digits(return_X_y=True)
    return scans.reshape(-1, 8, 8) / 16, digit


def _pairs(
    scan_digits: Int64[ndarray, "scan"],
    sound: dict[str, Shaped[ndarray, "..."]],
    size: int,
    random: np.random.Generator,
) -> dict[str, Int64[ndarray, "sample two"]]:
    """By part: which scan and which utterance make a sample, in mixed order. All of it is drawn before any noise."""
    pairs: dict[str, list[Int64[ndarray, "sample two"]]] = {part: [] for part in SHARES}
    for digit in range(10):
        unused = random.permutation(np.flatnonzero(scan_digits == digit))
        for part, share in SHARES.items():
            count = size // 200 * share
            chosen, unused = np.split(unused, [-(-count // 2)])
            fitting = (sound["digit"] == digit) & np.isin(sound["voice_names"][sound["voice"]], VOICES[part])
            spoken = random.choice(np.flatnonzero(fitting), count, replace=False)
            pairs[part].append(np.stack([np.tile(chosen, 2)[:count], spoken], axis=1))
    return {part: random.permutation(np.concatenate(of_digits)) for part, of_digits in pairs.items()}


def _smudged(scan: Float[ndarray, "row column"], noise: float, random: np.random.Generator) -> ndarray:
    """The scan with blank rows and noise on all pixels."""
    hidden = random.random(len(scan)) < HIDDEN_ROW * noise
    grain = random.normal(size=scan.shape) * PIXEL_NOISE * noise
    return np.clip(np.where(hidden[:, None], 0, scan) + grain, 0, 1)


def _noisy(frames: Float[ndarray, "token band"], noise: float, random: np.random.Generator) -> ndarray:
    """Noise added as power, which is how sounds add; then lost frames."""
    loudness = 10 ** (random.uniform(*SOUND_NOISE_DB) / 10) * noise**2
    power = 10 ** ((frames - 1) * -FLOOR_DB / 10) + loudness * random.exponential(size=frames.shape)
    level = np.clip(1 - 10 * np.log10(power) / FLOOR_DB, 0, 1)
    lost = random.random(len(frames)) < LOST_FRAME * noise
    return np.where(lost[:, None], 0, level)


def _misspelt(word: str, noise: float, random: np.random.Generator) -> tuple[str, int]:
    """The word with typing errors, and how many were made. A word keeps at least one letter."""
    errors = int(random.poisson(TYPING_ERROR * noise * len(word)))
    letters = list(word)
    for _ in range(errors):
        kind = random.choice(["substitute", "insert", "delete", "swap"]) if len(letters) > 1 else "insert"
        at = int(random.integers(len(letters) - (kind == "swap")))
        if kind == "delete":
            del letters[at]
        elif kind == "swap":
            letters[at : at + 2] = letters[at + 1], letters[at]
        else:
            letters[at : at + (kind == "substitute")] = random.choice(_neighbours(letters[at]))
    return "".join(letters), errors


def _neighbours(letter: str) -> list[str]:
    """The keys around a key, on an English keyboard without accents."""
    plain = letter.translate(PLAIN)
    row = next(i for i, keys in enumerate(KEYBOARD) if plain in keys)
    at = KEYBOARD[row].index(plain)
    near = [(row, at - 1), (row, at + 1), (row - 1, at), (row - 1, at + 1), (row + 1, at - 1), (row + 1, at)]
    return [KEYBOARD[r][c] for r, c in near if 0 <= r < len(KEYBOARD) and 0 <= c < len(KEYBOARD[r])]


def _sound_file() -> Path:
    """Beside this file in an installed wheel, under data/ in a checkout."""
    here = Path(__file__)
    installed = here.with_name("digits.npz")
    return installed if installed.exists() else here.parents[2] / "data" / "digits.npz"


def _read(path: Path) -> dict[str, Shaped[ndarray, "..."]]:
    """The arrays of the sound file, as data/make_digits.py wrote them."""
    by_utterance = ["lengths", "digit", *NAMED]
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ["frames", *by_utterance, *(f"{name}_names" for name in NAMED)]}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run data/make_digits.py or install clcrkit again") from None
    except Exception as error:  # a damaged file makes numpy and zipfile raise a dozen different kinds
        raise DataError(f"{path}: not the sound file of the digits, or damaged ({error})") from error
    frames, needed = len(arrays["frames"]), int(arrays["lengths"].sum())
    if frames != needed or len({len(arrays[name]) for name in by_utterance}) > 1:
        raise DataError(f"{path}: {frames} frames, but its utterances need {needed}; it is damaged")
    missing = {voice for part in VOICES.values() for voice in part} - set(arrays["voice_names"].tolist())
    if missing:
        raise DataError(f"{path}: has no voice {', '.join(sorted(missing))}; run data/make_digits.py again")
    return arrays


def describe_rows(tokens: Float[Tensor, "token feature"]) -> list[str]:
    return [f"row {i + 1}" for i in range(len(tokens))]


def describe_times(tokens: Float[Tensor, "token feature"]) -> list[str]:
    return [f"{i * HOP_MS} ms" for i in range(len(tokens))]


def _describe_letters(tokens: Int64[Tensor, "token"]) -> list[str]:
    return [LETTERS[i] for i in tokens.tolist()]
