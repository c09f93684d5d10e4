"""unpickle: read a pickle from an untrusted source. Nothing in it is ever imported or called.

A pickle is a program for a small stack machine, and Python's own machine calls whatever the program names. This one
knows the opcodes that make numbers, strings, lists, tuples and dicts, and takes a handful of names (those that numpy
writes) as what they mean; anything else it refuses. An array is a view of bytes that lie in the file, so that no
declared shape can take more memory than the file holds.
"""

from __future__ import annotations

import math
import mmap
import os
import pickletools
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from clcrkit.errors import DataError

MOST_OPCODES = 1_000_000  # some seconds; the largest published files need a few hundred thousand
_LARGEST_INT = 2**64
_DTYPE = re.compile(r"[<>|=]?(?P<kind>[biufSUO])(?P<size>\d{0,6})")
_HOW = {
    "torch": "it holds torch objects; save arrays instead: tensor.numpy()",
    "pandas": "it holds pandas objects; save arrays instead: frame.to_numpy(), or a csv file",
}


def unpickle(path: str | os.PathLike[str]) -> Any:
    """What a pickle of any protocol holds: numpy arrays, lists, tuples, dicts, numbers, strings and bytes.

    Arrays are read-only views. Strings of Python 2 are read as latin-1. No code of the file runs, and memory stays
    in proportion to its size. Raises DataError for everything else: other objects, damage, more than a million
    opcodes.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError("no such file")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] == b"PK\x03\x04":
                raise ValueError("a zip archive, as torch.save writes; save arrays with numpy or pickle instead")
            return _Machine(data).run()
    except Exception as error:  # damage makes pickletools and numpy raise a dozen different kinds
        raise DataError(f"{path}: not a pickle that can be read, or damaged ({_short(error)})") from error


class _Name(NamedTuple):
    """Something that the pickle wants imported. It stays a name."""

    module: str
    name: str


class _Unfinished:
    """An array or a dtype, which pickles make in two steps; other parts of the pickle may refer to it in between."""

    def __init__(self, what: str, code: str = "") -> None:
        self.what, self.code = what, code
        self.value: Any = None


class _Machine:
    def __init__(self, data: Any) -> None:
        self.data = data
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.copy_budget = 2 * len(data)  # bytes: no honest file needs more than two copies of itself

    def run(self) -> Any:
        for count, (opcode, value, _) in enumerate(pickletools.genops(self.data)):
            if count >= MOST_OPCODES:
                raise ValueError(f"more than {MOST_OPCODES} opcodes; numbers must come in arrays")
            name = opcode.name
            if name in _IGNORED:
                continue
            if name in _VALUES:
                self.stack.append(_CONSTANTS.get(name, value))
                if isinstance(value, int) and abs(value) >= _LARGEST_INT:
                    raise ValueError("a whole number of more than 64 bits")
            elif name in _EMPTY:
                self.stack.append(_EMPTY[name]())
            elif name in _TUPLES:
                self.stack.append(tuple([self._pop() for _ in range(_TUPLES[name])][::-1]))
            elif name == "STOP":
                return _checked(self._pop())
            else:
                step = getattr(self, f"op_{name.lower()}", None)
                if step is None:
                    raise ValueError(f"opcode {name}, which builds objects of unknown kinds")
                step(value)
        raise ValueError("no end")

    def _pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("the stack is empty")
        return self.stack.pop()

    def _top(self) -> Any:
        self.stack.append(self._pop())
        return self.stack[-1]

    def _popped_to_mark(self) -> list[Any]:
        if not self.marks:
            raise ValueError("no mark")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def op_mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def op_pop_mark(self, _: Any) -> None:
        self._popped_to_mark()

    def op_pop(self, _: Any) -> None:
        self._pop()

    def op_dup(self, _: Any) -> None:
        self.stack.append(self._top())

    # --- memo

    def op_put(self, index: int) -> None:
        self.memo[index] = self._top()

    op_binput = op_long_binput = op_put

    def op_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self._top()

    def op_get(self, index: int) -> None:
        value = self.memo[index]
        done = isinstance(value, _Unfinished) and value.value is not None
        self.stack.append(value.value if done else value)

    op_binget = op_long_binget = op_get

    # --- containers

    def op_list(self, _: Any) -> None:
        self.stack.append(self._popped_to_mark())

    def op_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._popped_to_mark()))

    def op_dict(self, _: Any) -> None:
        items = self._popped_to_mark()
        self.stack.append({})
        self._fill(items)

    def op_append(self, _: Any) -> None:
        self._extend([self._pop()])

    def op_appends(self, _: Any) -> None:
        self._extend(self._popped_to_mark())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._top(), list):
            raise ValueError("something is appended to what is no list")
        self.stack[-1].extend(items)

    def op_setitem(self, _: Any) -> None:
        value = self._pop()
        self._fill([self._pop(), value])

    def op_setitems(self, _: Any) -> None:
        self._fill(self._popped_to_mark())

    def _fill(self, items: list[Any]) -> None:
        if not isinstance(self._top(), dict) or len(items) % 2:
            raise ValueError("something is set in what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, (str, bytes, int, float)):
                raise ValueError("a key of a dict is no string or number")
            self.stack[-1][key] = value

    # --- what numpy writes

    def op_global(self, value: str) -> None:
        module, _, name = value.partition(" ")
        self._named(module, name)

    def op_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is no string")
        self._named(module, name)

    def _named(self, module: str, name: str) -> None:
        if (module, name) not in _ALLOWED:
            how = _HOW.get(module.partition(".")[0], "only numpy arrays and plain values are read")
            raise ValueError(f"{module}.{name} is refused: {how}")
        self.stack.append(_Name(module, name))

    def op_reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Name) or function == _NDARRAY or not isinstance(arguments, tuple):
            raise ValueError("a call of what is no function")
        self.stack.append(getattr(self, _ALLOWED[function])(*arguments))

    def op_build(self, _: Any) -> None:
        state, start = self._pop(), self._pop()
        if not isinstance(start, _Unfinished) or start.value is not None or not isinstance(state, tuple):
            raise ValueError("a state is set in what is no array")
        start.value = self._finish_dtype(start, state) if start.what == "dtype" else self._finish_array(*state[-4:])
        self.stack.append(start.value)

    def _start_array(self, kind: Any, shape: Any, code: Any) -> _Unfinished:
        if kind != _NDARRAY:
            raise ValueError("an array of a kind of its own")
        return _Unfinished("array")

    def _finish_array(self, shape: Any, dtype: Any, fortran: Any, data: Any) -> Shaped[ndarray, "..."]:
        return self._array(data, dtype, shape, "F" if fortran else "C")

    def _array(self, data: Any, dtype: Any, shape: Any, order: Any) -> Shaped[ndarray, "..."]:
        if isinstance(shape, int):
            shape = (shape,)
        if not isinstance(dtype, np.dtype) or not isinstance(shape, tuple) or order not in ("C", "F"):
            raise ValueError("an array without a shape and a type")
        if len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
            raise ValueError(f"an array of shape {str(shape)[:80]}")
        if dtype.kind == "O":
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise ValueError(f"an array of shape {shape} without as many objects")
            if not all(isinstance(x, _PLAIN) or (isinstance(x, ndarray) and x.dtype.kind != "O") for x in data):
                raise ValueError("an array of objects that are no numbers, strings or arrays")
            flat = np.empty(len(data), dtype=object)
            for i, item in enumerate(data):
                flat[i] = item
            return flat.reshape(shape, order=order)
        raw = self._bytes(data)
        if math.prod(shape) * dtype.itemsize != len(raw) or not dtype.itemsize:
            raise ValueError(f"an array of shape {shape} and {dtype} with {len(raw)} bytes")
        if not raw:
            return np.empty(shape, dtype.newbyteorder("="))
        array = np.frombuffer(raw, dtype)
        if not dtype.isnative:
            self._spend(len(raw))
            array = array.astype(dtype.newbyteorder("="))
        array.flags.writeable = False
        return array.reshape(shape, order=order)

    def _scalar(self, dtype: Any, data: Any = b"") -> Any:
        if not isinstance(dtype, np.dtype) or dtype.kind == "O":
            raise ValueError("a number without a type")
        return self._array(data, dtype, (1,), "C")[0]

    def _start_dtype(self, code: Any, align: Any = False, copy: Any = False) -> _Unfinished:
        match = _DTYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise ValueError("an array whose elements are no numbers or strings")
        return _Unfinished("dtype", match["kind"] + ("" if match["kind"] == "O" else match["size"]))

    def _finish_dtype(self, start: _Unfinished, state: tuple[Any, ...]) -> np.dtype[Any]:
        if len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise ValueError("an array whose elements have parts of their own")
        return np.dtype(start.code if state[1] == "|" else state[1] + start.code)

    def _encode(self, text: Any, encoding: Any = "latin1") -> Any:
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


_NDARRAY = _Name("numpy", "ndarray")
_PLAIN = (str, bytes, bool, int, float, type(None), np.generic)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}  # of so many values
_IGNORED = {"PROTO", "FRAME"}
_VALUES = {
    *_CONSTANTS,
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
# The only names that are allowed, and the method of _Machine that stands for each.
_ALLOWED: dict[tuple[str, str], str] = {
    _NDARRAY: "",  # it is never called, but tells what to reconstruct
    ("numpy", "dtype"): "_start_dtype",
    ("_codecs", "encode"): "_encode",
    ("builtins", "bytes"): "_bytes",
    ("__builtin__", "bytes"): "_bytes",
    ("collections", "OrderedDict"): "_ordered_dict",
}
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and numpy 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = "_start_array"
    _ALLOWED[f"{_core}.multiarray", "scalar"] = "_scalar"
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = "_array"


def _checked(value: Any) -> Any:
    """The value, once everything in it is known to be finished and plain."""
    seen: set[int] = set()
    open_values = [value]
    while open_values:
        item = open_values.pop()
        if isinstance(item, (list, dict)) or type(item) is tuple:
            if id(item) not in seen:
                seen.add(id(item))
                open_values.extend(item.values() if isinstance(item, dict) else item)
        elif not isinstance(item, (*_PLAIN, bytearray, ndarray, np.dtype)):
            raise ValueError("it holds something that is no array and no plain value")
    return value


def _short(error: Exception) -> str:
    return f"{type(error).__name__} {error}"[:300].removeprefix("ValueError ").strip()
