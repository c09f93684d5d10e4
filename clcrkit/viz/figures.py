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

THEME = "plotly_white"  # of all pictures here and in the lessons
# what is drawn twice in one colour is told apart by its dashes
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PART_COLORS = {"train": palette.BLUE, "valid": palette.ORANGE, "test": palette.GREEN}


def degradation(table: pd.DataFrame, score: str = "score") -> go.Figure:
    """`robustness.degradation`'s table as curves: a panel for each corruption, a line for each model.

    The band is over trainings where the table has a column `run` (each first averaged over the seeds of the
    corruption), else over these seeds. score: what the score is called on the axis."""
    unit = "run" if "run" in table else "seed"
    means = table.groupby(["corruption", "unit", "model", "strength", unit], sort=False)["score"].mean().reset_index()
    figure, places = _panels(list(dict.fromkeys(table["corruption"])), shared_yaxes=True, horizontal_spacing=0.03)
    for place, (_kind, part) in zip(places, means.groupby("corruption", sort=False), strict=True):
        _add_lines(figure, part, "model", "strength", "score", place)
        figure.update_xaxes(title_text=part["unit"].iloc[0], title_font_size=11, **place)
    return figure.update_yaxes(title_text=score, col=1).update_layout(legend_title_text="model")


def learning_curves(table: pd.DataFrame, score: str = "validation score") -> go.Figure:
    """`compare.learning_curves`' table: a panel for each data set, a line for each model, with a band over seeds."""
    figure, places = _panels(list(dict.fromkeys(table["data"])), horizontal_spacing=0.06)
    for place, (_name, part) in zip(places, table.groupby("data", sort=False), strict=True):
        _add_lines(figure, part, "model", "epoch", "score", place)
    return figure.update_xaxes(title_text="epoch", title_font_size=11).update_yaxes(title_text=score, col=1)


def removal_curves(curves: pd.DataFrame, value: str = "probability of the explained class") -> go.Figure:
    """`attribution.removal_curves`' table: deletion beside insertion, a line for each order; bands over samples,
    each first averaged over its random orders."""
    from plotly.subplots import make_subplots

    means = curves.groupby(["curve", "order", "share", "id"], sort=False)["value"].mean().reset_index()
    titles = ["deletion: lower is better", "insertion: higher is better"]
    figure = make_subplots(1, 2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04)
    for column, (curve, verb) in enumerate((("deletion", "removed"), ("insertion", "added")), 1):
        place = {"row": 1, "col": column}
        _add_lines(figure, means[means["curve"] == curve], "order", "share", "value", place)
        figure.update_xaxes(title_text=f"share of tokens {verb}", **place)
    figure.update_yaxes(title_text=value, col=1)
    return figure.update_layout(height=400, legend_title_text="order", margin_t=40, template=THEME)


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

    bars = pd.DataFrame({"x": range(1, len(scores) + 1), "y": scores, "marked": False if marked is None else marked})
    layout: dict[str, Any] = {"title": title, "yaxis_title": axis, "height": 300, "bargap": 0.15, "margin_t": 50}
    layout["template"] = THEME
    layout["xaxis"] = {"title": "token", "range": [0.4, len(bars) + 0.6]}
    if tokens is not None:
        layout["xaxis"] |= {"tickvals": bars["x"].to_list(), "ticktext": list(tokens)}
    figure = go.Figure(layout={**layout, "showlegend": marked is not None})
    for kind, name, color in ((False, "other token", palette.SKY), (True, "known evidence", palette.VERMILLION)):
        own = bars[bars["marked"] == kind]
        if marked is not None or not kind:
            figure.add_bar(x=own["x"].to_list(), y=own["y"].round(3).to_list(), name=name, marker_color=color)
    return figure


def matrix(table: pd.DataFrame, title: str, color: str) -> go.Figure:
    """A heat map with numbers, for `probes.leakage_matrix` and `similarity.cka_matrix`. color: what the colour, from
    0 to 1, counts."""
    import plotly.graph_objects as go

    values = table.to_numpy().round(2)
    heat = go.Heatmap(
        x=[str(c) for c in table.columns], y=[str(r) for r in table.index], z=values, zmin=0.0, zmax=1.0,
        colorscale="Cividis", colorbar_title_text=color, texttemplate="%{z}", xgap=1, ygap=1,
    )  # fmt: skip
    layout = {"title": title, "yaxis_autorange": "reversed", "height": 160 + 30 * len(table), "margin_t": 60}
    layout["template"] = THEME
    return go.Figure(heat, layout=layout)


def interchange(table: pd.DataFrame) -> go.Figure:
    """`interchange.interchange`'s table as two heat maps of place by factor, the accuracy beside its control; a mean
    where the table has several seeds."""
    from plotly.subplots import make_subplots

    from clcrkit.analysis.interchange import interchange_matrix

    titles = {"accuracy": "source: another value", "control": "control: same value"}
    figure = make_subplots(1, 2, shared_yaxes=True, subplot_titles=list(titles.values()), horizontal_spacing=0.04)
    for place, column in enumerate(titles, 1):
        heat = matrix(interchange_matrix(table, column), "", "share of pairs with the swapped outcome").data[0]
        heat.update(showscale=place == 2, colorbar_title_side="right")  # above, it takes the panels' width
        figure.add_trace(heat, row=1, col=place)
    figure.update_annotations(font_size=12)
    figure.update_yaxes(autorange="reversed").update_xaxes(title_text="factor swapped")
    figure.update_yaxes(title_text="place swapped", row=1, col=1)
    rows = table["place"].nunique()
    return figure.update_layout(height=210 + 26 * rows, margin_t=70, template=THEME)


def _panels(titles: Sequence[str], **spacing: Any) -> tuple[go.Figure, list[dict[str, int]]]:
    """A figure of panels, at most three in a row, with the legend below; and the place of each."""
    from plotly.subplots import make_subplots

    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    figure = make_subplots(rows, columns, subplot_titles=titles, **spacing)
    figure.update_layout(template=THEME, legend={"orientation": "h", "y": -0.25 / rows})
    figure.update_layout(height=150 + 260 * rows, margin_t=40)
    return figure, [{"row": i // columns + 1, "col": i % columns + 1} for i in range(len(titles))]


def _add_lines(figure: go.Figure, table: pd.DataFrame, group: str, x: str, y: str, place: dict[str, int]) -> None:
    """A mean line for each group, with its interval as a band; no band where there is one value at each x. A group has
    one colour and one place in the legend in all panels."""
    known = list(dict.fromkeys(trace.legendgroup for trace in figure.data))
    for name, line in table.groupby(group, sort=False):
        new = str(name) not in known
        if new:
            known.append(str(name))
        number = known.index(str(name))
        color, dash = palette.LINES[number % len(palette.LINES)], DASHES[number % len(DASHES)]
        intervals = line.groupby(x)[y].apply(mean_interval)
        at = [float(v) for v in intervals.index]
        mean, low, high = (pd.Series(ends).astype(float).round(3).to_list() for ends in zip(*intervals, strict=True))
        style: dict[str, Any] = {"legendgroup": str(name), **place}
        if not pd.isna(low).any():
            red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
            area = {"fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.15)", "line_width": 0, "mode": "lines"}
            around = {"x": at + at[::-1], "y": high + low[::-1]}
            figure.add_scatter(**around, **area, **style, showlegend=False, hoverinfo="skip")
        style |= {"name": str(name), "showlegend": new}
        figure.add_scatter(x=at, y=mean, line={"color": color, "dash": dash}, mode="lines+markers", **style)


def data_report(report: Report) -> go.Figure:
    """The report of `datasets.check`: labels, lengths, spreads of the columns and the probe, a panel each."""
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
    for (name, values), dash in zip(report.spreads.items(), cycle(DASHES[:4])):
        line = {
            "x": np.linspace(0, 1, len(values)),
            "y": np.sort(values),
            "line": {"dash": dash, "color": palette.GREY},
        }
        figure.add_scatter(**line, name=name, mode="lines", row=2, col=1)
    figure.update_yaxes(title_text="share of the part" if classes else "lowest, mean, highest", row=1, col=1)
    figure.update_yaxes(title_text="tokens", row=1, col=2)
    figure.update_yaxes(title_text="standard deviation", type="log", row=2, col=1)
    figure.update_xaxes(title_text="share of the columns", row=2, col=1)
    figure.update_yaxes(title_text="accuracy" if classes else "correlation", row=2, col=2)
    return figure.update_layout(height=620, margin={"t": 40, "r": 20}, barmode="group", template=THEME)
