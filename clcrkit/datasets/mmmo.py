"""ICT-MMMO: reviews of films, spoken to a camera, with a score from 1 to 5; word-aligned sound and face features."""

from __future__ import annotations

import os

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.datasets.custom import from_arrays
from clcrkit.datasets.preprocessing import standardise
from clcrkit.datasets.readers.array_files import read_arrays
from clcrkit.datasets.readers.paths import locate
from clcrkit.datasets.split import PARTS, Split
from clcrkit.errors import DataError

FILE = "mfn_sequences.npz"
HOW = (
    "convert the MMMO arrays of new_data/ in github.com/pliang279/MFN to an npz file of that name, with the arrays "
    "mmmo_{train,valid,test}_{audio,vision,y}"
)
KEYS = {"acoustic": "audio", "vision": "vision"}


@public
def mmmo(folder: str | os.PathLike[str] | None = None) -> Split:
    """220 training, 40 validation and 80 test clips, as published with MFN; a regression to the score.

    acoustic (batch, 20, 74), vision (batch, 20, 36): one token for each of 20 words, standardised on the training
    part. The public training part has no text, so there is none. A token whose features are all zero is masked; where
    all are, the modality is missing. Who speaks is not known, so there is no group.

    folder: where mfn_sequences.npz lies, default what the environment's CLCRKIT_DATA names.
    Raises DataError where it is not there, or damaged.
    """
    path = locate(FILE, folder, HOW)
    wanted = {f"mmmo_{part}_{key}": ("f", 3) for part in PARTS for key in KEYS.values()}
    arrays = read_arrays(path, {**wanted, **{f"mmmo_{part}_y": ("f", 1) for part in PARTS}})
    counts = [len(arrays[f"mmmo_{part}_y"]) for part in PARTS]
    tokens: dict[str, Float[ndarray, "sample token feature"]] = {}
    masks: dict[str, Bool[ndarray, "sample token"]] = {}
    for m, key in KEYS.items():
        pieces = [arrays[f"mmmo_{part}_{key}"] for part in PARTS]
        if [len(piece) for piece in pieces] != counts or len({piece.shape[1:] for piece in pieces}) > 1 or 0 in counts:
            raise DataError(f"{path}: mmmo {key} of shapes {[piece.shape for piece in pieces]} for {counts} scores")
        values = np.concatenate(pieces)
        masks[m] = (values != 0).any(-1)
        training = masks[m] & (np.arange(len(values)) < counts[0])[:, None]
        tokens[m] = standardise(values, training)
    labels = np.concatenate([arrays[f"mmmo_{part}_y"] for part in PARTS])
    return from_arrays(tokens, labels, masks, parts=np.repeat(PARTS, counts), task="regression")
