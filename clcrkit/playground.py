"""The playground that ships: a model of the digits, trained here, in a page that runs it.

    python -m clcrkit.playground build/playground.html

It trains for half a minute on two cores. With a model of your own: `viz.playground(model, split, "page.html")`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from clcrkit.batch import Batch
from clcrkit.config import CLCRConfig
from clcrkit.datasets import Split, digits
from clcrkit.model import CLCR
from clcrkit.training import TrainConfig, fit
from clcrkit.viz import playground


def trained(split: Split) -> CLCR:
    """The model that ships, the same for the same machine: seed 0, twelve epochs, half of the samples with gaps.

    Readers switch modalities off, and the page asks the model what each says alone: it has to have met that."""
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split.train, width=32, rank=16, private_rank=16, dropout=0.0))
    fit(model, with_gaps(split.train, 0.5), split.valid, TrainConfig(epochs=12, learning_rate=6e-3, seed=0))
    return model


def with_gaps(batch: Batch, share: float, seed: int = 0) -> Batch:
    """The batch, in which this share of the samples may lack modalities: each with a chance of 1/2, but never all."""
    random = torch.Generator().manual_seed(seed)
    count, names = len(batch), batch.modalities
    there = torch.rand(count, len(names), generator=random) < 0.5
    there[torch.arange(count), torch.randint(len(names), (count,), generator=random)] = True
    there |= torch.rand(count, 1, generator=random) >= share
    return replace(batch, masks={m: mask & there[:, i, None] for i, (m, mask) in enumerate(batch.masks.items())})


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the model that ships, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m clcrkit.playground", description=main.__doc__)
    parser.add_argument("page", type=Path)
    options = parser.parse_args(arguments)
    split = digits(seed=0)
    print(playground(trained(split), split, options.page).resolve())


if __name__ == "__main__":
    main()
