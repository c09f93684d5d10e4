"""Reading and writing tensors and plain values: safetensors and JSON (no pickle anywhere), written atomically."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clcrkit.errors import DataError

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
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be written ({error})") from error
    finally:
        if scratch and os.path.exists(scratch):
            os.unlink(scratch)


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and a JSON description to one safetensors file; all of it or nothing, else DataError."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with _all_or_nothing(Path(path)) as scratch:
        save_file(copies, scratch, metadata={"clcrkit": json.dumps(about)})


def write_text(path: Path, text: str) -> None:
    """Write a text file; all of it or nothing, else DataError."""
    with _all_or_nothing(path) as scratch:
        Path(scratch).write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, values: Any) -> None:
    """Write plain values with `write_text`."""
    write_text(path, json.dumps(values, indent=1))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description that `write_tensors` wrote. Raises DataError for any other file."""
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["clcrkit"])
            if not isinstance(about, dict):
                raise ValueError(f"its description is {about!r}")
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a file that clcrkit wrote, or damaged ({error})") from error
