"""Intervals and paired tests against scipy; the verdict against its rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clcrkit import DataError
from clcrkit.analysis.stats import Difference, difference, pairs_needed
from clcrkit.experiments.compare import FAILS, HOLDS, OPEN, SAME, against, by_seed, learning_curves, summary, verdict

floats = st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=8)


def _table(**scores: list[float]) -> pd.DataFrame:
    rows = [
        {"data": "d", "model": model, "changes": "", "seed": seed, "score": value}
        for model, values in scores.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


@given(floats, st.integers(0, 9))
def test_a_difference_is_scipys_paired_test(first: list[float], seed: int):
    a = np.array(first)
    b = a + np.random.default_rng(seed).normal(0.1, 0.2, len(a))
    found, test = difference(a, b), stats.ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    np.testing.assert_allclose(
        [found.mean, found.low, found.high, found.p_t], [(a - b).mean(), *interval, test.pvalue], atol=1e-9
    )
    assert found.p_wilcoxon == stats.wilcoxon(a, b).pvalue
    assert found.pairs == len(a)


def test_pairing_removes_what_a_seed_does_to_both():
    hard = np.array([0.1, 0.5, 0.9, 0.3, 0.7])  # seeds differ far more than the models do
    better = hard + np.array([0.02, 0.03, 0.02, 0.03, 0.02])
    found = difference(better, hard)
    assert found.low > 0
    assert stats.ttest_ind(better, hard).pvalue > 0.9


def test_equal_differences_and_single_pairs():
    assert difference(np.ones(4), np.ones(4)) == Difference(0, 0, 0, 1, 1, 4)
    always = difference(np.full(5, 0.5), np.full(5, 0.25))
    assert (always.mean, always.low, always.high, always.p_t, always.p_wilcoxon) == (0.25, 0.25, 0.25, 0, 0.0625)
    single = difference(np.array([1.0]), np.array([0.0]))
    assert single.mean == 1
    assert np.isnan([single.low, single.high, single.p_t, single.p_wilcoxon]).all()


def test_models_are_compared_over_the_seeds_that_both_have():
    table = _table(CLCR=[0.5, 0.6, 0.7, 9.0], other=[0.4, 0.6, 0.5])
    row = against(table).iloc[0]
    assert (row["model"], row["pairs"]) == ("other", 3)
    assert row["mean"] == pytest.approx(-0.1)
    shuffled = against(table.sample(frac=1, random_state=1))
    assert shuffled.iloc[0]["mean"] == pytest.approx(-0.1)  # the seed makes the pair, not the row


def test_a_summary_has_the_interval_of_student():
    values = [0.5, 0.6, 0.8]
    row = summary(_table(CLCR=values)).iloc[0]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), [np.mean(values), low, high])
    assert row["seeds"] == 3


def test_learning_curves_are_the_stored_ones_trial_by_trial():
    table = pd.DataFrame(
        {"data": ["a", "a", "b"], "model": "CLCR", "changes": ["", "levels=2", ""], "seed": [0, 0, 3],
         "curve": ["0.25 0.5 0.75", "0.5", "1 0"]},
        index=[7, 7, 7],
    )  # fmt: skip
    expected = pd.DataFrame(
        {"data": [*"aaaabb"], "model": ["CLCR", "CLCR", "CLCR", "CLCR (levels=2)", "CLCR", "CLCR"],
         "seed": [0, 0, 0, 0, 3, 3], "epoch": [1, 2, 3, 1, 1, 2], "score": [0.25, 0.5, 0.75, 0.5, 1.0, 0.0]}
    )  # fmt: skip
    pd.testing.assert_frame_equal(learning_curves(table), expected)
    again = learning_curves(pd.concat([table, table]))  # two trials of one seed, such as at two rates, stay apart
    assert again["epoch"].to_list() == [1, 2, 3, 1, 1, 2] * 2


def test_changes_make_columns_of_their_own_and_unknown_data_is_named():
    table = pd.concat([_table(CLCR=[1, 2]), _table(CLCR=[3, 4]).assign(changes="rho=0.5")])
    assert by_seed(table, "d").to_dict("list") == {"CLCR": [1, 2], "CLCR (rho=0.5)": [3, 4]}
    with pytest.raises(DataError, match="elsewhere: not in the table, which has d"):
        by_seed(table, "elsewhere")


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.1, 0.2)], HOLDS),
        ([(0.1, 0.2), (0.01, 0.3)], HOLDS),
        ([(0.1, 0.2), (-0.01, 0.3)], OPEN),
        ([(0.1, 0.2), (-0.3, -0.1)], FAILS),
        ([(-0.3, -0.1), (-0.1, 0.1)], FAILS),
        ([(0.0, 0.1)], OPEN),
        ([(-0.01, 0.015)], SAME),
        ([(-0.01, 0.015), (0.1, 0.3)], SAME),
        ([(-0.01, 0.015), (-0.3, -0.1)], FAILS),
        ([(0.001, 0.015)], HOLDS),
        ([(np.nan, np.nan)], OPEN),
        ([], OPEN),
    ],
)
def test_the_rule(intervals: list[tuple[float, float]], expected: str):
    assert verdict([Difference((a + b) / 2, a, b, 0.5, 0.5, 5) for a, b in intervals]) == expected


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_the_pairs_needed_are_those_of_the_tables_of_power(effect: float, pairs: int):
    """Cohen's effect sizes, two-sided at 5 %, power 0.8: the values that every program for power gives."""
    gap = np.array([-1.0, 1.0, -1.0, 1.0])
    gap = gap / gap.std(ddof=1) + effect
    assert pairs_needed(gap) == pairs
    assert pairs_needed(-3 * gap) == pairs


def test_no_number_of_pairs_shows_a_difference_that_is_not_there():
    assert pairs_needed(np.array([-1.0, 1.0])) is None
    assert pairs_needed(np.array([0.3])) is None
    assert pairs_needed(np.array([-1.0, 1.0001])) is None
    assert pairs_needed(np.array([0.2, 0.2, 0.2])) == 2
