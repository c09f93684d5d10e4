"""Corruptions: seeded, nested in strength, blind to padding, pure; and the table of what they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from clcrkit import Batch, ConfigError, DataError
from clcrkit.analysis.robustness import (
    Corruption,
    corruptions,
    degradation,
    feature_sd,
    gaussian_noise,
    missing_modality,
    random_scores,
    time_shift,
    token_dropout,
)
from clcrkit.analysis.stats import mean_interval
from clcrkit.baselines import LateFusion
from clcrkit.training import evaluate
from tests.padding import lengthened


def with_evidence(batch: Batch) -> Batch:
    rng = np.random.default_rng(5)
    known = {m: torch.from_numpy(rng.random((len(batch), 2, mask.shape[1])) < 0.5) for m, mask in batch.masks.items()}
    return replace(batch, evidence={m: e & batch.masks[m][:, None] for m, e in known.items()})


def with_gaps(batch: Batch) -> Batch:
    """Masks that are not one stretch at the front."""
    rng = np.random.default_rng(6)
    masks = {m: torch.from_numpy(rng.random(tuple(mask.shape)) < 0.6) for m, mask in batch.masks.items()}
    masks["vision"][:, 0] = True
    return replace(batch, masks=masks)


def same_where_real(a: Batch, b: Batch) -> bool:
    """Equal masks, tokens and evidence, up to the padding (the longer one's end is all padding)."""
    for m in a.modalities:
        length = a.masks[m].shape[1]
        if not torch.equal(a.masks[m], b.masks[m][:, :length]) or b.masks[m][:, length:].any():
            return False
        if not torch.equal(a.tokens[m][a.masks[m]], b.tokens[m][b.masks[m]]):
            return False
        if m in a.evidence and not torch.equal(a.evidence[m], b.evidence[m][..., :length]):
            return False
    return True


NAMES = ("noise", "token dropout", "time shift", "missing vision", "missing text", "missing sound")


def test_all_kinds_are_there(batch):
    assert tuple(corruptions(batch)) == NAMES
    assert "noise" not in corruptions(batch.only("text"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arranged", [lambda b: b, with_gaps])
def test_promises_of_every_kind(make_batch, name, arranged):
    """Strength 0 changes nothing; the seed decides; the input stays; padding changes no draw."""
    batch = with_evidence(arranged(make_batch(samples=40, seed=3)))
    kind = corruptions(batch)[name]
    before = {m: t.clone() for m, t in batch.tokens.items()}
    strong = kind.apply(batch, kind.strengths[-1], 1)
    assert same_where_real(kind.apply(batch, 0.0, 1), batch)
    assert same_where_real(strong, kind.apply(batch, kind.strengths[-1], 1))
    assert not same_where_real(strong, batch)
    middle = kind.strengths[-2]
    assert not same_where_real(kind.apply(batch, middle, 1), kind.apply(batch, middle, 2))
    assert all(torch.equal(t, batch.tokens[m]) for m, t in before.items())
    assert same_where_real(strong, kind.apply(lengthened(batch), kind.strengths[-1], 1))
    for m, known in strong.evidence.items():
        assert not (known & ~strong.masks[m][:, None]).any()


def test_the_model_is_blind_to_the_padding_of_a_corrupted_batch(model, batch):
    for kind in corruptions(batch).values():
        short, long = (kind.apply(b, kind.strengths[-1], 0) for b in (batch, lengthened(batch)))
        torch.testing.assert_close(model(short), model(long), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["noise", "token dropout", "time shift"])
def test_other_modalities_change_no_draw(make_batch, name):
    batch = make_batch(samples=20)
    whole = corruptions(batch)[name].apply(batch, 0.4, 2)
    part = batch.only("sound", "vision")
    assert same_where_real(corruptions(part)[name].apply(part, 0.4, 2), whole)


def test_noise_has_the_size_it_says():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(60, 40, 3)) * [1.0, 100.0, 0.0] + 5
    batch = Batch.from_arrays({"x": wide}, masks={"x": rng.random((60, 40)) < 0.7})
    sd = feature_sd(batch)
    np.testing.assert_allclose(sd["x"], wide[batch.masks["x"].numpy()].std(0), rtol=1e-4, atol=1e-6)
    added = (gaussian_noise(batch, 0.5, 0, sd).tokens["x"] - batch.tokens["x"])[batch.masks["x"]]
    np.testing.assert_allclose(added.std(0), [0.5, 50.0, 0.0], rtol=0.05, atol=1e-6)
    twice = (gaussian_noise(batch, 1.0, 0, sd).tokens["x"] - batch.tokens["x"])[batch.masks["x"]]
    torch.testing.assert_close(twice, 2 * added, rtol=1e-3, atol=1e-3)


@given(low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 50))
def test_dropout_is_nested_and_keeps_one(low, high, seed):
    rng = np.random.default_rng(seed)
    batch = with_gaps(Batch.from_arrays({"vision": rng.normal(size=(7, 9, 2)), "b": rng.normal(size=(7, 4, 1))}))
    low, high = sorted((low, high))
    little, much = (token_dropout(batch, strength, seed) for strength in (low, high))
    for m, mask in batch.masks.items():
        assert not (much.masks[m] & ~little.masks[m]).any()
        assert not (little.masks[m] & ~mask).any()
        assert torch.equal(much.masks[m].any(1), mask.any(1))
    everything = token_dropout(batch, 1.0, seed)
    assert torch.equal(everything.masks["vision"].sum(1), torch.ones(7, dtype=torch.long))


def test_dropout_takes_its_share():
    batch = Batch.from_arrays({"x": np.zeros((50, 200, 1))})
    kept = token_dropout(batch, 0.3, 0).masks["x"].float().mean()
    assert abs(float(kept) - 0.7) < 0.02


def test_time_shift_turns_the_real_tokens_by_loops(make_batch):
    batch = with_evidence(with_gaps(make_batch(samples=30, seed=8)))
    shifted, shifts = time_shift(batch, 0.5, 3), []
    for m, mask in batch.masks.items():
        for i in range(len(batch)):
            before, after = batch.tokens[m][i][mask[i]], shifted.tokens[m][i][mask[i]]
            known, moved = batch.evidence[m][i][:, mask[i]], shifted.evidence[m][i][:, mask[i]]
            n = len(before)
            fits = [
                s for s in range(n) if torch.equal(before.roll(s, 0), after) and torch.equal(known.roll(s, 1), moved)
            ]
            assert fits or n == 0
            if m == "vision":
                shifts.append(min((s if s <= n / 2 else s - n for s in fits), key=abs))
                assert abs(shifts[-1]) <= 0.5 * n + 0.5
        assert torch.equal(shifted.masks[m], mask)
    assert min(shifts) < 0 < max(shifts)
    counts = [shifted.tokens[m][batch.masks[m]].double().sum() for m in batch.modalities]
    assert counts == pytest.approx([float(batch.tokens[m][batch.masks[m]].double().sum()) for m in batch.modalities])


def test_missing_leaves_the_last_one(make_batch):
    batch = make_batch(samples=60, seed=2)
    masks = {**batch.masks, "text": batch.masks["text"].clone(), "sound": batch.masks["sound"].clone()}
    masks["text"][:5], masks["sound"][:5] = False, False
    batch = replace(batch, masks={**masks, "vision": torch.ones_like(masks["vision"])})
    lost = missing_modality(batch, 1.0, 0, "vision")
    assert lost.masks["vision"].any(1).tolist() == [True] * 5 + [
        not (batch.masks["text"][i].any() or batch.masks["sound"][i].any()) for i in range(5, 60)
    ]
    half, more = (missing_modality(batch, s, 0, "vision").masks["vision"] for s in (0.5, 0.8))
    assert not (more & ~half).any()
    assert 0.3 < float(half.any(1).float().mean()) < 0.75
    assert torch.equal(lost.masks["text"], batch.masks["text"])


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda b: token_dropout(b, 1.2, 0), "token dropout: strength 1.2, but a number from 0 to 1"),
        (lambda b: gaussian_noise(b, -1.0, 0, {}), "noise: strength -1.0, but a finite number of 0 or more"),
        (lambda b: gaussian_noise(b, float("nan"), 0, {}), "noise: strength nan"),
        (lambda b: time_shift(b, float("inf"), 0), "time shift: strength inf"),
        (lambda b: missing_modality(b, 0.5, 0, "smell"), "smell is no modality"),
        (lambda b: gaussian_noise(b, 0.5, 0, {"smell": torch.ones(1)}), "smell is no modality"),
    ],
)
def test_refusals(batch, apply, message):
    with pytest.raises((ConfigError, DataError), match=message):
        apply(batch)


def test_degradation_is_the_score_of_the_corrupted_batch(make_batch, make_model):
    batch = make_batch(samples=30)
    models = {"clcr": make_model(batch), "late": LateFusion(make_model(batch).config)}
    kinds = {name: replace(corruptions(batch)[name], strengths=(0.0, 0.5)) for name in ("noise", "missing text")}
    table = degradation(models, batch, kinds, seeds=(0, 7))
    assert list(table.columns) == ["model", "corruption", "unit", "strength", "seed", "score", "fall"]
    assert len(table) == 2 * 2 * 2 * 2
    for row in table.itertuples():
        expected = evaluate(models[row.model], kinds[row.corruption].apply(batch, row.strength, row.seed))["score"]
        clean = evaluate(models[row.model], batch)["score"]
        assert row.score == pytest.approx(expected)
        assert row.fall == pytest.approx(clean - expected)
    counted = degradation(models, batch, kinds, seeds=(0,), score=lambda _model, data: float(data.masks["text"].sum()))
    per_model = counted.groupby("model")["score"].apply(list)
    assert per_model["clcr"] == per_model["late"]
    with pytest.raises(ConfigError, match="the first must be 0"):
        degradation(models, batch, {"x": Corruption(token_dropout, (0.5,), "share")})
    with pytest.raises(DataError, match="labels"):
        degradation(models, replace(batch, labels=None), kinds)


def test_random_scores_do_not_see_padding(batch):
    short, long = random_scores(batch.masks, 3), random_scores(lengthened(batch).masks, 3)
    for m, mask in batch.masks.items():
        assert torch.equal(short[m], long[m][:, : mask.shape[1]])
        assert (short[m][~mask] == -1).all()
        assert (short[m][mask] >= 0).all()


def test_interval_is_scipys():
    x = np.random.default_rng(0).normal(size=12)
    expected = ttest_1samp(x, 0).confidence_interval(0.95)
    np.testing.assert_allclose(mean_interval(x), (x.mean(), expected.low, expected.high))
    assert np.isnan(mean_interval([2.0])[1])
