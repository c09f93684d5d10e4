"""Reading and writing tensors and plain values: safetensors and JSON (no pickle anywhere), written atomically.

A file of tensors holds a digest of them and of its description, so that a flipped bit is noticed when it is read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from clcrkit.errors import DataError

FREE_BYTES = 2**26  # an array may always take up to this much memory
LARGEST_RATIO = 16  # a larger array may take at most this many times the size of its file
_UMASK = os.umask(0o022)  # it can only be read by setting it
os.umask(_UMASK)


@contextmanager
def _all_or_nothing(path: Path) -> Iterator[str]:
    """A scratch file that gets its name only when it is complete and on the disk, so a killed process or a full disk
    leaves the earlier file as it was. Raises DataError where the folder cannot be written."""
    scratch = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        yield scratch
        os.chmod(scratch, 0o666 & ~_UMASK)  # mkstemp gives access to the owner alone
        with open(scratch, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error})") from error
    finally:
        if scratch and os.path.exists(scratch):
            os.unlink(scratch)


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and a JSON description to one safetensors file; all of it or nothing, else DataError."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # one entry, since safetensors writes several in any order: the same content must give the same bytes
    text = json.dumps({"digest": digest(copies, json.dumps(about)), "about": about})
    # in memory first: safetensors' own writer has a scratch file of its own, which a kill would leave behind
    write_bytes(Path(path), save(copies, metadata={"clcrkit": text}))


def digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256 of names, types, shapes and values, and of a text; equal on all devices."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name!r} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; all of it or nothing, else DataError."""
    with _all_or_nothing(path) as scratch:
        Path(scratch).write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, values: Any) -> None:
    """Write plain values with `write_text`."""
    write_text(path, json.dumps(values, indent=1))


def bytes_on_disk(path: Path) -> int:
    """The size of a file without its holes, which hold nothing."""
    about = path.stat()
    return min(about.st_size, getattr(about, "st_blocks", 0) * 512 or about.st_size)


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description that `write_tensors` wrote. Raises DataError for any other file."""
    path = Path(path)
    try:
        size, stored_size = path.stat().st_size, bytes_on_disk(path)
        if size > max(FREE_BYTES, LARGEST_RATIO * stored_size):
            raise ValueError(f"a file of {size} bytes, of which only {stored_size} are there")
        with safe_open(path, framework="pt") as file:
            stored = json.loads((file.metadata() or {})["clcrkit"])
            about = stored["about"]
            if not isinstance(about, dict):
                raise ValueError(f"its description is {about!r}")
            # copies: a mapped file cannot be replaced on Windows, and changes with whatever is written to it elsewhere
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
            if stored["digest"] != digest(tensors, json.dumps(about)):
                raise ValueError("its digest is another one")
            return tensors, about
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise DataError(f"{path}: not a file that clcrkit wrote, or damaged ({error})") from error
