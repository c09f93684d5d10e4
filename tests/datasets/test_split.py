"""Drawing parts: no group in two of them, classes balanced, shares kept."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import ConfigError, DataError
from clcrkit.datasets.split import draw_parts

PARTS = ("train", "valid", "test")


@given(
    groups=st.lists(st.integers(0, 9), min_size=3, max_size=60).filter(lambda g: len(set(g)) >= 3),
    classes=st.integers(1, 4),
    regression=st.booleans(),
    seed=st.integers(0, 5),
)
def test_no_group_is_in_two_parts_and_no_part_is_empty(groups: list[int], classes: int, regression: bool, seed: int):
    labels = np.random.default_rng(seed).integers(0, classes, len(groups))
    parts = draw_parts(labels * 0.5 if regression else labels, np.array(groups), seed=seed)
    held = {part: {g for g, p in zip(groups, parts, strict=True) if p == part} for part in PARTS}
    assert all(held.values())
    assert all(not held[a] & held[b] for a, b in itertools.combinations(PARTS, 2))
    again = draw_parts(labels * 0.5 if regression else labels, np.array(groups), seed=seed)
    assert (parts == again).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_shares_and_classes_are_kept(grouped: bool):
    labels = np.random.default_rng(0).choice(3, 1200, p=[0.7, 0.2, 0.1])
    groups = np.random.default_rng(1).integers(0, 200, 1200) if grouped else None
    parts = draw_parts(labels, groups, seed=0)
    for part, share in (("train", 0.7), ("valid", 0.1), ("test", 0.2)):
        assert (parts == part).mean() == pytest.approx(share, abs=0.02)
        mine = np.bincount(labels[parts == part]) / (parts == part).sum()
        np.testing.assert_allclose(mine, [0.7, 0.2, 0.1], atol=0.04)
    other = draw_parts(labels, groups, seed=1)
    assert (parts != other).any()


def test_regression_and_several_labels_are_split_too():
    for labels in (np.random.default_rng(0).normal(size=500), np.zeros((500, 4))):
        parts = draw_parts(labels, np.arange(500) // 5)
        assert (parts == "test").mean() == pytest.approx(0.2, abs=0.02)
        assert (parts == "valid").mean() == pytest.approx(0.1, abs=0.02)


def test_what_cannot_be_split():
    with pytest.raises(DataError, match="2, but at least 3"):
        draw_parts(np.zeros(9), np.arange(9) % 2)
    for shares in ((0.0, 0.2), (0.5, 0.5), (-0.1, 0.2)):
        with pytest.raises(ConfigError, match="shares"):
            draw_parts(np.zeros(9), shares=shares)
