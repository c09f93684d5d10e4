"""Figures of comparisons: means with their 95 % intervals, and values seed by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from clcrkit.experiments.compare import FAILS, HOLDS, SAME
from clcrkit.viz.palette import BLUE, GREY, VERMILLION

if TYPE_CHECKING:
    import plotly.graph_objects as go

# the symbol says the same for who sees no colour
LOOKS = {HOLDS: (BLUE, "circle"), FAILS: (VERMILLION, "x"), SAME: (GREY, "square"), "": (BLUE, "circle")}


def forest(table: pd.DataFrame, label: str, axis: str, title: str = "", zero: bool = False) -> go.Figure:
    """A point with its interval for each row, from the top down.

    table: with columns mean, low and high, such as `compare.summary`'s, `compare.against`'s or `claims.judge`'s; where
    it has a column verdict, colour and symbol say it. label: the column that names the rows. axis: what is measured,
    with its unit. zero: a line at 0, for differences."""
    import plotly.graph_objects as go

    figure = go.Figure(layout={"title": title, "template": "plotly_white", "height": 130 + 26 * len(table)})
    kinds = table["verdict"] if "verdict" in table else pd.Series("", index=table.index)
    for kind, part in table.groupby(kinds, sort=False):
        color, symbol = LOOKS.get(str(kind), (GREY, "diamond-open"))
        figure.add_scatter(
            x=part["mean"].round(4).to_list(),
            y=part[label].astype(str).to_list(),
            error_x={
                "array": (part["high"] - part["mean"]).round(4).to_list(),
                "arrayminus": (part["mean"] - part["low"]).round(4).to_list(),
            },
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 9},
            name=str(kind),
            uid=f"forest {kind}",
            showlegend=bool(kind),
        )
    order = {"categoryorder": "array", "categoryarray": table[label].astype(str).to_list(), "autorange": "reversed"}
    figure.update_yaxes(automargin=True, **order).update_xaxes(title=axis)
    if zero:
        figure.add_vline(x=0, line_color=GREY, line_width=1)
    return figure


def seeds(wide: pd.DataFrame, axis: str, title: str = "") -> go.Figure:
    """Values seed by seed, a line for each seed from model to model: lines that run alike are what pairing removes.

    wide: `compare.by_seed`'s table, or some of its columns."""
    import plotly.graph_objects as go

    figure = go.Figure(layout={"title": title, "template": "plotly_white", "height": 380})
    for seed, row in wide.iterrows():
        values = row.round(4).to_list()
        figure.add_scatter(x=list(map(str, wide.columns)), y=values, name=f"seed {seed}", line_color=GREY, opacity=0.7)
    mean = wide.mean().round(4).to_list()
    figure.add_scatter(x=list(map(str, wide.columns)), y=mean, name="mean", line={"color": BLUE, "width": 4})
    return figure.update_yaxes(title=axis).update_xaxes(title="model")
