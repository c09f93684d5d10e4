"""clip: one raw clip as a trained model sees it, in the explorer. All [ours]."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.batch import collate
from clcrkit.config import Modality
from clcrkit.datasets.extract import encode, made_by, prepare
from clcrkit.datasets.readers.frames import IMAGE_FRAMES, frame_pictures, image_frames, picture_source
from clcrkit.datasets.readers.sound import SOUND_FRAMES, SOUND_PICTURES, read_wav, sound_frames, sound_pictures
from clcrkit.datasets.readers.video import unpack_clip
from clcrkit.datasets.split import Split
from clcrkit.errors import ConfigError, DataError
from clcrkit.model import CLCR
from clcrkit.pretrained import Pretrained, PretrainedAudio, PretrainedImage, PretrainedText
from clcrkit.resnet import ResNet
from clcrkit.viz.explorer.widget import Explorer

_MEDIA = {PretrainedText: "text", PretrainedAudio: "sound", PretrainedImage: "frames"}


@public
def clip(
    path: str | os.PathLike[str],
    model: CLCR,
    text: str | None = None,
    encoders: Mapping[str, Any] | None = None,
    tokenizer: Any = None,
    frames_per_second: int = 1,
) -> Explorer:
    """The explorer of one clip: its sound, frames and text become the features that the model was trained on.

    path: a video or sound file (see `datasets.unpack_clip`). text: what is said in it. The explorer has the features
    (`explorer.trace.batch`) and all that the model computed (`explorer.trace`).
    A modality can be read where the model has a pretrained encoder for it (`with_stages`), or where its training set
    was a Split that says what made its features (`Split.sources`), which `CLCRConfig.of(split)` keeps: the kit's
    log-mel bands, colour means or pictures (`cremad`), or a pretrained encoder (`extract_features`), which is then
    given in `encoders` by modality and must be the same one, weights included. tokenizer: of a text encoder.
    frames_per_second: as in the frames of the training set; 1 in CREMA-D's.

    What the clip lacks is a missing modality, with a warning. Raises ConfigError for a model whose features cannot be
    made here, DataError for a clip that `unpack_clip` refuses, and one with nothing that the model reads.
    """
    readers = {m: _reader(m, model, encoders or {}, tokenizer) for m in model.modalities}
    if tokenizer is None and text is not None and "text" in {medium for medium, _ in readers.values()}:
        raise ConfigError("tokenizer: none given, but the text needs the encoder's own")
    with tempfile.TemporaryDirectory() as scratch:
        sound, frames = Path(scratch) / "a.wav", Path(scratch) / "frames"
        has_sound, has_frames = unpack_clip(path, sound, frames, frames_per_second)
        media = {"sound": sound if has_sound else None, "frames": frames if has_frames else None, "text": text}
        missing = [m for m, (medium, _) in readers.items() if media[medium] is None]
        lacks = [f"{m}: no {readers[m][0]}" for m in missing]
        if len(missing) == len(readers):
            raise DataError(f"{path}: nothing that this model reads ({', '.join(lacks)})")
        sample = {
            m: _padding(model.config.modalities[m]) if m in missing else read(media[medium])
            for m, (medium, read) in readers.items()
        }
        waveform = read_wav(sound) if has_sound else None
    for what in lacks:
        warnings.warn(f"{path}: {what}; the modality is missing", stacklevel=4)  # beyond the decorators
    batch = collate([sample], masks={m: [False] for m in missing})
    playing: Any = {m: lambda _: waveform for m, (medium, _) in readers.items() if medium == "sound" and has_sound}
    split = Split(batch, batch, batch, model.config.label_names, sound=playing)
    if text is not None and tokenizer is not None:
        words = tokenizer.convert_ids_to_tokens(tokenizer(text, truncation=True)["input_ids"])
        split = replace(split, describe={m: lambda _: words for m, (x, _) in readers.items() if x == "text"})
    return Explorer(model.trace(batch), model, split)


def _reader(
    name: str, model: CLCR, encoders: Mapping[str, Any], tokenizer: Any
) -> tuple[str, Callable[[Any], ndarray]]:
    """Of which medium the modality is, and what makes its tokens of that."""
    spec, stage = model.config.modalities[name], cast(Any, model.encoders[name]).stages
    if isinstance(stage, Pretrained):
        return _medium(stage), partial(prepare, stage, tokenizer=tokenizer)
    if spec.made_by == SOUND_FRAMES.made_by:
        return "sound", lambda path: sound_frames(path.parent, path.name)
    if spec.made_by == IMAGE_FRAMES.made_by:
        return "frames", image_frames
    if spec.made_by == SOUND_PICTURES.made_by:
        return "sound", lambda path: sound_pictures(path.parent, path.name)
    if isinstance(stage, ResNet) and spec.made_by == picture_source(stage.shape[2]).made_by:
        return "frames", partial(frame_pictures, size=stage.shape[:0:-1])
    if not spec.made_by:
        raise ConfigError(
            f"{name}: nothing tells what made the features that the model was trained on; train it on features of "
            "`extract_features` or on `cremad`, with CLCRConfig.of(split)"
        )
    encoder = encoders.get(name)
    if not isinstance(encoder, Pretrained) or made_by(encoder) != spec.made_by:
        given = made_by(encoder) if isinstance(encoder, Pretrained) else "no encoder"
        raise ConfigError(f"encoders: {given} for {name}, but the model was trained on features of {spec.made_by}")
    return _medium(encoder), lambda item: encode(encoder, [prepare(encoder, item, tokenizer)])[0].numpy()


def _medium(encoder: Pretrained) -> str:
    return next(medium for kind, medium in _MEDIA.items() if isinstance(encoder, kind))


def _padding(spec: Modality) -> ndarray:
    """One token, to be masked."""
    return np.zeros(1, np.int64) if spec.ids else np.zeros((1, spec.size), np.float32)
