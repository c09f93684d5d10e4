"""A run on shards goes on after a kill at any checkpoint, also at the one after the last step of an epoch.

`python -m tests.training.test_shards_killed` kills it 100 times at moments that are drawn, also with workers of two
processes and says what happened."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from clcrkit.datasets import asynchrony, convert
from tests.children import all_ended_well, start_together
from tests.training.killed import run_on_shards


def ends_well(processes: int, *arguments: Any) -> bool:
    return all_ended_well(start_together(run_on_shards, *arguments, count=processes))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server that forks")
@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (1, 1), (1, 2), (2, 0)])
def test_killed_after_every_checkpoint(tmp_path: Path, workers: int, processes: int):
    shards = convert(asynchrony((30, 8, 8), seed=0), tmp_path / "shards", shard_bytes=5_000, progress=False)
    assert ends_well(processes, shards, tmp_path / "calm", workers)
    kills = 0
    while not ends_well(processes, shards, tmp_path / "killed", workers, 2):
        kills += 1
        assert kills <= 8
    assert kills == 8  # two epochs of three steps, and after each epoch
    assert (tmp_path / "killed" / "model").read_bytes() == (tmp_path / "calm" / "model").read_bytes()


READING = """
import multiprocessing, sys
from clcrkit.datasets import Shards
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    for batch in Shards(sys.argv[1], "train", workers=2).batches(2):
        print("read", flush=True)
        sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_end_with_the_trainer_that_is_killed(tmp_path: Path, method: str):
    shards = convert(asynchrony((30, 8, 8), seed=0), tmp_path / "shards", shard_bytes=5_000, progress=False)
    (tmp_path / "reading.py").write_text(READING)
    mark = f"CLCRKIT_TEST={tmp_path}"
    command = ["/usr/bin/env", mark, sys.executable, str(tmp_path / "reading.py"), str(shards), method]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == b"read\n"
        assert len(marked(mark)) > 2
        trainer.kill()
    deadline = time.monotonic() + 60
    while left := marked(mark):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.1)


def marked(mark: str) -> list[str]:
    """The processes with this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
    return found


def kills_at_random(folder: Path, kills: int, workers: int, processes: int) -> Iterator[int]:
    """Runs that are killed so often at moments drawn; yields the kills of each. Raises AssertionError where one
    cannot be continued, or ends with another model."""
    draw = random.Random(f"{workers} {processes}")
    shards = convert(asynchrony((30, 8, 8), seed=0), folder / "shards", shard_bytes=5_000, progress=False)
    assert ends_well(processes, shards, folder / "calm", workers)
    expected = (folder / "calm" / "model").read_bytes()
    run = 0
    while kills > 0:
        run, died = run + 1, 0
        while True:
            seconds = draw.uniform(0.01, 1.2) if died < kills else 0
            victim = draw.randrange(processes)
            killed = folder / f"killed{run}"
            if ends_well(processes, shards, killed, workers, 0, seconds, victim):
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
