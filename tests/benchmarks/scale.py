"""How time and memory of a training step grow with batch, tokens, modalities, levels and width.

python -m tests.benchmarks.scale     the tables, printed and written to build/scale.json

Around batch 16 (2 where the tokens grow), 3 modalities of 64 tokens with 32 features, 3 levels, width 64 (rank and
private rank half of it), 2 heads, one thread. Time is the process's own, the least of the rounds; memory is the peak of
what a step allocates and holds, weights and data not counted. The measured exponents are those of the last doubling;
the expected one is that of very large sizes, so fixed costs and smaller powers pull the measured ones below it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from clcrkit import CLCR, CLCRConfig
from tests.benchmarks.timing import exponent, interleaved, random_batch, report, training_step

# sizes, the exponents of time and memory to expect, and why
AXES: dict[str, tuple[list[int], tuple[int, int], str]] = {
    "batch": ([8, 32, 128, 256, 512], (1, 1), "every sample costs the same"),
    "tokens": ([250, 500, 1000, 2000, 4000], (2, 1), "attention, whose weights are never stored; all else is linear"),
    "modalities": ([2, 4, 8], (2, 2), "each listens to all others, and holds their keys and values side by side"),
    "levels": ([1, 2, 4, 8], (1, 1), "levels do not meet before the gates"),
    "width": ([32, 64, 128, 256], (2, 1), "matrix products; what is held is tokens, beside few weights"),
}


def step_at(batch: int = 16, tokens: int = 64, modalities: int = 3, levels: int = 3, width: int = 64) -> Any:
    names = [f"m{i}" for i in range(modalities)]
    data = random_batch(dict.fromkeys(names, tokens), batch, dict.fromkeys(names, 32))
    config = CLCRConfig.of(data, levels=levels, width=width, rank=width // 2, private_rank=width // 2)
    return training_step(CLCR(config), data)


def peak_mebibytes(run: Callable[[], object]) -> float:
    """The most that a run holds of what it allocates itself."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    assert profiled.profiler is not None
    changes = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(accumulate(e.nbytes() for e in changes)) / 2**20


def main() -> None:
    torch.set_num_threads(1)
    tables = {}
    for axis, (sizes, expected, why) in AXES.items():
        fixed = {"batch": 2} if axis == "tokens" else {}
        runs = {str(size): step_at(**{axis: size}, **fixed) for size in sizes}
        rows = {
            "ms": interleaved(runs, rounds=5, warmup=1, process_time=True).min(),
            "MiB": pd.Series({size: peak_mebibytes(run) for size, run in runs.items()}),
        }
        tables[f"{axis}: {why}"] = pd.DataFrame(
            {
                name: {**row, "exponent": exponent(sizes, list(row)), "expected": power}
                for (name, row), power in zip(rows.items(), expected, strict=True)
            }
        ).T
    report("scale", tables)


if __name__ == "__main__":
    main()
