"""What the figures of comparisons draw is what the table holds."""

from __future__ import annotations

import pandas as pd
import pytest

from clcrkit.viz.forest import forest, seeds

TABLE = pd.DataFrame(
    {
        "model": ["a", "b", "c"],
        "mean": [0.1, -0.2, 0.0],
        "low": [0.05, -0.4, -0.1],
        "high": [0.2, -0.1, 0.3],
        "verdict": ["holds", "does not", "cannot tell"],
    }
)


def test_intervals_reach_from_low_to_high():
    figure = forest(TABLE.drop(columns="verdict"), "model", "score")
    points = figure.data[0]
    assert points.x == (0.1, -0.2, 0.0)
    assert points.y == ("a", "b", "c")
    for i in range(3):
        assert points.x[i] + points.error_x.array[i] == pytest.approx(TABLE["high"][i])
        assert points.x[i] - points.error_x.arrayminus[i] == pytest.approx(TABLE["low"][i])
    assert figure.layout.yaxis.categoryarray == ("a", "b", "c")
    assert figure.layout.xaxis.title.text == "score"
    assert not figure.layout.shapes
    assert not points.showlegend


def test_verdicts_differ_in_colour_and_symbol_and_keep_the_order():
    figure = forest(TABLE, "model", "difference", zero=True)
    assert [trace.name for trace in figure.data] == ["holds", "does not", "cannot tell"]
    assert len({trace.marker.color for trace in figure.data}) == 3
    assert len({trace.marker.symbol for trace in figure.data}) == 3
    assert figure.layout.yaxis.categoryarray == ("a", "b", "c")
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0


def test_every_seed_is_a_line_and_the_mean_is_the_last():
    wide = pd.DataFrame({"CLCR": [0.5, 0.7], "late fusion": [0.4, 0.8]}, index=pd.Index([0, 3], name="seed"))
    figure = seeds(wide, "accuracy")
    assert [trace.name for trace in figure.data] == ["seed 0", "seed 3", "mean"]
    assert figure.data[1].y == (0.7, 0.8)
    assert figure.data[2].y == pytest.approx((0.6, 0.6))
    assert figure.data[0].x == ("CLCR", "late fusion")
