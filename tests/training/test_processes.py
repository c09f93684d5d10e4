"""Two processes train as one does: the same losses, the same weights, one writer, one stop."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError
from clcrkit.baselines import LateFusion
from clcrkit.training import TrainConfig, fit
from tests.children import exit_code, start_together

# 22 samples in batches of 8: the last one is incomplete
CONFIG = TrainConfig(epochs=3, batch_size=8, device="cpu")


def fresh(kind: type, batch: Batch, seed: int, **choices) -> nn.Module:
    torch.manual_seed(seed)
    return kind(
        CLCRConfig.of(batch, **{"width": 16, "rank": 4, "private_rank": 6, "heads": 2, "dropout": 0.0, **choices})
    )


def two(work, *arguments) -> None:
    assert [exit_code(process) for process in start_together(work, *arguments)] == [0, 0]


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def train_one(kind, batch, valid, config, folder):
    model = fresh(kind, batch, seed=rank())  # the main process's weights count
    together = "RANK" in os.environ
    kept = folder / "kept" if together else None
    rows: list[int] = []
    done = fit(
        model, batch, valid, config, kept, progress=False, on_epoch=lambda h: rows.append(len(h)), checkpoint_every=0.0
    )
    name = f"{rank()}-of-2" if together else "alone"
    # where whole tokens use a budget up, many cut-offs give the same shares, and rounding picks one
    determined = [name for name in done.history if not name.startswith("cutoff")]
    numbers = torch.tensor(done.history[determined].to_numpy(float)).contiguous()
    save_file({**model.state_dict(), "history": numbers, "rows": torch.tensor(rows)}, folder / name)


@pytest.mark.parametrize("kind", [CLCR, LateFusion])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_two_processes_have_the_losses_of_one(make_batch, tmp_path, kind, optimizer):
    batch, valid = make_batch(samples=22, seed=1), make_batch(samples=10, seed=2)
    config = replace(CONFIG, optimizer=optimizer, learning_rate=1e-3)
    train_one(kind, batch, valid, config, tmp_path)
    two(train_one, kind, batch, valid, config, tmp_path)
    alone, main, other = (load_file(tmp_path / name) for name in ("alone", "0-of-2", "1-of-2"))
    torch.testing.assert_close(main["history"], alone["history"], rtol=0, atol=1e-5)
    assert main["rows"].tolist() == [1, 2, 3]
    assert other["rows"].tolist() == []
    assert all(torch.equal(main[name], other[name]) for name in alone if name != "rows")
    # the state that the main process wrote serves one process, too
    again = fresh(kind, batch, seed=0)
    done = fit(again, batch, valid, config, tmp_path / "kept", progress=False)
    determined = [name for name in done.history if not name.startswith("cutoff")]
    np.testing.assert_array_equal(done.history[determined].to_numpy(float), main["history"].numpy())


def stop_one(batch, folder):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
    model = fresh(CLCR, batch, seed=rank())
    losses, calls = model.losses, []

    def pressed(part):
        calls.append(1)
        if rank() == 1 and len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return losses(part)

    model.losses = pressed
    done = fit(model, batch, batch, replace(CONFIG, epochs=50), folder / "kept", progress=False)
    assert done.stopped == "interrupted"
    save_file({**model.state_dict(), "steps": torch.tensor(len(calls))}, folder / str(rank()))


def test_ctrl_c_in_one_process_stops_all_after_the_same_step(make_batch, tmp_path):
    two(stop_one, make_batch(samples=48, seed=1), tmp_path)
    main, other = load_file(tmp_path / "0"), load_file(tmp_path / "1")
    assert main["steps"] == 3
    assert all(torch.equal(main[name], other[name]) for name in main)


def refuse(batch, folder):
    model = fresh(CLCR, batch, seed=0)
    with pytest.raises(DataError, match="cannot be written"):  # found by the main process, raised in both
        fit(model, batch, batch, CONFIG, folder / "file", progress=False)
    with pytest.raises(ConfigError, match="batch_size: 7, but it must be a multiple of 2 processes"):
        fit(model, batch, batch, replace(CONFIG, batch_size=7), progress=False)
    with pytest.raises(DataError, match="the train part has 1, but 2 or more are needed"):
        fit(model, batch.select([0]), batch, CONFIG, progress=False)
    (folder / f"passed-{rank()}").touch()


def test_all_processes_refuse_together(make_batch, tmp_path):
    (tmp_path / "file").write_text("")
    two(refuse, make_batch(samples=8), tmp_path)
    assert (tmp_path / "passed-0").exists()
    assert (tmp_path / "passed-1").exists()
