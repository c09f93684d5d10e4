"""Levels of a pretrained text encoder in place of token ids: computed once, kept on the disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.datasets.extract import described
from clcrkit.datasets.readers.provenance import Provenance
from clcrkit.datasets.split import PARTS, Split
from clcrkit.errors import DataError
from clcrkit.files import digest, read_tensors, write_tensors
from clcrkit.pretrained import PretrainedText

_AT_ONCE = 64  # samples in one pass


@public
def cached_levels(
    split: Split, modality: str, encoder: PretrainedText, folder: str | os.PathLike[str], progress: bool = True
) -> Split:
    """The Split whose token ids of this modality have become the encoder's states, (token, level * width).

    encoder: with `tuned=0`, on the device it is to run on. folder: one file for each part, which is not computed again
    for the same ids and the same encoder. `pretrained.CachedLevels` reads the features. Raises DataError where the
    modality has no ids.
    """
    if modality not in split.train.tokens or split.train.tokens[modality].is_floating_point():
        raise DataError(f"{modality}: no token ids, which a text encoder needs")
    about, now = described(encoder)
    parts = {}
    for part in PARTS:
        batch = getattr(split, part)
        path, ids = Path(folder) / f"{modality}-{part}.safetensors", {"ids": batch.tokens[modality]}
        wanted = {**about, "ids": digest({**ids, "mask": batch.masks[modality]})}
        tensors, found = read_tensors(path) if path.exists() else ({}, {})
        if any(found.get(name) != value for name, value in wanted.items()):
            tensors, found = {"levels": _states(batch, modality, encoder, part, progress)}, {**wanted, **now}
            write_tensors(path, tensors, found)
        parts[part] = replace(batch, tokens={**batch.tokens, modality: tensors["levels"]})
    source = Provenance(about["made_by"], str(found["version"]), str(found["date"]))
    return replace(split, **parts, sources={**split.sources, modality: source})


def _states(
    batch: Batch, modality: str, encoder: PretrainedText, part: str, progress: bool
) -> Float[Tensor, "sample token feature"]:
    device, pieces = next(encoder.parameters()).device, []
    encoder.eval()
    for start in tqdm(range(0, len(batch), _AT_ONCE), f"levels of {part}", disable=not progress):
        rows = slice(start, start + _AT_ONCE)
        with torch.no_grad():
            levels = encoder(batch.tokens[modality][rows].to(device), batch.masks[modality][rows].to(device))
        pieces.append(levels.float().cpu().transpose(1, 2).flatten(2))
    return torch.cat(pieces)
