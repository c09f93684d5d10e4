"""How a training step grows with batch, tokens, modalities, levels and width.

python -m tests.benchmarks.scale     the tables, printed and written to build/scale.json

Around batch 16, 3 modalities of 64 tokens with 32 features, 3 levels, width 64 (rank and private rank half of it), 4
heads, two threads. The measured exponent is that of the last doubling; the expected one is that of very large sizes, so
fixed costs and smaller powers pull the measured one below it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from clcrkit import CLCR, CLCRConfig
from tests.benchmarks.timing import exponent, interleaved, random_batch, report, training_step

# sizes, the exponent to expect, and why
AXES: dict[str, tuple[list[int], int, str]] = {
    "batch": ([8, 16, 32, 64, 128], 1, "every sample costs the same; the whitening's n^2 is small"),
    "tokens": ([32, 64, 128, 256, 512], 2, "attention; everything else is linear"),
    "modalities": ([2, 4, 8], 2, "each listens to all others; encoders are linear"),
    "levels": ([1, 2, 4, 8], 1, "levels do not meet before the gates"),
    "width": ([32, 64, 128, 256], 2, "matrix products; attention and elementwise work are linear"),
}


def step_at(batch: int = 16, tokens: int = 64, modalities: int = 3, levels: int = 3, width: int = 64) -> Any:
    names = [f"m{i}" for i in range(modalities)]
    data = random_batch(dict.fromkeys(names, tokens), batch, dict.fromkeys(names, 32))
    config = CLCRConfig.of(data, levels=levels, width=width, rank=width // 2, private_rank=width // 2)
    return training_step(CLCR(config), data)


def main() -> None:
    torch.set_num_threads(2)
    tables = {}
    for axis, (sizes, expected, why) in AXES.items():
        times = interleaved({str(size): step_at(**{axis: size}) for size in sizes}, rounds=7).median()
        found = exponent(sizes, list(times))
        row = {**{str(size): times[str(size)] for size in sizes}, "exponent": found, "expected": expected}
        tables[f"{axis} (ms): {why}"] = pd.DataFrame({axis: row}).T
    report("scale", tables)


if __name__ == "__main__":
    main()
