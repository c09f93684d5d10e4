"""Probes on spaces whose content is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clcrkit import DataError
from clcrkit.analysis.probes import evidence_auroc, leakage, level_weighted, linear_probe, spaces_of


def test_reads_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    label, other = rng.integers(0, 3, 600), rng.integers(0, 2, 600)
    space = rng.normal(size=(600, 8))
    space[:, :3] += 6 * np.eye(3)[label]
    there, absent = linear_probe(space, label), linear_probe(space, other)
    assert there.accuracy > 0.97
    assert abs(there.shuffled - 1 / 3) < 0.08
    assert abs(absent.accuracy - 0.5) < 0.08
    assert there.chance == pytest.approx(np.bincount(label).max() / 600)


def test_is_linear():
    """An exclusive-or of two coordinates is there, but no line can read it."""
    rng = np.random.default_rng(1)
    space = rng.normal(size=(800, 2))
    assert linear_probe(space, (space[:, 0] * space[:, 1] > 0).astype(int)).accuracy < 0.6


def test_too_few_samples_of_a_label():
    with pytest.raises(DataError, match="the rarest with 2 samples"):
        linear_probe(np.zeros((12, 2)), np.array([0] * 10 + [1] * 2))


def test_leakage_has_a_row_for_each_pair():
    rng = np.random.default_rng(2)
    factor = torch.from_numpy(rng.integers(0, 2, 200))
    spaces = {"knows": factor[:, None] + 0.01 * torch.randn(200, 1), "does not": torch.randn(200, 1)}
    table = leakage(spaces, {"factor": factor})
    assert list(table.columns) == ["space", "factor", "accuracy", "shuffled", "chance"]
    accuracy = table.set_index("space")["accuracy"]
    assert accuracy["knows"] > 0.95
    assert accuracy["does not"] < 0.65


def test_auroc_counts_pairs():
    """The share of (evidence, other) pairs in which the evidence has more; ties half; padding never counts."""
    rng = np.random.default_rng(3)
    share = torch.from_numpy(rng.integers(0, 4, (5, 2, 6)) / 4)
    truth = torch.from_numpy(rng.random((5, 2, 6)) < 0.4)
    truth[:, 1] = False
    mask = torch.from_numpy(rng.random((5, 6)) < 0.8)
    wins, pairs = 0.0, 0
    cells = [(float(share[i, 0, t]), bool(truth[i, 0, t])) for i in range(5) for t in range(6) if mask[i, t]]
    for a, evidence in cells:
        for b, distractor in cells:
            if evidence and not distractor:
                wins += 1.0 if a > b else 0.5 if a == b else 0.0
                pairs += 1
    found = evidence_auroc(share, truth, mask)
    assert found[0] == pytest.approx(wins / pairs)
    assert np.isnan(found[1])


def test_spaces_of_a_trace(model, batch):
    spaces = spaces_of(model.trace(batch))
    assert set(spaces) == {"shared code", "private code"} | {
        f"{kind} {m}" for kind in ("shared", "private") for m in batch.modalities
    }
    assert all(len(x) == len(batch) for x in spaces.values())


def test_level_weighted_shares_by_loops(model, batch):
    trace = model.trace(batch)
    for m in trace.modalities:
        found = level_weighted(trace, m)
        for i in range(len(batch)):
            for t in range(found.shape[1]):
                by_hand = sum(float(trace.level_gate[i, v] * trace.allocation[m][i, v, t]) for v in range(3))
                assert float(found[i, t]) == pytest.approx(by_hand, abs=1e-6)
