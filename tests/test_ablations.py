"""The whole model under each switch: every combination runs, and each switch does what it says."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import permutations

import pytest
import torch
from torch import Tensor

from clcrkit import ABLATIONS, CLCR, Batch, CLCRConfig, ConfigError, Trace, ablated
from clcrkit.config import READINGS
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


@pytest.mark.parametrize("name", [*ABLATIONS, *READINGS])
@pytest.mark.parametrize("task", TASKS)
def test_every_ablation_and_reading_learns_every_task(make_batch, make_model, name, task):
    for levels, modalities in ((1, 2), (2, 4), (3, 3), (4, 2)):
        batch = make_batch(task=task, modalities=modalities)
        check_runs(make_model(batch, levels=levels, dropout=0.1, **{**ABLATIONS, **READINGS}[name]), batch)


def test_the_paper_s_plain_reading_is_the_model_without_what_we_added(batch, make_model):
    """The head reads the sum over levels, summaries are plain means, tokens keep what GELU leaves in all of them."""
    model = CLCR(make_model(batch).config.paper()).eval()
    trace = model.trace(batch)
    assert_close(model.head(torch.cat([trace.shared_code, trace.private_code], dim=-1)), trace.prediction)
    for m in batch.modalities:
        count = batch.masks[m].sum(1).clamp(min=1)[:, None, None]
        mean = (trace.exchanged[m] * batch.masks[m][:, None, :, None]).sum(2) / count
        expected = model.intercad.shared_norm(mean) * batch.masks[m].any(1)[:, None, None]
        assert_close(trace.shared_summary[m], expected, atol=1e-5)
        centred = make_model(batch).trace(batch).tokens[m].mean(-1)
        assert (
            centred.abs().max() < 1e-6 < 0.1 < trace.tokens[m].mean(-1)[batch.masks[m][:, None].expand(-1, 3, -1)].min()
        )


def test_a_pool_of_levels_is_one_level_with_all_their_tokens(batch, make_model):
    pooled, plain = with_weights_of(make_model(batch, levels=1), mix="pooled"), make_model(batch)
    assert pooled.levels == 1
    deep = make_model(batch, mix="pooled")
    deep.encoders.load_state_dict(plain.encoders.state_dict())
    mixed, apart = deep.trace(batch), plain.trace(batch)
    for m in batch.modalities:
        assert torch.equal(mixed.tokens[m], apart.tokens[m].flatten(1, 2)[:, None])
        assert torch.equal(mixed.batch.masks[m], batch.masks[m].repeat(1, 3))


def test_levels_are_shuffled_anew_in_training_and_always_alike_outside(batch, make_model):
    model = make_model(batch, mix="shuffled", dropout=0.0)
    assert torch.equal(model(batch), model(batch))
    model.train()
    assert len({tuple(model(batch).flatten().tolist()) for _ in range(20)}) > 3
    trace, plain = model.trace(batch), with_weights_of(model, mix="").trace(batch)
    for m in batch.modalities:
        orders = [torch.equal(trace.tokens[m], plain.tokens[m][:, list(order)]) for order in permutations(range(3))]
        assert sum(orders) == 1


def test_without_a_split_both_streams_are_the_level_tokens(batch, make_model):
    trace = make_model(batch, intraced=False, split=False).trace(batch)
    for m in batch.modalities:
        assert trace.shared[m] is trace.private[m] or torch.equal(trace.shared[m], trace.private[m])
        assert torch.equal(trace.shared[m], trace.tokens[m])


def test_the_private_sum_keeps_how_sure_the_gates_are(batch, model):
    trace = with_weights_of(model, private_sum=True).trace(batch)
    summed = sum(
        trace.private_gate[:, [i]] * torch.einsum("bl,blk->bk", trace.level_gate, trace.private_summary[m])
        for i, m in enumerate(batch.modalities)
    )
    assert_close(trace.private_code, summed)


def test_without_their_norm_summaries_keep_their_size(batch, model):
    """A summary is then linear in its tokens: of doubled ones it is doubled, but for the learned shift."""
    intercad = with_weights_of(model, normed=False).intercad
    trace, masks = model.trace(batch), {m: batch.masks[m] for m in batch.modalities}
    given = (trace.exchanged, trace.private, trace.allocation, masks)
    twice = [{m: 2 * x for m, x in values.items()} for values in given[:2]]
    single, double = intercad(*given), intercad(*twice, *given[2:])
    normed = model.intercad(*twice, *given[2:])
    for m, mask in masks.items():
        here = mask.any(1)
        for name, norm in (("shared_summary", intercad.shared_norm), ("private_summary", intercad.private_norm)):
            once = getattr(single, name)[m][here]
            assert_close(getattr(double, name)[m][here] - norm.shift, 2 * (once - norm.shift), atol=1e-5)
            assert_close(getattr(normed, name)[m], getattr(trace, name)[m], atol=0.01)


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
    mixed, plain = with_weights_of(model, mix="rotated").trace(batch), model.trace(batch)
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
    with pytest.raises(ConfigError, match="no head: no such ablation or reading; there are full, no hierarchy"):
        ablated(config, "no head")
