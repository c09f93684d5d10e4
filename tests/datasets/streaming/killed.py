"""What the child processes of test_convert do, until they are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from clcrkit import Batch
from clcrkit.datasets import Split, asynchrony, convert

SHARD_BYTES = 60_000


def samples(source: str) -> Split | dict[str, Iterator[Batch]]:
    """The same data set "in memory", or by part as a "generator" of batches."""
    split = asynchrony((400, 60, 60), seed=3)
    return split if source == "in memory" else {p: getattr(split, p).batches(70) for p in ("train", "valid", "test")}


def convert_until(calls: float, source: str, folder: Path) -> None:
    """Convert, and die at the n-th function call; who survives writes the number of calls beside the folder."""
    count = 0

    def tally(*_: object) -> None:
        nonlocal count
        count += 1
        if count == calls:
            os.kill(os.getpid(), signal.SIGKILL)

    data = samples(source)
    sys.setprofile(tally)
    convert(data, folder, shard_bytes=SHARD_BYTES, progress=False)
    sys.setprofile(None)
    folder.with_name("calls").write_text(str(count))
