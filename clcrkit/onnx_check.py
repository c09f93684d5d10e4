"""Whether an ONNX file computes what the model does: random inputs through both, everything compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clcrkit.batch import Batch
from clcrkit.config import CLCRConfig
from clcrkit.errors import ConfigError, require
from clcrkit.model import CLCR
from clcrkit.trace import Trace

TOLERANCE = 1e-4  # of a value up to 1; of a larger one, times the value


def random_inputs(
    config: CLCRConfig, sizes: Sequence[int], rng: np.random.Generator, gamma: float = 1.0
) -> dict[str, Any]:
    """Random inputs, of `sizes` samples and tokens of each modality in turn: ragged, each modality missing in some
    samples, some tokens muted, and in the padding what must not matter."""
    samples, *lengths = sizes
    levels = config.levels if config.hierarchy and config.mix != "pooled" else 1
    times = config.levels if config.hierarchy and config.mix == "pooled" else 1
    tokens, masks, mute = {}, {}, {}
    for place, (m, spec) in enumerate(config.modalities.items()):
        length = lengths[place % len(lengths)] + place // len(lengths)
        real = rng.integers(1, length + 1, samples) * (np.arange(samples) % 4 != place + 1)
        mask = np.arange(length) < real[:, None]
        if spec.ids:
            values = np.where(mask, rng.integers(0, spec.size, mask.shape), -1)
        else:
            values = np.where(mask[..., None], rng.normal(size=(*mask.shape, spec.size)), np.nan).astype(np.float32)
        tokens[m], masks[m] = torch.from_numpy(values), torch.from_numpy(mask)
        mute[m] = torch.from_numpy(rng.random((samples, levels, times * length)) < 0.1)
    return {"tokens": tokens, "masks": masks, "mute": mute, "gamma": torch.tensor(gamma)}


def feeds(inputs: dict[str, Any]) -> dict[str, Tensor]:
    """The inputs under their names in the file."""
    named = {"batch.tokens": inputs["tokens"], "batch.masks": inputs["masks"], "mute": inputs["mute"]}
    return {f"{name}/{m}": x for name, group in named.items() for m, x in group.items()} | {"gamma": inputs["gamma"]}


def traced(model: CLCR, inputs: dict[str, Any]) -> Trace:
    masks = inputs["masks"]
    batch = Batch(inputs["tokens"], masks, None, torch.arange(len(next(iter(masks.values())))))
    return model.trace(batch, float(inputs["gamma"]), inputs["mute"])


def check(content: bytes, model: CLCR) -> None:
    """Raise ConfigError where the file computes something else than the model on random inputs."""
    runtime = require("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    rng = np.random.default_rng(1)
    for sizes, gamma in (((6, 9, 4, 12), 1.0), ((4, 5, 17, 2), 0.0), ((1, 1, 3, 2), 0.5), ((5, 30, 8, 21), 2.0)):
        inputs = random_inputs(model.config, sizes, rng, gamma)
        wanted = traced(model, inputs).by_name()
        outputs = session.run(names, {name: x.numpy() for name, x in feeds(inputs).items()})
        for name, output in zip(names, outputs, strict=True):
            expected = wanted[name].float().numpy()
            error = np.abs(output - expected) / np.maximum(1, np.abs(expected))
            if output.shape != expected.shape or not (error <= TOLERANCE).all():
                found = f"by {error.max():.2g}" if output.shape == expected.shape else f"in shape {output.shape}"
                raise ConfigError(
                    f"{name}: the exported model differs from torch {found}, but at most {TOLERANCE} is allowed; "
                    f"nothing was written (does a part of the model look at values, or draw at random?)"
                )
