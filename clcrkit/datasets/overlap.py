"""Overlap: samples of one part that say something of another part's, so that its score says little. All [ours]."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray

from clcrkit.batch import Batch
from clcrkit.quality import evenly

MOST_IDS = 500  # of a modality that are counted
MOST_PROBED = 2_000
PAIRS = (("train", "test"), ("valid", "test"), ("train", "valid"))
STRETCH, STEP = 6, 1e-3  # values of a stretch that is looked for in other parts; their resolution in deviations
LEAST_SHARED = 0.01  # of a part's samples
NEIGHBOURS = 0.5  # of the distance to strangers
BESIDE = 2  # the largest distance of ids that are next to each other


def has_groups(batches: dict[str, Batch]) -> bool:
    """Whether all parts say who or what was recorded."""
    return all("group" in batch.attributes for batch in batches.values())


def shared_groups(batches: dict[str, Batch], names: tuple[str, ...]) -> list[str]:
    """Groups of two parts."""
    if not has_groups(batches):
        return []
    groups = {part: batch.attributes["group"].numpy() for part, batch in batches.items()}
    problems = []
    for one, other in PAIRS:
        shared = np.intersect1d(groups[one], groups[other])
        if len(shared):
            first = names[shared[0]] if shared[0] < len(names) else str(shared[0])
            problems.append(
                f"{one} and {other} share {len(shared)} groups (first: {first}), which "
                f"{np.isin(groups[other], shared).mean():.0%} of {other} are of: its score says little about unseen "
                f"groups."
            )
    return problems


def duplicates(batches: dict[str, Batch]) -> list[str]:
    """Samples that are equal in every modality."""
    prints = {part: _fingerprints(batch) for part, batch in batches.items()}
    problems = []
    for one, other in PAIRS:
        if again := int(np.isin(prints[other], prints[one]).sum()):
            problems.append(
                f"{again} of {len(batches[other])} {other} samples are in {one} too, equal in every modality."
            )
    for part, marks in prints.items():
        if again := len(marks) - len(set(marks)):
            problems.append(f"{again} of {len(batches[part])} {part} samples are copies of others of that part.")
    return problems


def _fingerprints(batch: Batch) -> list[str]:
    """A mark for each sample that is not all zero; equal samples have equal marks."""
    arrays = [(batch.tokens[m].numpy(), batch.masks[m].numpy()) for m in batch.modalities]
    marks = []
    for i in range(len(batch)):
        real = [tokens[i][mask[i]] for tokens, mask in arrays]
        if any(tokens.any() for tokens in real):
            content = b"".join(len(tokens).to_bytes(8, "little") + tokens.tobytes() for tokens in real)
            marks.append(hashlib.blake2b(content, digest_size=16).hexdigest())
    return marks


def shared_stretches(batches: dict[str, Batch]) -> list[str]:
    """Samples that hold a stretch of values of another part in every modality of features, and are no plain copies."""
    some = {part: batch.select(evenly(np.arange(len(batch)), MOST_PROBED)) for part, batch in batches.items()}
    copied = {part: set(_fingerprints(batch)) for part, batch in some.items()}
    marks = [found for m in some["train"].modalities if (found := _stretches(some, m))]
    problems = []
    for one, other in PAIRS if marks else ():
        shared = np.logical_and.reduce([np.isin(m[other], m[one][m[one] != 0]).any(1) for m in marks])
        again = int(shared.sum()) - len(copied[one] & copied[other])
        if again >= max(2, LEAST_SHARED * len(shared)):
            problems.append(
                f"{again} of {len(shared)} {other} samples share stretches of their values with {one} and are no plain "
                f"copies: windows that overlap, or near copies."
            )
    return problems


def _stretches(batches: dict[str, Batch], modality: str) -> dict[str, Int64[ndarray, "sample stretch"]]:
    """By part, a mark for each stretch of tokens, equal for equal values; 0 where there is none. Nothing where features
    take too few values, so that honest samples would share some, and for token ids."""
    tokens, mask = (getattr(batches["train"], name)[modality].numpy() for name in ("tokens", "masks"))
    if tokens.ndim == 2 or not mask.any():
        return {}
    some = tokens.reshape(-1, tokens.shape[2])[evenly(np.flatnonzero(mask), MOST_PROBED)]
    varied = [i for i, column in enumerate(some.T) if len(np.unique(column)) > len(some) / 2][:STRETCH]
    length = -(-STRETCH // max(len(varied), 1))  # tokens that hold enough values
    if not varied or min(batch.masks[modality].shape[1] for batch in batches.values()) < length:
        return {}
    step = STEP * some[:, varied].std(0)
    held = tokens[:, :, varied][mask]
    low, high = (np.round(end / step).astype(np.int64) for end in (held.min(0), held.max(0)))
    weights = np.random.default_rng(0).integers(1, 2**62, (length, len(varied)))
    marks = {}
    for part, batch in batches.items():
        mask = batch.masks[modality].numpy()
        steps = np.round(batch.tokens[modality].numpy()[:, :, varied] / step).astype(np.int64)
        count = mask.shape[1] - length + 1
        with np.errstate(over="ignore"):  # sums modulo 2**64 are as good
            mark = sum((steps[:, i : i + count] * weights[i]).sum(-1) for i in range(length))
        # silence and saturation, the smallest and the largest value, are shared honestly
        inner = mask & ((steps > low) & (steps < high) & (steps != 0)).all(-1)
        full = np.logical_and.reduce([inner[:, i : i + count] for i in range(length)])
        marks[part] = np.where(full, mark, 0)
    return marks


def neighbours(batches: dict[str, Batch]) -> list[str]:
    """Whether samples resemble those of the other parts that stand next to them, where groups are unknown."""
    if has_groups(batches) or any(batch.labels is None for batch in batches.values()):
        return []
    train, test = batches["train"], batches["test"]
    order = np.argsort(train.ids.numpy())
    near = order[np.searchsorted(train.ids.numpy()[order], test.ids.numpy()).clip(0, len(order) - 1)]
    beside = np.abs(train.ids.numpy()[near] - test.ids.numpy()) <= BESIDE
    if beside.mean() < 0.5:
        return []
    labels = train.labels.double().reshape(len(train), -1).numpy()  # type: ignore[union-attr]
    problems = []
    for m, pooled in pooled_features(train).items():
        mean, std = np.nanmean(pooled, 0), np.nanstd(pooled, 0) + 1e-9
        x, y = (np.nan_to_num((values - mean) / std) for values in (pooled, pooled_features(test)[m]))
        # a stranger with the neighbour's label: samples that are sorted by their labels resemble their neighbours, too
        by_label = np.lexsort((np.random.default_rng(0).permutation(len(x)), *labels.T))
        place = np.empty(len(x), dtype=int)
        place[by_label] = np.arange(len(x))
        stranger = by_label[(place[near] + 1) % len(x)]
        close, far = (np.median(np.linalg.norm((y - x[rows])[beside], axis=1)) for rows in (near, stranger))
        if close < NEIGHBOURS * far:
            problems.append(
                f"{m}: test samples resemble the train samples next to them (median distance {close:.2g}, to others of "
                f"the same label {far:.2g}): pass groups (recordings, speakers) or parts that are apart in time."
            )
    return problems


def pooled_features(batch: Batch) -> dict[str, Float[ndarray, "sample feature"]]:
    """The mean over the real tokens joined with the middle one, by modality of features; NaN where it is missing."""
    pooled = {}
    for m, tokens in batch.tokens.items():
        if tokens.ndim == 3:
            mask = batch.masks[m]
            count = mask.sum(1)
            mean = (tokens.double() * mask[..., None]).sum(1) / count[:, None]
            middle = (mask.cumsum(1) > (count // 2)[:, None]).int().argmax(1)
            pooled[m] = torch.cat([mean, tokens[torch.arange(len(batch)), middle]], dim=1).numpy()
    return pooled


def bags(batches: dict[str, Batch]) -> dict[str, dict[str, Float[ndarray, "sample id"]]]:
    """By part and modality of token ids: how often a sample has each of the training part's 500 most frequent ids; NaN
    where the modality is missing."""
    counted: dict[str, dict[str, ndarray]] = {part: {} for part in batches}
    train = batches["train"]
    for m in (m for m, tokens in train.tokens.items() if tokens.ndim == 2 and train.masks[m].any()):
        ids, counts = train.tokens[m][train.masks[m]].unique(return_counts=True)
        known = ids[counts.argsort(descending=True, stable=True)[:MOST_IDS]].sort().values
        for part, batch in batches.items():
            place = torch.searchsorted(known, batch.tokens[m]).clamp(max=max(len(known) - 1, 0))
            real = (
                batch.masks[m] & (known[place] == batch.tokens[m]) if len(known) else torch.zeros_like(batch.masks[m])
            )
            bag = torch.zeros(len(batch), len(known)).scatter_add_(1, place, real.float())
            counted[part][m] = bag.masked_fill(~batch.masks[m].any(1, keepdim=True), torch.nan).numpy()
    return counted
