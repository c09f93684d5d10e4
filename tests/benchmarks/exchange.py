"""What the budget saves: the exchange, forward and backward, with few funded tokens beside the dense exchange.

python -m tests.benchmarks.exchange     the table, printed and written to build/exchange.json

8 samples, 3 modalities of 500 tokens, 3 levels, rank 32, 4 heads, float32, two threads. Participation is the share
given out over the number of tokens. It can be concentrated (a quarter of the tokens has 1 each, the others nothing) or
spread (every token has 0.25): only what is not funded at all is saved. Goal: concentrated at 0.25, at most
0.4 of dense.
"""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import pandas as pd
import torch
from torch import Tensor

from clcrkit import CLCR, CLCRConfig
from clcrkit.exchange import Exchange
from tests.benchmarks.timing import interleaved, random_batch, ratios, report

SAMPLES, LEVELS, RANK, TOKENS = 8, 3, 32, 500
NAMES = ("language", "acoustic", "vision")


def concentrated(part: float) -> Tensor:
    """Shares of 1 for this part of the tokens, drawn at random in each row."""
    return (torch.rand(SAMPLES, LEVELS, TOKENS).argsort(-1) < part * TOKENS).float()


def main() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    exchange = Exchange(LEVELS, RANK, heads=4)
    shared = {m: torch.randn(SAMPLES, LEVELS, TOKENS, RANK, requires_grad=True) for m in NAMES}
    masks = {m: torch.ones(SAMPLES, TOKENS, dtype=torch.bool) for m in NAMES}
    incoming = {m: torch.randn(SAMPLES, LEVELS, TOKENS, RANK) for m in NAMES}
    leaves = [*exchange.parameters(), *shared.values()]

    def run(shares: dict[str, Tensor]) -> list[Tensor]:
        received, _ = exchange(shared, masks, shares)
        loss = sum((received[m] * incoming[m]).sum() for m in NAMES)
        return [*(x.detach() for x in received.values()), *torch.autograd.grad(loss, leaves)]

    kinds = {"dense": dict.fromkeys(NAMES, torch.ones(SAMPLES, LEVELS, TOKENS))}
    for part in (0.1, 0.25, 0.5):
        kinds[f"concentrated, {part}"] = {m: concentrated(part) for m in NAMES}
    kinds["spread, 0.25"] = {m: 0.25 * x for m, x in kinds["dense"].items()}
    # what a model at its start does: random tokens have much the same evidence, and the budget is spread over all
    batch = random_batch(dict.fromkeys(NAMES, TOKENS), SAMPLES)
    kinds["an untrained CLCR"] = CLCR(CLCRConfig.of(batch)).trace(batch).allocation

    times = interleaved({name: partial(run, shares) for name, shares in kinds.items()}, rounds=15)
    rows = {}
    for name, shares in kinds.items():
        few = run(shares)
        with patch("clcrkit.exchange.on_host", lambda _: False):
            every = run(shares)
        rows[name] = {
            "participation": float(torch.stack(list(shares.values())).mean()),
            "funded": float(torch.stack([(x > 0).float() for x in shares.values()]).mean()),
            "ms": times[name].median(),
            "of dense": ratios(times, "dense")[name],
            "goal": 0.4 if name == "concentrated, 0.25" else None,
            "largest difference from all computed": max(
                float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(few, every, strict=True)
            ),
        }
    report("exchange", {"exchange, forward and backward": pd.DataFrame(rows).T})


if __name__ == "__main__":
    main()
