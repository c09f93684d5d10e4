"""Training from shards on the disk beside training in memory, and memory over a data set of 20 GB.

python -m tests.benchmarks.streaming     both tables, printed and written to build/streaming.json; some minutes

Speed: 1,024 samples of three modalities of 50 tokens (widths 768, 74 and 35: 180 MB), batch 32, CLCR at its defaults,
losses, backward and AdamW, two threads. A round is one epoch of each, in the same random order. 'cold' asks the system
to drop the files from its cache before each epoch, so that every byte comes from the disk. Goal: at most 1.15 of the
time in memory.

Memory: the same training from 20 GB of shards, 200 steps of random samples from the whole, in a process of its own.
Their tokens are sparse (zeros that take no space on the disk), everything else is real. Peak memory is the largest
resident set, mapped pages included, of the process and of its largest worker; beside it the same steps from 0.2 GB.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from clcrkit import CLCR, Batch, CLCRConfig
from clcrkit.datasets import Shards, convert
from clcrkit.datasets.streaming.shard_files import FORMAT, INDEX, checksum, index_digest
from clcrkit.files import digest
from tests.benchmarks.timing import ALIGNED, FEATURES, interleaved, random_batch, ratios, report

BATCH = 32
SAMPLES = 1_024
STEPS = 200
GIGABYTES = (0.2, 20.0)
PER_SHARD = 400  # samples, 70 MB


def main() -> None:
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        tables = {"speed: one epoch of 32 steps": speed(Path(folder))}
        report("streaming", tables)
        rows = {f"{size:g} GB": memory(Path(folder) / f"{size}", size) for size in GIGABYTES}
        tables[f"memory: {STEPS} steps of {BATCH}"] = pd.DataFrame(rows).T
    report("streaming", tables)


def speed(folder: Path) -> pd.DataFrame:
    whole = random_batch(ALIGNED, SAMPLES)
    convert({"train": whole}, folder / "speed", progress=False)
    order = torch.randperm(SAMPLES)
    model = CLCR(CLCRConfig.of(whole))
    runs: dict[str, Callable[[], object]] = {"in memory": partial(epoch, model, whole, order)}
    for workers in (0, 1):
        shards = Shards(folder / "speed", workers=workers)
        runs[f"shards, {workers} workers"] = partial(epoch, model, shards, order)
        runs[f"shards, {workers} workers, cold"] = partial(cold_epoch, model, shards, order)
    runs["reading alone, 0 workers"] = partial(read_all, Shards(folder / "speed", workers=0), order)
    times = interleaved(runs, rounds=4, warmup=1)
    return pd.DataFrame({"s": times.median() / 1e3, "of memory": ratios(times, "in memory"), "goal": 1.15})


def epoch(model: CLCR, source: Batch | Shards, order: torch.Tensor) -> None:
    train(model, source.batches(BATCH, order))


def train(model: CLCR, batches: Iterable[Batch], after_step: Callable[[int], object] = lambda step: None) -> None:
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    for step, batch in enumerate(batches, start=1):
        optimizer.zero_grad()
        model.losses(batch).total.backward()
        optimizer.step()
        after_step(step)


def read_all(source: Shards, order: torch.Tensor) -> None:
    for _ in source.batches(BATCH, order):
        pass


def cold_epoch(model: CLCR, source: Shards, order: torch.Tensor) -> None:
    for path in source.folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    epoch(model, source, order)


def memory(folder: Path, gigabytes: float) -> dict[str, float]:
    """What a process that trains from `gigabytes` of shards says of itself."""
    samples = write_sparse(folder, gigabytes)
    command = [sys.executable, "-m", "tests.benchmarks.streaming", str(folder)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    on_disk = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    return {"samples": samples, "GB on the disk": on_disk / 1e9, **json.loads(told.splitlines()[-1])}


def write_sparse(folder: Path, gigabytes: float) -> int:
    """Shards as `convert` writes them, but that the tokens are holes in the files. How many samples they hold."""
    folder.mkdir()
    per_sample = sum(4 * FEATURES[m] * length for m, length in ALIGNED.items())
    files = max(1, round(gigabytes * 1e9 / per_sample / PER_SHARD))
    entries = []
    for number in range(files):
        ids = np.arange(number * PER_SHARD, (number + 1) * PER_SHARD)
        zeros = [np.zeros((length, FEATURES[m]), np.float32) for m, length in ALIGNED.items()]
        check = checksum([*zeros, *(np.ones(length, np.bool_) for length in ALIGNED.values())])
        arrays = {"ids": ids, "labels": ids % 2, "checksums": np.full(PER_SHARD, check)}
        arrays |= {f"offsets.{m}": np.arange(PER_SHARD + 1) * length for m, length in ALIGNED.items()}
        kept = digest({name: torch.from_numpy(array) for name, array in arrays.items()})
        arrays |= {f"masks.{m}": np.ones(PER_SHARD * length, np.bool_) for m, length in ALIGNED.items()}
        kinds = {"int64": "I64", "bool": "BOOL"}
        header: dict[str, dict[str, object]] = {}
        end = 0
        for name, array in arrays.items():
            about = {"dtype": kinds[str(array.dtype)], "shape": list(array.shape)}
            header[name] = {**about, "data_offsets": [end, end := end + array.nbytes]}
        for m, length in ALIGNED.items():
            shape = [PER_SHARD * length, FEATURES[m]]
            header[f"tokens.{m}"] = {
                "dtype": "F32",
                "shape": shape,
                "data_offsets": [end, end := end + 4 * shape[0] * shape[1]],
            }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path = folder / f"train-{number:05d}.safetensors"
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text + b"".join(a.tobytes() for a in arrays.values()))
            file.truncate(8 + len(text) + end)
        entries.append({"file": path.name, "samples": PER_SHARD, "bytes": path.stat().st_size, "digest": kept})
    index: dict[str, object] = {"modalities": FEATURES, "evidence": {}, "labels": ["classes"], "attributes": []}
    index |= {"label_names": [], "attribute_names": {}, "vocabulary": {}, "parts": {"train": entries}}
    index |= FORMAT
    (folder / INDEX).write_text(json.dumps({**index, "digest": index_digest(index)}))
    return files * PER_SHARD


def train_and_tell(folder: str) -> None:
    """The process that is measured."""
    torch.set_num_threads(2)
    start = time.perf_counter()
    shards = Shards(folder, workers=1)
    opened = time.perf_counter() - start
    model = CLCR(CLCRConfig.of(shards.select(slice(64))))
    draw = torch.Generator().manual_seed(0)
    order = torch.cat([shards.shuffled(draw, BATCH) for _ in range(1 + STEPS * BATCH // len(shards))])[: STEPS * BATCH]
    at_step: list[float] = []
    start = time.perf_counter()
    train(model, shards.batches(BATCH, order), lambda step: at_step.append(megabytes(resource.RUSAGE_SELF)))
    seconds = time.perf_counter() - start
    told = {
        "open (s)": opened,
        "ms a step": 1e3 * seconds / STEPS,
        f"peak MB at step {STEPS // 4}": at_step[STEPS // 4 - 1],
        f"peak MB at step {STEPS}": at_step[-1],
        "peak MB of the worker": megabytes(resource.RUSAGE_CHILDREN),
    }
    print(json.dumps(told))


def megabytes(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1e3


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train_and_tell(sys.argv[1])
    else:
        main()
