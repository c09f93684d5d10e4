"""torch's global state is the caller's: what the kit computes does not depend on it, and it comes back as it was.

The oracle is the same call in torch's state at the start of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clcrkit import CLCR, Batch, CLCRConfig, collate
from clcrkit.analysis.attribution import (
    attribute_level_tokens,
    attribute_levels,
    attribute_modalities,
    attribute_tokens,
)
from clcrkit.analysis.funding import credit
from clcrkit.datasets import from_arrays
from clcrkit.training import TrainConfig, evaluate, find_learning_rate, fit, predict, predict_proba

QUICK = TrainConfig(epochs=2, batch_size=4, device="cpu")
ROWS = np.random.default_rng(0).normal(size=(20, 3, 4))
MADE = ("from_arrays", "collate", "a drawn split", "asynchrony", "trace")  # and can be trained on anywhere


@contextmanager
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


STATES: dict[str, Callable[[], Any]] = {
    "float64 by default": float64_by_default,
    "meta by default": lambda: torch.device("meta"),
    "cpu by default": lambda: torch.device("cpu"),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
}


def trained(model: CLCR, batch: Batch) -> list[Tensor]:
    with torch.inference_mode(False):  # or its weights could not be trained
        copy = deepcopy(model)
    done = fit(copy, batch, batch, QUICK, probe=batch, progress=False)
    history = torch.from_numpy(done.history.to_numpy(dtype=np.float64))
    return [*copy.state_dict().values(), history, *(trace.prediction for trace in done.traces)]


def tensors_of(made: Batch) -> list[Tensor]:
    return [*made.tokens.values(), *made.masks.values(), made.ids, *made.attributes.values()]


USES: dict[str, Callable[[CLCR, Batch], list[Tensor]]] = {
    "from_arrays": lambda model, batch: tensors_of(
        Batch.from_arrays({"a": ROWS, "b": [*ROWS[:19], None]}, attributes={"g": list("ab" * 10)})
    ),
    "collate": lambda model, batch: tensors_of(collate([{"a": [1, 2], "b": ROWS[0]}, {"b": ROWS[1]}])),
    "a drawn split": lambda model, batch: tensors_of(
        from_arrays({"a": ROWS}, np.arange(20) % 2, groups=range(20)).train
    ),
    "fit": lambda model, batch: trained(model, batch),
    "evaluate": lambda model, batch: [torch.from_numpy(np.array(list(evaluate(model, batch).values())))],
    "predict": lambda model, batch: [predict(model, batch)],
    "predict_proba": lambda model, batch: [predict_proba(model, batch)],
    "trace": lambda model, batch: list(model.trace(batch).by_name().values()),
    "attribute_tokens": lambda model, batch: list(attribute_tokens(model, batch, steps=4).scores.values()),
    "attribute_tokens, ablation": lambda model, batch: list(attribute_tokens(model, batch, "ablation").scores.values()),
    "attribute_level_tokens": lambda model, batch: list(attribute_level_tokens(model, batch, steps=4).scores.values()),
    "attribute_modalities": lambda model, batch: list(attribute_modalities(model, batch).scores.values()),
    "attribute_levels": lambda model, batch: list(attribute_levels(model, batch).scores.values()),
    "credit": lambda model, batch: list(credit(model, batch).values()),
    "find_learning_rate": lambda model, batch: [
        torch.from_numpy(find_learning_rate(model, batch, QUICK, steps=10).table.to_numpy())
    ],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("use", USES)
def test_the_callers_state_changes_no_result_and_comes_back(model: CLCR, batch: Batch, use: str, state: str):
    wanted = USES[use](model, batch)
    torch.manual_seed(0)
    with STATES[state]():
        before = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), _inference()
        found = USES[use](model, batch)
        assert before == (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), _inference())
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        # a default device costs torch the fast path of its attention, which rounds otherwise
        torch.testing.assert_close(ours.detach(), theirs.detach(), atol=1e-5, rtol=1e-4)
    assert use not in MADE or not any(tensor.is_inference() for tensor in found)


def _inference() -> bool:
    return torch.is_inference_mode_enabled()


def test_a_model_keeps_the_dtype_and_the_gradients_of_its_making(batch: Batch):
    """What torch's own modules respect, the kit's do."""
    config = CLCRConfig.of(batch, width=16, rank=4, private_rank=4)
    with float64_by_default():
        double = CLCR(config)
    assert all(parameter.dtype == torch.float64 for parameter in double.parameters())
    assert np.isfinite(fit(double, batch, batch, QUICK, progress=False).history.to_numpy()).all()
    with torch.device("meta"):
        assert all(parameter.is_meta for parameter in CLCR(config).parameters())
    with torch.no_grad():
        assert not double(batch).requires_grad
    assert double(batch).requires_grad
