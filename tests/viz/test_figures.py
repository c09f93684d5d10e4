"""Figures hold the table's means and intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from clcrkit.viz import figures


def of_name(figure, name, panel=0):
    return [trace for trace in figure.data if trace.name == name][panel]


@pytest.mark.parametrize("unit", ["seed", "run"])
def test_degradation_averages_over_seeds_and_bands_over_runs(unit):
    rng = np.random.default_rng(0)
    rows = [
        (m, c, u, s, seed, run, rng.random())
        for m in ("a", "b")
        for c, u in (("noise", "sd"), ("missing x", "share"))
        for s in (0.0, 1.0)
        for seed in range(4)
        for run in (range(3) if unit == "run" else [0])
    ]
    table = pd.DataFrame(rows, columns=["model", "corruption", "unit", "strength", "seed", "run", "score"])
    if unit == "seed":
        table = table.drop(columns="run")
    figure = figures.degradation(table, "accuracy")
    assert [axis.title.text for axis in figure.select_xaxes()] == ["sd", "share"]
    assert [a.text for a in figure.layout.annotations] == ["noise", "missing x"]
    cell = table[(table["model"] == "b") & (table["corruption"] == "missing x") & (table["strength"] == 1)]
    values = cell.groupby(unit)["score"].mean()
    line = of_name(figure, "b", panel=1)
    assert line.x == (0.0, 1.0)
    assert line.y[1] == pytest.approx(values.mean(), abs=1e-3)
    band = figure.data[list(figure.data).index(line) - 1]
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert band.y[1:3] == pytest.approx((interval.high, interval.low), abs=1e-3)


def test_no_band_around_a_single_value():
    table = pd.DataFrame(
        {"model": "a", "corruption": "noise", "unit": "sd", "strength": [0.0, 1.0], "seed": 0, "score": 1.0}
    )
    assert [trace.name for trace in figures.degradation(table).data] == ["a"]


def test_learning_curves_keep_a_models_colour_where_panels_have_others():
    rng = np.random.default_rng(2)
    models = {"easy": ("CLCR", "plain"), "hard": ("dense", "CLCR")}
    rows = [(d, m, s, e, rng.random()) for d in models for m in models[d] for s in range(3) for e in (1, 2, 3)]
    table = pd.DataFrame(rows, columns=["data", "model", "seed", "epoch", "score"])
    figure = figures.learning_curves(table)
    assert [a.text for a in figure.layout.annotations] == ["easy", "hard"]
    lines = [trace for trace in figure.data if trace.name]
    assert [(line.name, line.showlegend) for line in lines] == [
        ("CLCR", True),
        ("plain", True),
        ("dense", True),
        ("CLCR", False),
    ]
    colours = {line.name: set() for line in lines}
    for line in lines:
        colours[line.name].add((line.line.color, line.line.dash))
    assert [len(own) for own in colours.values()] == [1, 1, 1]
    assert len(set.union(*colours.values())) == 3
    of_dense = table[(table["model"] == "dense") & (table["epoch"] == 2)]["score"]
    assert of_name(figure, "dense").y[1] == pytest.approx(of_dense.mean(), abs=1e-3)
    band = figure.data[list(figure.data).index(of_name(figure, "dense")) - 1]
    assert band.y[1] == pytest.approx(ttest_1samp(of_dense, 0).confidence_interval(0.95).high, abs=1e-3)


def test_removal_curves_average_each_sample_over_its_random_orders():
    rng = np.random.default_rng(1)
    index = pd.MultiIndex.from_product(
        [["deletion", "insertion"], ["mine", "random"], [0, 1], [0.0, 1.0], [5, 6, 7]],
        names=["curve", "order", "repeat", "share", "id"],
    )
    table = pd.Series(rng.random(len(index)), index, name="value").reset_index()
    figure = figures.removal_curves(table)
    per_sample = table[(table["curve"] == "insertion") & (table["order"] == "random") & (table["share"] == 1)]
    values = per_sample.groupby("id")["value"].mean()
    line = of_name(figure, "random", panel=1)
    assert line.y[1] == pytest.approx(values.mean(), abs=1e-3)
    band = figure.data[list(figure.data).index(line) - 1]
    assert band.y[1] == pytest.approx(ttest_1samp(values, 0).confidence_interval(0.95).high, abs=1e-3)


def test_bars_mark_what_is_known():
    figure = figures.token_bars([0.5, -1.0, 2.0], "t", tokens=["x", "y", "z"], marked=[False, True, False])
    assert [(bar.x, bar.y) for bar in figure.data] == [((1, 3), (0.5, 2.0)), ((2,), (-1.0,))]
    assert figure.layout.xaxis.ticktext == ("x", "y", "z")
    assert len(figures.token_bars([1.0, 2.0], "t").data) == 1


def test_matrix_keeps_the_order():
    table = pd.DataFrame([[0.123, 1.0], [0.5, -0.1]], index=["b", "a"], columns=["y", "x"])
    figure = figures.matrix(table, "title", "read")
    assert figure.data[0].y == ("b", "a")
    assert figure.data[0].x == ("y", "x")
    np.testing.assert_allclose(figure.data[0].z, [[0.12, 1.0], [0.5, -0.1]])
