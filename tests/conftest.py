"""What the tests of the core share: a tiny batch, a tiny model, and a fixed seed before every test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings

from clcrkit import CLCR, Batch, CLCRConfig

# Tests that end processes by signals, limit their memory or stop them in time as only POSIX can; and, where memory is
# read from /proc, as only Linux can.
_POSIX = (
    "datasets/streaming/test_convert.py",
    "datasets/test_fuzz.py",
    "experiments/test_benchmark_launched.py",
    "test_children.py",
    "training/test_launchers.py",
    "training/test_processes.py",
    "training/test_run.py",
    "training/test_shards_killed.py",
)
collect_ignore = [] if sys.platform == "linux" else ["datasets/test_hostile.py"]
collect_ignore += [] if os.name == "posix" else _POSIX

settings.register_profile("clcrkit", deadline=None, derandomize=True, max_examples=40, database=None)
settings.load_profile("clcrkit")
torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored

# features of each token; None for token ids
KINDS: dict[str, int | None] = {"vision": 5, "text": None, "sound": 3, "touch": 4}
LENGTHS = {"vision": 7, "text": 6, "sound": 4, "touch": 3}
VOCABULARY = 9


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """As users run the kit: without the checker of types, so that a wrong type reaches the code."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """A factory of tiny batches: ragged, with ids for text, and with samples that lack a modality."""

    def make(
        samples: int = 6, task: str = "classification", modalities: int = 3, missing: bool = True, seed: int = 0
    ) -> Batch:
        rng = np.random.default_rng(seed)
        tokens: dict[str, Any] = {}
        masks: dict[str, Any] = {}
        for place, name in enumerate(list(KINDS)[:modalities]):
            length, size = LENGTHS[name], KINDS[name]
            if size is None:
                tokens[name] = rng.integers(0, VOCABULARY, (samples, length))
                tokens[name][0, 0] = VOCABULARY - 1
            else:
                tokens[name] = rng.normal(size=(samples, length, size))
            real = rng.integers(1, length + 1, samples)
            real[0] = length
            if missing and samples > place + 1:
                real[place + 1] = 0
            masks[name] = np.arange(length) < real[:, None]
        labels = {
            "classification": np.arange(samples) % 3,
            "regression": rng.normal(size=samples),
            "multilabel": (rng.random((samples, 4)) < 0.5).astype(float),
        }[task]
        return Batch.from_arrays(
            tokens,
            labels=labels,
            masks=masks,
            ids=np.arange(samples) + 100,
            attributes={"speaker": np.arange(samples) % 2},
        )

    return make


@pytest.fixture(scope="session")
def make_model() -> Callable[..., CLCR]:
    """A factory of tiny models in evaluation mode. Every parameter is moved off its starting value, so that
    a scale of 1 or a shift of 0 cannot hide a mistake."""

    def make(batch: Batch, seed: int = 0, **choices: Any) -> CLCR:
        torch.manual_seed(seed)
        small = {"width": 16, "rank": 4, "private_rank": 6, "heads": 2, "dropout": 0.0}
        model = CLCR(CLCRConfig.of(batch, **{**small, **choices})).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    return make


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch()


@pytest.fixture
def model(make_model: Callable[..., CLCR], batch: Batch) -> CLCR:
    return make_model(batch)
