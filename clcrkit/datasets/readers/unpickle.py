"""unpickle: read a pickle from an untrusted source. Nothing in it is ever imported, and nothing of it is called.

A pickle is a program for a small stack machine, and Python's own machine calls whatever the program names. Here it runs
without the opcodes that make objects, and the few names that numpy writes stand for functions of this file; any other
opcode or name is refused. An array is made only of bytes that lie in the file, so that no declared shape can take more
memory than the file holds.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from clcrkit.errors import DataError

MOST_OPCODES = 1_000_000  # some seconds; the largest published files need a few hundred thousand
_LARGEST_INT = 2**64
_HEAD = 4096  # bytes in which the ends of lines are looked at
_DTYPE = re.compile(r"[<>|=]?(?P<kind>[biufSUO])(?P<size>\d{0,6})")
_PLAIN = (str, bytes, bool, int, float, type(None), np.generic)
_NDARRAY = object()  # stands for the name numpy.ndarray, which tells what to reconstruct and is never called
_HOW = {
    "torch": "it holds torch objects; save arrays instead: tensor.numpy()",
    "pandas": "it holds pandas objects; save arrays instead: frame.to_numpy(), or a csv file",
}
_OPCODES = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET",
    "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
    "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "EMPTY_LIST", "LIST",
    "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip
# The only names that are allowed, and the method of _Machine that is called in their place.
_FUNCTIONS = {
    ("numpy", "dtype"): "_start_dtype",
    ("_codecs", "encode"): "_encode",
    ("builtins", "bytes"): "_bytes",
    ("__builtin__", "bytes"): "_bytes",
    ("collections", "OrderedDict"): "_ordered_dict",
}
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and numpy 2
    _FUNCTIONS[f"{_core}.multiarray", "_reconstruct"] = "_start_array"
    _FUNCTIONS[f"{_core}.multiarray", "scalar"] = "_scalar"
    _FUNCTIONS[f"{_core}.numeric", "_frombuffer"] = "_from_buffer"


def unpickle(path: str | os.PathLike[str]) -> Any:
    """What a pickle of any protocol holds: numpy arrays, lists, tuples, dicts, numbers, strings and bytes.

    Arrays are read-only. Strings of Python 2 are read as latin-1. No code of the file runs, and memory stays in
    proportion to its size. Raises DataError for everything else: other objects, damage, more than a million opcodes.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError("no such file")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] == b"PK\x03\x04":
                raise ValueError("a zip archive, as torch.save writes; save arrays with numpy or pickle instead")
            if data[:1] != b"\x80" and 0 < data[:_HEAD].count(b"\n") == data[:_HEAD].count(b"\r\n"):
                raise ValueError("it has the line ends of Windows (CRLF), so it was copied as text; copy it as binary")
            _check_opcodes(data)
            data.seek(0)
            machine = _Machine(data)
            return machine.checked(machine.load())
    except Exception as error:  # damage makes pickle, pickletools and numpy raise a dozen different kinds
        text = f"{type(error).__name__} {error}"[:300].removeprefix("ValueError ").strip()
        raise DataError(f"{path}: not a pickle that can be read, or damaged ({text})") from error


def _check_opcodes(data: Any) -> None:
    """Refuse a pickle that is cut off, or has more opcodes or a larger number than a data set needs."""
    for count, (_, value, _) in enumerate(pickletools.genops(data)):
        if count >= MOST_OPCODES:
            raise ValueError(f"more than {MOST_OPCODES} opcodes; numbers must come in arrays")
        if isinstance(value, int) and abs(value) >= _LARGEST_INT:
            raise ValueError("a whole number of more than 64 bits")


class _Dtype:
    """The type of an array's elements, which pickles make in two steps: a code, then the order of its bytes."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.dtype: np.dtype[Any] | None = None

    def finish(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or self.dtype:
            raise ValueError("an array whose elements have no order of bytes")
        if any(part is not None for part in state[2:5]):
            raise ValueError("an array whose elements have parts of their own")
        self.dtype = np.dtype(self.code if state[1] == "|" else state[1] + self.code)


class _Machine(pickle._Unpickler):
    """Python's own machine with fewer opcodes and stricter ones. It is the one that is written in Python, since the
    one in C takes 32 GB for a hostile place in the memo."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: mmap.mmap) -> None:
        super().__init__(data, encoding="latin1")
        self.unfinished: dict[int, ndarray] = {}  # by identity: arrays that have no content yet
        self.copy_budget = 2 * len(data)  # bytes: no honest file needs more than two copies of itself

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return _NDARRAY
        if (module, name) not in _FUNCTIONS:
            how = _HOW.get(module.partition(".")[0], "only numpy arrays and plain values are read")
            raise ValueError(f"{module}.{name} is refused: {how}")
        return getattr(self, _FUNCTIONS[module, name])

    def checked(self, value: Any) -> Any:
        """The value, once everything in it is known to be finished and plain."""
        seen: set[int] = set()
        open_values = [value]
        while open_values:
            item = open_values.pop()
            if isinstance(item, (list, dict)) or type(item) is tuple:
                if id(item) not in seen:
                    seen.add(id(item))
                    open_values.extend(item.values() if isinstance(item, dict) else item)
            elif not isinstance(item, (*_PLAIN, bytearray)) and not self._is_done(item):
                raise ValueError("it holds something that is no array and no plain value")
        return value

    def load_pop(self) -> None:
        del self.stack[-1]  # and never a mark

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set_items(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise ValueError("something is set in what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, (str, bytes, int, float)):
                raise ValueError("a key of a dict is no string or number")
            self.stack[-1][key] = value

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, MethodType) or not isinstance(arguments, tuple):
            raise ValueError("a call of what is no function")
        self.stack.append(function(*arguments))

    def load_build(self) -> None:
        state, start = self.stack.pop(), self.stack[-1]
        if isinstance(start, _Dtype):
            start.finish(state)
        elif id(start) in self.unfinished and isinstance(state, tuple):
            self._fill(self.unfinished.pop(id(start)), *state[-4:])
        else:
            raise ValueError("a state is set in what is no array")

    # --- what stands for the names that numpy writes

    def _start_array(self, kind: Any, shape: Any, code: Any) -> ndarray:
        if kind is not _NDARRAY:
            raise ValueError("an array of a kind of its own")
        array = np.empty(0)
        self.unfinished[id(array)] = array
        return array

    def _from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> Shaped[ndarray, "..."]:
        return self._fill(np.empty(0), shape, dtype, order == "F", data)

    def _scalar(self, dtype: Any, data: Any = b"") -> Any:
        if isinstance(dtype, _Dtype) and dtype.code == "O":
            raise ValueError("a number without a type")
        return self._fill(np.empty(0), (), dtype, False, data)[()]

    def _fill(self, array: ndarray, shape: Any, dtype: Any, fortran: Any, data: Any) -> Shaped[ndarray, "..."]:
        """Give the array its content, in place, since other parts of the pickle may refer to it."""
        shape = (shape,) if isinstance(shape, int) else shape
        if not isinstance(dtype, _Dtype) or dtype.dtype is None or not isinstance(shape, tuple):
            raise ValueError("an array without a shape and a type")
        if len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
            raise ValueError(f"an array of shape {str(shape)[:80]}")
        if dtype.code == "O":
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise ValueError(f"an array of shape {shape} without as many objects")
            if not all(isinstance(x, _PLAIN) or (self._is_done(x) and x.dtype.kind != "O") for x in data):
                raise ValueError("an array of objects that are no numbers, strings or arrays")
        else:
            data = bytes(self._bytes(data))
            self._spend(len(data))
            if math.prod(shape) * dtype.dtype.itemsize != len(data) or not dtype.dtype.itemsize:
                raise ValueError(f"an array of shape {shape} and {dtype.dtype} with {len(data)} bytes")
        array.__setstate__((1, shape, dtype.dtype, bool(fortran), data))  # type: ignore[arg-type]
        array.flags.writeable = False
        return array

    def _is_done(self, value: Any) -> bool:
        return isinstance(value, ndarray) and id(value) not in self.unfinished

    def _start_dtype(self, code: Any, align: Any = False, copy: Any = False) -> _Dtype:
        match = _DTYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise ValueError("an array whose elements are no numbers or strings")
        return _Dtype("O" if match["kind"] == "O" else match["kind"] + match["size"])

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError("bytes in an unknown encoding")
        return self._bytes(text)

    def _bytes(self, data: Any = "") -> Any:
        if isinstance(data, str):
            self._spend(len(data))
            return data.encode("latin-1")
        if not isinstance(data, (bytes, bytearray)):
            raise ValueError("bytes that are none")
        return data

    def _spend(self, size: int) -> None:
        self.copy_budget -= size
        if self.copy_budget < 0:
            raise ValueError("more bytes than the file holds")

    def _ordered_dict(self) -> dict[Any, Any]:
        return {}

    def load_other(self) -> None:
        raise ValueError("an opcode that builds objects of unknown kinds")

    dispatch: ClassVar[dict[int, Any]] = dict.fromkeys(pickle._Unpickler.dispatch, load_other)
    dispatch |= {code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _OPCODES)}
    dispatch |= {
        pickle.POP[0]: load_pop,
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
    }
