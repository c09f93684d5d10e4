"""The errors that the kit raises on purpose, so that callers can tell bad input from a bug, and shared checks."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

_LONGEST = 500  # characters of a message


class OneLine(Exception):
    """An error whose message is one short line of printable text, whatever a stranger's file put into it.

    Line ends become spaces, other characters that are not printable their escapes; of what is longer than 500
    characters the middle is left out, since the place stands at the front and the cure at the end."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


def one_line(text: str) -> str:
    """The text as an error shows it."""
    if len(text) > 3 * _LONGEST:  # before each character is looked at
        text = f"{text[:_LONGEST]} ... {text[-_LONGEST:]}"
    text = " ".join(text.split()) if any(end in text for end in "\n\r\t") else text
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 205]} ... {text[-200:]}"


class DataError(OneLine, ValueError):
    """Data that cannot be used: the message names the modality, the place, the value and the allowed range."""


class ConfigError(OneLine, ValueError):
    """A setting that cannot be used: the message names the setting, its value and the allowed range."""


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError where a setting is not one of the allowed values."""
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}, but it must be {' or '.join(map(repr, allowed))}")


def check_range(name: str, value: int | float, least: int | float, most: int | float = math.inf) -> None:
    """Raise ConfigError where a setting is not in this range."""
    if not least <= value <= most:
        allowed = f"{least} or more" if most == math.inf else f"from {least} to {most}"
        raise ConfigError(f"{name}: {value}, but it must be {allowed}")


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
