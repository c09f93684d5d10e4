"""The explorer as one HTML page: style, module, arrays and nothing that would have to be fetched."""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Mapping, Sequence
from itertools import accumulate, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clcrkit.errors import ConfigError
from clcrkit.viz.explorer import payload, spaces, svg

if TYPE_CHECKING:
    from clcrkit.viz.explorer.widget import Explorer

TOKEN_BYTES = 4_000_000  # room for token-level arrays, before compression
ATTENTION_BYTES = 4_000_000
SOUND_BYTES = 2_000_000  # about 40 s of speech at 22 kHz; the first sample's sound is kept whatever its size
_HEIGHTS = {"subspaces": 640, "gates": 560, "budget": 720, "attention": 470}  # pixels, at a notebook's width
_AT_ONCE = 64  # samples in one forward pass

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; media-src blob:">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; max-width: 1280px; padding: 10px; background: light-dark(#ffffff, #14171c); }}
{css}
</style>
</head>
<body>
<noscript>{still}</noscript>
<main id="explorer"></main>
<script type="application/json" id="state">{state}</script>
<script type="text/plain" id="arrays">{packed}</script>
<script type="module">
{module}
const read = (id) => document.getElementById(id).textContent;
openPage(document.getElementById("explorer"), JSON.parse(read("state")), read("arrays"));
</script>
</body>
</html>
"""


def page(explorer: Explorer, gammas: Sequence[float]) -> str:
    """See `Explorer.page`."""
    if any(not 0 <= g < float("inf") for g in gammas):
        raise ConfigError(f"gammas: {min(gammas)}, but finite numbers of at least 0 are needed")
    state: dict[str, Any] = {name: {} for name in payload.State.__annotations__}
    state |= {name: getattr(explorer, name) for name in ("views", *payload.SETTINGS)}
    state |= {"muted": [], "error": "", "live": False, "_table": explorer.payload.table()}
    if "subspaces" in explorer.views:
        state |= _spaces(explorer)
    if {"budget", "attention"} & set(explorer.views):
        state |= _tokens(explorer, gammas)
    packed, light = _gathered(state)
    here = Path(__file__).parent
    return _PAGE.format(
        title=html.escape(repr(explorer)),
        css=(here / "explorer.css").read_text(encoding="utf-8"),
        still=svg.picture(explorer),
        # inside a script element only "<" can end it or open a comment
        state=json.dumps(light, allow_nan=False).replace("<", "\\u003c"),
        packed=packed,
        module=(here / "explorer.js").read_text(encoding="utf-8"),
    )


def embedded(text: str, views: Sequence[str]) -> str:
    """A page inside a page, for notebooks that are written as HTML: in a frame, with its own style and scripts."""
    height = 90 + sum(_HEIGHTS[view] for view in set(views))
    if {"subspaces", "gates"} <= set(views):  # side by side
        height -= _HEIGHTS["gates"]
    return (
        '<iframe title="clcrkit explorer" sandbox="allow-scripts" loading="lazy" '
        f'style="width:100%;height:{height}px;border:0" srcdoc="{html.escape(text)}"></iframe>'
    )


def _spaces(explorer: Explorer) -> dict[str, Any]:
    """PCA and probes of every space; a UMAP that was looked at comes along."""
    source = explorer.payload
    for space in spaces.SPACES:
        source.add_points(space, "pca", explorer.level, explorer.modality)
    for space, level, modality in spaces.all_spaces(explorer.trace):
        source.add_probes(space, level, modality)
    return {"_points": source.points, "_probes": source.probes}


def _tokens(explorer: Explorer, gammas: Sequence[float]) -> dict[str, Any]:
    """Tokens, attention, sound and the model's answers, for as many samples as there is room for."""
    trace, source = explorer.trace, explorer.payload
    # the picked sample, the selection, then the rest, so that any first part is evenly spread
    spread = np.random.default_rng(0).permutation(len(trace)).tolist()
    order = list(dict.fromkeys([*(trace.row(i) for i in (explorer.picked, *explorer.selection)), *spread]))
    rows = order[: max(1, TOKEN_BYTES // _size(source.block(order[:1], fine=False)))]
    state: dict[str, Any] = {"_block": source.block(rows, fine=False)}
    if "budget" in explorer.views and source.table()["audible"]:
        state["_sound"] = _sound(explorer, rows)
    if "attention" in explorer.views:
        levels = range(len(explorer.levels))
        one = source.attention(order[:1], levels, trace.modalities)
        some = order[: max(1, ATTENTION_BYTES // max(1, _size(one)))][: len(rows)]
        state["_attention"] = source.attention(some, levels, trace.modalities)
    if explorer.model is not None:
        steps = sorted({float(g) for g in gammas} | {trace.gamma})
        passes = [
            explorer.model.trace(trace.batch.select(rows[i : i + _AT_ONCE]), gamma=g).to("cpu")
            for g in steps
            for i in range(0, len(rows), _AT_ONCE)
        ]
        state["_answer"] = payload.answer(passes, steps)
        state["gamma"] = min(steps, key=lambda g: abs(g - explorer.gamma))
    return state


def _sound(explorer: Explorer, rows: Sequence[int]) -> payload.Sound:
    """The sound of as many of these samples, in this order, as there is room for."""
    sizes = accumulate(_size(explorer.payload.sound([row])) for row in rows)
    count = sum(1 for _ in takewhile(lambda size: size <= SOUND_BYTES, sizes))
    return explorer.payload.sound(rows[: max(1, count)])


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, bytes) else 0


def _gathered(state: Mapping[str, Any]) -> tuple[str, Any]:
    """All array bytes in one compressed block, base64, and the state with each array's place in it."""
    pieces: list[bytes] = []
    at = 0

    def light(value: Any) -> Any:
        nonlocal at
        if isinstance(value, Mapping):
            entries = {key: light(inner) for key, inner in value.items() if key != "data"}
            if "data" in value:
                entries |= {"at": at, "bytes": len(value["data"])}
                pieces.append(value["data"])
                at += len(value["data"])
            return entries
        return [light(inner) for inner in value] if isinstance(value, (list, tuple, torch.Size)) else value

    entries = light(state)
    return base64.b64encode(zlib.compress(b"".join(pieces), 6)).decode(), entries
