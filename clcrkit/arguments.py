"""Arguments: what a public function is given is read by its annotations, and a wrong object is refused. All [ours]."""

from __future__ import annotations

import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

from jaxtyping import AbstractArray
from numpy import generic, ndarray
from torch import Tensor, nn

from clcrkit.errors import ConfigError, DataError, check_range
from clcrkit.ops import plain_torch
from clcrkit.settings import as_setting

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = {int: "int", float: "float", bool: "bool", str: "str", tuple[str, ...]: "tuple[str, ...]"}
_LARGEST_SEED = 2**32 - 1  # numpy's
_LONGEST_NAME = 255  # bytes, of a file or folder
_CURES = {
    "Split": "; pass one of its parts, such as split.test",
    "ShardedSplit": "; pass one of its parts, such as split.test",
    "Shards": "; `select` of shards gives a Batch",
    "DataParallel": "; pass its .module",
    "DistributedDataParallel": "; pass its .module",
}


class _Needed(NamedTuple):
    """What an argument must be, in words, and the test for it."""

    words: str
    holds: Callable[[Any], bool]


def _is_model(value: Any) -> bool:
    return isinstance(value, nn.Module) and hasattr(value, "config") and hasattr(value, "ready")


Model = Annotated[Any, _Needed("a CLCR or a baseline", _is_model)]
"""An argument that is a model of the kit, or a module with its `config` and `ready`."""


def checked(function: F) -> F:
    """A decorator. Each argument becomes what its annotation says, or a sentence says what is needed.

    Numbers, switches and texts are read as settings are (ConfigError); anything else must be of the class that is
    named (DataError). What a mapping or a list holds is checked as well; an iterator is not touched."""
    signature = inspect.signature(function)
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not hints:  # now that all modules are there
            hints.update(typing.get_type_hints(function, include_extras=True))
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            kind = signature.parameters[name].kind
            if kind is kind.VAR_POSITIONAL:
                bound.arguments[name] = tuple(read(name, x, hints[name]) for x in value)
            elif name in hints and kind is not kind.VAR_KEYWORD:
                bound.arguments[name] = read(name, value, hints[name])
        return function(*bound.args, **bound.kwargs)

    return typing.cast(F, call)


def public(function: F) -> F:
    """A decorator: `checked`, and what the function computes does not depend on the caller's state of torch
    (`ops.plain_torch`). For constructors of modules that state is the caller's wish, so they are `checked` only."""
    return checked(plain_torch()(function))


def read(name: str, value: Any, hint: Any) -> Any:
    """The value as this type, or the sentence that refuses it."""
    if hint in _SETTINGS:
        setting = as_setting(name, value, _SETTINGS[hint])
        if name == "seed":
            check_range(name, setting, 0, _LARGEST_SEED)
        return setting
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(name, value, inner)
    if origin is Annotated:
        if not inner[1].holds(value):
            raise wrong(name, value, inner[1].words)
        return value
    if origin is tuple and isinstance(value, (tuple, list)) and inner[-1] is ...:
        return tuple(read(name, x, inner[0]) for x in value)
    kind = origin or hint
    if hint is Any or not isinstance(kind, type) or (issubclass(kind, AbstractArray) and kind.array_type is Any):
        return value
    if kind in (Sequence, Iterable) and isinstance(value, ndarray) and value.ndim == 1:
        value = value.tolist()
    # what has a length, or numpy's `trace`, by chance
    by_chance = (origin or hasattr(kind, "_is_protocol")) and isinstance(value, (str, bytes, ndarray, generic, Tensor))
    if not isinstance(value, kind) or by_chance or isinstance(value, type):
        raise wrong(name, value, _words(hint))
    if origin and isinstance(value, Mapping) and len(inner) == 2:
        return {read(f"{name}: key", k, inner[0]): read(f"{name} of {k}", v, inner[1]) for k, v in value.items()}
    if origin and isinstance(value, Collection) and len(inner) == 1:
        return [read(f"{name}[{i}]", x, inner[0]) for i, x in enumerate(value)]
    return value


def _one_of(name: str, value: Any, hints: tuple[Any, ...]) -> Any:
    if value is None and types.NoneType in hints:
        return None
    if str in hints and any(typing.get_origin(hint) is os.PathLike for hint in hints):
        return _path(name, value)
    rest = [hint for hint in hints if hint is not types.NoneType]
    for i, hint in enumerate(rest):
        try:
            return read(name, value, hint)
        except (ConfigError, DataError):
            if i + 1 == len(rest):
                raise wrong(name, value, " or ".join(map(_words, rest))) from None


def _path(name: str, value: Any) -> Any:
    if not isinstance(value, (str, os.PathLike)):
        raise wrong(name, value, "a path")
    try:
        encoded = os.fsencode(value)
        if b"\0" not in encoded and max(map(len, encoded.split(os.fsencode(os.sep)))) <= _LONGEST_NAME:
            return value
    except UnicodeEncodeError:
        pass
    raise DataError(f"{name}: {os.fspath(value)!r}, but the path of a file or folder is needed")


def wrong(name: str, value: Any, needed: str) -> DataError:
    """The sentence for an object of another kind."""
    kind = value.__name__ if isinstance(value, type) else type(value).__name__
    given = f"the class {kind}" if isinstance(value, type) else "None" if value is None else with_article(kind)
    return DataError(f"{name}: {given}, but {needed} is needed{_CURES.get(kind, '')}")


def with_article(noun: str) -> str:
    """'a Batch', 'an int'."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is Callable or hint is Callable:
        return "a function"
    kind = getattr(typing.get_origin(hint) or hint, "__name__", str(hint))
    return {"Mapping": "a mapping", "Sequence": "a list", "Iterable": "a list"}.get(kind, with_article(kind))
