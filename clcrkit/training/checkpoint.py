"""Models and runs on the disk: safetensors with a JSON description, never a pickle, written atomically."""

from __future__ import annotations

import json
import os
from typing import Any

from torch import Tensor

from clcrkit.config import CLCRConfig
from clcrkit.errors import ConfigError, DataError
from clcrkit.files import read_tensors, write_tensors
from clcrkit.model import CLCR

VERSION = 4  # of a run's state


def save(model: CLCR, path: str | os.PathLike[str]) -> None:
    """Write a CLCR, weights and configuration, to one safetensors file."""
    write_tensors(path, model.state_dict(), {"kind": "model", "config": model.config.to_dict()})


def load(path: str | os.PathLike[str]) -> CLCR:
    """The CLCR that `save` wrote, in evaluation mode on the CPU. Raises DataError for any other file."""
    tensors, about = read_tensors(path)
    if about.get("kind") != "model":
        raise DataError(f"{path}: holds a {about.get('kind')}, not a model")
    try:
        model = CLCR(CLCRConfig.from_dict(about["config"]))
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ConfigError, RuntimeError) as error:
        raise DataError(f"{path}: a model of another version, or damaged ({error})") from error
    return model.eval()


def flatten(tree: Any, prefix: str, tensors: dict[str, Tensor]) -> Any:
    """Move the tensors of nested dicts and lists into `tensors`; returns JSON in which their names stand for them."""
    if isinstance(tree, Tensor):
        tensors[prefix] = tree
        return {"tensor": prefix}
    if isinstance(tree, dict):
        return {"dict": [[key, flatten(value, f"{prefix}/{key}", tensors)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"list": [flatten(value, f"{prefix}/{i}", tensors) for i, value in enumerate(tree)]}
    return {"value": tree}


def unflatten(shape: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `flatten`."""
    ((kind, content),) = shape.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: unflatten(value, tensors) for key, value in content}
    if kind == "list":
        return [unflatten(value, tensors) for value in content]
    return content


def write_state(path: str | os.PathLike[str], run: dict[str, Any], state: dict[str, Any]) -> None:
    """Write the state from which a run goes on. `run` identifies it; `read_state` compares that."""
    tensors: dict[str, Tensor] = {}
    shape = flatten(state, "state", tensors)
    write_tensors(path, tensors, {"kind": "run", "version": VERSION, "run": run, "shape": shape})


def read_state(path: str | os.PathLike[str], run: dict[str, Any]) -> dict[str, Any]:
    """The state that `write_state` wrote for the same run. Raises DataError for another run's or a damaged file."""
    tensors, about = read_tensors(path)
    if about.get("kind") != "run" or about.get("version") != VERSION:
        raise DataError(f"{path}: holds no training state of this version")
    try:
        stored, state = dict(about["run"]), dict(unflatten(about["shape"], tensors))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: a training state of another version, or damaged ({error})") from error
    for key, value in json.loads(json.dumps(run)).items():  # as JSON returns it
        if stored.get(key) != value:
            difference = _difference(stored.get(key), value)
            raise DataError(f"{path}: belongs to a run with {difference} in its {key}; choose another folder")
    return state


def _difference(stored: Any, current: Any) -> str:
    """The first setting in which two runs differ, or the two values."""
    if isinstance(stored, dict) and isinstance(current, dict):
        for name in {**stored, **current}:
            if stored.get(name) != current.get(name):
                return f"{name} {stored.get(name)!r} instead of {current.get(name)!r}"
    return f"{stored!r} instead of {current!r}"


def to_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a state dict that later steps do not touch."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
