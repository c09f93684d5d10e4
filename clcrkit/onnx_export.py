"""A CLCR as an ONNX file: the same numbers without torch, in a browser, in another language, in production.

The file takes any number of samples and any lengths, and gives back all that a Trace holds. What torch.export cannot
take, or what need not be computed again and again, is computed beforehand: the frames, which come from a QR, and the
order in which 'full mix, shuffled' reads the levels.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import torch
from torch import Tensor, nn

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.budget import TokenBudget
from clcrkit.errors import ConfigError, require
from clcrkit.files import write_bytes
from clcrkit.hierarchy import mix_levels
from clcrkit.model import CLCR
from clcrkit.onnx_check import check, feeds, random_inputs, traced
from clcrkit.subspaces import Subspaces

_EXAMPLE = (5, 7, 9, 11)  # samples, and tokens of the modalities in turn; only their being different matters


@public
def export_onnx(model: CLCR, path: str | os.PathLike[str], label_names: Sequence[str] = ()) -> None:
    """Write a CLCR, in evaluation mode and in float32, to one ONNX file; all of it or nothing.

    Inputs, with any number of samples and of tokens:
      batch.tokens/NAME  (batch, token, feature) float32, or (batch, token) int64 token ids, for each modality
      batch.masks/NAME   (batch, token) bool, True where the token is real; nowhere, if the modality is missing
      mute/NAME          (batch, level, token) bool, True for the tokens whose activation is set to 0
      gamma              () float32, 0 or more: it multiplies every budget
    Outputs are the tensors of a Trace under the names of `Trace.by_name`. The metadata hold, under 'clcrkit', a JSON
    object: config (`CLCRConfig.to_dict`), inputs and outputs by name with their axes, and label_names.

    The file is compared with `model.trace` before it is written. Raises ConfigError where a value differs by more than
    1e-4 (for values above 1, times the value), and where label_names are not one for each output.
    """
    write_bytes(Path(path), onnx_bytes(model, label_names))


def onnx_bytes(model: CLCR, label_names: Sequence[str]) -> bytes:
    """What `export_onnx` writes, checked."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        require(library, "onnx")
    outputs = model.config.outputs
    if len(label_names) not in (0, outputs):
        raise ConfigError(f"label_names: {len(label_names)}, but it must be none, or one for each of {outputs} outputs")
    reference = deepcopy(model).cpu().eval()
    proto = _exported(reference)
    about = {
        "config": model.config.to_dict(),
        "inputs": _axes(proto.graph.input),
        "outputs": _axes(proto.graph.output),
        "label_names": list(label_names),
    }
    proto.metadata_props.add(key="clcrkit", value=json.dumps(about))
    content = proto.SerializeToString()
    check(content, reference)
    return content


class FixedSubspaces(Subspaces):
    """Subspaces whose frames are constants: ONNX has no QR."""

    def __init__(self, subspaces: Subspaces) -> None:
        nn.Module.__init__(self)
        with torch.no_grad():
            self.fixed = subspaces.frames()

    def frames(self) -> tuple[Tensor, dict[str, Tensor]]:
        return self.fixed


class ExactBudget(TokenBudget):
    """A budget that finds lambda between breakpoints: quadratic in the tokens, but in few steps, and each is a node."""

    @staticmethod
    def bracket(values: Tensor, budget: Tensor) -> Tensor:
        points = torch.cat([values, values - 1], dim=-1).clamp(min=0)  # where the sum of shares bends
        sums = (values[..., None, :] - points[..., :, None]).clamp(0, 1).sum(-1)
        exceeds = sums > budget[..., None]
        low = points.masked_fill(~exceeds, 0).amax(-1)
        high = torch.where(exceeds, points.amax(-1, keepdim=True), points).amin(-1)
        return (low + high) / 2


class ReorderedEncoder(nn.Module):
    """An encoder whose levels come in this order: ONNX would draw another one."""

    def __init__(self, encoder: nn.Module, order: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.order = encoder, list(order)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        h = self.encoder(tokens, mask)
        return torch.stack([h[:, level] for level in self.order], dim=1)


class Recorder(nn.Module):
    """From the inputs of the file to its outputs."""

    def __init__(self, model: CLCR) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Any, masks: Any, mute: Any, gamma: Tensor) -> dict[str, Tensor]:
        ids = torch.zeros_like(next(iter(masks.values()))[:, 0], dtype=torch.int64)
        batch = Batch(tokens, masks, None, ids)
        result = self.model._pass(batch, gamma, mute, keep_attention=True)
        # copies, since one tensor may have several names, as shared and exchanged without IntraCED
        return {name: x.clone() for name, x in self.model.as_trace(batch, 1.0, result).by_name().items()}


def _frozen(model: CLCR) -> CLCR:
    """A copy that computes the same in float32, with everything fixed that depends on no input."""
    frozen, c = deepcopy(model).float(), model.config
    if frozen.intraced.subspaces is not None:
        frozen.intraced.subspaces = FixedSubspaces(frozen.intraced.subspaces)
    if frozen.intraced.budget is not None:
        frozen.intraced.budget.__class__ = ExactBudget
    if c.mix == "shuffled" and c.hierarchy:
        numbers = torch.arange(c.levels, dtype=torch.float32)[None, :, None, None]  # tokens that are their level
        order, _ = mix_levels(dict.fromkeys(c.modalities, numbers), {}, c.mix, training=False)
        for m, encoder in list(frozen.encoders.items()):
            frozen.encoders[m] = ReorderedEncoder(encoder, order[m].flatten().long().tolist())
        frozen.config = replace(c, mix="")
    return frozen


@contextmanager
def _for_the_exporter() -> Iterator[None]:
    """Without checks of shapes (to compare a free size with a number would fix it), and without what torch's exporter
    says of itself: that it will change, and that torchvision is not installed, which is not needed."""
    checks, log = jaxtyping.config.jaxtyping_disable, logging.getLogger("torch.onnx")
    level = log.level
    jaxtyping.config.update("jaxtyping_disable", True)
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        log.setLevel(level)
        jaxtyping.config.update("jaxtyping_disable", checks)


def _exported(model: CLCR) -> Any:
    """The ModelProto, without the notes on each node's origin, which are half of its size."""
    inputs = random_inputs(model.config, _EXAMPLE, np.random.default_rng(0))
    outputs = list(traced(model, inputs).by_name())
    free = torch.export.Dim.DYNAMIC
    with _for_the_exporter():
        program = torch.onnx.export(
            Recorder(_frozen(model)).eval(),
            kwargs=inputs,
            input_names=list(feeds(inputs)),
            output_names=outputs,
            dynamic_shapes={
                "tokens": {m: {0: free, 1: free} for m in model.modalities},
                "masks": {m: {0: free, 1: free} for m in model.modalities},
                "mute": {m: {0: free, 2: free} for m in model.modalities},
                "gamma": None,
            },
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    proto: Any = program.model_proto  # type: ignore[union-attr]  # None only for an older exporter
    del proto.graph.value_info[:], proto.graph.metadata_props[:], proto.metadata_props[:]
    for node in [*proto.graph.node, *(node for function in proto.functions for node in function.node)]:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*proto.graph.input, *proto.graph.output]:
        del value.metadata_props[:]
    _name_axes(proto.graph, model.modalities)
    return proto


def _name_axes(graph: Any, modalities: Sequence[str]) -> None:
    """Call the axes of any length `batch` and `NAME_length` where torch calls them s14 and s67."""
    shapes = {value.name: value.type.tensor_type.shape.dim for value in [*graph.input, *graph.output]}
    names = {shapes[f"batch.masks/{m}"][1].dim_param: f"{m}_length" for m in modalities}
    names[shapes[f"batch.masks/{modalities[0]}"][0].dim_param] = "batch"
    for dim in (dim for shape in shapes.values() for dim in shape if dim.dim_param):
        dim.dim_param = re.sub(r"\w+", lambda symbol: names.get(symbol[0], symbol[0]), dim.dim_param)


def _axes(values: Any) -> dict[str, list[str | int]]:
    return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
