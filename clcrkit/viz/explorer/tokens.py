"""What a token was before the model read it: a short text, and its features as a little picture."""

from __future__ import annotations

from itertools import compress

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from clcrkit.datasets.split import Split
from clcrkit.trace import Trace

_BINS = 32  # wider token features are averaged into this many before they are drawn
_TEXT = 24  # longer token descriptions are cut
_SAMPLES = 200  # the range of features is read off at most this many samples, evenly taken


def features(tokens: Float[Tensor, "sample token feature"]) -> Float[ndarray, "sample token bin"]:
    """Input tokens as little pictures; many features are averaged into 32 bins."""
    values = tokens.float().numpy()
    if values.shape[2] > _BINS:
        pieces = np.array_split(np.arange(values.shape[2]), _BINS)
        values = np.stack([values[:, :, piece].mean(2) for piece in pieces], axis=2)
    return values


def feature_ranges(trace: Trace) -> dict[str, tuple[float, float]]:
    """By modality of float tokens: the range its pictures span, from the 1st to the 99th percentile."""
    rows = torch.linspace(0, len(trace) - 1, min(len(trace), _SAMPLES)).long()
    ranges = {}
    for m, tokens in trace.batch.tokens.items():
        if tokens.is_floating_point():
            shown = features(tokens[rows])[trace.batch.masks[m][rows].numpy()]
            low, high = np.quantile(shown, (0.01, 0.99)) if shown.size else (0.0, 1.0)
            ranges[m] = (float(low), max(float(high), float(low) + 1e-6))
    return ranges


def token_texts(trace: Trace, row: int, modality: str, split: Split | None) -> list[str]:
    """One short text for each token of one sample: the description, the vocabulary's word, or nothing."""
    tokens, real = trace.batch.tokens[modality][row], trace.batch.masks[modality][row]
    texts = [""] * len(tokens)
    if split and modality in split.describe:
        descriptions = iter(split.describe[modality](tokens[real]) if real.any() else ())
        texts = [str(next(descriptions, "")) if is_real else "" for is_real in real.tolist()]
    elif not tokens.is_floating_point():
        words = split.vocabulary.get(modality, ()) if split else ()
        texts = [str(words[i]) if i < len(words) else str(i) for i in tokens.tolist()]
    return [text if len(text) <= _TEXT else text[: _TEXT - 1] + "…" for text in texts]


def spelt(trace: Trace, split: Split | None) -> list[str]:
    """What the tokens of each sample spell, in lower case: next to each other, and with blanks between them.

    A modality whose tokens are named alike in all samples, by their position, spells nothing.
    """
    lines = [""] * len(trace)
    for m, tokens in trace.batch.tokens.items():
        if tokens.is_floating_point() and not (split and m in split.describe):
            continue
        real = trace.batch.masks[m].tolist()
        texts = [list(compress(token_texts(trace, row, m, split), real[row])) for row in range(len(trace))]
        if len({text[0] for text in texts if text}) > 1:
            lines = [f"{line}\n{''.join(t)}\n{' '.join(t)}" for line, t in zip(lines, texts, strict=True)]
    return [line.lower() for line in lines]
