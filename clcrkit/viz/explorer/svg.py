"""A still picture of the explorer, SVG without script: what stands in a stored notebook where no widget runs.

Coordinates are whole numbers, so that the same trace gives the same text.
"""

from __future__ import annotations

import html
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clcrkit.trace import Trace
from clcrkit.viz import palette
from clcrkit.viz.explorer import comparison
from clcrkit.viz.explorer.packing import pooled
from clcrkit.viz.explorer.reallocation import reallocated
from clcrkit.viz.explorer.samples import columns

if TYPE_CHECKING:
    from clcrkit.viz.explorer.widget import Explorer

_SHADES = palette.EXPLORER["light"]
_COLORS, _MODALITIES, _INK = _SHADES["categories"], _SHADES["modalities"], _SHADES["ink"]
_POINTS = 300  # drawn at most; a still picture needs no more to show the shape
_LINKED = 328  # tokens that links are drawn between at most: one for each pixel
_WIDTH, _HEIGHT = 340, 250


def picture(explorer: Explorer) -> str:
    """The explorer's views side by side, as they are now, in one <svg>."""
    draw = {"subspaces": _subspaces, "budget": _budget, "attention": _attention, "gates": _gates}
    drawings = [draw[view](explorer) for view in explorer.views]
    if explorer.compare is not None:
        drawings.append(_comparison(explorer, explorer.compare))
    panels = []
    for i, drawn in enumerate(drawings):
        x, y = (i % 2) * (_WIDTH + 20), (i // 2) * (_HEIGHT + 14)
        panels.append(f'<g transform="translate({x},{y})">{"".join(drawn)}</g>')
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


def _title(text: str) -> str:
    return _text(4, 16, text, font_weight="600")


def _fills(explorer: Explorer) -> list[str]:
    """A colour for each sample, as the explorer's groups have them; grey where there are no groups."""
    for column in columns(explorer.trace, explorer.split, explorer.compare):
        if column.name == explorer.color and column.kind == "category":
            return [_COLORS[int(v) % len(_COLORS)] if v >= 0 else palette.UNKNOWN for v in column.values]
    return [palette.GREY] * len(explorer.trace)


def _dots(explorer: Explorer, places: Any) -> list[str]:
    count, fills = len(explorer.trace), _fills(explorer)
    rows = np.linspace(0, count - 1, min(count, _POINTS)).astype(int)
    rows = np.append(rows, explorer.trace.row(explorer.picked))  # the picked sample last, on top
    marks = [f'<circle cx="{places[i][0]:.0f}" cy="{places[i][1]:.0f}" r="3" fill="{fills[i]}"/>' for i in rows]
    x, y = places[rows[-1]]
    return [*marks, f'<circle cx="{x:.0f}" cy="{y:.0f}" r="7" fill="none" stroke="{_INK}" stroke-width="2"/>']


def _subspaces(explorer: Explorer) -> list[str]:
    points = explorer.points()
    reach = float(np.abs(points).max()) or 1.0
    places = np.stack([170 + points[:, 0] / reach * 105, 138 - points[:, 1] / reach * 105], axis=1)
    is_code = explorer.space.endswith("_code")
    where = "" if is_code else f", {explorer.levels[explorer.level]}, {explorer.modality}"
    title = f"Subspaces: {explorer.space.replace('_', ' ')}{where} ({explorer.projection.upper()})"
    return [_title(title), *_dots(explorer, places)]


def _comparison(explorer: Explorer, other: Trace) -> list[str]:
    """What became of the predictions: how many samples each verdict has."""
    found = comparison.verdict(explorer.trace, other)
    drawn = [_title("Trace a against b")]
    lines = textwrap.wrap(comparison.sentence(explorer.trace, other), 56)
    drawn += [_text(4, 40 + 16 * i, line) for i, line in enumerate(lines)]
    counts, top = np.bincount(found.of, minlength=len(found.names)), 52 + 16 * len(lines)
    for i, (name, count) in enumerate(zip(found.names, counts, strict=True)):
        y, width, fill = top + 22 * i, 150 * count / max(counts), _COLORS[i % len(_COLORS)]
        drawn += [_text(136, y + 12, name, text_anchor="end"), _text(150 + width, y + 12, str(count))]
        drawn.append(f'<rect x="144" y="{y}" width="{width:.0f}" height="14" fill="{fill}"/>')
    return drawn


def _now(explorer: Explorer) -> Trace:
    """The picked sample at the explorer's gamma, by the budget alone: without the model, so that it is quick."""
    return reallocated(explorer.trace.select([explorer.trace.row(explorer.picked)]), explorer.gamma)


def _budget(explorer: Explorer) -> list[str]:
    now, name = _now(explorer), explorer.levels[explorer.level]
    drawn = [_title(f"Token budget: id {explorer.picked}, {name}, γ = {explorer.gamma:.2f}")]
    lane = 210 / len(now.modalities)
    top = max(1.0, *(float(a[0, explorer.level].max()) for a in now.activation.values()))  # of all axes
    for k, m in enumerate(now.modalities):
        mask = now.batch.masks[m][0]
        activation, share = (v[m][0, explorer.level][mask].numpy() for v in (now.activation, now.allocation))
        cutoff, base, high = float(now.cutoff[m][0, explorer.level]), 28 + (k + 1) * lane - 6, (lane - 24) / top
        funded = f"{int((share > 0).sum())} of {len(share)} tokens funded"
        drawn.append(_text(4, base - lane + 21, f"{m}: {funded}, λ = {cutoff:.2f}"))
        step = 330 / max(len(share), 1)
        for t, (height, got) in enumerate(zip(activation, share, strict=True)):
            x, w, low = 4 + t * step, max(step - 1, 0.5), max(min(float(height), cutoff), 0.0)
            across = f'<rect x="{x:.1f}" width="{w:.1f}" '
            drawn.append(f'{across}y="{base - low * high:.0f}" height="{low * high:.0f}" fill="{palette.PALE}"/>')
            if got > 0:
                drawn.append(
                    f'{across}y="{base - (cutoff + got) * high:.0f}" '
                    f'height="{got * high:.0f}" fill="{_MODALITIES[k % len(_MODALITIES)]}"/>'
                )
        if cutoff > 0:
            stroke = f'stroke="{_SHADES["warning"]}" stroke-dasharray="5 3" stroke-width="1.5"'
            drawn.append(f'<path d="M4 {base - cutoff * high:.0f}H334" {stroke}/>')
    return drawn


def _attention(explorer: Explorer) -> list[str]:
    now, m, level = _now(explorer), explorer.modality, explorer.level
    drawn = [_title(f"Exchange attention: {m} listens, id {explorer.picked}")]
    if m not in now.attention:
        return [*drawn, _text(4, 40, "no exchange in this model")]
    masks = {o: now.batch.masks[o][0] for o in now.others(m)}
    share = now.attention[m][0, level].mean(0) * now.allocation[m][0, level][:, None]
    whole = share[now.batch.masks[m][0]].split([len(mask) for mask in masks.values()], dim=1)
    pieces = [piece[:, mask] for piece, mask in zip(whole, masks.values(), strict=True)]
    pool = max(1, -(-max(len(pieces[0]), sum(piece.shape[1] for piece in pieces)) // _LINKED))
    every = torch.ones(1, dtype=torch.bool)
    pieces = [pooled(p[None], every.expand(len(p)), every.expand(p.shape[1]), pool)[0] for p in pieces if p.numel()]
    weights = torch.cat(pieces, dim=1).numpy() if pieces else np.zeros((0, 0))
    if not weights.size or weights.max() <= 0:
        return [*drawn, _text(4, 40, "no funded token")]
    if pool > 1:
        drawn.append(_text(4, 242, f"averaged over blocks of {pool} × {pool} tokens"))
    speaking = [o for o, mask in masks.items() if mask.any()]
    owner = np.repeat(speaking, [piece.shape[1] for piece in pieces])
    colors = {o: _MODALITIES[now.modalities.index(o) % len(_MODALITIES)] for o in masks}
    x0, x1 = (6 + (np.arange(count) + 0.5) * 328 / count for count in weights.shape)
    relative = (weights / weights.max()).round(6)
    # drawn in the order of the tokens: an order by weight would hang on a processor's last bits
    strongest = np.sort(np.argsort(-relative, axis=None, kind="stable")[:60])
    for t, j in zip(*np.unravel_index(strongest, weights.shape), strict=True):
        part, color = float(relative[t, j]), colors[owner[j]]
        drawn.append(
            f'<path d="M{x0[t]:.0f} 50C{x0[t]:.0f} 125 {x1[j]:.0f} 125 {x1[j]:.0f} 200" fill="none" stroke="{color}" '
            f'stroke-width="{0.5 + 2.5 * part:.1f}" stroke-opacity="{0.15 + 0.75 * part:.1f}"/>'
        )
    drawn.append(_text(4, 42, m))
    for o in dict.fromkeys(owner):
        drawn.append(_text(float(x1[owner == o].mean()), 220, o, text_anchor="middle").replace(_INK, colors[o]))
    return drawn


def _gates(explorer: Explorer) -> list[str]:
    gate, names = explorer.trace.level_gate.float().numpy(), explorer.levels
    if len(names) != 3:
        drawn = [_title("Level gates, mean")]
        for i, (name, value) in enumerate(zip(names, gate.mean(0), strict=True)):
            bar = f'y="{38 + 24 * i}" width="{value * 220:.0f}" height="14" fill="{palette.BLUE}"'
            drawn += [_text(80, 50 + 24 * i, name, text_anchor="end"), f'<rect x="88" {bar}/>']
        return drawn
    return [
        _title(f"Level gates, grouped by {explorer.color}"),
        f'<path d="M60 226H280L170 36Z" fill="none" stroke="{palette.AXIS}"/>',
        _text(60, 242, names[0], text_anchor="middle"),
        _text(280, 242, names[1], text_anchor="middle"),
        _text(188, 40, names[2]),
        *_dots(explorer, gate @ np.array([[60, 226], [280, 226], [170, 36]])),
    ]
