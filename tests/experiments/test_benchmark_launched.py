"""The benchmark command under launchers, and killed: two processes give the table of one, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clcrkit.experiments.published import BENCHMARKS
from tests.experiments.test_benchmark import written
from tests.test_pretrained import tiny_text
from tests.training.test_launchers import finish, free_port

# without dropout, whose numbers differ between processes; batches of 4 samples, 2 for each process
SCRIPT = """
import json, sys
from dataclasses import replace
from clcrkit import resnet
from clcrkit.experiments import benchmark as b
resnet.RESNET_18 = {**resnet.RESNET_18, "embedding_size": 4, "hidden_sizes": (4, 6, 8, 10), "depths": (1, 1, 1, 1)}
small = {"width": 8, "rank": 4, "private_rank": 4, "heads": 2, "levels": 2, "dropout": 0.0}
b.RECIPES["paper"] = replace(b.RECIPES["paper"], batch_size=4, epochs=1, device="cpu")
for name, path, out, options in zip(*[iter(sys.argv[1:])] * 4):
    given = {"models": ("CLCR", "concat"), **json.loads(options)}
    b.benchmark(name, path, out, seeds=(0,), settings=small, progress=False, **given)
"""
ENCODERS = "cremad with a ResNet", "mosi with a BERT"
Call = tuple[str, Path, dict[str, Any]]  # benchmark, data, options


def torchrun() -> list[str]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def accelerate() -> list[str]:
    machines = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", free_port()]
    return ["-m", "accelerate.commands.launch", *machines, "--mixed_precision", "no", "--dynamo_backend", "no"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {name: written(name, folder / name) for name in BENCHMARKS}


@pytest.fixture(scope="module")
def calls(paths: dict[str, Path], tmp_path_factory) -> dict[str, Call]:
    """Every benchmark, and two that train an encoder along. A ResNet normalises over the pictures of all processes."""
    bert = tmp_path_factory.mktemp("bert")
    tiny_text(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).save_pretrained(bert)
    return {
        **{name: (name, path, {}) for name, path in paths.items()},
        ENCODERS[0]: ("cremad", paths["cremad"], {"resnet": "scratch", "pixels": 32}),
        ENCODERS[1]: ("mosi", paths["mosi"], {"bert": str(bert), "finetune": True}),
    }


def launched(folder: Path, launcher: list[str], calls: dict[str, Call]) -> tuple[dict[str, pd.DataFrame], str]:
    """The table of each call, all made by one command, and what it said."""
    (folder / "run.py").write_text(SCRIPT)
    given = [x for key, (name, path, options) in calls.items() for x in (name, path, folder / key, json.dumps(options))]
    finish(folder, [sys.executable, *launcher, str(folder / "run.py"), *map(str, given)])
    said = (folder / "said-0.txt").read_text()
    assert said.count("trainings to run") == len(calls)  # one process speaks
    for key, (name, *_) in calls.items():
        assert (folder / key / "explorer.html").stat().st_size > 10_000
        assert len(list((folder / key / "trials").iterdir())) == 2 * len(BENCHMARKS[name].divisions)
    return {key: pd.read_csv(folder / key / "table.csv") for key in calls}, said


@pytest.fixture(scope="module")
def alone(calls: dict[str, Call], tmp_path_factory) -> tuple[dict[str, pd.DataFrame], str]:
    """What one process gives."""
    return launched(tmp_path_factory.mktemp("alone"), [], calls)


@pytest.mark.parametrize(("launcher", "keys"), [(torchrun, (*BENCHMARKS, *ENCODERS)), (accelerate, ("mosi",))])
def test_two_processes_have_the_table_of_one(
    tmp_path: Path, calls: dict[str, Call], alone, launcher: Callable[[], list[str]], keys: tuple[str, ...]
):
    found, _ = launched(tmp_path, launcher(), {key: calls[key] for key in keys})
    # of an odd number of samples two processes leave one out
    said = re.findall(r"(\S+), (.*): Split\(train (\d+)", alone[1])
    even = {(name, division) for name, division, count in said if int(count) % 2 == 0}
    compared = set()
    for key, table in found.items():
        for division in table["division"].unique():
            if (calls[key][0], division) in even:
                compared.add(key)
                one, two = (t[t["division"] == division] for t in (alone[0][key], table))
                pd.testing.assert_frame_equal(two, one, rtol=1e-4, atol=1e-5, obj=f"{key}, {division}")
    assert compared >= {"mosi", *ENCODERS} & set(keys)


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
