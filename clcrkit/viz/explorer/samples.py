"""What is known of every sample of a trace: label, prediction, error and attributes, with names where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from numpy import ndarray

from clcrkit.datasets.split import Split
from clcrkit.trace import Trace
from clcrkit.viz.explorer import comparison

_CATEGORIES = 40  # an attribute with more values than this is shown as a number, not as groups


@dataclass(frozen=True)
class Column:
    """One fact about every sample, which points can be coloured by.

    kind "category": `values` are positions in `names`, -1 where unknown. kind "number": `values` are floats, and
    `names` the digits of each sample's value where floats cannot hold them.
    answer: it is what the model says, or whether that is wrong.
    """

    name: str
    kind: Literal["category", "number"]
    values: Shaped[ndarray, "sample"]
    names: list[str] = field(default_factory=list)
    answer: bool = False


def output_names(trace: Trace, split: Split | None) -> list[str]:
    """A name for each output of the model; label names where they are known."""
    if trace.task == "regression":
        return ["value"]
    count, labels = trace.prediction.shape[1], trace.batch.labels
    if trace.task == "classification" and labels is not None:
        count = max(count, int(labels.max()) + 1)
    names = (split.label_names if split else ()) or trace.batch.label_names
    return [str(names[i]) if i < len(names) else str(i) for i in range(count)]


def columns(trace: Trace, split: Split | None, other: Trace | None = None) -> list[Column]:
    """Label, prediction and error (where there are labels), the same of another trace, then each attribute."""
    make = {"classification": _classes, "multilabel": _several_labels, "regression": _values}[trace.task]
    names = output_names(trace, split)
    answers = make(trace, names)
    if other is not None:
        said = [replace(c, name=f"{c.name} b") for c in make(other, names) if c.answer]
        verdict = comparison.verdict(trace, other)
        answers += [*said, _category(comparison.VERDICT, verdict.of, verdict.names, answer=True)]
    return [*answers, *_attributes(trace, split)]


def frame(columns: Sequence[Column], ids: Sequence[int], rows: Sequence[int]) -> pd.DataFrame:
    """The samples at these positions, indexed by id, with a column for each of `columns`.

    Groups are their names, None where unknown; numbers that floats cannot hold are Python's integers.
    """

    def values(c: Column) -> Any:
        if c.kind == "category":
            return [c.names[v] if v >= 0 else None for v in c.values[list(rows)].tolist()]
        return [int(c.names[i]) for i in rows] if c.names else c.values[list(rows)]

    index = pd.Index([ids[i] for i in rows], name="id")
    return pd.DataFrame({c.name: pd.Series(values(c), index, dtype=None) for c in columns}, index)


def _category(name: str, values: Any, names: Sequence[str], answer: bool = False) -> Column:
    return Column(name, "category", np.asarray(values, dtype=int), list(map(str, names)), answer)


def _number(name: str, values: Any, answer: bool = False) -> Column:
    values = np.asarray(values)
    exact = values.astype(np.float64)
    digits = values.dtype.kind == "i" and not np.array_equal(exact.astype(object), values.astype(object))
    return Column(name, "number", exact, [str(v) for v in values] if digits else [], answer)


def _classes(trace: Trace, names: list[str]) -> list[Column]:
    labels, guess = trace.batch.labels, trace.prediction.argmax(1).numpy()
    prediction = _category("prediction", guess, names, answer=True)
    if labels is None:
        return [prediction]
    error = _category("error", guess != labels.numpy(), ("right", "wrong"), answer=True)
    return [_category("label", labels, names), prediction, error]


def _several_labels(trace: Trace, names: list[str]) -> list[Column]:
    labels, guess = trace.batch.labels, (trace.prediction > 0).numpy()
    no_yes = ("no", "yes")
    predictions = [_category(f"prediction {name}", guess[:, i], no_yes, answer=True) for i, name in enumerate(names)]
    if labels is None:
        return predictions
    titles = ["label"] if len(names) == 1 else [f"label {name}" for name in names]
    truths = [_category(title, labels[:, i], ("no", "yes")) for i, title in enumerate(titles)]
    wrong = (guess != (labels.numpy() > 0)).sum(1)
    counts = [f"{i} wrong" for i in range(int(wrong.max()) + 1)]
    return [*truths, *predictions, _category("error", wrong, counts, answer=True)]


def _values(trace: Trace, names: list[str]) -> list[Column]:
    labels, prediction = trace.batch.labels, trace.prediction.float()[:, 0]
    if labels is None:
        return [_number("prediction", prediction, answer=True)]
    error = _number("error", (prediction - labels).abs(), answer=True)
    return [_number("label", labels), _number("prediction", prediction, answer=True), error]


def _attributes(trace: Trace, split: Split | None) -> list[Column]:
    attributes = []
    known = {**trace.batch.attribute_names, **(split.attribute_names if split else {})}
    for key, tensor in trace.batch.attributes.items():
        values, names = tensor.numpy(), known.get(key)
        # columns of our own have these names, so that colours, legends and probes know them
        ours = key in ("modality", "label", "prediction", "error", "error b", comparison.VERDICT)
        ours = ours or key.startswith(("label ", "prediction "))
        name = f"attribute {key}" if ours else key
        distinct, position = np.unique(values, return_inverse=True)
        if names and values.min() >= -1 and values.max() < len(names):
            attributes.append(_category(name, values, names))
        elif len(distinct) <= _CATEGORIES:
            attributes.append(_category(name, position, [str(v) for v in distinct]))
        else:
            attributes.append(_number(name, values))
    return attributes
