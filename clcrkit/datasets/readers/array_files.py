"""One array from one file: npy, npz, safetensors, h5 or csv. Files are untrusted, and nothing is unpickled."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num
from numpy import ndarray
from safetensors import safe_open

from clcrkit.errors import DataError, require
from clcrkit.files import FREE_BYTES, LARGEST_RATIO, bytes_on_disk

_LARGEST_FILE = 2**34
_KINDS = {"f": "floats", "i": "integers"}


def read_array(path: Path, name: str = "") -> Num[ndarray, "..."]:
    """The array of a file, by its ending: whole numbers as int64, others as float32.

    name: which of several arrays (of an npz, a safetensors or an h5 file, there with its groups: "group/array").
    A csv file has a token in each row and no header. Raises DataError for other endings, damaged files, arrays of
    other things than numbers, links within h5 files, and arrays that would take far more memory than the file.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise DataError(f"{path}: an unknown kind of file; {', '.join(_READERS)} can be read")
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"a file of at most {_LARGEST_FILE // 2**30} GiB is needed")
        if name and kind in (".npy", ".csv"):
            raise ValueError(f"one array without a name, but {name!r} is asked for")
        array = _as_numbers(_READERS[kind](path, name))
    except ModuleNotFoundError:
        raise  # h5py is not installed
    except Exception as error:  # damaged files make numpy, zipfile and h5py raise a dozen different kinds
        raise DataError(f"{path}: not an array of numbers, or damaged ({str(error)[:300]})") from error
    return array


def _as_numbers(array: ndarray) -> Num[ndarray, "..."]:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{array.dtype}, but numbers are needed")
    if array.dtype == np.uint64 and array.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"{array.max()}, but whole numbers below 2**63 are needed")
    with np.errstate(over="ignore"):
        return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def read_arrays(path: Path, wanted: Mapping[str, tuple[str, int]]) -> dict[str, Num[ndarray, "..."]]:
    """Arrays of an npz file by name, each checked against its kind ('f' floats, 'i' integers) and number of axes.

    Raises DataError for a damaged file, and for an array that is missing, does not fit, or holds NaN or inf.
    """
    arrays = {}
    for name, (kind, axes) in wanted.items():
        array = arrays[name] = read_array(path, name)
        if array.dtype.kind != kind or array.ndim != axes:
            raise DataError(
                f"{path}: {name} is {array.dtype} of {array.ndim} axes, but {_KINDS[kind]} of {axes} are needed"
            )
        if not np.isfinite(array).all():
            raise DataError(f"{path}: {name} holds {int((~np.isfinite(array)).sum())} values that are not finite")
    return arrays


def finite_floats(path: Path, array: Any) -> Float[ndarray, "..."]:
    """What was read from a file, as float32. Raises DataError where it is not an array of finite numbers."""
    if not isinstance(array, ndarray) or array.dtype.kind not in "fiu" or 0 in array.shape:
        what = f"{array.dtype} of shape {array.shape}" if isinstance(array, ndarray) else type(array).__name__
        raise DataError(f"{path}: {what}, but an array of numbers is needed")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise DataError(f"{path}: {bad} of {array.size} numbers are NaN, inf or beyond float32")
    return array


def _fits(path: Path, shape: Sequence[int], bytes_each: int) -> None:
    memory, size = math.prod(shape) * max(bytes_each, 8), bytes_on_disk(path)
    if memory > max(FREE_BYTES, LARGEST_RATIO * size):
        raise ValueError(f"shape {shape} takes {memory} bytes, but the file has only {size}")


def _npy(path: Path, _: str) -> ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapping refuses a shape that the file is too short for
    _fits(path, array.shape, array.itemsize)
    return array


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    """A member of a zip file, opened. Raises ValueError for a compression that unfolds more than was asked for."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename[:60]}: a compression other than deflate, whose size cannot be told")
    return archive.open(member)


def _npz(path: Path, name: str) -> ndarray:
    with zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise ValueError("two arrays of one name")
        with open_member(archive, members[_member(name, list(members))]) as opened:
            version = np.lib.format.read_magic(opened)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(opened)
            _fits(path, shape, dtype.itemsize)
            if dtype.hasobject:
                raise ValueError("objects, which are never read")
            raw = opened.read(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")


def _safetensors(path: Path, name: str) -> ndarray:
    with safe_open(path, framework="pt") as file:  # numpy has no bfloat16
        member = _member(name, list(file.keys()))
        _fits(path, file.get_slice(member).get_shape(), 8)
        tensor = file.get_tensor(member)
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _h5(path: Path, name: str) -> ndarray:
    h5py = require("h5py", "data")
    with h5py.File(path, "r") as file:
        array = h5_array(file, _member(name, list(file)))
        _fits(path, array.shape, array.dtype.itemsize)
        _fits(path, array.chunks or (), array.dtype.itemsize)
        return array[()]


def h5_array(file: Any, name: str) -> Any:
    """The array of numbers under this name ("group/array") of an open h5 file, not yet read.

    Raises ValueError where there is none, and for links and arrays that lie in other files: they are not followed.
    """
    h5py = require("h5py", "data")
    item = file
    for step in name.strip("/").split("/"):
        if not isinstance(item, h5py.Group) or not isinstance(item.get(step, getlink=True), h5py.HardLink):
            raise ValueError(f"no array {name!r}, or a link, which is not followed")
        item = item[step]
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise ValueError(f"{name!r} is not an array that lies in this file")
    if item.dtype.kind not in "fiub" or item.shape is None:
        raise ValueError(f"{name!r} is {item.dtype}, but numbers are needed")
    return item


def _csv(path: Path, _: str) -> ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of an empty file
        return np.loadtxt(path, delimiter=",", ndmin=2, dtype=np.float64, comments=None, encoding="utf-8")


def _member(name: str, names: list[str]) -> str:
    if not name and len(names) == 1:
        return names[0]
    if name.strip("/").split("/")[0] not in names and name not in names:
        raise ValueError(f"no array {name!r}; it has {', '.join(n[:30] for n in names[:12])}: name one after '::'")
    return name


_READERS: dict[str, Callable[[Path, str], ndarray]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".h5": _h5,
    ".hdf5": _h5,
    ".csv": _csv,
}
