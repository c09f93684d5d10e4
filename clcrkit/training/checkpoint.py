"""Models and runs on the disk: safetensors with a JSON description, never a pickle, written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clcrkit.arguments import public
from clcrkit.baselines import Baseline
from clcrkit.config import CLCRConfig
from clcrkit.errors import DataError
from clcrkit.files import read_tensors, write_tensors
from clcrkit.hierarchy import TCN, TransformerTaps
from clcrkit.model import CLCR
from clcrkit.pretrained import with_stages

VERSION = 5  # of a run's state
STATE = "state.safetensors"  # of a run's folder
_DAMAGE = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    IndexError,
    OverflowError,
)  # RecursionError, too


@public
def save(model: CLCR | Baseline, path: str | os.PathLike[str]) -> None:
    """Write a CLCR or a baseline, weights and configuration, to one safetensors file."""
    write_tensors(path, model.state_dict(), {"kind": "model", **described(model)})


def described(model: Any) -> dict[str, Any]:
    """What makes a model anew, but for its weights and for stages that are not the kit's own."""
    stages = {m: encoder.stages for m, encoder in getattr(model, "encoders", {}).items()}
    return {
        "model": type(model).__name__,
        "settings": model.config.to_dict(),
        "modalities": list(model.modalities),
        "stages": [m for m, stage in stages.items() if not isinstance(stage, TCN | TransformerTaps)],
    }


@public
def load(path: str | os.PathLike[str], stages: Mapping[str, Any] | None = None) -> Any:
    """The model that `save` wrote, or the best one so far of a run's folder, in evaluation mode on the CPU.

    stages: those of a model that `with_stages` made, by modality; their weights are in the file as well. A baseline of
    your own must be defined before. Raises DataError for any other file, and for weights that are not finite.
    """
    path, stages = Path(path), stages or {}
    path = path / STATE if path.is_dir() else path
    tensors, about = read_tensors(path)
    if about.get("kind") not in ("model", "run"):
        raise DataError(f"{path}: holds a {about.get('kind')}, not a model")
    try:
        if about["kind"] == "run":
            state, about = unflatten(about["shape"], tensors), about["run"]
            tensors = state["best_weights"]
            if not state["best_epoch"]:
                raise DataError(f"{path}: no epoch of this run is finished, so it has no model yet")
        if set(about["stages"]) != set(stages):
            needed = ", ".join(about["stages"]) or "none"
            raise DataError(f"{path}: stages are needed for: {needed}, but given for: {', '.join(stages) or 'none'}")
        broken = [name for name, x in tensors.items() if not x.isfinite().all()]
        if broken:
            raise ValueError(f"{broken[0]} holds NaN or inf")
        model = _made(about, tensors, stages)
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(f"{path}: a model of another version, or damaged ({error})") from error
    return model.eval()


def _made(about: Mapping[str, Any], tensors: Mapping[str, Tensor], stages: Mapping[str, Any]) -> Any:
    """The model with these weights. Nothing larger than the weights is made, whatever the description says."""
    config = CLCRConfig.from_dict(about["settings"])
    if max(config.levels, len(config.modalities)) > len(tensors):
        raise ValueError(f"{config.levels} levels of {len(config.modalities)} modalities in {len(tensors)} tensors")

    def make(device: str) -> Any:
        with torch.device(device):
            if about["model"] == "CLCR":
                return with_stages(CLCR(config), stages)
            kinds = {kind.__name__: kind for kind in _subclasses(Baseline)}
            return with_stages(kinds[about["model"]](config, tuple(about["modalities"])), stages)

    needed = {name: x.shape for name, x in make("meta").state_dict().items()}
    for name in {**needed, **tensors}:
        if name not in needed or name not in tensors or needed[name] != tensors[name].shape:
            raise ValueError(f"{name}: not the weights of these settings")
    model = make("cpu")
    model.load_state_dict(tensors, assign=True)  # with their own precision
    return model


def _subclasses(kind: type[Baseline]) -> list[type[Baseline]]:
    """Those of the class, and theirs."""
    direct = kind.__subclasses__()
    return direct + [below for each in direct for below in _subclasses(each)]


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
    except _DAMAGE as error:
        raise DataError(f"{path}: a training state of another version, or damaged ({error})") from error
    for key, value in json.loads(json.dumps(run)).items():  # as JSON returns it
        if stored.get(key) != value and key == "digests":
            others = [name for name in value if dict(stored.get(key) or {}).get(name) != value[name]]
            raise DataError(
                f"{path}: belongs to a run with other {' and '.join(others)}; begin with the same data and seed "
                "(torch.manual_seed before the model is made), or choose another folder"
            )
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
