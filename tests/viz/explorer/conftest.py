"""What the tests of the explorer share: a trace of 30 samples, and how to read what the browser is sent."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clcrkit import CLCR, Batch, Trace, viz
from clcrkit.datasets.split import Split


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(samples=30)


@pytest.fixture
def trace(model: CLCR, batch: Batch) -> Trace:
    return model.trace(batch)


@pytest.fixture
def split(batch: Batch) -> Split:
    return Split(
        batch,
        batch,
        batch,
        label_names=("no", "yes", "maybe"),
        attribute_names={"speaker": ("Ada", "Bo")},
        vocabulary={"text": tuple("abcdefghi")},
        describe={"vision": lambda tokens: [f"row {i}" for i in range(len(tokens))]},
    )


@pytest.fixture(scope="module")
def shared_trace(make_batch: Callable[..., Batch], make_model: Callable[..., CLCR]) -> Trace:
    batch = make_batch(samples=30)
    return make_model(batch).trace(batch)


def unpacked(packed: Any) -> np.ndarray:
    values: np.ndarray = np.frombuffer(packed["data"], f"<{packed['dtype']}").reshape(packed["shape"])
    return values * packed.get("scale", 1)


def tone(sample: int) -> tuple[np.ndarray, int]:
    """A sound of its own for each sample: a sine, so many waves in 50 ms of 8 kHz."""
    return np.sin(np.arange(400) * 2 * np.pi * (sample - 99) / 400).astype(np.float32), 8000


def page_state(page: str) -> Any:
    return json.loads(re.search(r'id="state">(.*?)</script>', page, re.S)[1])  # type: ignore[index]


def page_array(page: str, packed: Any) -> np.ndarray:
    blob = zlib.decompress(base64.b64decode(re.search(r'id="arrays">(.*?)</script>', page, re.S)[1]))  # type: ignore[index]
    return unpacked({**packed, "data": blob[packed["at"] : packed["at"] + packed["bytes"]]})


def sent(explorer: viz.Explorer, name: str) -> Any:
    """One of the messages that the browser holds."""
    return explorer.get_state(name)[name]
