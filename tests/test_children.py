"""A child that is killed while it holds tqdm's lock for all processes leaves the others alone."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
from tqdm.auto import tqdm
from tqdm.std import TqdmDefaultWriteLock  # type: ignore[attr-defined]

from tests.children import exit_code, start


def hold_the_lock(folder: Path) -> None:
    tqdm.get_lock().acquire()
    (folder / "held").touch()
    time.sleep(60)


def draw_a_bar() -> None:
    list(tqdm(range(3), disable=True))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server that forks")
def test_a_child_killed_inside_tqdms_lock_leaves_it_to_others(tmp_path: Path):
    draw_a_bar()  # this process has a lock, as after any training
    process = start(hold_the_lock, tmp_path)
    while not (tmp_path / "held").exists():
        assert process.exitcode is None
        time.sleep(0.01)
    process.kill()
    assert exit_code(process) == -signal.SIGKILL
    assert TqdmDefaultWriteLock.mp_lock.acquire(timeout=10), "the dead child holds this process's lock"
    TqdmDefaultWriteLock.mp_lock.release()
    assert exit_code(start(draw_a_bar)) == 0
