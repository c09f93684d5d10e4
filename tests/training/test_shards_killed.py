"""A run on shards goes on after a kill at any checkpoint, also at the one after the last step of an epoch.

`python -m tests.training.test_shards_killed` kills it 100 times at moments that are drawn, also with workers of two
processes (a minute each, of waiting for the workers of the dead), and says what happened."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from clcrkit.datasets import asynchrony, convert
from tests.children import exit_code, start
from tests.training.killed import run_on_shards


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server that forks")
@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (1, 1), (1, 2), (2, 0)])
def test_killed_after_every_checkpoint(tmp_path: Path, workers: int, processes: int):
    shards = convert(asynchrony((30, 8, 8), seed=0), tmp_path / "shards", shard_bytes=5_000, progress=False)
    assert exit_code(start(run_on_shards, shards, tmp_path / "calm", workers, processes, 0)) == 0
    kills = 0
    while exit_code(start(run_on_shards, shards, tmp_path / "killed", workers, processes, 2)) != 0:
        kills += 1
        assert kills <= 8
    assert kills == 8  # two epochs of three steps, and after each epoch
    assert (tmp_path / "killed" / "model").read_bytes() == (tmp_path / "calm" / "model").read_bytes()


def kills_at_random(folder: Path, kills: int, workers: int, processes: int) -> Iterator[int]:
    """Runs that are killed so often at moments drawn; yields the kills of each. Raises AssertionError where one
    cannot be continued, or ends with another model."""
    draw = random.Random(f"{workers} {processes}")
    shards = convert(asynchrony((30, 8, 8), seed=0), folder / "shards", shard_bytes=5_000, progress=False)
    assert exit_code(start(run_on_shards, shards, folder / "calm", workers, processes, 0)) == 0
    expected = (folder / "calm" / "model").read_bytes()
    run = 0
    while kills > 0:
        run, died = run + 1, 0
        while True:
            seconds = draw.uniform(0.01, 1.2) if died < kills else 0
            victim = draw.randrange(processes)
            killed = folder / f"killed{run}"
            if exit_code(start(run_on_shards, shards, killed, workers, processes, 0, seconds, victim)) == 0:
                break
            assert seconds, "a run that nobody kills fails"
            died += 1
        assert (killed / "model").read_bytes() == expected
        kills -= died
        yield died


if __name__ == "__main__":
    for workers, processes in product((0, 1, 2), (1, 2)):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            died = list(kills_at_random(Path(place), 17, workers, processes))
        what, took = f"{workers} workers, {processes} processes", time.monotonic() - began
        print(f"{what}: {sum(died)} kills in {len(died)} runs, all with the same model, {took:.0f} s", flush=True)
