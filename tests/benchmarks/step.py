"""One training step (all losses, backward, AdamW) of CLCR beside late fusion by transformers and beside MulT.

python -m tests.benchmarks.step     both tables, printed and written to build/step.json

Batch 32, three modalities of widths 768, 74 and 35, float32. CLCR at its defaults (width 64, rank 32 + 32).
The process's own time on one thread, which other work on the machine disturbs least.
Goals: at most 0.7 of late fusion at 50 tokens each, at most 0.2 of it at 50, 500 and 375.
"""

from __future__ import annotations

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from clcrkit import CLCR, Batch, CLCRConfig
from clcrkit.baselines import MulT
from clcrkit.baselines.base import Baseline
from clcrkit.model import make_head
from tests.benchmarks.timing import ALIGNED, UNALIGNED, interleaved, random_batch, ratios, report, training_step


class LateTransformer(Baseline):
    """The yardstick: for each modality two of torch's own encoder layers, then the mean.

    With a feed-forward part of twice the width, as in this kit's other transformers; at torch's default of 2048 the
    step takes about four times as long.
    """

    def __init__(self, config: CLCRConfig) -> None:
        super().__init__(config)
        self.embed = nn.ModuleDict({m: nn.Linear(x.size, config.width) for m, x in self.inputs.items()})
        self.layers = nn.ModuleDict(
            {
                m: nn.TransformerEncoder(
                    nn.TransformerEncoderLayer(config.width, 4, 2 * config.width, batch_first=True), 2
                )
                for m in self.modalities
            }
        )
        self.head = make_head(config.width * len(self.modalities), config)

    def forward(self, batch: Batch) -> Float[Tensor, "batch output"]:
        pooled = [self.layers[m](self.embed[m](batch.tokens[m])).mean(1) for m in self.modalities]
        return self.head(torch.cat(pooled, dim=-1))


def main() -> None:
    torch.set_num_threads(1)
    tables = {}
    for title, lengths, rounds, goal in (("aligned", ALIGNED, 21, 0.7), ("unaligned", UNALIGNED, 3, 0.2)):
        batch = random_batch(lengths)
        config = CLCRConfig.of(batch)
        models = {
            "CLCR": CLCR(config),
            "late transformer": LateTransformer(config),
            "MulT": MulT(config, width=30, heads=5, layers=5),
        }
        steps = {name: training_step(model, batch) for name, model in models.items()}
        times = interleaved(steps, rounds, warmup=1, process_time=True)
        tables[f"{title}: {lengths}"] = pd.DataFrame(
            {
                "parameters": {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()},
                "ms": times.median(),
                "of late transformer": ratios(times, "late transformer"),
                "of MulT": ratios(times, "MulT"),
                "goal": {"CLCR": goal},
            }
        ).loc[list(models)]
    report("step", tables)


if __name__ == "__main__":
    main()
