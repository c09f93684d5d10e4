"""What the child processes of test_run and test_shards_killed do, until they are killed."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clcrkit import CLCR, Batch, CLCRConfig, DataError
from clcrkit.datasets import Shards
from clcrkit.files import write_tensors
from clcrkit.training import TrainConfig, fit, save
from clcrkit.training import folder as run_folder

QUICK = TrainConfig(epochs=3, batch_size=8, device="cpu")
STATE = "state.safetensors"


def fresh(batch: Batch, seed: int = 0) -> CLCR:
    torch.manual_seed(seed)
    return CLCR(CLCRConfig.of(batch, width=16, rank=4, private_rank=6, heads=2, dropout=0.2))


def whole_run(folder: Path, parts: bytes, seed: int) -> None:
    """A run with a checkpoint after every step, that leaves its model and its traces in the folder."""
    train, valid = (part.only("vision", "sound") for part in pickle.loads(parts))
    model, probe = fresh(train, seed), valid.select([0, 1])
    done = fit(model, train, valid, replace(QUICK, batch_size=12), folder, probe, progress=False, checkpoint_every=0.0)
    save(model, folder / "model")
    write_tensors(folder / "traces", {f"{i:02d}": trace.prediction for i, trace in enumerate(done.traces)}, {})


def run_dying_at(moment: int, folder: Path, parts: bytes) -> None:
    """The same run, which kills itself at the n-th of the moments around its writes."""
    passed = 0

    def here() -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def writing(path, content, write=Path.write_bytes):
        here()
        write(path, content[: len(content) // 2])
        here()
        write(path, content)
        here()

    def renaming(source, target, rename=os.replace):
        here()
        rename(source, target)
        here()

    Path.write_bytes = writing  # type: ignore[method-assign]
    os.replace = renaming  # type: ignore[assignment]
    whole_run(folder, parts, 0)


def write_too_much(folder: Path, parts: bytes) -> None:
    """A run on a disk that takes 1,000 bytes."""
    train, valid = pickle.loads(parts)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(DataError, match="cannot be written"):
        fit(fresh(train), train, valid, QUICK, folder, progress=False)
    assert not list(folder.iterdir())


def run_on_shards(shards: Path, folder: Path, workers: int, last: int = 0, seconds: float = 0, victim: int = 0) -> None:
    """A run with a checkpoint after every step, whose main process dies right after its `last`-th one, or of whose
    processes the `victim`-th dies so many seconds after the training began; 0 of both: none dies."""
    rank = int(os.environ.get("RANK", "0"))
    train = Shards(shards, "train", workers)
    write, written = run_folder.write_state, []

    def write_then_die(*arguments) -> None:
        write(*arguments)
        written.append(1)
        if len(written) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    run_folder.write_state = write_then_die  # type: ignore[assignment]
    model, config = fresh(train.select(slice(None))), replace(QUICK, batch_size=12, epochs=2)
    if rank == victim:
        signal.setitimer(signal.ITIMER_REAL, seconds)  # what it sends ends the process on the spot
    fit(model, train, train, config, folder, progress=False, checkpoint_every=0.0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if rank == 0:
        save(model, folder / "model")
