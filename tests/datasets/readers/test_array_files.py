"""Single files of arrays: what they hold arrives; what they declare and do not hold is refused."""

import os
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors import torch as torch_files
from safetensors.numpy import save_file

from clcrkit import DataError
from clcrkit.datasets.readers.array_files import read_array


def npz_with(path: Path, header: bytes, size: int) -> None:
    """An npz whose array declares anything, over `size` zeros, which deflate to nearly nothing."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        for _ in range(size // 2**20):
            member.write(bytes(2**20))


def header_of(shape: str, dtype: str = "<f8") -> bytes:
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n".encode()


def test_declared_shapes_are_not_believed(tmp_path: Path):
    npz_with(tmp_path / "bomb.npz", header_of("(100, 131072)"), 100 * 2**20)
    npz_with(tmp_path / "lie.npz", header_of("(1000000, 1000000)"), 2**20)
    npz_with(tmp_path / "short.npz", header_of("(1000, 1000)"), 2**20)
    npz_with(tmp_path / "objects.npz", header_of("(4,)", "|O"), 2**20)
    raw = header_of("(1000000, 1000000)")
    (tmp_path / "lie.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + bytes(64))
    with open(tmp_path / "sparse.npy", "wb") as file:
        raw = header_of("(2, 4294967296)")
        file.write(b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw)
        file.truncate(2**36 + 200)
    with h5py.File(tmp_path / "empty.h5", "w") as h5:
        h5.create_dataset("a", shape=(10**6, 10**5), chunks=(10, 10), dtype="f4")
    with h5py.File(tmp_path / "chunk.h5", "w") as h5:
        h5.create_dataset("a", shape=(2, 2), maxshape=(None, None), chunks=(30_000, 30_000), dtype="f4")
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in os.listdir(tmp_path):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read_array(tmp_path / name)


def test_links_within_h5_files_are_not_followed(tmp_path: Path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["a"] = np.ones((2, 3))
    np.ones(6).tofile(tmp_path / "raw.bin")
    layout = h5py.VirtualLayout((2, 3), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "a", (2, 3))
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["good"] = np.ones((2, 3))
        file["outside"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "a")
        file["group"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")
        file["soft"] = h5py.SoftLink("/good")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", (6,), "f8", external=[(str(tmp_path / "raw.bin"), 0, 48)])
        file.create_dataset("text", data=["a", "b"])
        file.create_dataset("parts", data=np.zeros(2, dtype=[("a", "f4")]))
        file.create_group("inner")["good"] = np.zeros((1, 2), np.float32)
    for name in (
        "outside",
        "group/a",
        "soft",
        "virtual",
        "raw",
        "text",
        "parts",
        "inner",
        "absent",
        "",
        "good/a",
        "..",
    ):
        with pytest.raises(DataError, match=r"file\.h5"):
            read_array(tmp_path / "file.h5", name)
    assert read_array(tmp_path / "file.h5", "inner/good").tolist() == [[0, 0]]
    assert read_array(tmp_path / "file.h5", "/good").shape == (2, 3)


def test_kinds_and_names(tmp_path: Path):
    two = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "two.npz", a=two, b=np.arange(3))
    np.savez(tmp_path / "one.npz", a=two)
    save_file({"a": np.ascontiguousarray(two), "b": np.arange(3)}, tmp_path / "two.safetensors")
    np.save(tmp_path / "text.npy", np.array(["a"]))
    (tmp_path / "text.csv").write_text("a,b\n1,2\n")
    (tmp_path / "ragged.csv").write_text("1,2\n3\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "one.csv").write_text("1,2.5\n")
    (tmp_path / "file.pkl").write_bytes(b"N.")
    for path in (tmp_path / "two.npz", tmp_path / "two.safetensors"):
        np.testing.assert_array_equal(read_array(path, "a"), two)
        assert read_array(path, "b").dtype == np.int64
        with pytest.raises(DataError, match="it has a, b"):
            read_array(path)
    np.testing.assert_array_equal(read_array(tmp_path / "one.npz"), two)
    np.testing.assert_array_equal(read_array(tmp_path / "one.csv"), [[1, 2.5]])
    for name in ("text.npy", "text.csv", "ragged.csv", "empty.csv", "file.pkl", "absent.npy"):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read_array(tmp_path / name)
    with pytest.raises(DataError, match="without a name"):
        read_array(tmp_path / "one.csv", "a")


def compressed(path: Path, method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", HUGE[:128] + bytes(2**26))


_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (16777216,), }"
HUGE = b"\x93NUMPY\x01\x00v\x00" + _HEADER.ljust(117) + b"\n"


def sparse(path: Path, header: bytes, size: int) -> None:
    path.write_bytes(header)
    os.truncate(path, size)


def twice(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for value in (1.0, 2.0):
            with archive.open("a.npy", "w") as member:
                np.lib.format.write_array(member, np.full((2, 2), value))


_SPARSE = b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'
_SPARSE = len(_SPARSE).to_bytes(8, "little") + _SPARSE
SMALL = {
    "bzip2.npz": lambda p: compressed(p, zipfile.ZIP_BZIP2),
    "lzma.npz": lambda p: compressed(p, zipfile.ZIP_LZMA),
    "deflated.npz": lambda p: compressed(p, zipfile.ZIP_DEFLATED),
    "sparse.npy": lambda p: sparse(p, HUGE.replace(b"(16777216,), }", b"(1000000000,)}"), 128 + 4 * 10**9),
    "sparse.safetensors": lambda p: sparse(p, _SPARSE, len(_SPARSE) + 4 * 10**9),
    "twice.npz": twice,
    "beyond.npy": lambda p: np.save(p, np.array([2**63], np.uint64)),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_file_takes_no_more_than_its_share(tmp_path: Path, name: str):
    SMALL[name](tmp_path / name)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(DataError, match=name):
        read_array(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    assert time.process_time() - began < 5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_floats_of_any_precision_become_float32(tmp_path: Path, dtype: torch.dtype):
    values = torch.tensor([[1.5, -2.0]], dtype=dtype)
    torch_files.save_file({"a": values}, tmp_path / "a.safetensors")
    read = read_array(tmp_path / "a.safetensors")
    assert read.dtype == np.float32
    assert read.tolist() == [[1.5, -2.0]]
