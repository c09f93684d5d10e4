"""Child processes for tests: some kill them, some train in two of them.

They come from a server that was started as a program of its own. A child that is forked from the test process shares
its locks: killed while it holds the one that tqdm has for all processes, it leaves that taken for ever. The server
draws no progress bar, so there each child makes that lock for itself. And a fork of a process that has computed with
several threads waits for ever for threads that only its parent has.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from typing import Any

import torch
from tqdm.std import TqdmDefaultWriteLock  # type: ignore[attr-defined]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["clcrkit.datasets", "clcrkit.training", "torch._dynamo", "torchmetrics"]
)  # so that a child costs no imports


def start(work: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Call a function of a module in a new process, with copies of the arguments."""
    process = _SERVER.Process(target=_run, args=(work, pickle.dumps(arguments)))  # it would share tensors
    process.start()
    return process


def start_together(work: Callable[..., None], *arguments: Any, count: int = 2) -> list[ForkServerProcess]:
    """Call it in so many processes that are one run, as a launcher would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(_as_rank, rank, count, port, work, *arguments) for rank in range(count)]


def exit_code(process: ForkServerProcess) -> int:
    """0, the exit code, or minus the signal that ended it."""
    process.join(120)
    assert process.exitcode is not None, "it does not end"
    return process.exitcode


def all_ended_well(processes: list[ForkServerProcess]) -> bool:
    """Whether all exit with 0. Where one does not, the others are killed, as a launcher would."""
    wait([process.sentinel for process in processes], 120)
    ended = [process.exitcode for process in processes if process.exitcode is not None]
    if any(ended):
        for process in processes:
            process.kill()
    return [exit_code(process) for process in processes] == [0] * len(processes)


def _run(work: Callable[..., None], arguments: bytes) -> None:
    assert not hasattr(TqdmDefaultWriteLock, "mp_lock"), "tqdm's lock is another process's"
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # readers of shards start at once, as in a script on Linux
    work(*pickle.loads(arguments))


def _as_rank(rank: int, count: int, port: int, work: Callable[..., None], *arguments: Any) -> None:
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in places.items()}, MASTER_ADDR="127.0.0.1")
    work(*arguments)
    os._exit(0)  # gloo's threads now and then abort a process that ends in the ordinary way
