"""Child processes for tests that kill them.

They come from a server that was started as a program of its own. A child that is forked from the test process shares
its locks: killed while it holds the one that tqdm has for all processes, it leaves that taken for ever. The server
draws no progress bar, so there each child makes that lock for itself.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any

from tqdm.std import TqdmDefaultWriteLock  # type: ignore[attr-defined]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["clcrkit.datasets", "clcrkit.training"])  # so that a child costs no imports


def start(work: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Call a function of a module in a new process. Arguments are pickled: no tensors, which would be shared."""
    process = _SERVER.Process(target=_run, args=(work, *arguments))
    process.start()
    return process


def exit_code(process: ForkServerProcess) -> int:
    """0, the exit code, or minus the signal that ended it."""
    process.join(120)
    assert process.exitcode is not None, "it does not end"
    return process.exitcode


def _run(work: Callable[..., None], *arguments: Any) -> None:
    assert not hasattr(TqdmDefaultWriteLock, "mp_lock"), "tqdm's lock is another process's"
    work(*arguments)
