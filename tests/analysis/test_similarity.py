"""CKA and angles on spaces whose relation is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clcrkit import DataError
from clcrkit.analysis.similarity import cka_matrix, frame_angles, level_spaces, linear_cka, principal_angles


def hsic_by_loops(k: np.ndarray, m: np.ndarray) -> float:
    """The unbiased estimate as a mean over quadruples of different samples (its definition)."""
    n, total, count = len(k), 0.0, 0
    for i in range(n):
        for j in set(range(n)) - {i}:
            for q in set(range(n)) - {i, j}:
                for r in set(range(n)) - {i, j, q}:
                    total += k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
                    count += 1
    return total / count


def test_debiased_cka_is_the_mean_over_quadruples():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 5))
    y[:, 0] += 2 * x[:, 0]
    k, m = x @ x.T, y @ y.T
    expected = hsic_by_loops(k, m) / np.sqrt(hsic_by_loops(k, k) * hsic_by_loops(m, m))
    assert linear_cka(x, y) == pytest.approx(expected)


def test_plain_cka_is_kornbliths_formula():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 6)) + 3
    a, b = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert linear_cka(x, y, debiased=False) == pytest.approx(expected)


@pytest.mark.parametrize("debiased", [True, False])
def test_turning_scaling_and_shifting_change_nothing(debiased):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 5))
    turned = 3 * x @ np.linalg.qr(rng.normal(size=(5, 5)))[0] + 7
    assert linear_cka(x, turned, debiased) == pytest.approx(1)
    assert linear_cka(x, rng.normal(size=(40, 5)), debiased) < 0.5


def test_only_the_debiased_one_sees_nothing_in_wide_noise():
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(size=(20, 300)), rng.normal(size=(20, 300))) for _ in range(20)]
    assert abs(np.mean([linear_cka(x, y) for x, y in pairs])) < 0.03
    assert np.mean([linear_cka(x, y, debiased=False) for x, y in pairs]) > 0.8


def test_refusals():
    with pytest.raises(DataError, match="3 and 3, but the same number, of at least 4"):
        linear_cka(np.eye(3), np.eye(3))
    with pytest.raises(DataError, match="5 and 4"):
        linear_cka(np.eye(5), np.eye(4))
    with pytest.raises(DataError, match="the second space: all 6 samples are equal"):
        linear_cka(np.eye(6), np.full((6, 2), 0.3))


def test_matrix_of_the_levels_of_a_trace(make_model, make_batch):
    batch = make_batch(samples=12, missing=False)
    trace = make_model(batch).trace(batch)
    for kind, summaries in (("shared", trace.shared_summary), ("private", trace.private_summary)):
        spaces = level_spaces(trace, kind)
        assert list(spaces)[:2] == ["vision 1", "vision 2"]
        assert torch.equal(spaces["text 3"], summaries["text"][:, 2])
        matrix = cka_matrix(spaces)
        assert list(matrix.index) == list(matrix.columns) == list(spaces)
        np.testing.assert_allclose(matrix, matrix.T)
        assert matrix.loc["text 3", "vision 1"] == pytest.approx(linear_cka(spaces["text 3"], spaces["vision 1"]))
    with pytest.raises(DataError, match="kind: 'both'"):
        level_spaces(trace, "both")


def test_angles_that_are_known():
    tilt = np.radians(25)
    a = np.array([[1.0, 0, 0], [0, 1, 0]]).T
    b = np.array([[1.0, 0, 0], [0, np.cos(tilt), np.sin(tilt)]]).T
    np.testing.assert_allclose(principal_angles(a, b), [0, 25], atol=1e-6)
    np.testing.assert_allclose(principal_angles(a @ [[2.0, 1], [0, 3]], b), [0, 25], atol=1e-6)
    np.testing.assert_allclose(principal_angles(a[:, :1], np.eye(3)[:, 1:]), [90])


def test_frames_of_a_model(model):
    table = frame_angles(model)
    assert list(table.columns) == ["level", "first", "second", "angle", "degrees"]
    with_shared = table[table["first"] == "shared"]
    np.testing.assert_allclose(with_shared["degrees"], 90, atol=1e-3)
    assert len(with_shared) == 3 * 3 * 4
    _, private = model.intraced.subspaces.frames()
    cosines = torch.linalg.svdvals(private["vision"][1].T @ private["text"][1]).clamp(max=1).detach()
    pair = table[(table["level"] == 2) & (table["first"] == "private vision") & (table["second"] == "private text")]
    assert pair["angle"].tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(pair["degrees"], np.degrees(np.arccos(cosines.numpy())), atol=0.1)
