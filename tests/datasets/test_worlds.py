"""Worlds: the stated bounds, by counting; idle counterparts; and the tokens that hold what is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import ConfigError
from clcrkit.datasets import world
from clcrkit.datasets.worlds import WORLDS

MANY = (20_000, 1, 1)


@given(mechanism=st.sampled_from(list(WORLDS)), needed=st.booleans(), seed=st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_world_and_parts_do_not_overlap(mechanism, needed, seed):
    one, two = (world(mechanism, needed, (6, 3, 2), seed) for _ in range(2))
    for part, again in zip((one.train, one.valid, one.test), (two.train, two.valid, two.test), strict=True):
        assert all(torch.equal(part.tokens[m], again.tokens[m]) for m in part.modalities)
        assert torch.equal(part.labels, again.labels)
    assert torch.cat([one.train.ids, one.valid.ids, one.test.ids]).tolist() == list(range(11))
    other = world(mechanism, needed, (6, 3, 2), seed + 1).train
    assert not all(torch.equal(one.train.tokens[m], other.tokens[m]) for m in other.modalities)


@pytest.mark.parametrize("mechanism", WORLDS)
def test_labels_are_balanced_and_evidence_is_marked_on_real_tokens(mechanism):
    train = world(mechanism, samples=MANY).train
    counts = np.bincount(train.labels)
    assert counts.max() - counts.min() < 0.1 * counts.mean()
    assert sum(e.any(2).any(1).sum() for e in train.evidence.values()) >= 0.7 * len(train)


def test_exchange_asks_one_modality_what_another_stores():
    """The value of the asked key is the label; the value stored most often is, with the stated share."""
    for needed, tokens in ((True, 6), (False, 1)):
        known = world("exchange", needed, MANY).train
        assert (known.evidence["store"].sum((1, 2)) == tokens).all()
        assert (known.evidence["ask"].sum((1, 2)) == 1).all()
        values = torch.stack([known.attributes[f"value of key {k}"] for k in range(6)], dim=1)
        assert torch.equal(values.gather(1, known.attributes["key"][:, None])[:, 0], known.labels)
        assert abs(vote(values, known.labels) - 0.47) < 0.02


def test_budget_names_the_class_in_one_token_of_one_modality():
    for needed, told in ((True, 1), (False, 30)):
        train = world("budget", needed, (2000, 1, 1)).train
        counts = torch.stack([e.sum((1, 2)) for e in train.evidence.values()], dim=1)
        assert (counts.sum(1) == told).all()
        assert (counts.min(1).values == 0).all()
        assert torch.equal(counts.argmax(1), train.attributes["told"])


def test_level_gates_believe_the_level_that_the_referee_names():
    for needed, bound in ((True, 0.57), (False, 1.0)):
        known = world("level gates", needed, MANY).train
        claims = torch.stack([known.attributes[f"claim {i}"] for i in (1, 2, 3)], dim=1)
        right = claims.gather(1, known.attributes["right"][:, None])[:, 0]
        assert torch.equal(right, known.labels)
        assert abs(vote(claims, known.labels) - bound) < 0.02


def test_modality_gates_know_liars_by_their_marks():
    for needed, low, high in ((True, 0.6, 0.8), (False, 1.0, 1.0)):
        known = world("modality gates", needed, MANY).train
        names = known.modalities
        claims = torch.stack([known.attributes[f"claim of {m}"] for m in names], dim=1)
        honest = torch.stack([known.attributes[f"honest {m}"] for m in names], dim=1).bool()
        assert honest.any(1).all()
        assert (claims == known.labels[:, None])[honest].all()
        assert low <= vote(claims, known.labels) <= high
        for m in names:  # beyond the reach of 13 tokens to either side
            at = known.evidence[m][:, 0].nonzero()[:, 1].view(len(known), 6)
            assert (at[:, 3] - at[:, 2]).min() > 26


def test_a_private_cue_names_the_label_in_training_only():
    split = world("no leak", samples=(20_000, 20_000, 20_000))
    for part, tied in ((split.train, 0.925), (split.valid, 0.925), (split.test, 0.25)):
        assert abs(float((part.attributes["cue"] == part.labels).float().mean()) - tied) < 0.02
    idle = world("no leak", needed=False, samples=MANY).train
    assert abs(float((idle.attributes["cue"] == idle.labels).float().mean()) - 0.25) < 0.02


def vote(claims: torch.Tensor, labels: torch.Tensor) -> float:
    """How often the most frequent claim is the label, ties by lot."""
    counts = torch.nn.functional.one_hot(claims, 4).sum(1)
    top = (counts == counts.max(1, keepdim=True).values).float()
    return float((top.gather(1, labels[:, None])[:, 0] / top.sum(1)).mean())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"mechanism": "hope"},
            "mechanism: 'hope', but exchange, budget, level gates, modality gates, no leak are there",
        ),
        ({"mechanism": "budget", "samples": (1, 1)}, "samples: .*three numbers of at least 1"),
        ({"mechanism": "budget", "samples": (1, 1, 0)}, "samples: .*three numbers of at least 1"),
        ({"mechanism": "budget", "seed": -1}, "seed: -1, but it must be from 0"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        world(**settings)
