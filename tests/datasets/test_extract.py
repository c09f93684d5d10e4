"""extract_features: the files hold the encoder's levels, a killed run goes on, and loaders and models take them."""

import datetime
import io
import json
import wave
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from clcrkit import CLCR, CLCRConfig, ConfigError, DataError
from clcrkit.datasets import check, convert, cremad, extract_features, sharded
from clcrkit.datasets.extract import made_by, prepare
from clcrkit.pretrained import CachedLevels, PretrainedText, with_stages
from tests.datasets import writers_media as writers
from tests.test_pretrained import stage

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "so", "good", "bad", "film", "##s"]


class _Today(datetime.date):
    @classmethod
    def today(cls) -> Any:
        return cls(2026, 1, 1)


@pytest.fixture
def tokenizer(tmp_path: Path):
    from transformers import BertTokenizer

    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    return BertTokenizer(str(tmp_path / "vocab.txt"))


def test_files_hold_the_levels_of_each_item(tmp_path: Path, tokenizer):
    read = stage("text")
    texts = {"a": "so good", "b": "bad films so bad", "c": "film"}
    extract_features(read, texts, tmp_path / "text", tokenizer, batch_size=2, progress=False)
    for name, text in texts.items():
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        expected = read(ids, torch.ones_like(ids, dtype=torch.bool))[0].transpose(0, 1).flatten(1)
        (features,) = load_file(tmp_path / "text" / f"{name}.safetensors").values()
        np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)
        assert features.shape == (len(tokenizer.tokenize(text)) + 2, 3 * 16)
    with pytest.raises(ConfigError, match="tokenizer"):
        extract_features(read, texts, tmp_path / "other")


def test_a_run_that_was_stopped_goes_on_and_makes_nothing_twice(tmp_path: Path, tokenizer, monkeypatch):
    monkeypatch.setattr("datetime.date", _Today)  # midnight may come between two runs
    texts = {f"t{i}": "so good" * (1 + i % 3) for i in range(10)}
    read = stage("text")
    seen = []
    forward = PretrainedText.forward

    def counted(self, tokens, mask):
        seen.append(len(tokens))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return forward(self, tokens, mask)

    monkeypatch.setattr(PretrainedText, "forward", counted)
    with pytest.raises(KeyboardInterrupt):
        extract_features(read, texts, tmp_path / "text", tokenizer, batch_size=2, progress=False)
    assert len(list((tmp_path / "text").iterdir())) == 4
    extract_features(read, texts, tmp_path / "text", tokenizer, batch_size=2, progress=False)
    assert sum(seen[3:]) == 6
    extract_features(read, texts, tmp_path / "whole", tokenizer, batch_size=2, progress=False)
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "text" / path.name).read_bytes()
    with pytest.raises(DataError, match="made by another encoder"):
        extract_features(stage("text", levels=2), texts, tmp_path / "text", tokenizer, progress=False)


def test_from_cremad_media_to_a_model_on_levels(tmp_path: Path):
    writers.write_cremad(tmp_path / "data", 0)
    names = cremad(tmp_path / "data", progress=False).attribute_names["name"]
    encoders = {"acoustic": stage("audio"), "vision": stage("image")}
    items = {
        "acoustic": {name: tmp_path / "data" / "AudioWAV" / f"{name}.wav" for name in names},
        "vision": {name: tmp_path / "data" / "Image-01-FPS" / name for name in names},
    }
    for m, encoder in encoders.items():
        extract_features(encoder, items[m], tmp_path / "levels" / m, progress=False)
    split = cremad(tmp_path / "data", features_folder=tmp_path / "levels", progress=False)
    config = CLCRConfig.of(split.train, outputs=6, width=8, rank=4, private_rank=4, heads=2)
    model = with_stages(CLCR(config), {m: CachedLevels(e.levels, e.width) for m, e in encoders.items()})
    assert torch.isfinite(model.losses(split.train).total)
    frames = len(list(items["vision"][names[0]].iterdir()))
    (features,) = load_file(tmp_path / "levels" / "vision" / f"{names[0]}.safetensors").values()
    assert features.shape == (frames, 48)


def test_sound_of_another_rate_is_brought_to_16_khz(tmp_path: Path):
    time = np.arange(8_000) / 8_000
    sound = (0.5 * np.sin(2 * np.pi * 440 * time) * 32767).astype("<i2")
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(sound.tobytes())
    (tmp_path / "a.wav").write_bytes(written.getvalue())
    tokens = prepare(stage("audio"), tmp_path / "a.wav")
    assert tokens.shape == (2_000, 8)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(tokens.ravel()[100:-100], expected[100:-100], atol=0.01)


def test_items_that_cannot_be_read_are_refused_by_name(tmp_path: Path):
    with pytest.raises(DataError, match="gone"):
        extract_features(stage("audio"), {"a": tmp_path / "gone.wav"}, tmp_path / "out", progress=False)
    with pytest.raises(DataError, match="gone"):
        extract_features(stage("image"), {"a": tmp_path / "gone"}, tmp_path / "out", progress=False)
    with pytest.raises(DataError, match="plain name"):
        extract_features(stage("audio"), {"../a": tmp_path / "gone.wav"}, tmp_path / "out", progress=False)


def test_who_made_the_features_is_kept_shown_and_never_mixed(tmp_path: Path, tokenizer):
    writers.write_cremad(tmp_path / "data", 0)
    names = cremad(tmp_path / "data", progress=False).attribute_names["name"]
    sounds = {name: tmp_path / "data" / "AudioWAV" / f"{name}.wav" for name in names}
    pictures = {name: tmp_path / "data" / "Image-01-FPS" / name for name in names}
    extract_features(stage("audio"), sounds, tmp_path / "levels" / "acoustic", progress=False)
    extract_features(stage("image"), pictures, tmp_path / "levels" / "vision", progress=False)
    options: dict[str, Any] = {"features_folder": tmp_path / "levels", "progress": False}
    split = cremad(tmp_path / "data", **options)
    shown = repr(check(split))
    for told in ("acoustic: made by PretrainedAudio Wav2Vec2Model, layers 2, 4, 6, weights ", "vision: made by",
                 f"transformers {version('transformers')}", str(datetime.date.today())):  # fmt: skip
        assert told in shown
    assert str(tmp_path) not in shown
    kept = cremad(tmp_path / "data", shards=tmp_path / "shards", **options)
    assert kept.sources == sharded(tmp_path / "shards").sources == split.sources
    convert(split, tmp_path / "converted", progress=False)
    assert sharded(tmp_path / "converted").sources == split.sources
    config = CLCRConfig.of(split, width=8, heads=2)
    assert config.modalities["acoustic"].made_by == split.sources["acoustic"].made_by
    assert CLCRConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    one = tmp_path / "levels" / "acoustic" / f"{names[0]}.safetensors"
    one.unlink()
    extract_features(stage("audio", levels=1), {"a": sounds[names[0]]}, tmp_path / "other", progress=False)
    features = load_file(tmp_path / "other" / "a.safetensors")["features"]
    (tmp_path / "other" / "a.safetensors").rename(one)
    with pytest.raises(DataError, match=r"acoustic: features made in 2 ways .*layers 6, .*; extract all of them"):
        cremad(tmp_path / "data", **options)
    one.unlink()
    np.save(one.with_suffix(".npy"), features.repeat(3, axis=1))
    with pytest.raises(DataError, match=r"features made in 2 ways .*unknown"):
        cremad(tmp_path / "data", **options)


def test_weights_layers_and_scale_tell_encoders_apart():
    texts = {made_by(stage("image")), made_by(stage("image", levels=2)), made_by(stage("image", scale=0.4))}
    other = stage("image")
    with torch.no_grad():
        next(other.encoder.parameters()).flatten()[0] += 1e-3
    assert len({*texts, made_by(other)}) == 4
    assert made_by(stage("image")) in texts
    named = stage("image")
    named.encoder.config.name_or_path = "/home/someone/models/vit"
    assert "someone" not in made_by(named)
    assert " vit, layers" in made_by(named)
