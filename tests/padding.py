"""What the promise of padding is tested with."""

from dataclasses import replace

from clcrkit.batch import Batch, pad_axis


def lengthened(batch: Batch, garbage: float = 7.0) -> Batch:
    """Three more positions of padding, with garbage under the mask: this, or 7 among token ids."""
    tokens, masks, evidence = {}, {}, {}
    for m, t in batch.tokens.items():
        longer = t.shape[1] + 3
        masks[m] = pad_axis(batch.masks[m], 1, longer)
        hidden = ~(masks[m] if t.ndim == 2 else masks[m][..., None])
        tokens[m] = pad_axis(t, 1, longer).masked_fill(hidden, garbage if t.is_floating_point() else 7)
        if m in batch.evidence:
            evidence[m] = pad_axis(batch.evidence[m], 2, longer)
    return replace(batch, tokens=tokens, masks=masks, evidence=evidence)
