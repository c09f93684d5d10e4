"""How `pytest --nbval` compares a notebook here: the same structure, the same words, numbers within a tolerance.

A pytest plugin, loaded from the root's conftest.py. A processor's arithmetic may change the last bits of a result, and
a training amplifies them, so that outputs compared as text hold on one kind of processor only. Here numbers in text,
HTML and plotly's JSON are compared as numbers: integers exactly, others within 1e-6 of their size (in an array, of its
largest), or within the cell's own tolerance, where its metadata name one: `"clcrkit": {"atol": 0.05}`. In a picture,
an SVG, one unit is the picture's width. All else must be equal: words, order, number and kinds of outputs. A cell that
was never run fails. The largest difference of each cell is recorded as the property 'difference' (`--junitxml`).
"""

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from nbval.plugin import IPyNbCell, transform_streams_for_comparison  # type: ignore[import-untyped]

RELATIVE = 1e-6
CELL_SECONDS = 180

# what differs from run to run on one machine and says nothing
ACCIDENTS = {
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}": "UUID",  # plotly's div ids
    r"\b\d+(?:\.\d+)? ?(?:s|ms|us|it/s)\b": "TIME",
}
PROGRESS = re.compile(r"\s*(?:.*:\s*)?\d+%\|.*")  # a bar: it says nothing once all is done, and is not stored
WIDGET = "application/vnd.jupyter.widget-view+json"
DRAWN = ("application/vnd.plotly.v1+json", "image/svg+xml")
PICTURES = ("image/png", "image/jpeg")  # their bytes depend on fonts
NUMBER = re.compile(r"(?<![\w.#])([-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\w)")
SVG = re.compile(r'(<svg [^>]*viewBox="0 0 (\d+)[^>]*>.*?</svg>)', re.DOTALL)


class Mismatch(Exception):
    """Two outputs that differ in more than their numbers."""


class Distance:
    """The largest difference of two numbers so far, and the first one that is beyond its tolerance."""

    def __init__(self, atol: float) -> None:
        self.atol, self.largest, self.beyond = atol, 0.0, ""

    def add(self, stored: Any, computed: Any, where: str, unit: float = 1.0) -> None:
        """Two numbers or arrays of one shape. A difference within 1e-6 of their size is none."""
        a, b = (np.atleast_1d(np.asarray(value)) for value in (stored, computed))
        if a.shape != b.shape:
            raise Mismatch(f"{where}: {a.shape} values are stored, {b.shape} were computed")
        exact = a.dtype.kind in "iub" and b.dtype.kind in "iub"
        a, b = (value.astype(object if exact else np.float64).ravel() for value in (a, b))
        if not exact:
            finite = np.isfinite(a) & np.isfinite(b)
            if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
                raise Mismatch(f"{where}: nan or inf is stored or was computed, not both")
            a, b = a[finite], b[finite]
        if not a.size:
            return
        apart = np.abs(a - b).astype(np.float64)
        at = int(apart.argmax())
        if apart[at] <= (0.0 if exact else RELATIVE * max(np.abs(a).max(), np.abs(b).max())):
            return
        self.largest = max(self.largest, float(apart[at] / unit))
        if apart[at] > self.atol * unit and not self.beyond:
            self.beyond = f"{where}: {a[at]:.8g} is stored, {b[at]:.8g} was computed"


def compare(stored: Sequence[Any], computed: Sequence[Any], atol: float = 0.0) -> Distance:
    """The distance of two lists of outputs in nbformat's form. Raises Mismatch where they differ in anything else."""
    distance = Distance(atol)
    ours, theirs = (list(_contents(outputs)) for outputs in (stored, computed))
    if [kind for kind, _ in ours] != [kind for kind, _ in theirs]:
        raise Mismatch(f"outputs: {_kinds(ours)} are stored, {_kinds(theirs)} were computed")
    for number, ((kind, a), (_, b)) in enumerate(zip(ours, theirs, strict=True), start=1):
        _compare_values(a, b, f"{kind} ({number} of {len(ours)})", distance)
    return distance


def is_progress(output: Any) -> bool:
    """Whether an output is a progress bar and nothing else."""
    data = output.get("data", {})
    return set(data) - {WIDGET} == {"text/plain"} and PROGRESS.fullmatch("".join(data["text/plain"])) is not None


def _contents(outputs: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """What each output says, with its kind. A widget's view is not stored, a picture's bytes are not compared; where a
    figure has other forms, its picture was drawn after the run (`stills.py`). A bar of progress is no output, since
    whether it is shown depends on the machine."""
    for output in transform_streams_for_comparison([output for output in outputs if not is_progress(output)]):
        for kind in ("stdout", "stderr", "ename", "evalue"):
            if kind in output:
                yield kind, output[kind]
        kinds = set(output.get("data", {})) - {WIDGET}
        for kind in sorted(kinds - set(PICTURES) if kinds & set(DRAWN) else kinds):
            yield kind, "" if kind in PICTURES else output["data"][kind]


def _kinds(contents: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(kind for kind, _ in contents) or "none"


def _compare_values(a: Any, b: Any, where: str, distance: Distance) -> None:
    """Two JSON values. Lists of numbers are arrays, as are plotly's encoded ones."""
    a, b = _array(a), _array(b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        distance.add(a, b, where)
    elif isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            raise Mismatch(f"{where}: only one of stored and computed has {', '.join(sorted(a.keys() ^ b.keys()))}")
        for key in a:
            _compare_values(a[key], b[key], f"{where}.{key}", distance)
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            raise Mismatch(f"{where}: {len(a)} entries are stored, {len(b)} were computed")
        for place, (one, other) in enumerate(zip(a, b, strict=True)):
            _compare_values(one, other, f"{where}[{place}]", distance)
    elif isinstance(a, str) and isinstance(b, str):
        _compare_texts(a, b, where, distance)
    elif type(a) is not type(b) or a != b:
        raise Mismatch(f"{where}: {a!r} is stored, {b!r} was computed")


def _array(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) <= {"dtype", "bdata", "shape"} and "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        return array.reshape([int(n) for n in str(value["shape"]).split(",")]) if "shape" in value else array
    numbers = value if isinstance(value, list) else [value]
    if numbers and all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
        return np.asarray(value)
    return value


def _compare_texts(a: str, b: str, where: str, distance: Distance) -> None:
    """Two texts: the same words; blanks beside a number only align it. In an SVG a unit is the picture's width."""
    for pattern, name in ACCIDENTS.items():
        a, b = re.sub(pattern, name, a), re.sub(pattern, name, b)
    ours, theirs = SVG.split(a), SVG.split(b)  # text, then for each picture: the picture, its width, text
    if len(ours) != len(theirs):
        raise Mismatch(f"{where}: {len(ours) // 3} pictures are stored, {len(theirs) // 3} were computed")
    for place in (i for i in range(len(ours)) if i % 3 != 2):
        unit = float(ours[place + 1]) if place % 3 == 1 else 1.0
        one, other = NUMBER.split(ours[place]), NUMBER.split(theirs[place])
        words, computed = _words(one), _words(other)
        if words != computed:
            at = next((i for i, (x, y) in enumerate(zip(words, computed, strict=False)) if x != y), len(words))
            context = [" … ".join(w[-60:] for w in parts[max(at - 1, 0) : at + 2]) for parts in (words, computed)]
            raise Mismatch(f"{where}: {context[0]!r} is stored, {context[1]!r} was computed")
        for x, y in zip(one[1::2], other[1::2], strict=True):
            distance.add(_value(x), _value(y), where, unit)


def _words(pieces: Sequence[str]) -> list[str]:
    return [re.sub(r"[ \t]+", " ", piece).strip(" ") for piece in pieces[::2]]


def _value(text: str) -> int | float:
    text = text.replace("−", "-")
    return float(text) if re.search(r"[.eE]", text) else int(text)


class ComparedCell(IPyNbCell):
    """nbval's cell, compared by this module's rule."""

    def runtest(self) -> None:
        if self.cell.execution_count is None:
            self.raise_cell_error("The cell was never run: store its outputs (see CONTRIBUTING.md)")
        super().runtest()

    def compare_outputs(self, test: Sequence[Any], ref: Sequence[Any], skip_compare: object = None) -> bool:
        try:
            distance = compare(ref, test, self.cell.metadata.get("clcrkit", {}).get("atol", 0.0))
            complaint, largest = distance.beyond, distance.largest
        except Mismatch as mismatch:
            complaint, largest = str(mismatch), float("inf")
        self.user_properties.append(("difference", largest))
        self.comparison_traceback = [complaint]
        return not complaint


def pytest_configure(config: pytest.Config) -> None:
    """Where nbval is asked for, it runs this Python's kernel and gives up on a cell in reasonable time."""
    if config.getoption("nbval", False):
        config.option.nbval_current_env = True
        config.option.nbval_cell_timeout = min(config.option.nbval_cell_timeout, CELL_SECONDS)
        config.option.nbval_kernel_startup_timeout = 60
        # two threads that spin while they wait make each other several times slower on a busy machine
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def pytest_itemcollected(item: pytest.Item) -> None:
    """nbval makes the cells; they are compared by us."""
    if type(item) is IPyNbCell:
        item.__class__ = ComparedCell
