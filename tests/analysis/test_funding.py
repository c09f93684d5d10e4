"""Muting, credit and lift, against loops and against a model that is known to read one token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from clcrkit import CLCR, CLCRConfig, DataError
from clcrkit.analysis.funding import credit, lift, muting, payoff, token_effects
from clcrkit.analysis.probes import evidence_precision
from clcrkit.datasets import asynchrony, world
from clcrkit.training import TrainConfig, fit

FACTORS = {"shallow": torch.arange(8) // 4, "mid": torch.arange(8) // 2 % 2, "deep": torch.arange(8) % 2}


@pytest.fixture(scope="module")
def trained():
    split = world("budget", needed=False, samples=(600, 60, 60))
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split.train, width=16, rank=8, private_rank=8, heads=1))
    fit(model, split.train, split.valid, TrainConfig(epochs=3, learning_rate=1e-2), progress=False)
    return model, split.test


def test_planted_tokens_are_muted_and_as_many_others_by_lot(trained, monkeypatch):
    model, test = trained
    mutes, trace = [], model.trace
    monkeypatch.setattr(model, "trace", lambda x, mute, **more: mutes.append(mute) or trace(x, mute=mute, **more))
    table = muting(model, test, {"class": torch.arange(8)}).set_index("muted")["accuracy"]
    assert table["nothing"] > 0.9
    nothing, planted, by_lot = mutes
    for m, mask in test.masks.items():
        marked = test.evidence[m].any(1)
        assert not nothing[m].any()
        assert torch.equal(planted[m], marked[:, None].expand(-1, 3, -1))
        assert torch.equal(by_lot[m][:, 0], by_lot[m][:, 2])
        assert not (by_lot[m][:, 0] & (marked | ~mask)).any()
        assert torch.equal(by_lot[m][:, 0].sum(1), torch.minimum(marked.sum(1), (mask & ~marked).sum(1)))


def test_a_sample_of_which_all_is_muted_predicts_what_no_budget_predicts(trained):
    model, test = trained
    evidence = {m: mask[:, None].expand(-1, 3, -1) for m, mask in test.masks.items()}
    row = muting(model, replace(test, evidence=evidence), {"class": torch.arange(8)}).iloc[1]
    predicted = model.trace(test, gamma=0.0).prediction.argmax(1)
    assert row["accuracy"] == pytest.approx(float((predicted == test.labels).double().mean()))


def test_muting_reads_each_factor_from_the_predicted_class():
    test = asynchrony((30, 10, 40), relation="redundant").test
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(test, width=16, rank=8, private_rank=8, outputs=8))
    table = muting(model, test, FACTORS)
    predicted = model.trace(test).prediction.argmax(1)
    for factor in FACTORS:
        truth = test.attributes[factor]
        row = table[(table["factor"] == factor) & (table["muted"] == "nothing")]
        values = FACTORS[factor][predicted]
        assert row["accuracy"].item() == pytest.approx(float((values == truth).double().mean()))
    with pytest.raises(DataError, match="known evidence are needed"):
        muting(model, replace(test, evidence={}), FACTORS)


def test_credits_sum_to_gradient_times_summary_and_lie_on_funded_tokens(trained):
    model, test = trained
    few = test.select(slice(0, 5))
    credits = credit(model, few)
    trace = model.trace(few)
    result = model.eval()._pass(few)
    pooled = result.aggregated.pooled_shared
    output = result.prediction.max(1).values.sum()
    gradients = dict(zip(pooled, torch.autograd.grad(output, list(pooled.values())), strict=True))
    for m in trace.modalities:
        expected = (gradients[m] * pooled[m]).sum(-1).detach()
        torch.testing.assert_close(credits[m].sum(-1), expected, rtol=1e-4, atol=1e-5)
        assert (credits[m][trace.allocation[m] == 0] == 0).all()
        assert (credits[m] != 0).any()


def test_lift_is_precision_over_the_base_rate():
    torch.manual_seed(0)
    weight, evidence = torch.rand(7, 2, 9), torch.rand(7, 2, 9) < 0.3
    mask = torch.arange(9) < torch.randint(1, 10, (7, 1))
    evidence &= mask[:, None]
    precision = evidence_precision(weight, evidence, mask)
    for level in range(2):
        rate = evidence[:, level].sum() / mask.sum()
        assert lift(weight, evidence, mask)[level] == pytest.approx(precision[level] / float(rate), rel=1e-6)
    np.testing.assert_allclose(lift(torch.ones(7, 2, 9), evidence, mask), 1.0)
    assert np.isnan(lift(torch.zeros(7, 2, 9), evidence, mask)).all()


def test_token_effects_are_those_of_muting_one_token(model, batch):
    few = batch.select(slice(0, 4))
    table = token_effects(model, few)
    plain = model.trace(few)
    assert len(table) == 3 * sum(int(mask.sum()) for mask in few.masks.values())
    for row in table.sample(12, random_state=0).itertuples():
        i = int((few.ids == row.id).nonzero())
        mute = {row.modality: torch.zeros(1, 3, few.masks[row.modality].shape[1], dtype=torch.bool)}
        mute[row.modality][0, row.level - 1, row.token] = True
        moved = model.trace(few.select([i]), mute=mute).prediction.softmax(1) - plain.prediction[[i]].softmax(1)
        assert row.effect == pytest.approx(float(moved.abs().sum() / 2), abs=1e-5)
        assert row.allocation == pytest.approx(float(plain.allocation[row.modality][i, row.level - 1, row.token]))


def test_muting_a_token_without_a_share_does_exactly_nothing(trained):
    model, test = trained
    table = token_effects(model, test.select(slice(0, 8)))
    unfunded = table["allocation"] == 0
    assert 0.2 < unfunded.mean() < 0.8
    assert (table.loc[unfunded, "effect"] == 0).all()  # rounding would be ranked like an effect
    assert (table.loc[~unfunded, "effect"] > 0).mean() > 0.9


def test_payoff_is_the_rank_correlation_within_samples():
    one = {"modality": "a", "level": 1, "token": range(4), "allocation": [0.1, 0.2, 0.3, 0.9]}
    parts = [{"id": 0, "effect": [1, 2, 3, 4]}, {"id": 1, "effect": [4, 3, 2, 1]}, {"id": 2, "effect": [1, 2, 3, 4]}]
    still = {"id": 3, "effect": [0, 0, 0, 0]}
    row = payoff(pd.concat([pd.DataFrame({**one, **part}) for part in (*parts, still)])).iloc[0]
    assert (row["spearman"], row["samples"]) == (pytest.approx(1 / 3), 3)
    assert row["low"] < 1 / 3 < row["high"]
