"""Figures of the analyses: tidy tables in, plotly figures out. Bands and bars are 95 % intervals of a mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clcrkit.analysis.stats import mean_interval
from clcrkit.viz import palette

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from clcrkit.datasets.audit import Report

# what is drawn twice in one colour is told apart by its dashes
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PART_COLORS = {"train": palette.BLUE, "valid": palette.ORANGE, "test": palette.GREEN}


def degradation(table: pd.DataFrame, score: str = "score") -> go.Figure:
    """`robustness.degradation`'s table as curves: a panel for each corruption, a line for each model.

    The band is over trainings where the table has a column `run` (each first averaged over the seeds of the
    corruption), else over these seeds. score: what the score is called on the axis."""
    from plotly.subplots import make_subplots

    unit = "run" if "run" in table else "seed"
    means = table.groupby(["corruption", "unit", "model", "strength", unit], sort=False)["score"].mean().reset_index()
    kinds = list(dict.fromkeys(table["corruption"]))
    columns = min(3, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = make_subplots(rows, columns, shared_yaxes=True, subplot_titles=kinds, horizontal_spacing=0.03)
    for i, (_kind, part) in enumerate(means.groupby("corruption", sort=False)):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        for j, (model, line) in enumerate(part.groupby("model", sort=False)):
            style = {"name": str(model), "legendgroup": str(model), "showlegend": i == 0}
            for trace in _band(line, "strength", "score", j, style):
                figure.add_trace(trace, **place)
        figure.update_xaxes(title_text=part["unit"].iloc[0], **place)
    figure.update_yaxes(title_text=score, col=1)
    return figure.update_layout(height=120 + 260 * rows, legend_title_text="model", margin_t=40)


def removal_curves(curves: pd.DataFrame, value: str = "probability of the explained class") -> go.Figure:
    """`attribution.removal_curves`' table: deletion beside insertion, a line for each order; bands over samples,
    each first averaged over its random orders."""
    from plotly.subplots import make_subplots

    means = curves.groupby(["curve", "order", "share", "id"], sort=False)["value"].mean().reset_index()
    titles = {"deletion": "deletion: lower is better", "insertion": "insertion: higher is better"}
    figure = make_subplots(1, 2, shared_yaxes=True, subplot_titles=list(titles.values()), horizontal_spacing=0.04)
    for column, curve in enumerate(titles):
        part = means[means["curve"] == curve]
        for j, (order, line) in enumerate(part.groupby("order", sort=False)):
            style = {"name": str(order), "legendgroup": str(order), "showlegend": column == 0}
            for trace in _band(line, "share", "value", j, style):
                figure.add_trace(trace, row=1, col=column + 1)
        verb = "removed" if curve == "deletion" else "added"
        figure.update_xaxes(title_text=f"share of the sample's tokens that are {verb}", row=1, col=column + 1)
    figure.update_yaxes(title_text=value, col=1)
    return figure.update_layout(height=400, legend_title_text="order", margin_t=40)


def token_bars(
    scores: Sequence[float],
    title: str,
    axis: str = "attribution to the output",
    tokens: Sequence[str] | None = None,
    marked: Sequence[bool] | None = None,
) -> go.Figure:
    """One sample's score for each real token as bars. tokens: what stands below each bar, default its number from 1.
    marked: tokens in another colour, such as known evidence."""
    import plotly.graph_objects as go

    places = list(range(1, len(scores) + 1))
    is_marked = [False] * len(places) if marked is None else [bool(m) for m in marked]
    bars = [
        go.Bar(
            x=[p for p, k in zip(places, is_marked, strict=True) if k == kind],
            y=[round(float(s), 3) for s, k in zip(scores, is_marked, strict=True) if k == kind],
            name=name,
            marker_color=color,
        )
        for kind, name, color in ((False, "other token", palette.SKY), (True, "known evidence", palette.VERMILLION))
    ]
    layout: dict[str, Any] = {"title": title, "yaxis_title": axis, "height": 300, "bargap": 0.15, "margin_t": 50}
    layout["xaxis"] = {"title": "token", "range": [0.4, len(places) + 0.6]}
    if tokens is not None:
        layout["xaxis"] |= {"tickvals": places, "ticktext": list(tokens)}
    return go.Figure(bars if marked is not None else bars[:1], layout={**layout, "showlegend": marked is not None})


def matrix(table: pd.DataFrame, title: str, color: str, low: float = 0.0, high: float = 1.0) -> go.Figure:
    """A heat map with numbers, for `probes.leakage_matrix` and `similarity.cka_matrix`. color: what the colour
    counts; low, high: the ends of its scale."""
    import plotly.graph_objects as go

    values = table.to_numpy().round(2)
    heat = go.Heatmap(
        x=[str(c) for c in table.columns], y=[str(r) for r in table.index], z=values, zmin=low, zmax=high,
        colorscale="Cividis", colorbar_title_text=color, texttemplate="%{z}", xgap=1, ygap=1,
    )  # fmt: skip
    layout = {"title": title, "yaxis_autorange": "reversed", "height": 160 + 30 * len(table), "margin_t": 60}
    return go.Figure(heat, layout=layout)


def _band(line: pd.DataFrame, x: str, y: str, place: int, style: dict[str, Any]) -> list[Any]:
    """A mean line with its interval as a band; no band where there is one value at each x."""
    import plotly.graph_objects as go

    intervals = line.groupby(x)[y].apply(mean_interval)
    at = [float(v) for v in intervals.index]
    mean, low, high = (pd.Series(values).astype(float).round(3).to_list() for values in zip(*intervals, strict=True))
    color = palette.LINES[place % len(palette.LINES)]
    drawn = []
    if not pd.isna(low).any():
        red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        area = {"fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.15)", "line_width": 0, "mode": "lines"}
        more = {"legendgroup": style["legendgroup"], "showlegend": False, "hoverinfo": "skip"}
        drawn.append(go.Scatter(x=at + at[::-1], y=high + low[::-1], **area, **more))
    dash = DASHES[place % len(DASHES)]
    drawn.append(go.Scatter(x=at, y=mean, line={"color": color, "dash": dash}, mode="lines+markers", **style))
    return drawn


def data_report(report: Report) -> go.Figure:
    """The report of `datasets.check`: labels, lengths, spreads of the columns and the probe, a panel each."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    titles = ("labels", "tokens: shortest to longest, median", "spread of the columns (train)", "linear probe")
    figure = make_subplots(2, 2, subplot_titles=titles, vertical_spacing=0.2, horizontal_spacing=0.12)
    classes = "share" in report.labels
    for part, color in PART_COLORS.items():
        own: dict[str, Any] = {"name": part, "legendgroup": part, "marker_color": color}
        labels, rows = report.labels[report.labels["part"] == part], report.table[report.table["part"] == part]
        if classes:
            figure.add_bar(x=labels["label"], y=labels["share"], **own, row=1, col=1)
        else:
            up, down = labels["highest"] - labels["mean"], labels["mean"] - labels["lowest"]
            span: dict[str, Any] = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
            figure.add_scatter(x=labels["part"], y=labels["mean"], error_y=span, mode="markers", **own, row=1, col=1)
        reach = {"array": rows["longest"] - rows["median"], "arrayminus": rows["median"] - rows["shortest"]}
        span = {"type": "data", "symmetric": False, **reach}
        once = {**own, "showlegend": False}
        figure.add_bar(x=rows["modality"], y=rows["median"], error_y=span, **once, row=1, col=2)
        figure.add_bar(x=rows["modality"], y=rows["probe"], **once, row=2, col=2)
    for spread, dash in zip(report.spreads.items(), cycle(DASHES[:4])):
        name, values = spread
        line = go.Scatter(
            x=np.linspace(0, 1, len(values)), y=np.sort(values), name=name, mode="lines", line={"dash": dash}
        )
        line.line.color = palette.GREY
        figure.add_trace(line, row=2, col=1)
    figure.update_yaxes(title_text="share of the part" if classes else "lowest, mean, highest", row=1, col=1)
    figure.update_yaxes(title_text="tokens", row=1, col=2)
    figure.update_yaxes(title_text="standard deviation", type="log", row=2, col=1)
    figure.update_xaxes(title_text="share of the columns", row=2, col=1)
    figure.update_yaxes(title_text="accuracy" if classes else "correlation", row=2, col=2)
    return figure.update_layout(height=620, margin={"t": 40, "r": 20}, barmode="group", template="plotly_white")
