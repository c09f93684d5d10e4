"""Pretrained encoders: the states they give are transformers' own, whatever the padding; frozen means frozen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError, Modality
from clcrkit.baselines import LateFusion
from clcrkit.pretrained import CachedLevels, PretrainedAudio, PretrainedImage, PretrainedText, with_stages

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2, "intermediate_size": 32}


def tiny_text(kind: str = "Bert", **options: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=50, max_position_embeddings=40, pad_token_id=1, **{**SMALL, **options}
    )
    return getattr(transformers, f"{kind}Model")(config)


def tiny_audio(norm: str = "group"):
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        conv_dim=(8, 8), conv_stride=(4, 2), conv_kernel=(6, 3), num_feat_extract_layers=2, feat_extract_norm=norm,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, **SMALL,
    )  # fmt: skip
    return transformers.Wav2Vec2Model(config)


def tiny_image():
    torch.manual_seed(0)
    return transformers.ViTModel(transformers.ViTConfig(image_size=8, patch_size=4, **SMALL))


def inputs(kind: str, batch: int = 5, length: int = 9):
    draw = torch.Generator().manual_seed(1)
    mask = torch.rand(batch, length, generator=draw) < 0.7
    mask[:, 0] = True
    mask[1] = False
    if kind == "text":
        return torch.randint(2, 50, (batch, length), generator=draw), mask
    width = {"audio": 8, "image": 3 * 8 * 8}[kind]
    return torch.rand(batch, length, width, generator=draw), mask


def stage(kind: str, **settings):
    made: dict[str, Any] = {
        "text": (PretrainedText, tiny_text),
        "audio": (PretrainedAudio, tiny_audio),
        "image": (PretrainedImage, tiny_image),
    }
    wrapper, encoder = made[kind]
    return wrapper(encoder(), **settings).eval()


KINDS = ["text", "audio", "image"]


@pytest.mark.parametrize("kind", KINDS)
def test_depths_are_spread_evenly_and_end_at_the_last_layer(kind: str):
    assert stage(kind).depths == [2, 4, 6]
    assert stage(kind, levels=1).depths == [6]
    assert stage(kind, levels=4).depths == [1, 3, 4, 6]


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DistilBert"])
def test_text_states_are_those_of_each_text_alone(kind: str):
    if kind == "DistilBert":
        config = transformers.DistilBertConfig(vocab_size=50, max_position_embeddings=40, dim=16, n_layers=6, n_heads=2)
        encoder = transformers.DistilBertModel(config)
    else:
        encoder = tiny_text(kind)
    tokens, mask = inputs("text")
    text = PretrainedText(encoder).eval()
    levels = text(tokens, mask)
    for row in range(len(tokens)):
        if mask[row].any():
            with torch.no_grad():
                states = encoder(input_ids=tokens[row][mask[row]][None], output_hidden_states=True).hidden_states
            for level, depth in enumerate((2, 4, 6)):
                torch.testing.assert_close(levels[row, level][mask[row]], states[depth][0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_audio_states_are_those_of_each_sound_alone(norm: str):
    encoder = tiny_audio(norm)
    tokens, mask = inputs("audio")
    levels = PretrainedAudio(encoder).eval()(tokens, mask)
    for row in range(len(tokens)):
        if mask[row].any():
            sound = tokens[row][mask[row]].flatten().numpy()
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
            sound = np.pad(sound, (0, 14 - 8))  # a frame sees 6 + (3 - 1) * 4 samples and moves by 8
            with torch.no_grad():
                states = encoder(torch.from_numpy(sound)[None], output_hidden_states=True).hidden_states
            assert states[2].shape[1] == mask[row].sum()
            for level, depth in enumerate((2, 4, 6)):
                torch.testing.assert_close(levels[row, level][mask[row]], states[depth][0], atol=1e-5, rtol=1e-5)


def test_the_real_wav2vec2_has_a_token_every_320_samples_and_sees_400():
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        conv_dim=(4,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, **SMALL
    )
    audio = PretrainedAudio(transformers.Wav2Vec2Model(config)).eval()
    assert (audio.samples, audio._reach) == (320, 400)
    assert audio(torch.rand(2, 3, 320), torch.ones(2, 3, dtype=torch.bool)).shape == (2, 3, 3, 16)


def test_image_states_are_means_over_the_places_of_each_frame():
    encoder = tiny_image()
    tokens, mask = inputs("image")
    levels = PretrainedImage(encoder).eval()(tokens, mask)
    for row, token in mask.nonzero().tolist():
        frame = tokens[row, token].reshape(1, 3, 8, 8) * 2 - 1
        with torch.no_grad():
            states = encoder(frame, output_hidden_states=True).hidden_states
        for level, depth in enumerate((2, 4, 6)):
            torch.testing.assert_close(levels[row, level, token], states[depth][0].mean(0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_what_lies_under_it_change_nothing(kind: str):
    tokens, mask = inputs(kind)
    read = stage(kind)
    levels = read(tokens, mask)
    assert not levels[~mask[:, None].expand(-1, 3, -1)].any()
    garbage = torch.where((mask if kind == "text" else mask[..., None]), tokens, tokens.flip(0))
    torch.testing.assert_close(read(garbage, mask), levels, atol=1e-5, rtol=1e-5)
    for before, after in ((0, 4), (3, 0)):
        wide = torch.zeros(len(tokens), before + 9 + after, *tokens.shape[2:], dtype=tokens.dtype)
        wide_mask = torch.zeros(wide.shape[:2], dtype=torch.bool)
        wide[:, before : before + 9], wide_mask[:, before : before + 9] = tokens, mask
        torch.testing.assert_close(read(wide, wide_mask)[:, :, before : before + 9], levels, atol=1e-5, rtol=1e-5)
    nobody = torch.zeros_like(mask)
    assert not read(tokens, nobody).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tuned", [0, 2])
def test_only_the_top_layers_are_trained(kind: str, tuned: int):
    read = stage(kind, tuned=tuned)
    before = {name: p.clone() for name, p in read.named_parameters()}
    read.train()
    tokens, mask = inputs(kind)
    levels = read(tokens, mask)
    assert levels.requires_grad == bool(tuned)
    if tuned:
        levels.square().sum().backward()
        with torch.no_grad():
            for p in read.parameters():
                if p.grad is not None:
                    p -= p.grad
    changed = {name for name, p in read.named_parameters() if not torch.equal(p, before[name])}
    layers = {int(part) for name in changed for part in name.split(".") if part.isdigit() and "layer" in name}
    assert all("layer" in name for name in changed)
    assert (len(changed) > 0) == bool(tuned)
    assert layers <= {4, 5} or not tuned
    again = stage(kind, tuned=0).train()
    torch.testing.assert_close(again(tokens, mask), again(tokens, mask))  # frozen layers do not drop out


def made_batch(read, kind: str) -> Batch:
    tokens, mask = inputs(kind)
    mask[1, 0] = True
    other = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(2))
    return Batch.from_arrays({"it": tokens, "other": other}, labels=[0, 1, 0, 1, 1], masks={"it": mask})


def small_config(batch: Batch, **modality) -> CLCRConfig:
    modalities = {"it": Modality(**modality), "other": Modality(3)}
    return CLCRConfig.of(batch, modalities=modalities, width=8, rank=4, private_rank=4, heads=2, dropout=0.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [CLCR, LateFusion])
def test_cached_levels_predict_what_the_encoder_inside_the_model_predicts(kind: str, model):
    read = stage(kind)
    batch = made_batch(read, kind)
    size = {"text": {"size": 50, "ids": True}, "audio": {"size": 8}, "image": {"size": 192}}[kind]
    live = with_stages(model(small_config(batch, **size)), {"it": read}).eval()
    with torch.no_grad():
        folded = read(batch.tokens["it"], batch.masks["it"]).transpose(1, 2).flatten(2)
    kept = Batch.from_arrays({**batch.tokens, "it": folded}, labels=batch.labels, masks=batch.masks)
    cached = with_stages(model(small_config(kept, size=48)), {"it": CachedLevels(3, 16)}).eval()
    missing, extra = cached.load_state_dict(
        {n: v for n, v in live.state_dict().items() if "stages.encoder" not in n}, strict=False
    )
    assert not extra
    assert not missing
    torch.testing.assert_close(live(batch), cached(kept), atol=1e-5, rtol=1e-5)
    live.losses(batch).total.backward()
    assert live.encoders["it"].project.grad is not None
    assert all(p.grad is None for p in read.parameters())


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="levels: 7, but it must be from 1 to the encoder's 6 layers"):
        PretrainedText(tiny_text(), levels=7)
    with pytest.raises(ConfigError, match="tuned: 7"):
        PretrainedText(tiny_text(), tuned=7)
    read = stage("text")
    batch = made_batch(read, "text")
    model = CLCR(small_config(batch, size=50, ids=True))
    with pytest.raises(ConfigError, match="video is no modality; there are it, other"):
        with_stages(model, {"video": read})
    with pytest.raises(ConfigError, match="2 levels for it, but this model has 3"):
        with_stages(model, {"it": stage("text", levels=2)})
    with pytest.raises(DataError, match="41 in a sample, but this encoder takes 40"):
        read(torch.ones(1, 41, dtype=torch.long), torch.ones(1, 41, dtype=torch.bool))
    with pytest.raises(DataError, match="7 samples each, but this encoder needs 8"):
        stage("audio")(torch.zeros(1, 2, 7), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(DataError, match="5 features, but 3 levels of 16"):
        CachedLevels(3, 16)(torch.zeros(1, 2, 5), torch.ones(1, 2, dtype=torch.bool))


def test_a_local_folder_is_loaded_from_safetensors_only(tmp_path: Path):
    encoder = tiny_text()
    encoder.save_pretrained(tmp_path / "bert")
    loaded = PretrainedText(str(tmp_path / "bert"), local_files_only=True).eval()
    tokens, mask = inputs("text")
    torch.testing.assert_close(loaded(tokens, mask), PretrainedText(encoder).eval()(tokens, mask))
    (weights,) = (tmp_path / "bert").glob("*.safetensors")
    torch.save(encoder.state_dict(), tmp_path / "bert" / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(DataError, match="no encoder with weights in safetensors"):
        PretrainedText(str(tmp_path / "bert"), local_files_only=True)
    with pytest.raises(DataError, match="nothing"):
        PretrainedText(str(tmp_path / "nothing"), local_files_only=True)
