"""MMSA's pickles of CMU-MOSI, CMU-MOSEI and SIMS (thuiar/MMSA): aligned or not, text as features or as token ids."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Num
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.datasets.preprocessing import mask_from_lengths, mask_from_zeros
from clcrkit.datasets.readers.unpickle import unpickle
from clcrkit.datasets.split import PARTS, Split
from clcrkit.errors import DataError, check_choice
from clcrkit.tasks import MOST_CLASSES

KEYS = {"language": "text", "acoustic": "audio", "vision": "vision"}  # in the files, also MulT's
_SPELLINGS = {"dev": "valid", "val": "valid", "validation": "valid"}
_LONGEST_NAME = 200


class Part(NamedTuple):
    """Of one part of a file: tokens and masks by modality; labels, an id and a group (if known) for each sample."""

    tokens: Mapping[str, Num[ndarray, "_ _ ..."]]
    masks: Mapping[str, Bool[ndarray, "_ _"]]
    labels: Num[ndarray, "_ ..."] | Sequence[str]
    names: Sequence[str]
    groups: Sequence[str] | None


@public
def mmsa(
    path: str | os.PathLike[str], text: str = "features", labels: str = "regression", replace: bool = False
) -> Split:
    """Modalities `language`, `acoustic` and `vision` of one file; its shapes and its three parts are the file's.

    path: a pickle of {"train", "valid", "test"}, each a dict of text (sample, token, feature), text_bert (sample, 3,
        token: ids, attention mask, segments), audio and vision (sample, token, feature), id ("video$_$clip") and the
        labels; unaligned files also hold audio_lengths and vision_lengths. It is read without running any of it.
    text: "features" (`text`) or "ids" (row 0 of `text_bert`).
    labels: "regression" (sentiment from -3 to 3, in SIMS from -1 to 1), "classification" or "annotations" (names).
    replace: put 0 where a real token holds NaN or inf, as MMSA does; otherwise such a file is refused.

    Masks: of the language from the attention mask of text_bert, of the others from their lengths, where the file has
    them; else the padding is the zeros at one end (see `mask_from_zeros`). A sample whose audio or vision is nothing
    but zeros lacks that modality. [ours] Attributes: `group` is the video, `name` the id; Batch.ids count through the
    parts.
    Raises DataError for a damaged or hostile file, missing keys, shapes that do not fit, NaN and inf.
    """
    check_choice("text", text, ("features", "ids"))
    readers: dict[str, tuple[str, Callable[[str, str, Any], Any]]] = {
        "regression": ("regression_labels", real_numbers),
        "classification": ("classification_labels", whole_numbers),
        "annotations": ("annotations", texts),
    }
    check_choice("labels", labels, tuple(readers))
    path = Path(path)
    parts = {}
    for part, content in read_parts(path).items():
        where, (column, reader) = f"{path}: {part}", readers[labels]
        tokens, masks = _tokens_and_masks(where, content, text == "ids")
        if content.get(column) is None:
            raise DataError(f"{where}: no {column}; it has {_listed(content)}")
        names = texts(where, "id", content.get("id"))
        groups = [name.partition("$_$")[0] for name in names]
        parts[part] = Part(tokens, masks, reader(where, column, content[column]), names, groups)
    label_names: tuple[str, ...] = ()
    if labels == "annotations":
        label_names = tuple(sorted({name for part in parts.values() for name in part.labels}))
        parts = {
            name: part._replace(labels=np.array([label_names.index(label) for label in part.labels]))
            for name, part in parts.items()
        }
    elif labels == "classification":
        highest = max(int(np.max(part.labels, initial=0)) for part in parts.values())
        if highest >= MOST_CLASSES:
            raise DataError(f"{path}: class {highest}, but classes go from 0 to less than {MOST_CLASSES}")
        label_names = tuple(map(str, range(highest + 1)))
    return make_split(path, parts, label_names, replace)


def _tokens_and_masks(
    where: str, content: Mapping[Any, Any], as_ids: bool
) -> tuple[dict[str, Num[ndarray, "_ _ ..."]], dict[str, Bool[ndarray, "_ _"]]]:
    bert = content.get("text_bert")
    ids_and_mask = None if bert is None and not as_ids else _bert(where, bert)
    tokens, masks = {}, {}
    for m, key in KEYS.items():
        if ids_and_mask is not None and m == "language" and as_ids:
            tokens[m], masks[m] = ids_and_mask
            continue
        values = features(where, content, key)
        if f"{key}_lengths" in content:
            lengths = whole_numbers(where, f"{key}_lengths", content[f"{key}_lengths"])
            if lengths.shape != values.shape[:1]:
                raise DataError(f"{where}: {key}_lengths of shape {lengths.shape}, but {key} is {values.shape}")
            try:
                mask = mask_from_lengths(lengths, values.shape[1])
            except DataError as error:
                raise DataError(f"{where}: {key}_{error}") from None
        elif ids_and_mask is not None and m == "language" and ids_and_mask[1].shape == values.shape[:2]:
            mask = ids_and_mask[1]
        else:
            mask = mask_from_zeros(values)
        tokens[m], masks[m] = values, mask & (values != 0).any((1, 2))[:, None]
    return tokens, masks


def read_parts(path: Path) -> dict[str, dict[str, Any]]:
    """The three dicts of a pickle, by part. Raises DataError where it holds anything else."""
    content = _named(unpickle(path))
    if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in PARTS):
        what = _listed(content) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise DataError(f"{path}: holds {what}, but a dict of 'train', 'valid' and 'test', each a dict, is needed")
    return {part: _named(content[part]) for part in PARTS}


def _named(content: Any) -> Any:
    """The dict with keys as text, where Python 2 wrote bytes, and with the usual names of the parts."""
    if not isinstance(content, dict):
        return content
    keys = [key.decode("utf-8", "replace") if isinstance(key, bytes) else key for key in content]
    keys = [_SPELLINGS.get(key, key) for key in keys]
    if len(set(keys)) < len(keys):
        return {}  # no way to tell which of two is meant
    return dict(zip(keys, content.values(), strict=True))


def features(where: str, content: Mapping[Any, Any], key: str) -> Num[ndarray, "sample token feature"]:
    """An array of features as float32; what is beyond float32 becomes inf."""
    values = content.get(key)
    if not isinstance(values, ndarray):
        what = f"{key} is a {type(values).__name__}" if key in content else f"no {key}; it has {_listed(content)}"
        raise DataError(f"{where}: {what}; an array (sample, token, feature) is needed")
    if values.ndim != 3 or values.dtype.kind not in "fiu" or 0 in values.shape:
        what = f"{key} is {values.dtype} of shape {values.shape}"
        raise DataError(f"{where}: {what}, but numbers of (sample, token, feature), none of them 0, are needed")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def real_numbers(where: str, key: str, values: Any) -> Num[ndarray, "sample"]:
    """One number for each sample, from an array with any further axes of length 1 or from a list."""
    items = _flat(where, key, values)
    if not all(isinstance(v, (int, float)) for v in items):
        raise DataError(f"{where}: {key} must be numbers")
    return np.array(items, dtype=np.float64)


def whole_numbers(where: str, key: str, values: Any) -> Num[ndarray, "sample"]:
    """One whole number for each sample; floats without a fraction are taken."""
    array = real_numbers(where, key, values)
    if not (np.isfinite(array).all() and (np.abs(array) < 2**53).all() and (array == np.round(array)).all()):
        raise DataError(f"{where}: {key} must be whole numbers")
    return array.astype(np.int64)


def make_split(path: Path, parts: Mapping[str, Part], label_names: tuple[str, ...], replace: bool) -> Split:
    """The three parts with ids that count through them, and `group` (if known) and `name` as attributes."""
    known = {group for part in parts.values() for group in part.groups or ()}
    codes = {group: code for code, group in enumerate(sorted(known))}
    for m in KEYS:
        widths = {name: part.tokens[m].shape[2:] for name, part in parts.items()}
        if len(set(widths.values())) > 1:
            raise DataError(f"{path}: {m} has {', '.join(f'{p} {w}' for p, w in widths.items())} features")
    batches: dict[str, Batch] = {}
    for name, part in parts.items():
        for what, values in (*part.tokens.items(), ("labels", part.labels)):
            if len(values) != len(part.names):
                raise DataError(f"{path}: {name} {what} has {len(values)} samples, but there are {len(part.names)} ids")
        ids = np.arange(len(part.names)) + sum(map(len, batches.values()))
        several = np.ndim(part.labels) > 1
        try:
            batches[name] = Batch.from_arrays(
                {m: _finite(m, values, part.masks[m], part.names, replace) for m, values in part.tokens.items()},
                labels=part.labels,
                masks=part.masks,
                ids=ids,
                attributes={
                    **({} if part.groups is None else {"group": np.array([codes[g] for g in part.groups])}),
                    "name": ids,
                },
                task="multilabel" if several else "classification" if label_names else "regression",
                classes=len(label_names) if label_names and not several else None,
            )
        except DataError as error:
            raise DataError(f"{path}: {name} {error}") from None
    attribute_names = {"name": tuple(n for part in parts.values() for n in part.names)}
    attribute_names |= {"group": tuple(codes)} if codes else {}
    return Split(batches["train"], batches["valid"], batches["test"], label_names, attribute_names)


def _finite(
    modality: str, values: Num[ndarray, "sample token ..."], mask: Bool[ndarray, "sample token"],
    names: Sequence[str], replace: bool,
) -> Num[ndarray, "sample token ..."]:  # fmt: skip
    if values.dtype.kind != "f":
        return values
    bad = ~np.isfinite(values) & mask[..., None]
    if not bad.any():
        return values
    if replace:
        return np.where(bad, np.float32(0), values)
    samples = bad.any((1, 2))
    sample, token, feature = np.argwhere(bad)[0]
    raise DataError(
        f"{modality}: {samples.sum()} of {len(samples)} samples hold NaN or inf, {bad.sum()} values in all "
        f"(first: {names[sample]}, token {token}, {values[sample, token, feature]}); replace=True puts 0 there"
    )


def _bert(where: str, values: Any) -> tuple[Int64[ndarray, "sample token"], Bool[ndarray, "sample token"]]:
    """Token ids and attention mask of text_bert."""
    if not isinstance(values, ndarray) or values.ndim != 3 or values.shape[1] != 3 or values.dtype.kind not in "fiu":
        what = f"{values.dtype} of shape {values.shape}" if isinstance(values, ndarray) else type(values).__name__
        raise DataError(f"{where}: text_bert is {what}, but whole numbers of (sample, 3, token) are needed")
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise DataError(f"{where}: text_bert must be whole numbers")
    if values.size and not (values.min() >= 0 and values.max() < 2**31):
        raise DataError(f"{where}: text_bert runs from {values.min()} to {values.max()}, but ids are from 0 to 2**31")
    return values[:, 0].astype(np.int64), values[:, 1] != 0


def texts(where: str, key: str, values: Any) -> list[str]:
    """A text for each sample, from an array or a list of strings, bytes (read as UTF-8) or numbers."""
    items = _flat(where, key, values)
    return [(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v))[:_LONGEST_NAME] for v in items]


def _flat(where: str, key: str, values: Any) -> list[str | bytes | int | float]:
    """One plain value for each sample, from a list or from an array whose further axes have length 1."""
    if isinstance(values, ndarray) and values.ndim and math.prod(values.shape[1:]) == 1:
        values = values.reshape(-1).tolist()
    if not isinstance(values, (list, tuple)):
        what = f"an array of shape {values.shape}" if isinstance(values, ndarray) else f"a {type(values).__name__}"
        raise DataError(f"{where}: {key} is {what}, but one value for each sample is needed")
    items = [v.item() if isinstance(v, (ndarray, np.generic)) and v.size == 1 else v for v in values]
    if not all(isinstance(v, (str, bytes, int, float)) for v in items):
        raise DataError(f"{where}: {key} must hold one string or number for each sample")
    return items


def _listed(keys: Mapping[Any, Any]) -> str:
    return ", ".join(str(key)[:30] for key in list(keys)[:12]) or "nothing"
