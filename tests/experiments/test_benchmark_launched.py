"""The benchmark command under launchers, and killed: two processes give the table of one, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clcrkit.experiments.published import BENCHMARKS
from tests.experiments.test_benchmark import written
from tests.test_pretrained import tiny_text
from tests.training.test_launchers import finish

# without dropout, whose numbers differ between processes; batches of 4 samples, 2 for each process
SCRIPT = """
import json, sys
from dataclasses import replace
from clcrkit import resnet
from clcrkit.experiments import benchmark as b
resnet.RESNET_18 = {**resnet.RESNET_18, "embedding_size": 4, "hidden_sizes": (4, 6, 8, 10), "depths": (1, 1, 1, 1)}
options = json.loads(sys.argv.pop(1))
small = {"width": 8, "rank": 4, "private_rank": 4, "heads": 2, "levels": 2, "dropout": 0.0}
b.RECIPES["paper"] = replace(b.RECIPES["paper"], batch_size=4, epochs=1, device="cpu")
for name, path, out in zip(*[iter(sys.argv[1:])] * 3):
    given = {"models": ("CLCR", "concat"), **options.get(name, {})}
    b.benchmark(name, path, out, seeds=(0,), settings=small, progress=False, **given)
"""
RUNS = ("one", "two")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ACCELERATE = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
ACCELERATE += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {name: written(name, folder / name) for name in BENCHMARKS}


def launched(
    folder: Path, launcher: list[str], paths: dict[str, Path], options: dict[str, Any] | None = None
) -> dict[str, pd.DataFrame]:
    folder.mkdir()
    (folder / "run.py").write_text(SCRIPT)
    given = [str(x) for name, path in paths.items() for x in (name, path, folder / name)]
    finish(folder, [sys.executable, *launcher, str(folder / "run.py"), json.dumps(options or {}), *given])
    said = (folder / "said-0.txt").read_text()
    assert said.count("trainings to run") == len(paths)  # one process speaks
    for name in paths:
        assert (folder / name / "explorer.html").stat().st_size > 10_000
        assert len(list((folder / name / "trials").iterdir())) == 2 * len(BENCHMARKS[name].divisions)
    return {name: pd.read_csv(folder / name / "table.csv") for name in paths}


@pytest.mark.parametrize(("launcher", "names"), [
    (TORCHRUN, ("mosi", "mosei", "sims", "iemocap", "ave")),
    (TORCHRUN, ("cremad", "kinetics-sounds", "ucf101")),
    (ACCELERATE, ("mosi",)),
])  # fmt: skip
def test_two_processes_have_the_table_of_one(
    tmp_path: Path, paths: dict[str, Path], launcher: list[str], names: tuple[str, ...]
):
    same_table(tmp_path, {name: paths[name] for name in names}, launcher)


def test_two_processes_train_a_resnet_and_a_bert_as_one(tmp_path: Path, paths: dict[str, Path]):
    """The normalisation is over the pictures of both."""
    tiny_text(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).save_pretrained(tmp_path / "bert")
    options = {
        "cremad": {"resnet": "scratch", "pixels": 32},
        "mosi": {"bert": str(tmp_path / "bert"), "finetune": True},
    }
    same_table(tmp_path, {name: paths[name] for name in options}, TORCHRUN, options)


def same_table(tmp_path: Path, chosen: dict[str, Path], launcher: list[str], options: Any = None) -> None:
    one, two = (launched(tmp_path / n, how, chosen, options) for n, how in zip(RUNS, ([], launcher), strict=True))
    # of an odd number of samples two processes leave one out
    said = re.findall(r"(\S+), (.*): Split\(train (\d+)", (tmp_path / "one" / "said-0.txt").read_text())
    even = [(name, division) for name, division, count in said if int(count) % 2 == 0]
    assert {name for name, _ in even} == set(chosen) or options is None
    assert even
    for name, division in even:
        expected, found = (tables[name][tables[name]["division"] == division] for tables in (one, two))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5, obj=f"{name}, {division}")


def test_every_benchmark_is_launched() -> None:
    (mark,) = test_two_processes_have_the_table_of_one.pytestmark
    assert {name for _, names in mark.args[1] for name in names} == set(BENCHMARKS)


def test_a_command_that_is_killed_goes_on(tmp_path: Path, paths: dict[str, Path]):
    command = [sys.executable, "-m", "clcrkit.experiments.benchmark", "ave", str(paths["ave"]), "--epochs", "1"]
    command += ["--models", "concat", "late fusion", "CLCR", "--seeds", "0", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def started(out: Path) -> subprocess.Popen[bytes]:
        with (tmp_path / "said.txt").open("ab") as said:
            return subprocess.Popen([*command, "--folder", str(out)], env=environment, stdout=said, stderr=said)

    trials, process = tmp_path / "killed" / "trials", started(tmp_path / "killed")
    while process.poll() is None and len(list(trials.glob("*.json"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, (tmp_path / "said.txt").read_text()
    before = {file: file.stat().st_mtime_ns for file in trials.glob("*.json")}
    assert 2 <= len(before) < 6
    assert not (tmp_path / "killed" / "table.csv").exists()
    assert started(tmp_path / "killed").wait() == 0
    assert all(file.stat().st_mtime_ns == then for file, then in before.items())
    assert started(tmp_path / "whole").wait() == 0
    resumed, whole = (pd.read_csv(tmp_path / name / "table.csv") for name in ("killed", "whole"))
    assert not np.isnan(resumed["mean"]).all()
    pd.testing.assert_frame_equal(resumed, whole)
