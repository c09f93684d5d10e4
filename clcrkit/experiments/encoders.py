"""What reads a modality in all models of a comparison, in place of the kit's own stages: an encoder's levels that were
computed before, a text encoder that is trained along, or a ResNet.

Each is plain values, so that a trial on the disk tells it, and makes its stage anew for every model. All [ours].
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from clcrkit.config import Modality
from clcrkit.datasets.extract import made_by
from clcrkit.datasets.readers.sound import COLUMNS
from clcrkit.errors import ConfigError, DataError
from clcrkit.pretrained import CachedLevels, PretrainedText
from clcrkit.resnet import ResNet


@dataclass(frozen=True)
class Encoder:
    """How one modality is read. `as_it_is`: its tokens are not standardised. trained: the encoder is part of every
    model. made_by: which pretrained weights that begins with; '' for none."""

    made_by: str = field(default="", kw_only=True)

    as_it_is: ClassVar[bool] = False
    trained: ClassVar[bool] = True

    @property
    def described(self) -> dict[str, Any]:
        """What decides the result, as plain values; no path."""
        return {"kind": type(self).__name__, **({"made_by": self.made_by} if self.made_by else {})}

    def modality(self, spec: Modality) -> Modality:
        """What the tokens are, where the training part alone does not tell."""
        return spec

    def stage(self, name: str, levels: int, spec: Modality) -> Any:
        """A stage for `with_stages`, drawn with torch's generator where its weights are random."""
        raise NotImplementedError


@dataclass(frozen=True)
class Levels(Encoder):
    """The features are the levels of an encoder side by side, computed before."""

    trained: ClassVar[bool] = False

    def stage(self, name: str, levels: int, spec: Modality) -> CachedLevels:
        if spec.size % levels:
            raise ConfigError(f"encoders: {spec.size} features of {name} are not {levels} levels")
        return CachedLevels(levels, spec.size // levels)

    def __str__(self) -> str:
        return "levels that were computed once and are not trained"


@dataclass(frozen=True)
class Text(Encoder):
    """A text encoder of transformers, of whose layers all are trained; its embeddings stay. `text_encoder` makes it.

    folder: of its weights. layers, vocabulary: their numbers.
    """

    folder: str
    layers: int
    vocabulary: int

    def modality(self, spec: Modality) -> Modality:
        return replace(spec, size=self.vocabulary)

    def stage(self, name: str, levels: int, spec: Modality) -> PretrainedText:
        return PretrainedText(self.folder, levels, tuned=self.layers, local_files_only=True)

    def __str__(self) -> str:
        return f"{self.made_by}; all {self.layers} layers are trained, the embeddings are not"


@dataclass(frozen=True)
class Pictures(Encoder):
    """A ResNet over pictures, flattened: a ResNet-18 with random weights, or that of a folder (`picture_encoder`).

    channels, columns: of a picture; its rows follow from the number of features.
    """

    channels: int
    columns: int
    folder: str = ""

    as_it_is: ClassVar[bool] = True

    @property
    def described(self) -> dict[str, Any]:
        return {**super().described, "channels": self.channels, "columns": self.columns}

    def stage(self, name: str, levels: int, spec: Modality) -> ResNet:
        rows = spec.size // (self.channels * self.columns)
        return ResNet((self.channels, rows, self.columns), levels, self.folder or None)

    def __str__(self) -> str:
        return f"{self.made_by or 'a ResNet-18 of random weights'}; all of it is trained"


def text_encoder(folder: Path, levels: int) -> tuple[PretrainedText, Text]:
    """The encoder of the folder, frozen, and how it is trained along. Raises DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; get the files of bert-base-uncased (weights in safetensors) there")
    encoder = PretrainedText(str(folder), levels=levels, local_files_only=True)
    layers = int(encoder.encoder.config.num_hidden_layers)
    return encoder, Text(str(folder), layers, encoder.vocabulary, made_by=made_by(encoder))


def picture_encoder(channels: int, pixels: int, levels: int, folder: Path | None) -> Pictures:
    """The ResNet for frames or flow of pixels x pixels, or for a spectrogram's pieces (one channel). Weights of the
    folder are for three channels alone. Raises DataError where the folder holds no ResNet, ConfigError as `ResNet`."""
    start = folder if channels == 3 else None
    if start is not None and not start.is_dir():
        raise DataError(f"{start}: no such folder; get the files of microsoft/resnet-18 (safetensors), or say scratch")
    resnet = ResNet(
        (channels, pixels, pixels), levels, start and str(start)
    )  # fails now, and not after hours of reading
    columns = COLUMNS if channels == 1 else pixels
    return Pictures(channels, columns, str(start or ""), made_by=made_by(resnet) if start else "")
