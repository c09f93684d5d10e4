"""What a user's arrays mean: arrays of any kind become tensors, and each value is checked to survive. All [ours].

An array is anything that numpy, torch or pandas holds, or a list. Nothing is cast where a value would change, but for
the rounding of floats to float32. Where a value may mean two things, a DataError names the argument that decides.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped
from numpy import ndarray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clcrkit.arguments import wrong
from clcrkit.errors import DataError, check_choice
from clcrkit.tasks import MOST_CLASSES, task_named

MOST_TOKEN_IDS = 2**24
FREE_VALUES = 2**24  # padded samples may always hold this many values, and else
LARGEST_RATIO = 16  # this many times as many as they held before
AXES = ("feature", "token")


def by_name(what: str, values: Any) -> dict[str, Any]:
    """A mapping (or a DataFrame) as a dict with text as keys; an empty one for None."""
    if values is None:
        return {}
    if not hasattr(values, "keys"):
        raise DataError(f"{what}: {type(values).__name__}, but a mapping from names to arrays is needed")
    for name in values.keys():  # noqa: SIM118, as iterating over it need not give its keys
        if not isinstance(name, str):
            raise DataError(f"{what}: {name!r} is no text; names are needed")
    return {name: values[name] for name in values.keys()}  # noqa: SIM118


def as_tensor(name: str, values: Any) -> Shaped[Tensor, "..."]:
    """A copy on the CPU: bool, int64, float32 or float64."""
    try:
        if isinstance(values, Tensor):
            tensor = values.detach().cpu()
            tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
            # numpy has no bfloat16
            values = tensor.float() if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor
            values = values.resolve_conj().resolve_neg().numpy()
        if np.ma.is_masked(values):
            raise TypeError("some are masked")
        array = np.array(values)  # a copy: a later change must not reach the Batch
        if array.dtype == object:
            missing = sum(map(is_missing, array.ravel()))
            if missing:
                raise TypeError(f"{missing} of {array.size} are missing; drop them")
            array = np.array(array.tolist())
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        what = "rows of different lengths" if "inhomogeneous" in str(error) else f"not an array of numbers ({error})"
        raise DataError(f"{name}: {what}") from None
    kind = array.dtype.kind
    if kind == "c":
        raise DataError(f"{name}: complex numbers, but real ones are needed")
    if kind not in "biuf":
        cure = "; number the samples, and keep these as an attribute" if name == "ids" else ""
        raise DataError(f"{name}: not an array of numbers ({array.dtype}){cure}")
    if kind == "u" and array.size and int(array.max()) >= 2**63:
        raise DataError(f"{name}: holds {array.max()}, but whole numbers must be below 2**63")
    plain = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float32 if array.itemsize <= 4 else np.float64}[kind]
    with np.errstate(over="ignore"):  # what is beyond float64 becomes inf, and is refused
        return torch.from_numpy(array.astype(plain, copy=False))


def as_list(name: str, values: Any) -> list[Any]:
    """The values one by one."""
    if isinstance(values, (ndarray, Tensor)):
        values = as_tensor(name, values).tolist() if isinstance(values, Tensor) else values.tolist()
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise wrong(name, values, "a list")
    return list(values)


def of_length(name: str, values: Any, size: int) -> Shaped[Tensor, "sample ..."]:
    """`as_tensor`, for this many samples."""
    return _checked_length(name, as_tensor(name, values), size)


def _checked_length(name: str, tensor: Tensor, size: int) -> Tensor:
    if tensor.ndim == 0 or tensor.shape[0] != size:
        raise DataError(f"{name}: shape {tuple(tensor.shape)}, but {size} samples are needed")
    return tensor


def as_whole(name: str, tensor: Shaped[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """int64. Raises DataError where a float is no whole number, or above what floats tell apart."""
    if tensor.is_floating_point():
        exact = 2 / torch.finfo(tensor.dtype).eps
        bad = ~((tensor == tensor.round()) & (tensor.abs() <= exact))
        if bad.any():
            raise DataError(f"{name}: holds {float(tensor[bad][0]):.17g}, but whole numbers are needed; pass integers")
    return tensor.long()


def as_bool(name: str, tensor: Shaped[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """True for 1, False for 0. Raises DataError for any other value."""
    bad = ~((tensor == 0) | (tensor == 1))
    if bad.any():
        raise DataError(f"{name}: holds {tensor[bad][0].item()}, but True and False, or 1 and 0, are needed")
    return tensor.bool()


def is_missing(value: Any) -> bool:
    """None, NaN, or pandas' NA or NaT."""
    is_nan = isinstance(value, (float, np.floating)) and math.isnan(value)
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def refuse(name: str, what: str, bad: Bool[Tensor, "batch _"], ids: Int64[Tensor, "batch"], cure: str = "") -> None:
    """Raise DataError where any of `bad` is True, and name the first."""
    rows = bad.any(1)
    if rows.any():
        row = int(rows.nonzero()[0])
        raise DataError(
            f"{name}: {int(rows.sum())} of {len(bad)} samples {what} "
            f"(first: id {int(ids[row])}, token {int(bad[row].nonzero()[0])}){cure}"
        )


# ---- tokens


def as_sequences(
    name: str, values: Any, axes: str | None
) -> tuple[Shaped[Tensor, "batch _ ..."], Bool[Tensor, "batch _"]]:
    """(batch, token, feature) float32 or (batch, token) int64; and where a token is there: not at padding, nor at
    masked entries of a masked array, nor in samples that are None or nothing but NaN."""
    check_choice(f"axes of {name}", axes or "feature", AXES)
    samples = _samples(values)
    if samples is None:
        return _read(name, values, axes, batch_axes=1)
    rows = {i: _read(name, row, axes, batch_axes=0) for i, row in enumerate(samples) if not _is_empty(row)}
    return _padded(name, rows, len(samples))


def _samples(values: Any) -> list[Any] | None:
    """One entry for each sample, where the values are a list that makes no array by itself."""
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if isinstance(values, (Tensor, str, bytes)) or not isinstance(values, Iterable) or kind not in ("", "O"):
        return None
    if hasattr(values, "columns"):  # a DataFrame
        return None
    listed = list(values)
    if not any(isinstance(row, Tensor) or is_missing(row) for row in listed):
        try:
            return None if np.array(listed).dtype != object else listed
        except ValueError:
            return listed  # of different lengths
    return listed


def _is_empty(row: Any) -> bool:
    return is_missing(row) or (hasattr(row, "__len__") and len(row) == 0)


def _read(
    name: str, values: Any, axes: str | None, batch_axes: int
) -> tuple[Shaped[Tensor, "..."], Bool[Tensor, "..."]]:
    """Tokens of a batch or (no batch axis) of one sample, and where they are there."""
    masked = isinstance(values, np.ma.MaskedArray)
    tokens = as_tensor(name, values.data if masked else values)
    there = torch.from_numpy(~np.ma.getmaskarray(values)) if masked else torch.ones(tokens.shape, dtype=torch.bool)
    if tokens.dtype == torch.bool:
        raise DataError(f"{name}: holds True and False; pass integers for token ids, or floats")
    shape, floats = tuple(tokens.shape), tokens.is_floating_point()
    if floats and tokens.ndim == batch_axes + 1:
        if axes is None and not (batch_axes and shape[-1] == 1):  # one token of one feature is either
            raise DataError(
                f"{name}: floats of shape {shape} may be one token of {shape[-1]} features or {shape[-1]} tokens of "
                f"one feature for each sample; pass axes='feature' or axes='token'"
            )
        axis = batch_axes + (axes == "token")
        tokens, there = tokens.unsqueeze(axis), there.unsqueeze(axis)
    if tokens.ndim != batch_axes + 1 + floats or 0 in shape:
        needed = "(batch, token, feature)" if floats else "(batch, token)"
        cure = "" if floats else ": integers are token ids; pass floats for measurements"
        if batch_axes:
            raise DataError(f"{name}: shape {shape}, but {needed} with no empty axis is needed{cure}")
        raise DataError(
            f"{name}: a sample of shape {shape}, but (token, feature) floats or (token,) integers are needed{cure}"
        )
    if not floats:
        return tokens, there
    if not torch.equal(there.any(-1), there.all(-1)):
        raise DataError(f"{name}: masked in some features of a token only; mask whole tokens")
    return tokens.float(), there.all(-1) & ~tokens.isnan().all(-1).all(-1, keepdim=True)


def _padded(
    name: str, rows: Mapping[int, tuple[Tensor, Tensor]], size: int
) -> tuple[Shaped[Tensor, "batch _ ..."], Bool[Tensor, "batch _"]]:
    """Samples of different lengths as one tensor; those that are not in `rows` are all padding."""
    if not rows:
        raise DataError(f"{name}: no sample has a token; leave the modality out")
    given = [tokens for tokens, _ in rows.values()]
    kinds = sorted({f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape[1:])}" for t in given})
    if len(kinds) > 1:
        raise DataError(f"{name}: samples differ in width or kind: {', '.join(kinds[:4])}")
    longest, held = max(map(len, given)), sum(tokens.numel() for tokens in given)
    padded = size * longest * given[0][0].numel()
    if padded > max(FREE_VALUES, LARGEST_RATIO * held):
        raise DataError(
            f"{name} padded to {longest} tokens: {size} samples take {padded} values, but they hold {held}; cut the "
            f"longest"
        )
    blank = given[0][:0], torch.zeros(0, dtype=torch.bool)
    tokens, there = (pad_sequence([rows.get(i, blank)[of] for i in range(size)], batch_first=True) for of in (0, 1))
    return tokens, there


def as_mask(name: str, values: Any, there: Bool[Tensor, "batch _"]) -> Bool[Tensor, "batch _"]:
    """Which tokens are real. values: None, (batch, token), or for each sample its length or whether it is present."""
    if values is None:
        return there
    size, longest = there.shape
    given = as_tensor(f"{name} mask", values)
    if given.shape == (size,) and given.dtype == torch.bool:
        real = given[:, None] & (there | ~there.any(1, keepdim=True))
    elif given.shape == (size,):
        lengths = as_whole(f"{name} mask", given)
        low, high = int(lengths.min()), int(lengths.max())
        if low < 0 or high > longest:
            raise DataError(f"{name}: lengths from {low} to {high}, but they must be from 0 to {longest}")
        if high <= 1 < longest:
            raise DataError(
                f"{name}: a mask of one 0 or 1 for each sample may be presence or lengths; pass booleans for presence, "
                f"or a (batch, token) mask"
            )
        real = torch.arange(longest) < lengths[:, None]
    elif given.shape == there.shape:
        real = as_bool(f"{name} mask", given)
    else:
        raise DataError(
            f"{name}: mask of shape {tuple(given.shape)}, but (batch, token) is {tuple(there.shape)}, or (batch,) "
            f"lengths or presence"
        )
    wrong = (real & ~there).any(1)
    if wrong.any():
        raise DataError(
            f"{name}: the mask of {int(wrong.sum())} of {size} samples (first: the one at {int(wrong.nonzero()[0])}) "
            f"calls real what is missing, masked, padding, or NaN"
        )
    return real


# ---- labels and attributes


def as_codes(name: str, values: Any) -> tuple[Int64[Tensor, "sample"], tuple[str, ...]] | None:
    """Names as numbers, in the order of pandas' categories or else of the alphabet, and what each number stands for.
    None where the values are no names."""
    listed = _texts(values)
    if listed is None:
        return None
    bad = [i for i, x in enumerate(listed) if not isinstance(x, str) or x.strip().lower() in ("", "nan")]
    if bad:
        raise DataError(
            f"{name}: some are names, and {len(bad)} of {len(listed)} are empty, NaN or no names (first: "
            f"{listed[bad[0]]!r}, the one at {bad[0]}); drop those samples, or give them a name"
        )
    categories = getattr(getattr(values, "cat", values), "categories", None)  # pandas'
    used = set(listed)
    names = tuple(sorted(used) if categories is None else (x for x in categories if x in used))
    return _places(listed, names), names


def _places(values: Iterable[Any], order: Sequence[Any]) -> Int64[Tensor, "sample"]:
    places = {value: i for i, value in enumerate(order)}
    return torch.tensor([places[value] for value in values], dtype=torch.int64)


def _texts(values: Any) -> list[Any] | None:
    """The values as a list, where one of them is a text."""
    if isinstance(values, (Tensor, str)) or (isinstance(values, ndarray) and values.dtype.kind in "biufc"):
        return None
    listed = values.tolist() if hasattr(values, "tolist") else list(values) if isinstance(values, Iterable) else []
    return listed if isinstance(listed, list) and any(isinstance(value, str) for value in listed) else None


def as_attribute(name: str, values: Any, size: int) -> tuple[Int64[Tensor, "sample"], tuple[str, ...]]:
    """Integers, or names as numbers and what each stands for."""
    what = f"attribute {name}"
    tensor, names = as_codes(what, values) or (as_tensor(what, values), ())
    if _checked_length(what, tensor, size).ndim > 1:
        raise DataError(f"{what}: shape {tuple(tensor.shape)}, but ({size},) integers or names are needed")
    return as_whole(what, tensor), names


def as_labels(
    values: Any, ids: Int64[Tensor, "batch"], task: str | None, classes: int | Sequence[Any] | None
) -> tuple[Shaped[Tensor, "batch ..."], tuple[str, ...]]:
    """Labels of a Batch, and what the classes are called where they have names. `task` and `classes` are those of
    `Batch.from_arrays`."""
    size = len(ids)
    if task is not None:
        task_named(task)
    if classes is not None and not isinstance(classes, (int, np.integer)):
        return _declared(values, tuple(as_list("classes", classes)), size)
    column = _is_column(values)
    if column and task is None:
        raise DataError(
            "labels: one column, (batch, 1), may hold classes, a regression or one label of several; pass task=..."
        )
    if column and task != "multilabel":
        values = [row[0] for row in (values if isinstance(values, list) else np.asarray(values))]
    labels, names = as_codes("labels", values) or (as_tensor("labels", values), ())
    if _checked_length("labels", labels, size).ndim > 2:
        raise DataError(f"labels: {labels.ndim} axes, but (batch,) or (batch, label) is needed")
    if labels.ndim == 2 and not ((labels == 0) | (labels == 1)).all():
        raise DataError("labels: (batch, label) labels must be 0 or 1 each")
    kind = "multilabel" if labels.ndim == 2 else task
    if task is not None and ((task == "multilabel") != (labels.ndim == 2) or (names and task != "classification")):
        raise DataError(f"labels: of {labels.ndim} axes{' with names' * bool(names)}, which do not make a {task}")
    if labels.is_floating_point():
        finite = labels.float().isfinite()  # a float64 may be beyond float32
        refuse("labels", "are NaN or inf; only finite numbers are allowed", ~finite.reshape(size, -1), ids)
    if kind == "multilabel":
        return labels.float(), ()
    if kind == "regression":
        if not labels.is_floating_point() and int(labels.abs().max()) > 2**24:
            raise DataError(
                f"labels: {int(labels.abs().max())} is beyond what float32 tells apart; pass smaller floats"
            )
        return labels.float(), ()
    if labels.is_floating_point() and kind is None:
        if (labels != labels.round()).any():
            return labels.float(), ()
        some = ", ".join(f"{x:g}." for x in labels.unique()[:3].tolist())
        raise DataError(
            f"labels: floats that are all whole ({some}) may be classes or a regression; pass task='classification' or "
            f"task='regression'"
        )
    labels = as_whole("labels", labels)
    refuse("labels", f"are negative ({int(labels.min())}); classes start at 0", (labels < 0)[:, None], ids, _DECLARE)
    highest, present = int(labels.max()), labels.unique()
    most = MOST_CLASSES if classes is None else classes
    if highest >= most:
        raise DataError(f"labels: class {highest}, but classes go from 0 to less than {most}")
    if classes is None and len(present) <= highest:
        absent = int((torch.cat([present, present.new_tensor([-1])]) != torch.arange(len(present) + 1)).nonzero()[0])
        raise DataError(
            f"labels: go up to {highest}, but no sample is of class {absent}{_DECLARE}, or classes={highest + 1} where "
            f"there are classes without a sample"
        )
    return labels, names


def _is_column(values: Any) -> bool:
    if isinstance(values, list):
        return all(isinstance(row, (list, tuple)) and len(row) == 1 for row in values)
    return len(getattr(values, "shape", ())) == 2 and values.shape[1] == 1


_DECLARE = "; pass the values that are classes in order, as classes=[...]"


def _declared(values: Any, classes: tuple[Any, ...], size: int) -> tuple[Int64[Tensor, "batch"], tuple[str, ...]]:
    """Labels as places in a list of all classes, and what these are called."""
    if not all(isinstance(value, Hashable) for value in classes):
        raise DataError(f"classes: {classes!r}, but numbers or names are needed")
    if len(set(classes)) < len(classes) or not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(f"classes: {len(classes)}, but from 2 to {MOST_CLASSES} are needed, each once")
    listed = _texts(values)
    if listed is None:
        listed = of_length("labels", values, size).tolist()
    unknown = [value for value in listed if isinstance(value, list) or value not in classes]
    if unknown or len(listed) != size:
        raise DataError(f"labels: {unknown[:1] or len(listed)}, but {size} labels that classes names are needed")
    return _places(listed, classes), tuple(map(str, classes))
