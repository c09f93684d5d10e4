from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from clcrkit.analysis import projections
from clcrkit.errors import ConfigError, DataError


@pytest.fixture
def cloud() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 6)) @ np.diag([5, 3, 1, 0.5, 0.2, 0.1]) @ rng.normal(size=(6, 6)) + 7


def test_pca_agrees_with_scikit_learn(cloud: np.ndarray) -> None:
    ours = projections.fit(cloud[:150]).transform(cloud)
    theirs = PCA(2).fit(cloud[:150]).transform(cloud)
    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-3)


def test_fitted_once_then_transforms_rows_one_by_one(cloud: np.ndarray) -> None:
    projection = projections.fit(cloud)
    whole = projection.transform(cloud)
    for i in (0, 57, 199):
        np.testing.assert_allclose(projection.transform(cloud[i : i + 1])[0], whole[i], atol=1e-5)


def test_same_input_and_arguments_are_computed_once(cloud: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "_cache", type(projections._cache)())
    first = projections.fit(cloud)
    assert projections.fit(cloud.copy()) is first
    assert projections.fit(cloud + 1e-9) is not first
    assert first.transform(cloud) is first.transform(cloud.copy())


def test_the_cache_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "_cache", type(projections._cache)())
    monkeypatch.setattr(projections, "_CACHE_SIZE", 3)
    for i in range(8):
        projections.fit(np.eye(4) * (i + 1))
    assert len(projections._cache) == 3


@pytest.mark.parametrize("shape", [(5, 1), (1, 4), (2, 2)])
def test_pca_of_few_rows_or_features_stays_finite(shape: tuple[int, int]) -> None:
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    points = projections.fit(values).transform(values)
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_align_undoes_a_turn_and_a_mirror(cloud: np.ndarray) -> None:
    points = projections.fit(cloud).transform(cloud)
    angle = 1.1
    turned = points @ np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]], dtype=np.float32)
    back, matrix = projections.align(turned, points)
    np.testing.assert_allclose(back, points, atol=1e-4)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-6)


def test_umap_keeps_groups_apart_and_its_fit_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    groups = np.concatenate([rng.normal(size=(40, 5)), rng.normal(size=(40, 5)) + 20])
    projection = projections.fit(groups, "umap")
    assert "UMAP of 80 points:   0%" in capsys.readouterr().err  # it says what it does while it compiles
    points = projection.transform(groups)
    np.testing.assert_array_equal(points, projections.fit(groups.copy(), "umap").transform(groups.copy()))
    np.testing.assert_array_equal(points[3:9], projection.transform(groups[3:9]))
    within = np.linalg.norm(points[:40] - points[:40].mean(0), axis=1).max()
    assert np.linalg.norm(points[:40].mean(0) - points[40:].mean(0)) > 2 * within
    new = projection.transform(rng.normal(size=(3, 5)) + 20)
    assert (np.linalg.norm(new - points[40:].mean(0), axis=1) < np.linalg.norm(new - points[:40].mean(0), axis=1)).all()


def test_refuses_what_it_cannot_draw(cloud: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"method: 'tsne', but one of pca, umap"):
        projections.fit(cloud, "tsne")
    with pytest.raises(DataError, match=r"first: row 3"):
        projections.fit(np.where(np.arange(200)[:, None] == 3, np.nan, cloud))
    with pytest.raises(DataError, match=r"shape \(0, 3\)"):
        projections.fit(np.zeros((0, 3)))
    with pytest.raises(DataError, match=r"4 rows, but at least 5"):
        projections.fit(np.eye(4), "umap")
