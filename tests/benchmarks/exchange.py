"""What the budget saves: the exchange, forward and backward, with few funded tokens beside the dense exchange.

python -m tests.benchmarks.exchange     the table, printed and written to build/exchange.json

8 samples, 3 modalities of 500 tokens, 3 levels, rank 32, 2 heads (the defaults), float32, on one thread and two, with
samples of one length and with ragged ones (the second half of every other one is padding); `--heads 4` for others.
Participation is the share given out over the number of tokens. It can be concentrated (a quarter of the tokens has 1
each, the others nothing) or spread (every token has 0.25): only what is not funded at all is saved. A trained model's
shares are between the two: the last row has those of a CLCR at its defaults, trained for a minute. Goals: concentrated
at 0.25, at most 0.4 of dense; the trained one's, at most 0.45.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from unittest.mock import patch

import pandas as pd
import torch
from torch import Tensor

from clcrkit import CLCR, Batch, CLCRConfig
from clcrkit.datasets import asynchrony
from clcrkit.exchange import Exchange
from clcrkit.training import TrainConfig, evaluate, fit
from tests.benchmarks.timing import interleaved, ratios, report

SAMPLES, LEVELS, RANK, TOKENS = 8, 3, 32, 500
NAMES = ("language", "acoustic", "vision")


def concentrated(part: float) -> Tensor:
    """Shares of 1 for this part of the tokens, drawn at random in each row."""
    return (torch.rand(SAMPLES, LEVELS, TOKENS).argsort(-1) < part * TOKENS).float()


def end_to_end(batch: Batch, count: int) -> Batch:
    """So many samples of 500 tokens for each modality: sequences of one class, one behind the other."""
    assert batch.labels is not None
    parts, labels = [], torch.arange(count) % (int(batch.labels.max()) + 1)
    for label in labels:
        rows = torch.multinomial((batch.labels == label).float(), 40)
        parts.append({m: x[rows][batch.masks[m][rows]][:TOKENS] for m, x in batch.tokens.items()})
    return Batch.from_arrays({m: [part[m] for part in parts] for m in batch.modalities}, labels)


def trained() -> dict[str, Tensor]:
    """The shares that a CLCR gives to samples that it was not trained on."""
    split = asynchrony((4000, 500, 500), relation="redundant")
    train, valid, test = (
        end_to_end(part, n) for part, n in zip((split.train, split.valid, split.test), (256, 64, SAMPLES), strict=True)
    )
    model = CLCR(CLCRConfig.of(train, width=2 * RANK))
    fit(model, train, valid, TrainConfig(epochs=10, batch_size=16, learning_rate=5e-3, seed=0))
    print(f"the trained model's validation accuracy: {evaluate(model, valid)['score']:.2f}")
    return model.trace(test).allocation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.exchange", description=__doc__)
    parser.add_argument("--heads", type=int, default=CLCRConfig.heads)
    heads = parser.parse_args().heads
    torch.set_num_threads(2)
    torch.manual_seed(0)
    exchange = Exchange(LEVELS, RANK, heads)
    shared = {m: torch.randn(SAMPLES, LEVELS, TOKENS, RANK, requires_grad=True) for m in NAMES}
    incoming = {m: torch.randn(SAMPLES, LEVELS, TOKENS, RANK) for m in NAMES}
    leaves = [*exchange.parameters(), *shared.values()]

    def run(shares: dict[str, Tensor], mask: Tensor) -> list[Tensor]:
        received, _ = exchange(shared, dict.fromkeys(NAMES, mask), {m: x * mask[:, None] for m, x in shares.items()})
        loss = sum((received[m] * incoming[m]).sum() for m in NAMES)
        return [*(x.detach() for x in received.values()), *torch.autograd.grad(loss, leaves)]

    kinds = {"dense": dict.fromkeys(NAMES, torch.ones(SAMPLES, LEVELS, TOKENS))}
    for part in (0.1, 0.25, 0.5):
        kinds[f"concentrated, {part}"] = {m: concentrated(part) for m in NAMES}
    kinds["spread, 0.25"] = {m: 0.25 * x for m, x in kinds["dense"].items()}
    kinds["a trained CLCR"] = trained()

    full = torch.ones(SAMPLES, TOKENS, dtype=torch.bool)
    ragged = full & ((torch.arange(SAMPLES) % 2 == 0)[:, None] | (torch.arange(TOKENS) < TOKENS // 2))
    table = pd.DataFrame(
        {
            name: {
                "participation": float(torch.stack(list(shares.values())).mean()),
                "funded": float(torch.stack([(x > 0).float() for x in shares.values()]).mean()),
                "goal": {"concentrated, 0.25": 0.4, "a trained CLCR": 0.45}.get(name),
                "largest difference from all computed": max(_error(run, shares, mask) for mask in (full, ragged)),
            }
            for name, shares in kinds.items()
        }
    ).T
    for threads, (length, mask) in product((1, 2), (("full", full), ("ragged", ragged))):
        torch.set_num_threads(threads)
        steps = {name: partial(run, shares, mask) for name, shares in kinds.items()}
        times = interleaved(steps, rounds=7, process_time=threads == 1)
        table[f"{length}, {threads} thread{'s' * (threads > 1)}, ms"] = times.median()
        table[f"{length}, {threads} thread{'s' * (threads > 1)}, of dense"] = ratios(times, "dense")
    report("exchange", {f"exchange, {heads} heads, forward and backward": table})


def _error(run: Callable[..., list[Tensor]], shares: dict[str, Tensor], mask: Tensor) -> float:
    """How far results and gradients are from those of all queries, of the largest."""
    few = run(shares, mask)
    with patch("clcrkit.exchange.on_host", lambda _: False):
        every = run(shares, mask)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(few, every, strict=True))


if __name__ == "__main__":
    main()
