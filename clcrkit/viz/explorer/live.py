"""What a page needs whose model runs in it: the model as ONNX, what runs it, and the input of the samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clcrkit.errors import ConfigError
from clcrkit.model import CLCR
from clcrkit.onnx_export import onnx_bytes
from clcrkit.trace import Trace
from clcrkit.viz.explorer import messages, packing, spaces
from clcrkit.viz.explorer.runtime import Runtime, pack, runtime

Network = tuple[Runtime, str]  # what runs a model, and the model as ONNX, packed


def model_for_page(model: Any, label_names: Sequence[str]) -> Network:
    """onnxruntime-web, and the model packed for it. Raises ConfigError for what is no CLCR, and what `runtime` does."""
    if not isinstance(model, CLCR):
        has = "no model" if model is None else f"a {type(model).__name__}"
        raise ConfigError(f"live: the explorer has {has}, but only a CLCR runs in a page; give Explorer(trace, model)")
    names = label_names if len(label_names) == model.config.outputs else ()
    return runtime(), pack(onnx_bytes(model, names))


def inputs(model: CLCR, trace: Trace, rows: Sequence[int]) -> messages.Inputs:
    """What the model reads of the samples at these positions, and how to place what it makes of them."""
    repeats = model.config.levels if model.config.mix == "pooled" else 1
    batch, maps = trace.batch.select(list(rows)), {}
    for space in spaces.SPACES:
        for level, modality, place in spaces.planes(trace, space, "pca", 0, trace.modalities[0]):
            rank = spaces.space_values(trace, space, level, modality or trace.modalities[0]).shape[1]
            maps[spaces.space_key(space, level, modality)] = packing.pack(spaces.linear_map(place, rank))
    lengths = {m: mask.shape[1] // repeats for m, mask in batch.masks.items()}
    return {
        "ids": packing.ids_of(batch),
        "repeats": repeats,
        "tokens": {
            m: packing.pack(x[:, : lengths[m]], "f4" if x.is_floating_point() else "i4")
            for m, x in batch.tokens.items()
        },
        "masks": {m: packing.pack(x[:, : lengths[m]], "u1") for m, x in batch.masks.items()},
        "maps": maps,
    }
