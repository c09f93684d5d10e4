"""The launchers that `fit` promises to run under, each for real: the losses are those of one process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

# 22 samples in batches of 8: the last one is incomplete
SCRIPT = """
import os, sys
import torch
from clcrkit import CLCR, CLCRConfig
from clcrkit.datasets import asynchrony
from clcrkit.training import TrainConfig, fit

def train(where):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = asynchrony(samples=(22, 10, 4), seed=0)
    small = {"width": 16, "rank": 4, "private_rank": 4, "heads": 2, "dropout": 0.0}
    model = CLCR(CLCRConfig.of(data.train, **small))
    done = fit(model, data.train, data.valid, TrainConfig(epochs=2, batch_size=8, device="cpu"), progress=False)
    import torch.distributed as dist
    processes = dist.get_world_size() if dist.is_initialized() else 1
    done.history.to_csv(f"{where}/history-{os.environ.get('RANK', '0')}-of-{processes}.csv", index=False)
"""

# what is registered first runs last
MAIN = """
def still_grouped():
    import torch.distributed as dist
    if dist.is_initialized():
        os._exit(3)

if __name__ == "__main__":
    import atexit
    atexit.register(still_grouped)
    train(sys.argv[1])
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("launched") / "train.py"
    path.write_text(SCRIPT + MAIN)
    return path


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def finish(folder: Path, *commands: list[str], limit: float = 250) -> None:
    """Run all at once, with one thread each; show what they said where one fails."""
    foreign = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "MASTER_", "TORCHELASTIC_", "ACCELERATE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment = {**inherited, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    said = [folder / f"said-{i}.txt" for i in range(len(commands))]
    running = []
    try:
        for command, path in zip(commands, said, strict=True):
            with path.open("w") as out:
                running.append(
                    subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
                )
        for process in running:
            process.wait(timeout=limit)
    finally:
        for process in running:
            process.terminate()  # a launcher then ends its workers, which are in sessions of their own
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            with contextlib.suppress(ProcessLookupError):  # with what it has started
                os.killpg(process.pid, signal.SIGKILL)
        words = "\n".join(path.read_text() for path in said if path.exists())
        assert [process.wait() for process in running] == [0] * len(commands), words


@pytest.fixture(scope="module")
def alone(script) -> pd.DataFrame:
    """What one process gives."""
    finish(script.parent, [sys.executable, str(script), str(script.parent)])
    return pd.read_csv(script.parent / "history-0-of-1.csv")


def accelerate_launch(script: Path, folder: Path) -> None:
    """As for two GPUs. (With --cpu it starts one process, whatever number is asked for.)"""
    settings = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    settings += ["--dynamo_backend", "no", "--main_process_port", free_port()]
    finish(folder, [sys.executable, "-m", "accelerate.commands.launch", *settings, str(script), str(folder)])


def torchrun(script: Path, folder: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    finish(folder, [*launcher, str(script), str(folder)])


def two_machines(script: Path, folder: Path) -> None:
    """Two launchers that know of each other by an address only, as on two machines."""
    meeting = ["--nnodes", "2", "--nproc_per_node", "1", "--master_addr", "127.0.0.1", "--master_port", free_port()]
    launcher = [sys.executable, "-m", "torch.distributed.run", *meeting]
    finish(folder, *([*launcher, "--node_rank", str(machine), str(script), str(folder)] for machine in (0, 1)))


def notebook(script: Path, folder: Path) -> None:
    """`notebook_launcher` in a kernel that has trained before, as a reader's has."""
    if torch.accelerator.is_available():
        pytest.skip("a kernel that has used a GPU cannot be copied")
    import nbformat
    from nbclient import NotebookClient

    cells = [
        f"import sys; sys.path.insert(0, {str(script.parent)!r})\nfrom train import train",
        f"import os; os.makedirs({str(folder / 'before')!r}); train({str(folder / 'before')!r})",
        f"from accelerate import notebook_launcher\n"
        f"notebook_launcher(train, ({str(folder)!r},), num_processes=2, use_port={free_port()!r})",
    ]
    sheet = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(sheet, timeout=120, kernel_name="python3").execute()


@pytest.mark.parametrize("launch", [accelerate_launch, torchrun, two_machines, notebook])
def test_two_processes_have_the_losses_of_one(script, alone, tmp_path, launch):
    launch(script, tmp_path)
    for rank in (0, 1):
        found = pd.read_csv(tmp_path / f"history-{rank}-of-2.csv")
        # where whole tokens use a budget up, many cut-offs give the same shares, and rounding picks one
        determined = [name for name in alone if not name.startswith("cutoff")]
        assert list(found) == list(alone)
        np.testing.assert_allclose(
            found[determined].to_numpy(float), alone[determined].to_numpy(float), rtol=0, atol=1e-5
        )


LAUNCHER = """
import signal, subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(worker.kill() or worker.wait()))
print(worker.pid, flush=True)
signal.pause()
"""


def test_a_launch_that_takes_too_long_ends_with_its_workers(tmp_path):
    with pytest.raises(AssertionError, match=r"^\d+\n"):
        finish(tmp_path, [sys.executable, "-c", LAUNCHER], limit=5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "said-0.txt").read_text()), 0)
