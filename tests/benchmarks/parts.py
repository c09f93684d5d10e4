"""The parts: projection, frames, regularisers and trace, each beside what it is measured by.

python -m tests.benchmarks.parts     the table, printed and written to build/parts.json

Two threads, float32. Goals: the projection at most 1.0 times entmax.sparsemax at 500 tokens and 1.5 times at 50 (288
rows, activations between 0 and 1, budget 0.25 for each token); nine 128 x 64 frames at most one batched QR of them; the
regularisers at most 0.1 of a training step; a pass with trace at most 1.5 times one without.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from entmax import sparsemax
from torch import Tensor

from clcrkit import CLCR, CLCRConfig
from clcrkit.budget import project_truncated_simplex
from clcrkit.objective import regularisers
from clcrkit.subspaces import Subspaces
from tests.benchmarks.timing import ALIGNED, interleaved, random_batch, ratios, report, training_step


def backward(make: Callable[[], list[Tensor]], leaves: list[Tensor]) -> Callable[[], object]:
    """Forward and backward, with fixed incoming gradients."""
    incoming = [torch.randn_like(x) for x in make()]
    return lambda: torch.autograd.grad(make(), leaves, incoming)


def projection(tokens: int) -> dict[str, Callable[[], object]]:
    values = torch.rand(288, tokens, requires_grad=True)
    budget = torch.full((288,), 0.25 * tokens)
    return {
        "ours": backward(lambda: [project_truncated_simplex(values, budget)[0]], [values]),
        "other": backward(lambda: [sparsemax(values, dim=-1)], [values]),
    }


def frames() -> dict[str, Callable[[], object]]:
    subspaces = Subspaces(("a", "b", "c"), levels=3, width=128, rank=32, private_rank=32)

    def made() -> list[Tensor]:
        shared, private = subspaces.frames()
        return [shared, *private.values()]

    nine = torch.randn(9, 128, 64, requires_grad=True)
    return {
        "ours": backward(made, list(subspaces.parameters())),
        "other": backward(lambda: [torch.linalg.qr(nine).Q], [nine]),
    }


def regularising() -> dict[str, Callable[[], object]]:
    batch = random_batch(ALIGNED)
    model = CLCR(CLCRConfig.of(batch))
    made = model._pass(batch).aggregated
    # the streams as leaves, so that the backward pass ends where the regularisers begin
    leaves = [x.detach().requires_grad_() for x in (*made.pooled_shared.values(), *made.pooled_private.values())]
    cut = made._replace(
        pooled_shared=dict(zip(made.pooled_shared, leaves[:3], strict=True)),
        pooled_private=dict(zip(made.pooled_private, leaves[3:], strict=True)),
        level_gate=made.level_gate.detach().requires_grad_(),
        context=made.context.detach().requires_grad_(),
    )
    leaves += [cut.level_gate, cut.context]
    return {
        "ours": backward(lambda: list(regularisers(cut, batch.masks).values()), leaves),
        "other": training_step(model, batch),
    }


def tracing() -> dict[str, Callable[[], object]]:
    batch = random_batch(ALIGNED)
    model = CLCR(CLCRConfig.of(batch)).eval()

    @torch.no_grad()
    def plain() -> Tensor:
        return model(batch)

    return {"ours": lambda: model.trace(batch), "other": plain}


def main() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    parts = {
        "projection, 500 tokens / sparsemax": (projection(500), 1.0),
        "projection, 50 tokens / sparsemax": (projection(50), 1.5),
        "nine 128 x 64 frames / one batched QR": (frames(), 1.0),
        "regularisers / training step": (regularising(), 0.1),
        "pass with trace / without": (tracing(), 1.5),
    }
    rows = {}
    for name, (runs, goal) in parts.items():
        times = interleaved(runs, rounds=41, warmup=3)
        rows[name] = {**times.median(), "ratio": ratios(times, "other")["ours"], "goal": goal}
    report("parts", {"parts (ms)": pd.DataFrame(rows).T})


if __name__ == "__main__":
    main()
