"""The unpickler: it gives what pickle gives for arrays and plain values, and nothing else ever runs or is built."""

import collections
import datetime
import functools
import os
import pathlib
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from clcrkit import DataError
from clcrkit.datasets.readers import unpickle as unpickle_module
from clcrkit.datasets.readers.unpickle import unpickle
from tests.datasets.writers_files import python2

NUMERIC = st.one_of(
    numbers.integer_dtypes(endianness="?"), numbers.floating_dtypes(endianness="?"), numbers.boolean_dtypes(),
    numbers.unicode_string_dtypes(), numbers.byte_string_dtypes(),
)  # fmt: skip
ARRAYS = numbers.arrays(NUMERIC, numbers.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=20) | st.binary()
VALUES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)  # fmt: skip


def read(tmp_path: Path, raw: bytes) -> Any:
    path = tmp_path / "file.pkl"
    path.write_bytes(raw)
    return unpickle(path)


def same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.shape == b.shape
        assert a.dtype == b.dtype.newbyteorder("=")  # pickle keeps the foreign order in some protocols
        assert a.astype(a.dtype.newbyteorder("=")).tobytes() == b.astype(b.dtype.newbyteorder("=")).tobytes()
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b or (a != a and b != b)


@given(value=VALUES, protocol=st.integers(0, 5))
def test_it_reads_what_pickle_reads(tmp_path_factory, value: Any, protocol: int):
    raw = pickle.dumps(value, protocol=protocol)
    same(read(tmp_path_factory.mktemp("pickle"), raw), pickle.loads(raw))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_keep_order_sharing_and_objects(tmp_path: Path, protocol: int):
    column = np.asfortranarray(np.arange(6).reshape(2, 3))
    mixed = np.array(["a", None, 2.5, np.arange(3)], dtype=object)
    value = {
        "a": column,
        "again": column,
        "mixed": mixed,
        "one": np.float32(3),
        "ordered": collections.OrderedDict(x=1),
    }
    found = read(tmp_path, pickle.dumps(value, protocol=protocol))
    assert found["a"] is found["again"]
    assert found["a"].flags.f_contiguous
    np.testing.assert_array_equal(found["a"], column)
    assert found["mixed"][:3].tolist() == ["a", None, 2.5]
    np.testing.assert_array_equal(found["mixed"][3], np.arange(3))
    assert found["one"] == 3
    assert type(found["one"]) is np.float32
    assert found["ordered"] == {"x": 1}
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0] = 1


def test_python_2_and_old_numpy(tmp_path: Path):
    value = {"text": np.arange(40.0).reshape(2, 20), "id": np.array([b"caf\xe9", b"x"]), "n": [1, 2.5]}
    found = read(tmp_path, python2(value))
    for key in ("text", "id"):
        np.testing.assert_array_equal(found[key], value[key])
    assert found["n"] == value["n"]


def test_names_of_both_numpys(tmp_path: Path):
    for protocol in range(6):
        raw = pickle.dumps(np.arange(3.0), protocol=protocol)
        old = raw.replace(b"numpy._core", b"numpy.core").replace(b"\x8c\x16numpy.core", b"\x8c\x15numpy.core")
        old = old.replace(b"\x8c\x13numpy.core.numeric", b"\x8c\x12numpy.core.numeric")
        if protocol >= 4:  # the frame is one byte shorter for each name that is
            start, size = 2, struct.unpack("<Q", raw[3:11])[0]
            old = old[: start + 1] + struct.pack("<Q", size - (len(raw) - len(old))) + old[start + 9 :]
        np.testing.assert_array_equal(read(tmp_path, old), np.arange(3.0))


class Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Sets:
    def __reduce__(self) -> Any:
        return np.ndarray.__new__, (np.ndarray, (2,)), {"a": 1}


OBJECTS = {
    "os.system": Runs(os.system, "touch pwned"),
    "eval": Runs(eval, "open('pwned', 'w')"),
    "exec": Runs(exec, "open('pwned', 'w')"),
    "partial": functools.partial(os.system, "touch pwned"),
    "getattr": Runs(getattr, "os", "system"),
    "import": Runs(__import__, "os"),
    "popen": Runs(subprocess.Popen, ["touch", "pwned"]),
    "load": Runs(np.load, "pwned.npy", None, True),
    "memmap": Runs(np.memmap, "pwned", "u1", "w+", 0, (10,)),
    "path": pathlib.Path("x"),
    "date": datetime.date(2020, 1, 1),
    "set": {1, 2},
    "complex": 1j,
    "class": int,
    "function": np.load,
    "structured": np.zeros(2, dtype=[("a", "i4")]),
    "dates": np.zeros(2, dtype="M8[D]"),
    "nested objects": np.array([np.array([None], dtype=object), None], dtype=object),
    "lists in objects": np.array([[1], None], dtype=object),
    "defaultdict": collections.defaultdict(list),
    "tensor": torch.zeros(2),
    "frame": pd.DataFrame({"a": [1]}),
    "set state": Sets(),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_everything_else_is_refused_and_nothing_runs(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        for value in (OBJECTS[name], {"train": {"text": [OBJECTS[name]]}}):
            with pytest.raises(DataError, match=r"file\.pkl"):
                read(tmp_path, pickle.dumps(value, protocol=protocol))
    assert [p.name for p in tmp_path.iterdir()] == ["file.pkl"]


def test_what_to_do_is_said(tmp_path: Path):
    for value, advice in ((torch.zeros(2), r"tensor\.numpy\(\)"), (pd.Series([1]), r"to_numpy\(\)")):
        with pytest.raises(DataError, match=advice):
            read(tmp_path, pickle.dumps(value))
    torch.save({"a": torch.zeros(2)}, tmp_path / "file.pt")
    with pytest.raises(DataError, match=r"torch\.save"):
        unpickle(tmp_path / "file.pt")


def array(shape: str, dtype: str = "f8", raw: str = "") -> bytes:
    """A protocol 0 pickle of an array that declares anything."""
    return (
        f"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n{shape}"
        f"cnumpy\ndtype\n(S'{dtype}'\nI00\nI01\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'{raw}'\ntb."
    ).encode()


HOSTILE = {
    "empty": b"",
    "no end": b"(lp0\n",
    "nothing": b".",
    "a huge shape": array("(I1000000\nI1000000\nt"),
    "a negative shape": array("(I-1\nt"),
    "a shape that overflows": array("(L4294967296L\nL4294967296L\nt"),
    "many axes": array("(" + "I1\n" * 60 + "t", raw="12345678"),
    "an item of 999999 bytes": array("(I1\nt", dtype="S999999"),
    "an item without size": array("(I9\nt", dtype="S0"),
    "objects from bytes": array("(I1\nt", dtype="O8", raw="12345678"),
    "a place far out in the memo": b"Nr\xff\xff\xff\x7f" + b"q\x00" * 3,  # no end; C's machine takes 32 GB for it
    "bytes that are not there": b"\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    "a string that is not there": b"T" + struct.pack("<i", 2**31 - 1) + b"abc.",
    "a negative length": b"T" + struct.pack("<i", -5) + b"abc.",
    "a long whole number": b"\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".",
    "a very long decimal": b"L" + b"9" * 10**6 + b"L\n.",
    "a list in itself many times over": b"(lp0\n" + b"(g0\ng0\nlp0\n" * 500 + b"cos\nsystem\n.",
    "more lists than allowed": b"]" * 20_000 + b".",
    "deep tuples as a key": b"}" + b")" + b"\x85" * 10_000 + b"Ns.",
    "a persistent id": b"Pos.system\n.",
    "an extension": b"\x82\x01.",
    "an instance": b"(S'touch pwned'\nios\nsystem\n.",
    "a class made": b"(cos\nsystem\nS'touch pwned'\no.",
    "a new object": b"cos\nsystem\n(S'touch pwned'\nt\x81.",
    "a buffer from outside": b"\x80\x05\x97.",
    "a name from the stack that is none": b"NN\x93.",
    "a call of a string": b"S'os.system'\n(tR.",
    "a call of ndarray": b"cnumpy\nndarray\n(L99999999999L\ntR.",
    "an array never finished": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
    "a name as the result": b"cnumpy\nndarray\n.",
    "a state for a list": b"](I1\ntb.",
    "a stack below its mark": b"N(0.",
    "a mark without an end": b"NN(tt.",
    "an append to a number": b"I1\nI2\na.",
    "an odd dict": b"(I1\nd.",
    "the memo without an entry": b"g5\n.",
    "an unknown encoding": b"c_codecs\nencode\n(S'abc'\nS'zip'\ntR.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_opcodes(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unpickle_module, "MOST_OPCODES", 15_000)
    with pytest.raises(DataError, match=r"file\.pkl"):
        read(tmp_path, HOSTILE[name])
    assert [p.name for p in tmp_path.iterdir()] == ["file.pkl"]


def test_one_string_cannot_become_many_arrays(tmp_path: Path):
    text = "a" * 10_000
    again = b"c_codecs\nencode\n(g0\nS'latin1'\ntR0"
    raw = b"(X" + struct.pack("<I", len(text)) + text.encode() + b"p0\n0" + again * 1000 + b"N."
    with pytest.raises(DataError, match="more bytes than the file holds"):
        read(tmp_path, raw)


def test_pipes_folders_and_absent_files(tmp_path: Path):
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for name in ("pipe", "absent", "."):
        with pytest.raises(DataError, match="no such file"):
            unpickle(tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_hostile_files_take_little_memory(tmp_path: Path):
    """All of them, one after the other, in a process that may take 300 MB more than it has after its imports."""
    for i, raw in enumerate(HOSTILE.values()):
        (tmp_path / f"{i}.pkl").write_bytes(raw)
    code = f"""
import resource, pathlib
from clcrkit.datasets.readers import unpickle as module
module.MOST_OPCODES = 15_000
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
for path in sorted(pathlib.Path({str(tmp_path)!r}).iterdir()):
    try:
        module.unpickle(path)
    except ValueError as error:
        assert "MemoryError" not in str(error), error
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "done\n", done.stderr
