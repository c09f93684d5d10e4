"""What the child processes of test_run do, until they are killed."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from clcrkit import CLCR, Batch, CLCRConfig, DataError, files
from clcrkit.files import write_tensors
from clcrkit.training import TrainConfig, fit, save

QUICK = TrainConfig(epochs=3, batch_size=8, device="cpu")
STATE = "state.safetensors"


def fresh(batch: Batch, seed: int = 0) -> CLCR:
    torch.manual_seed(seed)
    return CLCR(CLCRConfig.of(batch, width=16, rank=4, private_rank=6, heads=2, dropout=0.2))


def whole_run(folder: Path, parts: bytes, seed: int) -> None:
    """A run with a checkpoint after every step, that leaves its model and its traces in the folder."""
    torch.set_num_threads(1)
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

    def saving(tensors, path, metadata):
        here()
        save_file(tensors, path, metadata)
        written = Path(path).read_bytes()
        Path(path).write_bytes(written[: len(written) // 2])
        here()
        Path(path).write_bytes(written)
        here()

    def renaming(source, target, rename=os.replace):
        here()
        rename(source, target)
        here()

    files.save_file = saving  # type: ignore[assignment]
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
