"""The whole model under each switch: every combination runs, and each switch does what it says."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from clcrkit import ABLATIONS, CLCR, Batch, CLCRConfig, ConfigError, Trace, ablated
from clcrkit.objective import Losses
from clcrkit.tasks import TASKS


def assert_close(a, b, atol: float = 1e-6) -> None:
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


def check_runs(model: CLCR, batch: Batch) -> None:
    model.train()
    losses = model.losses(batch)
    losses.total.backward()
    assert all(torch.isfinite(value) for value in losses.by_name().values())
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0
    trace = model.trace(batch)
    for field in fields(Trace):
        value = getattr(trace, field.name)
        tensors = list(value.values()) if isinstance(value, dict) else [value] if isinstance(value, Tensor) else []
        assert all(t.isfinite().all() for t in tensors), field.name


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("task", TASKS)
def test_every_ablation_learns_every_task(make_batch, make_model, name, task):
    for levels, modalities in ((1, 2), (2, 4), (3, 3), (4, 2)):
        batch = make_batch(task=task, modalities=modalities)
        check_runs(make_model(batch, levels=levels, dropout=0.1, **ABLATIONS[name]), batch)


def test_a_single_sample_and_a_modality_that_is_missing_throughout(make_batch, make_model, batch):
    check_runs(make_model(batch), batch.select([0]))
    gone = replace(batch, masks={**batch.masks, "sound": torch.zeros_like(batch.masks["sound"])}).select([0, 4, 5])
    check_runs(make_model(batch), gone)
    alone = replace(gone, masks={**gone.masks, "text": torch.zeros_like(gone.masks["text"])})
    check_runs(make_model(batch), alone)


def with_weights_of(model: CLCR, **change) -> CLCR:
    """The same weights under another setting; all of its parameters must be found in `model`."""
    other = CLCR(replace(model.config, **change)).eval()
    assert not other.load_state_dict(model.state_dict(), strict=False).missing_keys
    return other


def test_dense_exchange_gives_every_real_token_all(batch, model):
    dense = with_weights_of(model, sparse=False).trace(batch)
    for m in batch.modalities:
        assert_close(dense.allocation[m], batch.masks[m][:, None].float().expand(-1, 3, -1))
        there = batch.masks[m].any(1)
        assert_close(dense.participation[m], there[:, None].float().expand(-1, 3))
        assert_close(dense.shared[m], model.trace(batch).shared[m])


def test_without_hierarchy_only_the_deepest_level_is_left(batch, make_model):
    full, deep = make_model(batch), make_model(batch, hierarchy=False)
    deep.encoders.load_state_dict(full.encoders.state_dict())
    found, expected = deep.trace(batch), full.trace(batch)
    for m in batch.modalities:
        assert_close(found.tokens[m], expected.tokens[m][:, -1:])
    assert_close(found.level_gate, torch.ones(6, 1))


def test_without_intraced_shared_tokens_stay_and_are_averaged_plainly(batch, model):
    done = with_weights_of(model, intraced=False).trace(batch)
    for m in batch.modalities:
        assert torch.equal(done.exchanged[m], done.shared[m])
        assert_close(done.shared[m], model.trace(batch).shared[m])
        count = batch.masks[m].sum(1).clamp(min=1)[:, None, None]
        mean = (done.shared[m] * batch.masks[m][:, None, :, None]).sum(2) / count
        mean = (
            torch.nn.functional.layer_norm(mean, (4,)) * model.intercad.shared_norm.scale
            + model.intercad.shared_norm.shift
        )
        assert_close(done.shared_summary[m], (mean * batch.masks[m].any(1)[:, None, None]).detach(), atol=1e-5)
    assert done.attention == {}


def test_without_intercad_gates_are_uniform(batch, model):
    done = with_weights_of(model, intercad=False).trace(batch)
    there = torch.stack([batch.masks[m].any(1) for m in batch.modalities], dim=1).float()
    assert_close(done.level_gate, torch.full((6, 3), 1 / 3))
    assert_close(done.modality_gate, there / there.sum(1, keepdim=True))
    assert_close(done.private_gate, there)
    assert_close(done.exchanged, model.trace(batch).exchanged)


def test_full_mix_rotates_levels_by_the_place_of_the_modality(batch, model):
    mixed, plain = with_weights_of(model, shuffle_levels=True).trace(batch), model.trace(batch)
    for place, m in enumerate(batch.modalities):
        order = [(level - place) % 3 for level in range(3)]
        assert torch.equal(mixed.tokens[m], plain.tokens[m][:, order])
    assert (mixed.prediction - plain.prediction).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("full", lambda x: x.task + 0.5 * x.terms["intra"] + 0.25 * x.terms["inter"]),
        ("no L_intra", lambda x: x.task + 0.25 * x.terms["inter"]),
        ("no L_inter", lambda x: x.task + 0.5 * x.terms["intra"]),
        ("no regularisers", lambda x: x.task),
    ],
)
def test_lambdas_weigh_and_drop_the_regularisers(batch, make_model, name, formula):
    model = make_model(batch, **{"lambda_intra": 0.5, "lambda_inter": 0.25, **ABLATIONS[name]})
    losses: Losses = model.losses(batch)
    assert_close(losses.total, formula(losses))
    assert min(losses.terms["intra"].abs(), losses.terms["inter"].abs()) > 1e-3


def test_ablated_changes_one_setting(batch):
    config = CLCRConfig.of(batch)
    assert ablated(config, "full") == config
    assert ablated(config, "no hierarchy") == replace(config, hierarchy=False)
    with pytest.raises(ConfigError, match="no head: no such ablation; there are full, no hierarchy"):
        ablated(config, "no head")
