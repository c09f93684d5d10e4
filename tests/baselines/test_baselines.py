"""Baselines: same door as CLCR, padding never matters, and each computes what its name says."""

from __future__ import annotations

import pytest
import torch

from clcrkit import Batch, ConfigError, DataError
from clcrkit.baselines import EarlyFusion, LateFusion
from clcrkit.batch import pad_axis


@pytest.fixture(params=[LateFusion, EarlyFusion])
def baseline(request, model):
    torch.manual_seed(3)
    return request.param(model.config).eval()


def test_padding_never_matters(baseline, batch):
    tokens = {}
    for m, x in batch.tokens.items():
        longer = pad_axis(x, 1, x.shape[1] + 5).clone()
        longer[:, x.shape[1] :] = 3
        tokens[m] = longer
    masks = {m: pad_axis(x, 1, x.shape[1] + 5) for m, x in batch.masks.items()}
    longer_batch = Batch(tokens, masks, batch.labels, batch.ids)
    torch.testing.assert_close(baseline(longer_batch), baseline(batch), atol=1e-6, rtol=0)


def test_late_fusion_is_pooled_encoders_and_a_head(model, batch):
    late = LateFusion(model.config).eval()
    rows = []
    for i in range(len(batch)):
        parts = []
        for m in late.modalities:
            deep = late.encoders[m](batch.tokens[m][i : i + 1], batch.masks[m][i : i + 1])[0, -1]
            real = [deep[t] for t in range(len(deep)) if batch.masks[m][i, t]]
            parts.append(sum(real) / len(real) if real else torch.zeros(deep.shape[-1]))
        rows.append(late.head(torch.cat(parts)))
    torch.testing.assert_close(late(batch), torch.stack(rows), atol=1e-5, rtol=0)


def test_one_modality_alone_sees_no_other(model, batch):
    alone = LateFusion(model.config, ("vision",)).eval()
    changed = Batch(
        {m: x if m == "vision" else torch.zeros_like(x) for m, x in batch.tokens.items()},
        batch.masks,
        batch.labels,
        batch.ids,
    )
    assert torch.equal(alone(changed), alone(batch))
    assert list(alone.ready(batch).tokens) == ["vision"]


def test_early_fusion_lets_tokens_meet(model, batch):
    """Gradient from the prediction of a sample flows to the tokens of every modality it has, and to no padding."""
    early = EarlyFusion(model.config).eval()
    tokens = {m: x.clone().requires_grad_() if x.is_floating_point() else x for m, x in batch.tokens.items()}
    early(Batch(tokens, batch.masks, batch.labels, batch.ids)).square().sum().backward()
    for m, x in tokens.items():
        if x.is_floating_point():
            moved = x.grad.abs().sum(-1) > 0
            assert torch.equal(moved, batch.masks[m])


def test_losses_are_the_task_alone(baseline, batch):
    losses = baseline.losses(batch)
    torch.testing.assert_close(losses.total, torch.nn.functional.cross_entropy(baseline(batch), batch.labels))
    assert losses.intra == losses.inter == 0
    with pytest.raises(DataError, match="labels"):
        baseline.losses(Batch(batch.tokens, batch.masks, None, batch.ids))


def test_unknown_modality_is_refused(model):
    with pytest.raises(ConfigError, match="smell asked for"):
        LateFusion(model.config, ("smell",))
