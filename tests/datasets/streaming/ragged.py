"""A batch of all that shards must hold."""

import numpy as np
import torch

from clcrkit import Batch, collate


def ragged(samples: int = 37, seed: int = 0, labels: str = "classes") -> Batch:
    """Lengths from 1 to 9, leading padding, holes, missing modalities, token ids, attributes and evidence."""
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(samples):
        row = {"sound": draw.normal(size=(draw.integers(1, 10), 3)), "words": draw.integers(0, 20, draw.integers(1, 7))}
        rows.append({m: v for m, v in row.items() if i % 5 or m == ("sound", "words")[i // 5 % 2]})
    given = {
        "classes": draw.integers(0, 4, samples),
        "values": draw.normal(size=samples),
        "multi": draw.integers(0, 2, (samples, 3)).astype(float),
    }
    batch = collate(rows, labels=given.get(labels), ids=1000 + draw.permutation(samples))
    masks = {m: mask & torch.from_numpy(draw.random(mask.shape) < 0.8) for m, mask in batch.masks.items()}
    masks["sound"][:, 0] |= batch.masks["sound"][:, 0] & ~masks["words"].any(1)
    masks["words"][:, 0] |= batch.masks["words"][:, 0] & ~masks["sound"].any(1)
    return Batch.from_arrays(
        batch.tokens,
        labels=batch.labels,
        masks=masks,
        ids=batch.ids,
        attributes={"group": torch.arange(samples) % 3},
        evidence={"sound": torch.from_numpy(draw.random((samples, 2, masks["sound"].shape[1])) < 0.3)},
    )
