"""Where data files lie: inside the folder that was named, and never outside it. Files and lists are untrusted."""

from __future__ import annotations

import os
from pathlib import Path

from clcrkit.errors import DataError

VARIABLE = "CLCRKIT_DATA"
_LARGEST_LIST = 64 * 2**20  # bytes
_LONGEST_NAME = 200


def locate(name: str, folder: str | os.PathLike[str] | None, otherwise: str) -> Path:
    """The file of this name in `folder`, or, where none is given, in the folder that CLCRKIT_DATA names.

    Raises DataError where it is not there; `otherwise` is the sentence that says how to get it.
    """
    place = folder if folder is not None else os.environ.get(VARIABLE)
    if place is None:
        raise DataError(f"{name}: no folder given and {VARIABLE} is not set; {otherwise}")
    path = Path(place) / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; {otherwise}")
    return path


def check_name(name: str) -> None:
    """Raise DataError where a sample's name cannot be that of a file in one folder."""
    if not name or len(name) > _LONGEST_NAME or set(name) & set("/\\\0") or name in (".", ".."):
        raise DataError(f"name {name[:_LONGEST_NAME]!r}: samples name files, so it must be a plain name")


def inside(folder: Path, *names: str) -> Path:
    """The path of these names in the folder. Raises DataError where it is missing or leads out of the folder."""
    path = folder.joinpath(*names)
    try:
        real, root = path.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise DataError(f"{path}: no such file or folder") from None
    if not real.is_relative_to(root):
        raise DataError(f"{path}: leads out of {folder}")
    return path


def read_lines(folder: Path, *names: str) -> list[str]:
    """The lines of a text file that are not empty."""
    path = inside(folder, *names)
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_LIST:
            raise ValueError(f"a file of at most {_LARGEST_LIST // 2**20} MiB is needed")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a list in UTF-8 ({error})") from error
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        raise DataError(f"{path}: an empty list; at least 1 line is needed")
    return filled
