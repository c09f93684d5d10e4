"""Settings as plain Python values, so that what is accepted can be compared, written and read again. All [ours]."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from clcrkit.errors import ConfigError

_KINDS = {
    "int": "a whole number below 2**63",
    "float": "a number that is not infinite",
    "bool": "True or False",
    "str": "a text",
    "str | None": "a text or None",
    "tuple[str, ...]": "a list of texts",
    "tuple[float, ...]": "a list of finite numbers",
}


def make_plain(config: Any) -> None:
    """Give every field of a frozen dataclass the Python type of its annotation.

    numpy's numbers, tensors of one value and numbers written as text (which "1e-3" is in YAML) are converted. Raises
    ConfigError where that would change the value: 2.5 epochs, None, a text for a switch."""
    for field in fields(config):
        if field.type in _KINDS:
            value = getattr(config, field.name)
            object.__setattr__(config, field.name, as_setting(field.name, value, str(field.type)))


def as_setting(name: str, value: Any, kind: str) -> Any:
    """One value of this kind, a name of a type as annotations write it."""
    try:
        single = hasattr(value, "item") and not kind.startswith("tuple")
        return _READERS[kind](value.item() if single else value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ConfigError(f"{name}: {repr(value)[:100]}, but it must be {_KINDS[kind]}") from None


def _int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    if not -(2**63) <= int(value) < 2**63:
        raise OverflowError
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or math.isinf(float(value)):
        raise ValueError
    return float(value)


def _bool(value: Any) -> bool:
    if isinstance(value, str) or value not in (0, 1):
        raise ValueError
    return bool(value)


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)  # not numpy's


def _device(value: Any) -> str | None:
    return None if value is None else _str(str(value) if type(value).__name__ == "device" else value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError
    return tuple(map(_str, value))


def _floats(value: Any) -> tuple[float, ...]:
    if isinstance(value, str):
        raise TypeError
    numbers = tuple(map(_float, value))
    if not all(map(math.isfinite, numbers)):
        raise ValueError
    return numbers


_READERS = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "str": _str,
    "str | None": _device,
    "tuple[str, ...]": _texts,
    "tuple[float, ...]": _floats,
}
