"""A still picture of the explorer, SVG without script: what stands in a stored notebook where no widget runs.

Coordinates are whole numbers, so that the same trace gives the same text.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from clcrkit.viz import palette
from clcrkit.viz.explorer.reallocation import reallocated
from clcrkit.viz.explorer.samples import columns

if TYPE_CHECKING:
    from clcrkit.viz.explorer.widget import Explorer

_SHADES = palette.EXPLORER["light"]
_COLORS, _MODALITIES, _INK = _SHADES["categories"], _SHADES["modalities"], _SHADES["ink"]
_POINTS = 300  # drawn at most; a still picture needs no more to show the shape
_WIDTH, _HEIGHT = 340, 250


def picture(explorer: Explorer) -> str:
    """The explorer's views side by side, as they are now, in one <svg>."""
    draw = {"subspaces": _subspaces, "budget": _budget, "attention": _attention, "gates": _gates}
    panels = []
    for i, view in enumerate(explorer.views):
        x, y = (i % 2) * (_WIDTH + 20), (i // 2) * (_HEIGHT + 14)
        panels.append(f'<g transform="translate({x},{y})">{"".join(draw[view](explorer))}</g>')
    columns, rows = min(2, len(panels)), (len(panels) + 1) // 2
    width, height = columns * (_WIDTH + 20), rows * (_HEIGHT + 14)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'role="img" aria-label="{html.escape(repr(explorer))}" font-family="system-ui, sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(panels)}</svg>'
    )


def _text(x: float | int, y: float | int, text: str, **attributes: str) -> str:
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{_INK}"{more}>{html.escape(text)}</text>'


def _rows(explorer: Explorer) -> Any:
    count = len(explorer.trace)
    rows = np.linspace(0, count - 1, min(count, _POINTS)).astype(int)
    return np.append(rows, explorer.trace.row(explorer.picked))  # the picked sample last, on top


def _fills(explorer: Explorer) -> list[str]:
    """A colour for each sample, as the explorer's groups have them; grey where there are no groups."""
    for column in columns(explorer.trace, explorer.split):
        if column.name == explorer.color and column.kind == "category":
            return [_COLORS[int(v) % len(_COLORS)] if v >= 0 else palette.UNKNOWN for v in column.values]
    return [palette.GREY] * len(explorer.trace)


def _dots(explorer: Explorer, places: Any) -> list[str]:
    rows, fills = _rows(explorer), _fills(explorer)
    marks = [f'<circle cx="{places[i][0]:.0f}" cy="{places[i][1]:.0f}" r="3" fill="{fills[i]}"/>' for i in rows]
    x, y = places[rows[-1]]
    return [*marks, f'<circle cx="{x:.0f}" cy="{y:.0f}" r="7" fill="none" stroke="{_INK}" stroke-width="2"/>']


def _subspaces(explorer: Explorer) -> list[str]:
    points = explorer.points()
    reach = float(np.abs(points).max()) or 1.0
    places = np.stack([170 + points[:, 0] / reach * 105, 138 - points[:, 1] / reach * 105], axis=1)
    where = ""
    if not explorer.space.endswith("_code"):
        where = f", {explorer.levels[explorer.level]}, {explorer.modality}"
    title = f"Subspaces: {explorer.space.replace('_', ' ')}{where} ({explorer.projection.upper()})"
    return [_text(4, 16, title, font_weight="600"), *_dots(explorer, places)]


def _budget(explorer: Explorer) -> list[str]:
    now = reallocated(explorer.trace.select([explorer.trace.row(explorer.picked)]), explorer.gamma)
    name = explorer.levels[explorer.level]
    drawn = [_text(4, 16, f"Token budget: id {explorer.picked}, {name}, γ = {explorer.gamma:.2f}", font_weight="600")]
    lane = 210 / len(now.modalities)
    top = max(1.0, *(float(a[0, explorer.level].max()) for a in now.activation.values()))  # of all axes
    for k, m in enumerate(now.modalities):
        mask = now.batch.masks[m][0]
        a, share = (v[m][0, explorer.level][mask].numpy() for v in (now.activation, now.allocation))
        cutoff, base, high = float(now.cutoff[m][0, explorer.level]), 28 + (k + 1) * lane - 6, (lane - 24) / top
        drawn.append(
            _text(4, base - lane + 21, f"{m}: {int((share > 0).sum())} of {len(a)} tokens funded, λ = {cutoff:.2f}")
        )
        step = 330 / max(len(a), 1)
        for t, (height, got) in enumerate(zip(a, share, strict=True)):
            x, w, low = 4 + t * step, max(step - 1, 0.5), max(min(float(height), cutoff), 0.0)
            across = f'<rect x="{x:.1f}" width="{w:.1f}" '
            drawn.append(f'{across}y="{base - low * high:.0f}" height="{low * high:.0f}" fill="{palette.PALE}"/>')
            if got > 0:
                drawn.append(
                    f'{across}y="{base - (cutoff + got) * high:.0f}" '
                    f'height="{got * high:.0f}" fill="{_MODALITIES[k % len(_MODALITIES)]}"/>'
                )
        if cutoff > 0:
            y = base - cutoff * high
            dashes = 'stroke-dasharray="5 3" stroke-width="1.5"'
            drawn.append(f'<path d="M4 {y:.0f}H334" stroke="{_SHADES["warning"]}" {dashes}/>')
    return drawn


def _attention(explorer: Explorer) -> list[str]:
    now = reallocated(explorer.trace.select([explorer.trace.row(explorer.picked)]), explorer.gamma)
    m, level = explorer.modality, explorer.level
    drawn = [_text(4, 16, f"Exchange attention: {m} listens, id {explorer.picked}", font_weight="600")]
    others = now.others(m)
    if m not in now.attention:
        return [*drawn, _text(4, 40, "no exchange in this model")]
    mask = now.batch.masks[m][0]
    heard = np.concatenate([now.batch.masks[o][0].numpy() for o in others])
    weights = (now.attention[m][0, level].mean(0) * now.allocation[m][0, level][:, None]).numpy()[mask.numpy()][
        :, heard
    ]
    owner = np.concatenate([[k] * int(now.batch.masks[o][0].sum()) for k, o in enumerate(others)])
    if not weights.size or weights.max() <= 0:
        return [*drawn, _text(4, 40, "no funded token")]
    x0 = 6 + (np.arange(weights.shape[0]) + 0.5) * 328 / weights.shape[0]
    x1 = 6 + (np.arange(weights.shape[1]) + 0.5) * 328 / weights.shape[1]
    strongest = np.argsort(-weights, axis=None, kind="stable")[:60][::-1]
    for t, j in zip(*np.unravel_index(strongest, weights.shape), strict=True):
        part = float(weights[t, j] / weights.max())
        color = _MODALITIES[now.modalities.index(others[int(owner[j])]) % len(_MODALITIES)]
        drawn.append(
            f'<path d="M{x0[t]:.0f} 50C{x0[t]:.0f} 125 {x1[j]:.0f} 125 {x1[j]:.0f} 200" fill="none" stroke="{color}" '
            f'stroke-width="{0.5 + 2.5 * part:.1f}" stroke-opacity="{0.15 + 0.75 * part:.1f}"/>'
        )
    drawn.append(_text(4, 42, m))
    for k, o in enumerate(others):
        if (owner == k).any():
            color = _MODALITIES[now.modalities.index(o) % len(_MODALITIES)]
            drawn.append(_text(float(x1[owner == k].mean()), 220, o, text_anchor="middle").replace(_INK, color))
    return drawn


def _gates(explorer: Explorer) -> list[str]:
    trace, names = explorer.trace, explorer.levels
    drawn = [
        _text(
            4,
            16,
            "Level gates" + (f", grouped by {explorer.color}" if len(names) == 3 else ", mean"),
            font_weight="600",
        )
    ]
    gate = trace.level_gate.float().numpy()
    if len(names) != 3:
        for i, (name, value) in enumerate(zip(names, gate.mean(0), strict=True)):
            drawn.append(_text(80, 50 + 24 * i, name, text_anchor="end"))
            drawn.append(
                f'<rect x="88" y="{38 + 24 * i}" width="{value * 220:.0f}" height="14" fill="{palette.BLUE}"/>'
            )
        return drawn
    corners = np.array([[60, 226], [280, 226], [170, 36]])
    drawn.append(f'<path d="M60 226H280L170 36Z" fill="none" stroke="{palette.AXIS}"/>')
    drawn += [_text(60, 242, names[0], text_anchor="middle"), _text(280, 242, names[1], text_anchor="middle")]
    return [*drawn, _text(188, 40, names[2]), *_dots(explorer, gate @ corners)]
