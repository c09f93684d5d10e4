"""clip: a raw clip's tokens are those of its training set's loader, and a model whose tokens are unknown is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clcrkit import CLCR, CLCRConfig, ConfigError, DataError, Modality
from clcrkit.datasets import cremad, extract_features, from_arrays, from_folder
from clcrkit.pretrained import CachedLevels, with_stages
from clcrkit.resnet import ResNet
from clcrkit.training import load, save
from clcrkit.viz import clip
from tests.datasets import writers_media
from tests.datasets.test_extract import WORDS
from tests.datasets.writers_clips import clip_pixels, clip_sound, write_clip
from tests.test_pretrained import stage
from tests.test_resnet import tiny_resnet

pytest.importorskip("av")
SMALL: Any = {"width": 8, "rank": 4, "private_rank": 4, "heads": 2}
PIXELS, SOUND = clip_pixels(20), clip_sound(2.5)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import BertTokenizer

    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("\n".join(WORDS))
    return BertTokenizer(str(path))


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "video.mkv", PIXELS, SOUND)


def put_into(folder: Path, name: str) -> None:
    """The clip's content in the layout of CREMA-D, written without the decoder."""
    from scipy.io import wavfile

    wavfile.write(folder / "AudioWAV" / f"{name}.wav", 16_000, SOUND)
    frames = folder / "Image-01-FPS" / name
    frames.mkdir()
    for i in (0, 8, 16):
        Image.fromarray(PIXELS[i]).save(frames / f"{i:05d}.jpg", quality=95)


@pytest.mark.parametrize("pixels", [0, 32])
def test_tokens_and_answer_are_those_of_the_loader(tmp_path: Path, path: Path, pixels: int):
    writers_media.write_cremad(tmp_path / "data", 0)
    put_into(tmp_path / "data", "1001_IEO_XXX_XX")
    with open(tmp_path / "data" / "test.csv", "a") as file:
        file.write("1001_IEO_XXX_XX,SAD\n")
    split = cremad(tmp_path / "data", split="published", progress=False, pixels=pixels)
    shapes = {"acoustic": (1, 64, 64), "vision": (3, 32, 32)} if pixels else {}
    stages = {m: ResNet(shape, encoder=tiny_resnet(shape[0])) for m, shape in shapes.items()}
    model = with_stages(CLCR(CLCRConfig.of(split, standardise=not pixels, **SMALL)), stages).eval()
    save(model, tmp_path / "model.safetensors")
    explorer = clip(path, load(tmp_path / "model.safetensors", stages))
    one = split.test.select([len(split.test) - 1])
    for m, mask in explorer.trace.batch.masks.items():
        torch.testing.assert_close(explorer.trace.batch.tokens[m][mask], one.tokens[m][one.masks[m]], rtol=0, atol=0)
    torch.testing.assert_close(explorer.trace.prediction, model.trace(one).prediction)
    page = explorer.page()
    assert "neutral" in page
    assert explorer.payload.sound([0])["of"]["acoustic"][0]


def extracted(folder: Path, tokenizer) -> tuple[CLCR, dict]:
    """A model on extracted features of three modalities, from a manifest, and their encoders."""
    writers_media.write_cremad(folder / "data", 0)
    names = [p.stem for p in sorted((folder / "data" / "AudioWAV").iterdir())][:12]
    items: dict[str, dict[str, Any]] = {
        "voice": {n: folder / "data" / "AudioWAV" / f"{n}.wav" for n in names},
        "face": {n: folder / "data" / "Image-01-FPS" / n for n in names},
        "words": dict.fromkeys(names, "so good film"),
    }
    encoders = {"voice": stage("audio"), "face": stage("image"), "words": stage("text")}
    for m, each in items.items():
        extract_features(encoders[m], each, folder / "levels" / m, tokenizer, progress=False)
    lines = ["id,label,voice,face,words", *(
        f"{n},{i % 2},{','.join(f'{m}/{n}.safetensors' for m in items)}" for i, n in enumerate(names))]  # fmt: skip
    (folder / "levels" / "manifest.csv").write_text("\n".join(lines))
    return CLCR(CLCRConfig.of(from_folder(folder / "levels" / "manifest.csv"), **SMALL)), encoders


def test_extracted_features_are_made_by_the_same_encoders(tmp_path: Path, path: Path, tokenizer):
    model, encoders = extracted(tmp_path, tokenizer)
    model = with_stages(model, {m: CachedLevels(e.levels, e.width) for m, e in encoders.items()})
    explorer = clip(path, model, "good film", encoders, tokenizer)
    put_into(tmp_path / "data", "clip")
    its: dict[str, Any] = {"voice": tmp_path / "data/AudioWAV/clip.wav", "face": tmp_path / "data/Image-01-FPS/clip"}
    for m, item in {**its, "words": "good film"}.items():
        folder = extract_features(encoders[m], {"clip": item}, tmp_path / "again" / m, tokenizer, progress=False)
        from safetensors.torch import load_file

        torch.testing.assert_close(
            explorer.trace.batch.tokens[m][0], load_file(folder / "clip.safetensors")["features"]
        )
    assert "[CLS]" in str(explorer.payload.block([0]))
    other = stage("audio")
    with torch.no_grad():
        next(other.encoder.parameters()).add_(1.0)
    for wrong in ({**encoders, "voice": other}, {**encoders, "voice": stage("audio", levels=2)}, {}):
        with pytest.raises(ConfigError, match=r"encoders: .* for voice, but the model was trained on features of Pre"):
            clip(path, model, "good film", wrong, tokenizer)


def test_encoders_within_the_model_read_the_clip(path: Path, tokenizer):
    stages = {"voice": stage("audio"), "words": stage("text")}
    sizes = {"voice": Modality(stages["voice"].samples), "words": Modality(stages["words"].vocabulary, ids=True)}
    model = with_stages(CLCR(CLCRConfig(sizes, 2, **SMALL)), stages).eval()
    explorer = clip(path, model, "so good", tokenizer=tokenizer)
    assert explorer.trace.batch.tokens["words"].tolist() == [tokenizer("so good")["input_ids"]]
    heard = explorer.trace.batch.tokens["voice"].flatten()[: len(SOUND)]
    np.testing.assert_array_equal(heard, SOUND.astype(np.float32) / 2**15)
    with pytest.raises(ConfigError, match="tokenizer: none given"):
        clip(path, model, "so good")
    with pytest.warns(UserWarning, match="words: no text; the modality is missing"):
        assert not clip(path, model, tokenizer=tokenizer).trace.batch.masks["words"].any()


def test_what_a_clip_lacks_is_missing_or_refused(tmp_path: Path):
    writers_media.write_cremad(tmp_path / "data", 0)
    model = CLCR(CLCRConfig.of(cremad(tmp_path / "data", progress=False), **SMALL)).eval()
    silent = write_clip(tmp_path / "silent.mkv", PIXELS, None)
    with pytest.warns(UserWarning, match=r"silent.mkv: acoustic: no sound; the modality is missing"):
        explorer = clip(silent, model)
    assert not explorer.trace.batch.masks["acoustic"].any()
    assert explorer.page()
    with pytest.warns(UserWarning, match=r"vision: no frames"):
        clip(write_clip(tmp_path / "unseen.mkv", None, SOUND), model)


def test_a_model_of_unknown_features_is_refused_with_the_cure(path: Path):
    random = np.random.default_rng(0)
    arrays = {"a": random.normal(size=(30, 4, 3)), "b": random.normal(size=(30, 4, 3))}
    model = CLCR(CLCRConfig.of(from_arrays(arrays, np.arange(30) % 2), **SMALL))
    with pytest.raises(ConfigError, match=r"a: nothing tells what made .*extract_features.*CLCRConfig.of\(split\)"):
        clip(path, model)
    with pytest.raises(DataError, match="no such file"):
        clip("gone.mp4", with_stages(CLCR(CLCRConfig({"a": Modality(8), "b": Modality(8)}, 2, **SMALL)),
                                     {"a": stage("audio"), "b": stage("audio")}))  # fmt: skip
