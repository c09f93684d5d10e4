"""Split: what every data set of the kit returns; and how to draw its parts without a group in two of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from clcrkit.arguments import wrong
from clcrkit.batch import Batch
from clcrkit.datasets.readers.provenance import Provenance
from clcrkit.errors import ConfigError, DataError, require

PARTS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test part of one data set.

    A batch's attribute `group` says who or what was recorded (speaker, video): no group should be in two parts.

    label_names      what each class (or each label of a multi-label set) is called; empty for regression
    attribute_names  for an attribute whose values have names: attribute -> one name for each value
    vocabulary       for a modality of token ids: how each id reads
    describe         for a modality: a function from one sample's tokens, (token, feature) or (token,), to one
                     short text for each token; what pictures write beside a token
    sound            for a modality: a function from a sample's id to what it sounds like, a waveform of float32
                     from -1 to 1 and its rate in Hz; what the explorer plays
    picture          for a modality: a function from a sample's id to what each of its real tokens shows, such as
                     frames or patches: uint8, or float from 0 to 1, (token, height, width), grey, or with 3 colours
                     last; what the explorer draws below the tokens
    sources          for a modality: what made its features, where that is known. `CLCRConfig.of` keeps it with the
                     model, so that `viz.clip` can make the same features of another clip
    """

    train: Batch
    valid: Batch
    test: Batch
    label_names: tuple[str, ...] = ()
    attribute_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    describe: Mapping[str, Callable[[Tensor], list[str]]] = field(default_factory=dict)
    sound: Mapping[str, Callable[[int], tuple[Float[ndarray, "sample"], int]]] = field(default_factory=dict)
    picture: Mapping[str, Callable[[int], Shaped[ndarray, "token height width *color"]]] = field(default_factory=dict)
    sources: Mapping[str, Provenance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in PARTS:
            if not hasattr(getattr(self, name), "select"):
                raise wrong(name, getattr(self, name), "a Batch")

    def __repr__(self) -> str:
        sizes = f"train {len(self.train)}, valid {len(self.valid)}, test {len(self.test)}"
        return f"Split({sizes}; {', '.join(self.train.modalities)})"


def draw_parts(
    labels: Shaped[ndarray, "sample ..."],
    groups: Shaped[ndarray, "sample"] | None = None,
    shares: tuple[float, float] = (0.1, 0.2),
    seed: int = 0,
) -> Shaped[ndarray, "sample"]:
    """'train', 'valid' or 'test' for each sample, drawn so that no group is in two parts and classes are balanced.

    labels: integer classes are balanced over the parts as far as whole groups allow; other labels are not.
    groups: who or what a sample is a recording of (a speaker, a video); without them each sample is its own group.
    shares: of the validation and the test part, nearly. Raises ConfigError for shares that leave no training part,
    DataError for fewer than 3 groups.
    """
    valid, test = shares
    if not (valid > 0 and test > 0 and valid + test < 1):
        raise ConfigError(f"shares: {shares}, but two numbers above 0 that leave a training part are needed")
    members = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(np.unique(members)) < 3:
        raise DataError(f"groups: {len(np.unique(members))}, but at least 3 are needed for three parts without overlap")
    parts = np.full(len(labels), "train")
    rest = np.arange(len(labels))
    for name, share in (("test", test), ("valid", valid / (1 - test))):
        positions = _held_out(labels[rest], members[rest], share, seed, spare=1 if name == "test" else 0)
        parts[rest[positions]] = name
        rest = np.delete(rest, positions)
    return parts


def _held_out(
    labels: Shaped[ndarray, "sample ..."], members: Int64[ndarray, "sample"], share: float, seed: int, spare: int
) -> Int64[ndarray, "position"]:
    """Positions of whole groups that hold about `share` of the samples; `spare` groups besides one must remain."""
    require("sklearn", "data")
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # slow to import

    members = np.unique(members, return_inverse=True)[1]
    groups = int(members.max()) + 1
    folds = max(2, min(groups, round(1 / share)))
    classes = labels.ndim == 1 and labels.dtype.kind in "iub"
    if classes and np.unique(labels, return_counts=True)[1].max() >= folds:
        folding = StratifiedKFold if groups == len(members) else StratifiedGroupKFold
        with warnings.catch_warnings():  # where a class is rarer than the folds
            warnings.simplefilter("ignore", UserWarning)
            _, positions = next(folding(folds, shuffle=True, random_state=seed).split(labels, labels, members))
        if len(positions) and groups - len(np.unique(members[positions])) > spare:
            return positions
    order = np.random.default_rng(seed).permutation(groups)
    samples = np.bincount(members)[order].cumsum()
    count = min(int(np.searchsorted(samples, share * len(members))) + 1, groups - 1 - spare)
    return np.flatnonzero(np.isin(members, order[:count]))
