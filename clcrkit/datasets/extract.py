"""extract_features: run a pretrained encoder once over raw text, sound or frames, and keep its levels in files."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor
from tqdm.auto import tqdm

import clcrkit
from clcrkit.arguments import public
from clcrkit.batch import collate
from clcrkit.datasets.readers.frames import MOST_FRAMES, frame_pictures
from clcrkit.datasets.readers.paths import check_name
from clcrkit.datasets.readers.sound import read_wav
from clcrkit.errors import ConfigError, DataError, require
from clcrkit.files import digest, read_tensors, write_tensors
from clcrkit.pretrained import Pretrained, PretrainedAudio, PretrainedImage, PretrainedText
from clcrkit.resnet import ResNet

RATE_HZ = 16_000  # what wav2vec2-like encoders were trained on


@public
def extract_features(
    encoder: Pretrained,
    items: Mapping[str, str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    tokenizer: Any = None,
    batch_size: int = 8,
    progress: bool = True,
) -> Path:
    """For each item write `<folder>/<name>.safetensors`: (token, level * width), shallow levels first.

    Returns the folder.
    encoder: with `tuned=0`, on the device it is to run on. items: by name a text (PretrainedText; needs the
    `tokenizer` of the encoder), the path of a PCM wav file (PretrainedAudio; brought to 16 kHz) or of a folder of
    frames (PretrainedImage; scaled to the encoder's size, a still picture being a folder of one).

    Each file tells its encoder, layers, a digest of the weights, versions and date, which `check` shows. Existing
    files are not computed again, so a killed call goes on where it was; a file appears when it is complete.
    The loaders take the folder above as `features_folder`, with one folder for each modality, and
    `with_stages(model, {m: CachedLevels(encoder.levels, encoder.width)})` gives the levels to a model.
    Raises DataError for an item that cannot be read and where files of another encoder lie in the folder.
    """
    if isinstance(encoder, PretrainedText) and tokenizer is None:
        raise ConfigError("tokenizer: none given, but text needs the encoder's own")
    folder, (about, now) = Path(folder), described(encoder)
    for name in items:
        check_name(name)
    waiting = [name for name in items if not _is_done(folder / f"{name}.safetensors", about)]
    with tqdm(total=len(items), initial=len(items) - len(waiting), desc="extract", disable=not progress) as bar:
        for start in range(0, len(waiting), batch_size):
            names = waiting[start : start + batch_size]
            encoded = encode(encoder, [prepare(encoder, items[name], tokenizer) for name in names])
            for name, features in zip(names, encoded, strict=True):
                write_tensors(folder / f"{name}.safetensors", {"features": features}, {**about, **now})
            bar.update(len(names))
    return folder


def described(encoder: Pretrained) -> tuple[dict[str, str], dict[str, str]]:
    """What a file of levels tells: what makes it, which decides whether it is the right one, and when that ran."""
    version = f"transformers {require('transformers', 'pretrained').__version__}, clcrkit {clcrkit.__version__}"
    about = {"kind": "levels", "made_by": made_by(encoder)}
    return about, {"version": version, "date": f"{datetime.date.today()}"}


def made_by(encoder: Pretrained | ResNet) -> str:
    """The encoder, the layers that are read and a digest of its weights: equal texts mean equal features."""
    # the name without its folder, which tells where somebody's files lie
    name = Path(str(encoder.encoder.config.name_or_path)).name or type(encoder.encoder).__name__
    layers = ", ".join(map(str, encoder.depths))
    weights = digest({**encoder.state_dict(), **dict(encoder.named_buffers())})  # and how pictures are scaled
    return f"{type(encoder).__name__} {name}, layers {layers}, weights {weights[:16]}"


def encode(encoder: Pretrained, items: Sequence[Any]) -> list[Float[Tensor, "token feature"]]:
    """The levels of each prepared item, (token, level * width), shallow ones first, on the CPU."""
    training, device = encoder.training, next(encoder.parameters()).device
    batch = collate([{"item": item} for item in items]).to(device)
    encoder.eval()
    try:
        with torch.no_grad():
            levels = encoder(batch.tokens["item"], batch.masks["item"]).float().cpu()
    finally:
        encoder.train(training)
    masks = batch.masks["item"].cpu()
    return [states[:, real].transpose(0, 1).flatten(1) for states, real in zip(levels, masks, strict=True)]


def prepare(
    encoder: Pretrained, item: str | os.PathLike[str], tokenizer: Any = None
) -> Int64[ndarray, "token"] | Float[ndarray, "token feature"]:
    """One item as the tokens that this encoder takes: for a Batch, where the encoder is part of the model."""
    if isinstance(encoder, PretrainedText):
        ids = np.asarray(tokenizer(str(item), truncation=True)["input_ids"], dtype=np.int64)
        if not len(ids):
            raise DataError(f"{str(item)[:40]!r}: the tokenizer makes no token of it")
        return ids
    if isinstance(encoder, PretrainedAudio):
        return _sound_tokens(Path(item), encoder.samples)
    if isinstance(encoder, PretrainedImage):
        channels, height, width = encoder.shape
        return frame_pictures(Path(item), size=(width, height), grey=channels != 3, most=MOST_FRAMES)
    raise ConfigError(
        f"encoder: {type(encoder).__name__}, but a PretrainedText, PretrainedAudio or PretrainedImage is needed"
    )


def _sound_tokens(path: Path, samples: int) -> Float[ndarray, "token sample"]:
    resample_poly = require("scipy.signal", "data").resample_poly
    waveform, rate = read_wav(path)
    if rate != RATE_HZ:
        common = math.gcd(rate, RATE_HZ)
        waveform = resample_poly(waveform, RATE_HZ // common, rate // common).astype(np.float32)
    return np.pad(waveform, (0, -len(waveform) % samples)).reshape(-1, samples)


def _is_done(path: Path, about: Mapping[str, Any]) -> bool:
    """Whether this file exists already. Raises DataError where it is another encoder's."""
    if not path.exists():
        return False
    description = read_tensors(path)[1]
    if any(description.get(name) != value for name, value in about.items()):
        raise DataError(f"{path}: made by another encoder or with other levels ({description}); choose another folder")
    return True
