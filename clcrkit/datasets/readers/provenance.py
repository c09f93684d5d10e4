"""Provenance: what made a modality's features, told by the files that `extract_features` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from clcrkit.errors import DataError, one_line


class Provenance(NamedTuple):
    """Of one modality. Equal `made_by` means equal features.

    made_by   the encoder, its layers and a digest of its weights; or one of the kit's readers
    version   of the libraries that ran it
    date      of the extraction, or the first and the last
    """

    made_by: str
    version: str = ""
    date: str = ""

    def __str__(self) -> str:
        return self.made_by + "".join(f", {what}" for what in (self.version, self.date) if what)


def provenance_of(paths: Iterable[Path]) -> Provenance | None:
    """What these files of one modality say together; None where they say nothing.

    Raises DataError where they were made in several ways, since a model would take them for one."""
    found = {path: _read(path) for path in paths}
    ways = {each.made_by: path for path, each in found.items()}
    if len(ways) > 1:
        named = "; ".join(f"{path.name} {made_by or 'unknown'}" for made_by, path in list(ways.items())[:2])
        folder = next(iter(found)).parent
        raise DataError(f"{folder}: features made in {len(ways)} ways ({named}); extract all of them with one encoder")
    if not any(ways):
        return None
    versions = sorted({each.version for each in found.values()})
    dates = sorted({each.date for each in found.values()})
    return Provenance(next(iter(ways)), " and ".join(versions), " to ".join(dict.fromkeys((dates[0], dates[-1]))))


def _read(path: Path) -> Provenance:
    try:
        if path.suffix != ".safetensors":
            return Provenance("")
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})["clcrkit"])["about"]
        return Provenance(*(one_line(str(about[name])) for name in Provenance._fields))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        return Provenance("")  # of another writer; the reader of the array says what is wrong with it
