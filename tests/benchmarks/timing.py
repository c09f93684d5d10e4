"""What the benchmarks share: interleaved timing, a table on the screen and its JSON in build/, the standard batch."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from clcrkit import Batch

FEATURES = {"language": 768, "acoustic": 74, "vision": 35}
ALIGNED = {"language": 50, "acoustic": 50, "vision": 50}
UNALIGNED = {"language": 50, "acoustic": 500, "vision": 375}


def interleaved(
    runs: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 2, process_time: bool = False
) -> pd.DataFrame:
    """Milliseconds of each run in each round, (round, run). Each round runs all of them once, one after the other, so
    that what else the machine does meets all alike. process_time: those of the process, which waits for no other."""
    clock = time.process_time if process_time else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(warmup + rounds):
        for name, run in runs.items():
            start = clock()
            run()
            if round_ >= warmup:
                times[name].append(1e3 * (clock() - start))
    return pd.DataFrame(times)


def ratios(times: pd.DataFrame, against: str) -> pd.Series:
    """Median over the rounds of each run's time over that of `against` in the same round."""
    return times.div(times[against], axis=0).median()


def exponent(sizes: list[int], times: list[float]) -> float:
    """p of the curve time = c size^p through the last two points."""
    return float(np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2]))


def report(name: str, tables: Mapping[str, pd.DataFrame]) -> None:
    """Print the tables and write them to build/<name>.json with the machine and the versions."""
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    for title, table in tables.items():
        print(f"\n{title}\n{table.round(3).to_string()}", flush=True)
    found: dict[str, Any] = {title: table.to_dict("index") for title, table in tables.items()}
    Path("build").mkdir(exist_ok=True)
    Path(f"build/{name}.json").write_text(json.dumps({"machine": machine, "tables": found}, indent=1, default=str))


def random_batch(lengths: Mapping[str, int], samples: int = 32, features: Mapping[str, int] = FEATURES) -> Batch:
    """Full-length samples of two classes."""
    torch.manual_seed(0)
    tokens = {m: torch.randn(samples, length, features[m]) for m, length in lengths.items()}
    return Batch.from_arrays(tokens, labels=torch.arange(samples) % 2)


def training_step(model: nn.Module, batch: Batch) -> Callable[[], None]:
    """Losses, backward and one step of AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        model.losses(batch).total.backward()  # type: ignore[operator]
        optimizer.step()

    return step
