import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from clcrkit.datasets import Split, digits
from clcrkit.datasets.digits import LETTERS, VOICES, WORDS, _misspelt, _neighbours, _read, _sound_file
from clcrkit.datasets.readers.sound import HIGHEST_HZ, LOWEST_HZ, log_mel
from clcrkit.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
PARTS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def clean() -> Split:
    return digits(noise=0.0)


@pytest.fixture(scope="module")
def noisy() -> Split:
    return digits()


@pytest.fixture(scope="module")
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_digits", ROOT / "data" / "make_digits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words_of(split: Split, part: str) -> list[str]:
    batch = getattr(split, part)
    rows = zip(batch.tokens["language"], batch.masks["language"], strict=True)
    return ["".join(split.describe["language"](tokens[mask])) for tokens, mask in rows]


@pytest.mark.parametrize("seed", [0, 7])
def test_no_voice_scan_or_utterance_is_in_two_parts(seed: int) -> None:
    split = digits(seed=seed)
    for name in ("voice", "scan", "utterance"):
        seen = [set(getattr(split, part).attributes[name].tolist()) for part in PARTS]
        assert sum(map(len, seen)) == len(set.union(*seen)), name
    for part in PARTS:
        attributes = getattr(split, part).attributes
        assert attributes["scan"].bincount().max() == 2
        assert attributes["utterance"].bincount().max() == 1
        heard = {split.attribute_names["voice"][v] for v in attributes["voice"].tolist()}
        assert heard == set(VOICES[part])


@pytest.mark.parametrize("size", [200, 3400])
def test_every_digit_is_equally_frequent_and_ids_are_unique(size: int) -> None:
    split = digits(size=size)
    counts = [getattr(split, part).labels.bincount(minlength=10).tolist() for part in PARTS]
    assert counts == [[round(size * share / 10)] * 10 for share in (0.6, 0.15, 0.25)]
    ids = torch.cat([getattr(split, part).ids for part in PARTS])
    assert len(set(ids.tolist())) == size


def test_the_seed_decides_everything() -> None:
    splits = [digits(size=400, seed=seed) for seed in (0, 0, 1)]
    for part in PARTS:
        first, same, different = (getattr(split, part) for split in splits)
        for modality in first.modalities:
            assert torch.equal(first.tokens[modality], same.tokens[modality])
            assert torch.equal(first.masks[modality], same.masks[modality])
        assert not torch.equal(first.attributes["scan"], different.attributes["scan"])
        assert not torch.equal(first.tokens["vision"], different.tokens["vision"])


def test_noise_changes_tokens_and_not_which_samples_there_are(clean: Split, noisy: Split) -> None:
    for part in PARTS:
        quiet, loud = getattr(clean, part), getattr(noisy, part)
        for name in ("scan", "utterance", "voice", "language"):
            assert torch.equal(quiet.attributes[name], loud.attributes[name])
        assert (quiet.tokens["vision"] != loud.tokens["vision"]).any((1, 2)).all()
        assert (quiet.tokens["acoustic"] != loud.tokens["acoustic"]).any((1, 2)).all()
        assert quiet.attributes["typing_errors"].sum() == 0
        assert loud.attributes["typing_errors"].float().mean() > 1


def test_without_noise_the_words_are_those_of_the_list(clean: Split) -> None:
    for part in PARTS:
        batch = getattr(clean, part)
        languages = [clean.attribute_names["language"][i] for i in batch.attributes["language"].tolist()]
        wanted = [WORDS[code][digit] for code, digit in zip(languages, batch.labels.tolist(), strict=True)]
        assert words_of(clean, part) == wanted
        assert set(languages) == set(WORDS)


def test_without_noise_the_scans_are_those_of_scikit_learn(clean: Split) -> None:
    scans = load_digits()
    for part in PARTS:
        batch = getattr(clean, part)
        index = batch.attributes["scan"].numpy()
        np.testing.assert_array_equal(batch.labels, scans.target[index])
        np.testing.assert_allclose(batch.tokens["vision"] * 16, scans.images[index])


def test_without_noise_the_sound_is_the_file_s(clean: Split) -> None:
    with np.load(ROOT / "data" / "digits.npz", allow_pickle=False) as file:
        frames = np.split(file["frames"], np.cumsum(file["lengths"])[:-1])
        digit = file["digit"]
    labels = clean.test.labels
    assert labels is not None
    for i in range(0, len(clean.test), 40):
        utterance = int(clean.test.attributes["utterance"][i])
        heard = clean.test.tokens["acoustic"][i][clean.test.masks["acoustic"][i]]
        np.testing.assert_allclose(heard * 255, frames[utterance], atol=1e-3)
        assert digit[utterance] == labels[i]


def test_what_is_played_has_the_bands_that_the_model_gets(clean: Split) -> None:
    for sample in clean.test.ids[:5].tolist():
        waveform, rate = clean.sound["acoustic"](sample)
        row = (clean.test.ids == sample).nonzero()[0, 0]
        frames = clean.test.tokens["acoustic"][row][clean.test.masks["acoustic"][row]].numpy()
        assert len(waveform) == len(frames) * rate // 50
        heard = log_mel(waveform, rate, bands=frames.shape[1], hop=0.02)
        assert np.corrcoef(heard[: len(frames)].ravel(), frames[: len(heard)].ravel())[0, 1] > 0.6
    with pytest.raises(DataError, match="no id 9999"):
        clean.sound["acoustic"](9999)


@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0])
def test_values_masks_and_padding(noise: float) -> None:
    split = digits(noise=noise, size=400)
    for part in PARTS:
        batch = getattr(split, part)
        assert batch.modalities == ("vision", "acoustic", "language")
        for modality in batch.modalities:
            tokens, mask = batch.tokens[modality], batch.masks[modality]
            lengths = mask.sum(1)
            assert lengths.min() >= 1
            assert torch.equal(mask, torch.arange(mask.shape[1]) < lengths[:, None])
            assert (tokens[~mask] == 0).all()
        for modality in ("vision", "acoustic"):
            tokens = batch.tokens[modality]
            assert tokens.isfinite().all()
            assert 0 <= tokens.min() < tokens.max() <= 1
        assert batch.masks["vision"].all()
        letters = batch.tokens["language"]
        assert (letters[batch.masks["language"]] > 0).all()
        assert letters.max() < len(split.vocabulary["language"])


def test_what_pictures_write_beside_a_token(noisy: Split) -> None:
    assert noisy.describe["vision"](noisy.train.tokens["vision"][0])[:2] == ["row 1", "row 2"]
    assert noisy.describe["acoustic"](noisy.train.tokens["acoustic"][0])[6] == "120 ms"
    assert noisy.vocabulary["language"][0] == ""
    assert noisy.describe["language"](torch.tensor([LETTERS.index("z"), 0])) == ["z", ""]
    for name, names in noisy.attribute_names.items():
        assert int(noisy.train.attributes[name].max()) < len(names)


def distance(one: str, other: str) -> int:
    """Edit distance with swaps of neighbours (optimal string alignment)."""
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    table[:, 0], table[0] = range(len(one) + 1), range(len(other) + 1)
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            different = one[i - 1] != other[j - 1]
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + different)
            if i > 1 and j > 1 and (one[i - 2], one[i - 1]) == (other[j - 1], other[j - 2]):
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return int(table[-1, -1])


@given(st.sampled_from(sorted({w for words in WORDS.values() for w in words})), st.integers(0, 10**6))
def test_one_typing_error_is_one_edit(word: str, seed: int) -> None:
    typed, errors = _misspelt(word, 0.4, np.random.default_rng(seed))
    assert 1 <= len(typed) <= len(word) + errors
    assert set(typed) <= set(LETTERS)
    if errors <= 1:
        assert distance(word, typed) <= errors


def test_neighbours_are_mutual_and_next_to_the_key() -> None:
    assert set(_neighbours("g")) == set("fhtyvb")
    assert set(_neighbours("é")) == set(_neighbours("e"))
    for letter in LETTERS[3:]:
        assert all(letter in _neighbours(near) for near in _neighbours(letter))


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"noise": -0.1}, "noise"),
        ({"noise": 2.1}, "noise"),
        ({"noise": float("nan")}, "noise"),
        ({"size": 0}, "size"),
        ({"size": 250}, "size"),
        ({"size": 3600}, "size"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{named}: .*(is needed|must be)"):
        digits(**setting)


def test_the_shipped_file_is_small_and_holds_no_pickle() -> None:
    path = ROOT / "data" / "digits.npz"
    assert path.stat().st_size < 4_000_000
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert arrays["frames"].dtype == np.uint8
    assert len(arrays["frames"]) == arrays["lengths"].sum()
    assert "1." in str(arrays["made_with"])


@given(st.data())
def test_a_damaged_file_is_refused_or_reads_as_before(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = _sound_file().read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("damaged") / "digits.npz"
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    try:
        arrays = _read(path)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017 (a flipped byte in an unread part of the zip is no damage)
    else:
        for name, array in _read(_sound_file()).items():
            np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("change", ["lengths", "voice_names", "frames", None])
def test_a_file_whose_arrays_do_not_fit_is_refused(tmp_path: Path, change: str | None) -> None:
    arrays = _read(_sound_file())
    path = tmp_path / "digits.npz"
    if change is not None:
        arrays[change] = arrays[change][:-1]
        np.savez(path, allow_pickle=False, **arrays)
    with pytest.raises(DataError, match=r"make_digits|damaged"):
        _read(path)


@pytest.mark.parametrize("hertz", [200.0, 1_000.0, 3_000.0, 7_000.0])
def test_a_pure_tone_is_loudest_in_its_band(maker: Any, hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(maker.RATE_HZ) / maker.RATE_HZ)
    decibels = maker.log_mel(tone)
    # The HTK mel scale in its natural-logarithm form, where the code has the decimal one.
    mel = [1127 * np.log1p(f / 700) for f in (LOWEST_HZ, hertz, HIGHEST_HZ)]
    band = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (maker.BANDS + 1) - 1
    assert (decibels.argmax(1) == round(band)).all()
    assert decibels.shape == (1 + (maker.RATE_HZ - maker.WINDOW) // maker.HOP, maker.BANDS)
    assert decibels.max() == 0


def test_ten_times_the_sound_is_twenty_decibels_and_the_order_of_time_is_kept(maker: Any) -> None:
    time = np.arange(maker.RATE_HZ // 2) / maker.RATE_HZ
    tone = np.sin(2 * np.pi * 1_000 * time)
    decibels = maker.log_mel(np.concatenate([tone, tone / 10])).max(1)
    np.testing.assert_allclose(decibels[2:20], 0, atol=0.1)
    np.testing.assert_allclose(decibels[-20:-2], -20, atol=0.1)


def test_silence_is_the_floor_and_is_cut_off_around_a_sound(maker: Any) -> None:
    silence = np.zeros(maker.RATE_HZ // 2)
    assert (maker.log_mel(silence) == maker.FLOOR_DB).all()
    sound = np.sin(np.arange(maker.RATE_HZ // 2))
    kept = maker.trim(maker.log_mel(np.concatenate([silence, sound, silence])))
    assert abs(len(kept) - len(sound) / maker.HOP) <= 2
    assert maker.quantise(np.array([[maker.FLOOR_DB, maker.FLOOR_DB / 2, 0.0]])).tolist() == [[0, 128, 255]]


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_script_still_makes_what_the_file_holds(maker: Any) -> None:
    arrays = _read(_sound_file())
    with np.load(_sound_file(), allow_pickle=False) as file:
        if str(file["made_with"]) != maker.version():
            pytest.skip(f"the file was made with {file['made_with']}, and this is {maker.version()}")
    starts = np.cumsum(arrays["lengths"].astype(int)) - arrays["lengths"]
    for i in range(0, len(starts), 400):
        code = str(arrays["language_names"][arrays["language"][i]])
        word, voice = WORDS[code][arrays["digit"][i]], str(arrays["voice_names"][arrays["voice"][i]])
        sound = maker.speak(word, code, voice, maker.SPEEDS[arrays["speed"][i]], maker.PITCHES[arrays["pitch"][i]])
        made = maker.quantise(maker.trim(maker.log_mel(sound))).astype(int)
        stored = arrays["frames"][starts[i] : starts[i] + arrays["lengths"][i]]
        np.testing.assert_allclose(made, stored, atol=1)  # rounding, on another machine
