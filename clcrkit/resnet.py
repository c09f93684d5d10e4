"""ResNet: pictures at several depths of a residual network, the encoder of the rivals' papers on clips. Needs
clcrkit[pretrained].

A token is a picture: a frame, both directions of an optical flow, or a piece of a spectrogram. The network sees each
one alone, and padding never enters it, so that neither the other pictures' places nor the padding change anything.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clcrkit.distributed import all_sum, several_processes
from clcrkit.errors import ConfigError, DataError, check_range, require
from clcrkit.ops import at_least_float32
from clcrkit.pretrained import OfPictures, filled, loaded

RESNET_18 = {"embedding_size": 64, "hidden_sizes": (64, 128, 256, 512), "depths": (2, 2, 2, 2), "layer_type": "basic"}
COLOUR_MEAN, COLOUR_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for three channels


class ResNet(OfPictures):
    """Stages for `pretrained.with_stages`: an early, a middle and a late stage of a ResNet, averaged over the picture.

    shape     of a token: channels, height and width, flattened; `Modality(resnet.pixels)`
    levels    how many of the network's stages are read, evenly spread; the last is the last one. [ours]
    encoder   a ResNetModel of transformers, or the folder of one; none is loaded from elsewhere. Default a ResNet-18
              with random weights. All of it is trained

    A shallow stage has fewer features than the last: the rest of its width is 0. In training the normalisation takes
    its means over the real pictures of the batch, those of all processes.
    Raises ConfigError for levels beyond the stages and another number of channels, DataError for another encoder.
    """

    def __init__(self, shape: tuple[int, int, int], levels: int = 3, encoder: Any = None) -> None:
        super().__init__()
        transformers = require("transformers", "pretrained")
        self.pretrained = encoder is not None  # such weights are trained at a smaller rate (`TrainConfig`)
        given = encoder
        if encoder is None:
            encoder = transformers.ResNetModel(transformers.ResNetConfig(num_channels=shape[0], **RESNET_18))
        encoder = loaded(encoder, local_files_only=True)
        if encoder.config.model_type != "resnet":
            raise DataError(f"{given}: holds a {encoder.config.model_type}, but a resnet is needed")
        widths, channels = encoder.config.hidden_sizes, encoder.config.num_channels
        check_range("levels", levels, 1, len(widths))
        if channels != shape[0]:
            raise ConfigError(f"shape: {shape[0]} channels, but this ResNet reads {channels}")
        self.shape, self.levels, self.width = shape, levels, max(widths)
        self.depths = [len(widths) * (level + 1) // levels for level in range(levels)]
        self.encoder = _with_shared_normalisation(encoder).train()
        coloured = channels == len(COLOUR_MEAN)
        mean, std = (COLOUR_MEAN, COLOUR_STD) if coloured else ((0.0,) * channels, (1.0,) * channels)
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(std).reshape(-1, 1, 1), persistent=False)

    def forward(
        self, tokens: Float[Tensor, "batch token pixel"], mask: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch level token width"]:
        pictures = self.pictures(tokens, mask)
        levels = tokens.new_zeros((len(tokens), self.levels, tokens.shape[1], self.width))
        # a process without a picture still has its part in the means of all
        if not len(pictures) and not (self.training and several_processes()):
            return levels
        hidden = self.encoder(pixel_values=pictures, output_hidden_states=True).hidden_states
        means = [hidden[depth].mean((2, 3)) for depth in self.depths]
        states = torch.stack([F.pad(x, (0, self.width - x.shape[1])) for x in means], dim=1)
        return filled(levels, mask, states.to(levels.dtype))


class SharedBatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d whose means in training are over the samples of all processes, as many as each has.

    torch's SyncBatchNorm knows no CPU. Without other processes, torch's own function does it.
    """

    def forward(self, x: Float[Tensor, "picture channel row column"]) -> Float[Tensor, "picture channel row column"]:
        own = x.numel() // x.shape[1]
        if not self.training or (own > 1 and not several_processes()):
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        wide = at_least_float32(x)
        count = all_sum(wide.new_tensor(float(own)))
        mean = all_sum(wide.sum((0, 2, 3))) / count.clamp(min=1)
        centred = wide - mean[:, None, None]
        variance = all_sum(centred.square().sum((0, 2, 3))) / count.clamp(min=1)
        with torch.no_grad():
            share = self.momentum * (count > 0)  # no picture anywhere teaches nothing
            self.running_mean.lerp_(mean.to(self.running_mean), share.to(self.running_mean))
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_var.lerp_(unbiased.to(self.running_var), share.to(self.running_var))
        scale = self.weight / (variance + self.eps).sqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _with_shared_normalisation(encoder: Any) -> Any:
    for parent in list(encoder.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
                shared.load_state_dict(child.state_dict())
                setattr(parent, name, shared)
    return encoder
