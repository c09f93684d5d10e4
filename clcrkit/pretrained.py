"""Levels from pretrained encoders: hidden states of an early, a middle and a late layer. Needs clcrkit[pretrained].

[paper] reads language at three depths of a pretrained BERT. [ours] The depths are spread evenly (layers 4, 8 and 12
of 12), and sound and pictures may be read in the same way. Three kinds of use, from cheap to dear:

cached      `datasets.extract_features` runs the encoder once over the data, and `CachedLevels` reads its files
frozen      the encoder runs at every step, and only what comes after it is trained (`tuned=0`)
fine-tuned  its top `tuned` layers are trained as well

`with_stages(CLCR(config), {"language": PretrainedText("bert-base-uncased")})` puts one into a model, CLCR or
baseline, in place of its own stages.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from clcrkit.errors import ConfigError, DataError, require

Model = TypeVar("Model", bound=nn.Module)


class CachedLevels(nn.Module):
    """Stages for features that were extracted before: `levels` times `width` numbers a token, shallow ones first."""

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        self.levels, self.width = levels, width

    def forward(
        self, tokens: Float[Tensor, "batch token feature"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        if tokens.shape[-1] != self.levels * self.width:
            raise DataError(f"tokens: {tokens.shape[-1]} features, but {self.levels} levels of {self.width} are needed")
        return tokens.unflatten(-1, (self.levels, self.width)).transpose(1, 2)


def loaded(encoder: Any, local_files_only: bool = False) -> Any:
    """The transformers model of this name or folder, from safetensors files only; a model as it is. Raises DataError
    where there is none."""
    if not isinstance(encoder, str | os.PathLike):
        return encoder
    transformers = require("transformers", "pretrained")
    try:
        return transformers.AutoModel.from_pretrained(
            encoder, use_safetensors=True, trust_remote_code=False, local_files_only=local_files_only
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{encoder}: no encoder with weights in safetensors ({reason})") from error


def filled(
    levels: Float[Tensor, "batch level token width"],
    mask: Bool[Tensor, "batch token"],
    states: Float[Tensor, "real level width"],
) -> Float[Tensor, "batch level token width"]:
    """`levels` with the states of these tokens, in the order of the mask."""
    return levels.transpose(1, 2).masked_scatter(mask[..., None, None], states).transpose(1, 2)


class Pretrained(nn.Module):
    """What the three encoders have in common: which layers are read, and which are trained.

    encoder           a transformers model, or the name or the folder of one. It is loaded from safetensors files
                      only, and no code that comes with it is run
    levels            how many depths are read, evenly spread; the last is the last layer
    tuned             how many of the top layers are trained; all others are frozen, without dropout
    local_files_only  never ask the hub
    Raises ConfigError for levels or tuned beyond the encoder's layers.
    """

    pretrained = True  # its weights are trained at a smaller rate (`TrainConfig.pretrained_rate`)

    def __init__(self, encoder: Any, levels: int = 3, tuned: int = 0, local_files_only: bool = False) -> None:
        super().__init__()
        self.encoder = encoder = loaded(encoder, local_files_only)
        layers = encoder.config.num_hidden_layers
        for name, value, least in (("levels", levels, 1), ("tuned", tuned, 0)):
            if not least <= value <= layers:
                raise ConfigError(f"{name}: {value}, but it must be from {least} to the encoder's {layers} layers")
        self.levels, self.width = levels, int(encoder.config.hidden_size)
        self.depths = [layers * (level + 1) // levels for level in range(levels)]
        encoder.requires_grad_(False).eval()
        stack = next(m for m in encoder.modules() if isinstance(m, nn.ModuleList) and len(m) == layers)
        self._tuned = list(stack)[layers - tuned :]
        for layer in self._tuned:
            layer.requires_grad_(True)

    def train(self, mode: bool = True) -> Pretrained:
        """Only the layers that are trained leave evaluation mode."""
        self.training = mode
        self.encoder.eval()
        for layer in self._tuned:
            layer.train(mode)
        return self

    def _read(self, **inputs: Any) -> list[Float[Tensor, "row position width"]]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and bool(self._tuned)):
            hidden = self.encoder(**inputs, output_hidden_states=True).hidden_states
        return [hidden[depth] for depth in self.depths]

    def _empty(self, tokens: Shaped[Tensor, "batch token ..."]) -> Float[Tensor, "batch level token width"]:
        dtype = next(self.encoder.parameters()).dtype
        return tokens.new_zeros((len(tokens), self.levels, tokens.shape[1], self.width), dtype=dtype)


class PretrainedText(Pretrained):
    """Hidden states of any text encoder of transformers (BERT, RoBERTa, DistilBERT, ...).

    Tokens are ids of the encoder's own tokenizer, special ones included; `Modality(text.vocabulary, ids=True)`.
    """

    @property
    def vocabulary(self) -> int:
        return int(self.encoder.config.vocab_size)

    def forward(
        self, tokens: Int64[Tensor, "batch token"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        levels, counts = self._empty(tokens), mask.sum(1, keepdim=True)
        if not mask.any():
            return levels
        longest = getattr(self.encoder.config, "max_position_embeddings", None)
        if longest is not None and int(counts.max()) > longest:
            raise DataError(f"tokens: {int(counts.max())} in a sample, but this encoder takes {longest}")
        # Real tokens first: an encoder counts positions from the front, and some tell padding by its id.
        packed_mask = torch.arange(mask.shape[1], device=mask.device) < counts
        packed = torch.full_like(tokens, self.encoder.config.pad_token_id or 0)
        packed = packed.masked_scatter(packed_mask, tokens[mask])
        present = mask.any(1)
        hidden = self._read(input_ids=packed[present], attention_mask=packed_mask[present].long())
        return filled(levels, mask, torch.stack(hidden, 2)[packed_mask[present]])


class PretrainedAudio(Pretrained):
    """Hidden states of a wav2vec2-like encoder (wav2vec 2.0, HuBERT, WavLM).

    A token is as many samples as the encoder has for one frame, `samples` (320 at 16 kHz: 20 ms), and gets that
    frame's states; `Modality(audio.samples)`. Each sound is scaled to mean 0 and variance 1, as these encoders
    were trained. Sounds of different lengths run apart: some of these encoders normalise over time, and padding
    would count.
    """

    @property
    def samples(self) -> int:
        return math.prod(self.encoder.config.conv_stride)

    def forward(
        self, tokens: Float[Tensor, "batch token sample"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        if tokens.shape[-1] != self.samples:
            raise DataError(f"tokens: {tokens.shape[-1]} samples each, but this encoder needs {self.samples}")
        levels, counts = self._empty(tokens), mask.sum(1, keepdim=True)
        for count in counts[counts > 0].unique().tolist():
            real = mask & (counts == count)
            sound = tokens[real].reshape(-1, count * self.samples)
            sound = (sound - sound.mean(1, keepdim=True)) / (sound.var(1, keepdim=True, correction=0) + 1e-7).sqrt()
            hidden = self._read(input_values=nn.functional.pad(sound, (0, self._reach - self.samples)))
            levels = filled(levels, real, torch.stack(hidden, 2).flatten(0, 1))
        return levels

    @property
    def _reach(self) -> int:
        """Samples that one frame sees."""
        reach, step = 1, 1
        for kernel, stride in zip(self.encoder.config.conv_kernel, self.encoder.config.conv_stride, strict=True):
            reach, step = reach + (kernel - 1) * step, step * stride
        return reach


class OfPictures(nn.Module):
    """What encoders of pictures have in common. A token is a picture of this `shape` (channels, height, width),
    flattened; the encoder gets it less `mean` and divided by `scale`."""

    shape: tuple[int, int, int]
    mean: Float[Tensor, "channel 1 1"]
    scale: Float[Tensor, "channel 1 1"]

    @property
    def pixels(self) -> int:
        return math.prod(self.shape)

    def pictures(
        self, tokens: Float[Tensor, "batch token pixel"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "picture channel height width"]:
        """The real ones, in the order of the mask. Raises DataError for tokens of another size."""
        if tokens.shape[-1] != self.pixels:
            raise DataError(f"tokens: {tokens.shape[-1]} numbers each, but this encoder needs {self.shape}")
        return (tokens[mask].unflatten(-1, self.shape) - self.mean) / self.scale


class PretrainedImage(OfPictures, Pretrained):
    """Hidden states of a ViT-like image encoder (ViT, DeiT, BEiT, DINOv2), averaged over the places of a frame.

    A token is a frame: `channels` x height x width numbers from 0 to 1, flattened; `Modality(image.pixels)`.
    mean, scale: what the encoder's pictures were centred on and divided by; 0.5 for ViT.
    """

    def __init__(
        self,
        encoder: Any,
        levels: int = 3,
        tuned: int = 0,
        local_files_only: bool = False,
        mean: float | tuple[float, ...] = 0.5,
        scale: float | tuple[float, ...] = 0.5,
    ) -> None:
        super().__init__(encoder, levels, tuned, local_files_only)
        config = self.encoder.config
        self.shape = (config.num_channels, config.image_size, config.image_size)
        for name, value in (("mean", mean), ("scale", scale)):
            each = torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1).expand(self.shape[0], 1, 1)
            self.register_buffer(name, each.clone(), persistent=False)

    def forward(
        self, tokens: Float[Tensor, "batch token pixel"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        frames, levels = self.pictures(tokens, mask), self._empty(tokens)
        if not len(frames):
            return levels
        states = torch.stack([hidden.mean(1) for hidden in self._read(pixel_values=frames)], dim=1)
        return filled(levels, mask, states)


def with_stages(model: Model, stages: Mapping[str, Any]) -> Model:
    """The same model, CLCR or baseline, with these stages in the encoders of these modalities.

    A stage is a module (tokens, mask) -> (batch, level, token, width) with attributes `levels` and `width`, which
    may be another width than the model's: the encoder's projection is made anew. Call it before training.
    `training.load(path, stages)` reads such a model; it takes the same stages.
    Raises ConfigError for an unknown modality and for other levels than the model's.
    """
    encoders, config = cast(Any, model.encoders), cast(Any, model.config)
    for m, stage in stages.items():
        if m not in encoders:
            raise ConfigError(f"stages: {m} is no modality; there are {', '.join(encoders)}")
        if stage.levels != config.levels:
            raise ConfigError(f"stages: {stage.levels} levels for {m}, but this model has {config.levels}")
        encoders[m].stages = stage
        encoders[m].project = nn.Parameter(torch.empty(stage.levels, stage.width, config.width))
        for weight in encoders[m].project:
            nn.init.xavier_uniform_(weight)
    return model
