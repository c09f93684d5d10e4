"""CMU-MOSI, one vector for each utterance: what someone says in a video, how, and with which face [Zadeh et al. 2016].

The features and the split of Ghosal et al. 2018 (82.31 % two-class accuracy). The text and vision features were learned
with the labels of this split's training videos. So they may be used with this split only, and validation videos, which
come from its training part, score too high: a linear classifier reads 0.98 from the text and 0.91 from the vision
vectors of held-out training videos, where the words themselves give 0.70 and the acoustic vectors 0.51. Such a
validation ranks settings roughly, and does not tell the test score.
"""

from __future__ import annotations

import os

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.datasets.preprocessing import standardise
from clcrkit.datasets.readers.array_files import read_arrays
from clcrkit.datasets.readers.paths import locate
from clcrkit.datasets.split import Split
from clcrkit.errors import ConfigError, DataError

FILE = "mosi_utt.npz"
HOW = (
    "make an npz file of that name from data/{text,audio,video}/*0.csv in "
    "github.com/soujanyaporia/contextual-multimodal-fusion: text_feat, audio_feat, vision_feat, video, segment, "
    "y_bin, split_poria, one row for each utterance in the order of its video"
)
KEYS = {"language": "text_feat", "acoustic": "audio_feat", "vision": "vision_feat"}
VALID_SHARE = 0.2  # of the training videos
TARGET_SCALE = 2.0  # of the target's vector, which else vanishes in a mean over tokens
DISTANCE_SCALE = 8.0  # utterances


@public
def mosi_utterances(
    folder: str | os.PathLike[str] | None = None, split: str = "poria", seed: int = 0, window: int | None = 8
) -> Split:
    """2199 utterances of 93 videos, each in the context of its video; negative or not.

    A sample is one utterance. Its tokens are that utterance and up to `window` before and after it (None: the whole
    video), standardised on the training part: language (batch, token, 202), acoustic (batch, token, 148), vision
    (batch, token, 202). The first half of the features is the utterance's vector if the token is the target, the
    second half if it is not; the other half is 0, so that any model can tell them apart [ours]. The last two say where
    the token is: 1 for the target, else 0; and the distance from it in utterances / 8, below 0 for what came before.
    Labels of the context are never given. A vector that is all zero is masked. Attributes: group (the video), segment.

    folder: where mosi_utt.npz lies, default what the environment's CLCRKIT_DATA names. split: 'poria', the only one
    that these features are honest with. seed: draws the validation videos, a fifth of the training part's.
    Raises ConfigError for other settings, DataError where the file is not there, or damaged.
    """
    if split != "poria":
        raise ConfigError(
            f"split: {split!r}, but it must be 'poria': the features were learned with the labels of its training part"
        )
    if window is not None and window < 0:
        raise ConfigError(f"window: {window}, but None or 0 or more is needed")
    path = locate(FILE, folder, HOW)
    numbers = dict.fromkeys(("video", "segment", "y_bin", "split_poria"), ("i", 1))
    arrays = read_arrays(path, {**dict.fromkeys(KEYS.values(), ("f", 2)), **numbers})
    video, in_test = arrays["video"], arrays["split_poria"] == 1
    if len({len(array) for array in arrays.values()}) > 1 or not len(video):
        raise DataError(f"{path}: arrays of different lengths, or empty; it is damaged")
    if (np.diff(video) < 0).any() or not set(np.unique(arrays["y_bin"])) <= {0, 1}:
        raise DataError(f"{path}: rows in order of their video, with a y_bin of 0 or 1, are needed")
    if set(video[in_test]) & set(video[~in_test]) or set(np.unique(arrays["split_poria"])) != {0, 1}:
        raise DataError(f"{path}: split_poria must be 0 or 1, with no video in both parts")
    videos = np.random.default_rng(seed).permutation(np.unique(video[~in_test]))
    if len(videos) < 2:
        raise DataError(f"{path}: {len(videos)} training video, but 2 or more are needed")
    in_valid = np.isin(video, videos[: max(1, round(VALID_SHARE * len(videos)))])
    train, valid, test = (np.flatnonzero(part) for part in (~in_test & ~in_valid, in_valid, in_test))
    vectors = {m: standardise(arrays[key], np.isin(np.arange(len(video)), train)) for m, key in KEYS.items()}
    absent = {m: (arrays[key] == 0).all(axis=1) for m, key in KEYS.items()}
    windows = _windows(video, window)

    def part(targets: Int[ndarray, "sample"]) -> Batch:
        rows = windows[targets]
        distance = (rows - targets[:, None])[..., None]
        tokens, masks = {}, {}
        for m, x in vectors.items():
            own = x[rows] * (distance == 0)
            token = np.concatenate(
                [TARGET_SCALE * own, x[rows] - own, distance == 0, distance / DISTANCE_SCALE], axis=-1
            )
            tokens[m], masks[m] = token.astype(np.float32), (rows >= 0) & ~absent[m][rows]
        return Batch.from_arrays(
            tokens,
            labels=arrays["y_bin"][targets],
            masks=masks,
            ids=targets,
            attributes={"group": video[targets], "segment": arrays["segment"][targets]},
            classes=2,
        )

    return Split(
        train=part(train),
        valid=part(valid),
        test=part(test),
        label_names=("negative", "not negative"),
        describe=dict.fromkeys(KEYS, _describe_distance),
    )


def _windows(video: ndarray, window: int | None) -> ndarray:
    """For each utterance the rows of its context, in order and filled up with -1: (utterance, token)."""
    reach = len(video) if window is None else window
    first = np.searchsorted(video, video, "left")
    last = np.searchsorted(video, video, "right")
    start = np.maximum(first, np.arange(len(video)) - reach)
    stop = np.minimum(last, np.arange(len(video)) + reach + 1)
    rows = start[:, None] + np.arange((stop - start).max())
    return np.where(rows < stop[:, None], rows, -1)


def _describe_distance(tokens: Float[Tensor, "token feature"]) -> list[str]:
    return [f"{round(float(distance) * DISTANCE_SCALE):+d}" if distance else "target" for distance in tokens[:, -1]]
