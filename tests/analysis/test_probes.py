"""Probes on spaces whose content is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from clcrkit import DataError
from clcrkit.analysis.probes import (
    evidence_auroc,
    evidence_precision,
    leakage,
    leakage_matrix,
    level_weighted,
    linear_probe,
    spaces_of,
)


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


def test_groups_keep_speakers_apart():
    """A space that knows the speaker only: who has heard the speaker knows the label, who has not does not."""
    rng = np.random.default_rng(4)
    speaker = np.repeat(np.arange(20), 30)
    label = (speaker * 7 % 20) % 2
    space = np.eye(20)[speaker] + 0.01 * rng.normal(size=(600, 20))
    assert linear_probe(space, label).accuracy > 0.99
    assert linear_probe(space, label, groups=speaker).accuracy < 0.7
    there = space + 3 * label[:, None]
    assert linear_probe(there, label, groups=speaker).accuracy > 0.99


@pytest.mark.parametrize(
    ("groups", "message"),
    [(np.arange(40) % 3, "3 different ones"), (np.arange(40) // 20 * 100 + np.arange(40) % 5 * 5, "of them")],
)
def test_too_few_groups(groups, message):
    label = np.arange(40) // 20
    if message == "of them":
        groups[:20] = 0
    with pytest.raises(DataError, match=message):
        linear_probe(np.zeros((40, 2)), label, groups=groups)


def test_matrix_puts_chance_at_zero_and_certainty_at_one():
    table = pd.DataFrame({
        "space": ["b", "b", "a", "a"],
        "factor": ["y", "x", "y", "x"],
        "accuracy": [0.25, 1.0, 0.625, 0.1],
        "shuffled": [0.25, 0.5, 0.25, 0.2],
        "chance": [0.25, 0.5, 0.25, 0.2],
    })  # fmt: skip
    matrix = leakage_matrix(table)
    assert (list(matrix.index), list(matrix.columns)) == (["b", "a"], ["y", "x"])
    np.testing.assert_allclose(matrix.to_numpy(), [[0, 1], [0.5, -0.125]])


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


def test_precision_by_loops():
    rng = np.random.default_rng(6)
    share = torch.from_numpy(rng.random((5, 3, 6)))
    truth, mask = torch.from_numpy(rng.random((5, 3, 6)) < 0.4), torch.from_numpy(rng.random((5, 6)) < 0.7)
    truth[:, 1] = False
    share[:, 2] = 0
    cells = [(float(share[i, 0, t]), bool(truth[i, 0, t])) for i in range(5) for t in range(6) if mask[i, t]]
    found = evidence_precision(share, truth, mask)
    assert found[0] == pytest.approx(sum(a for a, e in cells if e) / sum(a for a, _ in cells))
    assert np.isnan(found[1:]).all()
    aimless = evidence_precision(torch.ones(5, 3, 6), truth, mask)[0]
    assert aimless == pytest.approx(np.mean([e for _, e in cells]))


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
