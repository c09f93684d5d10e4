"""The two errors that the kit raises on purpose, so that callers can tell bad input from a bug, and shared checks."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any


class DataError(ValueError):
    """Data that cannot be used: the message names the modality, the place, the value and the allowed range."""


class ConfigError(ValueError):
    """A setting that cannot be used: the message names the setting, its value and the allowed range."""


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError where a setting is not one of the allowed values."""
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}, but it must be {' or '.join(map(repr, allowed))}")


def require(module: str, extra: str) -> Any:
    """Import an optional library. Raises ImportError with the command that installs it where it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the library is there, and something that it needs is not
        library = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"{library} is needed here and not installed: pip install 'clcrkit[{extra}]'", name=error.name
        ) from None
