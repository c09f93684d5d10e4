"""CLCR on a CUDA GPU: eager, compiled and captured, float32 and bfloat16, over batch sizes, beside what the GPU can do.

python -m tests.benchmarks.gpu     the tables, printed and written to build/gpu.json

Without a CUDA GPU it says so and ends. Every figure is of a training step at 50 tokens for each of three modalities
(widths 768, 74, 35), data on the device; first it is made sure that no step lets the host wait for the device. The
ceilings are measured in the same run: the product of two 8192 x 8192 matrices and the copy of 1 GiB.

A captured step is the eager one as a CUDA graph, whose kernels need no launching one by one. Where it is much faster,
and the device is busy for a small part of an eager step, launching is what limits the eager one.

On the device every query of the exchange is computed, as counting the funded ones would make the host wait. The
last table says what that wait would cost and save at 500 tokens.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from unittest.mock import patch

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from clcrkit import CLCR, Batch, CLCRConfig
from tests.benchmarks.timing import ALIGNED, random_batch, report

SIZES = (32, 128, 512, 2048, 4096)
WAYS = ("eager", "compiled", "captured")


def milliseconds(run: Callable[[], object], rounds: int = 20, warmup: int = 5) -> float:
    """Median of runs that wait for the device."""
    times = []
    for round_ in range(warmup + rounds):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if round_ >= warmup:
            times.append(1e3 * (time.perf_counter() - start))
    return median(times)


def ceilings(device: str) -> dict[str, float]:
    """Measured: floating-point operations and bytes in a second."""
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.randn(8192, 8192, device=device, dtype=dtype)
        found[f"matmul {name}, TFLOP/s"] = 2 * 8192**3 / milliseconds(partial(torch.mm, a, a)) / 1e9
    source = torch.empty(2**28, device=device)
    target = torch.empty_like(source)
    found["copy, GB/s"] = 2 * source.numel() * 4 / milliseconds(lambda: target.copy_(source)) / 1e6
    return found


def step_of(model: CLCR, batch: Batch, precision: str, way: str) -> Callable[[], object]:
    kind = batch.ids.device.type
    optimizer = torch.optim.AdamW(model.parameters(), fused=True, capturable=kind == "cuda")
    losses = torch.compile(model.losses, fullgraph=True) if way == "compiled" else model.losses

    def step() -> None:
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16"):
            total = losses(batch).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return captured(step) if way == "captured" else step


def captured(step: Callable[[], object]) -> Callable[[], object]:
    """The step as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def never_waits(step: Callable[[], object]) -> None:
    """Raises RuntimeError where the host waits for the device within a step."""
    step()  # what is made once, such as constants, may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def busy(step: Callable[[], object]) -> float:
    """Milliseconds that the device computes in a step."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        step()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profiled.key_averages()) / 1e3


def speed(model: CLCR, device: str, limits: dict[str, float]) -> pd.DataFrame:
    rows = {}
    for size in SIZES:
        batch = random_batch(ALIGNED, size).to(device)
        with FlopCounterMode(display=False) as counter:
            model.losses(batch).total.backward()
        work = counter.get_total_flops()
        for precision in ("float32", "bfloat16"):
            never_waits(step_of(copy.deepcopy(model), batch, precision, "eager"))
            for way in WAYS:
                torch.compiler.reset()
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                step = step_of(copy.deepcopy(model), batch, precision, way)
                taken = milliseconds(step)
                rows[f"{size}, {precision}, {way}"] = {
                    "ms": taken,
                    "device busy": busy(step) / taken,
                    "samples/s": 1e3 * size / taken,
                    "memory, MiB": torch.cuda.max_memory_allocated() / 2**20,
                    "of the matmul ceiling": work / taken / 1e9 / limits[f"matmul {precision}, TFLOP/s"],
                    # least traffic: the tokens and, for AdamW, weights, gradients and two moments, read and written
                    "least traffic of the copy ceiling": least_bytes(model, batch) / taken / 1e6 / limits["copy, GB/s"],
                }
    return pd.DataFrame(rows).T


def least_bytes(model: CLCR, batch: Batch) -> int:
    weights = sum(p.numel() for p in model.parameters())
    return 4 * (2 * sum(x.numel() for x in batch.tokens.values()) + 8 * weights)


def agreement(model: CLCR, device: str) -> pd.DataFrame:
    """Losses and the gradient's direction on the device beside float32 on the CPU, in evaluation mode."""
    batch = random_batch(ALIGNED, 64)

    def measured(where: str, precision: str) -> tuple[list[float], torch.Tensor]:
        there = copy.deepcopy(model).to(where).eval()
        with torch.autocast(where, torch.bfloat16, enabled=precision == "bfloat16"):
            losses = there.losses(batch.to(where))
        losses.total.backward()
        return [float(x.detach()) for x in losses.by_name().values()], torch.cat(
            [p.grad.flatten().cpu() for p in there.parameters() if p.grad is not None]
        )

    expected, direction = measured("cpu", "float32")
    rows = {}
    for precision in ("float32", "bfloat16"):
        found, gradient = measured(device, precision)
        rows[precision] = {
            "largest difference of a loss term": max(abs(a - b) for a, b in zip(found, expected, strict=True)),
            "cosine of the gradients": float(torch.cosine_similarity(gradient, direction, dim=0)),
        }
    return pd.DataFrame(rows).T


def funded(device: str) -> pd.DataFrame:
    """The eager step at 500 tokens for each modality: all queries, and the funded ones, which the host must count."""
    batch = random_batch(dict.fromkeys(ALIGNED, 500)).to(device)
    step = step_of(CLCR(CLCRConfig.of(batch)).to(device), batch, "float32", "eager")
    every = milliseconds(step)
    with patch("clcrkit.exchange.on_host", lambda _: True):
        few = milliseconds(step)
    return pd.DataFrame({"all queries": {"ms": every}, "the funded, counted by the host": {"ms": few}}).T


def main() -> None:
    if not torch.cuda.is_available():
        print("No CUDA GPU here: nothing was measured.")
        return
    model = CLCR(CLCRConfig.of(random_batch(ALIGNED))).to("cuda")
    limits = ceilings("cuda")
    report(
        "gpu",
        {
            f"ceilings of {torch.cuda.get_device_name()}": pd.DataFrame({"measured": limits}),
            "training step": speed(model, "cuda", limits),
            "funded queries": funded("cuda"),
            "agreement with float32 on the CPU": agreement(model, "cuda"),
        },
    )


if __name__ == "__main__":
    main()
