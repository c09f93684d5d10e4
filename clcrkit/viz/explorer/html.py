"""The explorer as one HTML page: style, module, arrays and nothing that would have to be fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, product, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from clcrkit.errors import ConfigError
from clcrkit.viz.explorer import messages, payload, spaces, svg
from clcrkit.viz.explorer.live import Network, inputs, model_for_page
from clcrkit.viz.explorer.reallocation import rerun

if TYPE_CHECKING:
    from clcrkit.viz.explorer.widget import Explorer

MAX_MB = 6.0  # of a page. Of so large a one, the room in bytes before compression:
TOKEN_BYTES = 2_500_000
ATTENTION_BYTES = 2_000_000
# room for these is made only where there are some; the first sample's are kept whatever their size
SOUND_BYTES = 2_000_000  # about 40 s of speech at 22 kHz
PICTURE_BYTES = 1_000_000
# pixels, at a notebook's width
_HEIGHTS = {"subspaces": 640, "gates": 560, "budget": 720, "attention": 470, "comparison": 540}
_AT_ONCE = 64  # samples in one forward pass at most,
_TOKENS_AT_ONCE = 20_000  # and tokens of all modalities, padding too, unless one sample alone has more
_PATIENCE: Any = {"delay": 2, "leave": False}  # a bar is shown of what takes more than two seconds

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src blob:">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; max-width: 1280px; padding: 10px; background: light-dark(#ffffff, #14171c); }}
{css}
</style>
</head>
<body>
<noscript>{still}</noscript>
<main><h1 class="clcr-hidden">{title}</h1><div id="explorer"></div></main>
<script type="application/json" id="state">{state}</script>
<script type="text/plain" id="arrays">{packed}</script>
{scripts}
</body>
</html>
"""
_READ = """
const read = (id) => document.getElementById(id).textContent;
"""
_START = """await openPage(document.getElementById("explorer"), JSON.parse(read("state")), read("arrays"));
"""
_START_LIVE = """const root = document.getElementById("explorer");
root.app = await openLivePage(root, JSON.parse(read("state")), read("arrays"), read("wasm"), read("onnx"));
"""
_TELL = """
// a page around this one makes the frame as high as what is in it; one that listened too late asks
const tell = () => parent.postMessage({ clcrkitHeight: Math.ceil(document.body.getBoundingClientRect().height) }, "*");
if (parent !== window) {
  new ResizeObserver(tell).observe(document.body);
  addEventListener("message", tell);
}
"""


def script(start: str = _START) -> str:
    """The explorer, and what opens it in a page."""
    return (Path(__file__).parent / "explorer.js").read_text(encoding="utf-8") + _READ + start + _TELL


def allowed_script(text: str = "") -> str:
    """What a page's content security policy says of a script (default: the explorer's): no other one runs, whatever
    a label or an output holds."""
    return f"'sha256-{base64.b64encode(hashlib.sha256((text or script()).encode()).digest()).decode()}'"


def document(title: str, css: str, still: str, state: Mapping[str, Any], start: str, network: Network | None) -> str:
    """The page, whose script ends with `start`. network: the model that runs in it, and what runs it."""
    packed, light = _gathered(state)
    scripts, texts, allowed = [script(start)], {}, ""
    if network is not None:
        (library, wasm), onnx = network
        scripts, texts, allowed = [library, *scripts], {"wasm": wasm, "onnx": onnx}, " 'wasm-unsafe-eval'"
    tags = [f'<script type="text/plain" id="{name}">{text}</script>' for name, text in texts.items()]
    tags += [f'<script type="module">{text}</script>' for text in scripts]
    return _PAGE.format(
        allowed=" ".join(map(allowed_script, scripts)) + allowed,
        title=html.escape(title),
        css=css,
        still=still,
        # inside a script element only "<" can end it or open a comment
        state=json.dumps(light, allow_nan=False).replace("<", "\\u003c"),
        packed=packed,
        scripts="\n".join(tags),
    )


def page(explorer: Explorer, gammas: Sequence[float], max_mb: float, live: bool) -> str:
    """See `Explorer.page`."""
    if not 0 < max_mb < float("inf"):
        raise ConfigError(f"max_mb: {max_mb}, but a finite number above 0 is needed")
    if any(not 0 <= g < float("inf") for g in gammas):
        raise ConfigError(f"gammas: {min(gammas)}, but finite numbers of at least 0 are needed")
    css, still = style(), svg.picture(explorer)
    network = model_for_page(explorer.model, explorer.trace.batch.label_names) if live else None
    state = opening(explorer) | ({"live": True, "muted": explorer.muted} if live else {})
    if {"budget", "attention"} & set(explorer.views):
        # what is there already is needed in any case; of the arrays, three bytes become four letters
        free = 0.75 * (max_mb * 1e6 - _size([still, css, script(), network])) - _size(
            [state["_table"], state["_points"]]
        )
        heard, seen = (bool(state["_table"][name]) for name in ("audible", "pictured"))
        full = TOKEN_BYTES + ATTENTION_BYTES + SOUND_BYTES * heard + PICTURE_BYTES * seen
        state |= _tokens(explorer, [] if live else gammas, min(max_mb / MAX_MB, max(free, 0) / full), live)
    elif live:
        state["_inputs"] = inputs(explorer.model, explorer.trace, range(len(explorer.trace)))  # type: ignore[arg-type]
    return document(repr(explorer), css, still, state, _START_LIVE if live else _START, network)


def style() -> str:
    return (Path(__file__).parent / "explorer.css").read_text(encoding="utf-8")


def opening(explorer: Explorer) -> dict[str, Any]:
    """What a page knows of all samples, and the explorer's present settings."""
    state: dict[str, Any] = {name: {} for name in messages.State.__annotations__}
    state |= explorer.get_state(["views", *messages.SETTINGS])
    state |= {"muted": [], "error": "", "live": False, "_table": explorer.payload.table()}
    state["_compared"] = explorer.payload.comparison()
    return state | (_spaces(explorer) if "subspaces" in explorer.views else {})


def embedded(text: str, views: Sequence[str]) -> str:
    """A page inside a page, for notebooks that are written as HTML: in a frame, with its own style and scripts."""
    height = 130 + sum(_HEIGHTS[view] for view in set(views))
    if {"subspaces", "gates"} <= set(views):  # side by side
        height -= _HEIGHTS["gates"]
    return (
        '<iframe title="clcrkit explorer" sandbox="allow-scripts allow-downloads" '
        f'style="width:100%;height:{height}px;border:0" srcdoc="{html.escape(text)}"></iframe>'
    )


def _spaces(explorer: Explorer) -> dict[str, Any]:
    """PCA and probes of every space; a UMAP that was looked at comes along."""
    source = explorer.payload
    for space in spaces.named_spaces(explorer.trace):
        source.add_points(space, "pca", explorer.level, explorer.modality)
    for space, level, modality in tqdm(list(spaces.all_spaces(explorer.trace)), desc="probes", **_PATIENCE):
        source.add_probes(space, level, modality)
    return {"_points": source.points, "_probes": source.probes}


def _tokens(explorer: Explorer, gammas: Sequence[float], part: float, live: bool) -> dict[str, Any]:
    """All that is kept of single samples, answers included, for as many as there is room for: a part of all."""
    trace, source = explorer.trace, explorer.payload
    # the picked sample, the selection, then the rest, so that any first part is evenly spread
    spread = np.random.default_rng(0).permutation(len(trace)).tolist()
    order = list(dict.fromkeys([*(trace.row(i) for i in (explorer.picked, *explorer.selection)), *spread]))
    one = _size(source.block(order[:1], fine=False))
    if live:
        one += sum(x[0].numel() * 4 for x in trace.batch.tokens.values())
    rows = order[: max(1, int(part * TOKEN_BYTES / one))]
    state: dict[str, Any] = {"_block": source.block(rows, fine=False)}
    if "budget" in explorer.views and source.table()["audible"]:
        state["_sound"] = _as_many_as_fit(explorer.payload.sound, rows, part * SOUND_BYTES)
    if "budget" in explorer.views and source.table()["pictured"]:
        state["_picture"] = _as_many_as_fit(explorer.payload.picture, rows, part * PICTURE_BYTES)
    if "attention" in explorer.views:
        spare = max(0.0, part * TOKEN_BYTES - one * len(rows))
        state["_attention"] = _attention(explorer, rows, part * ATTENTION_BYTES + spare)
    if live:
        state["_inputs"] = inputs(explorer.model, trace, rows)  # type: ignore[arg-type]
    elif explorer.model is not None:
        steps = sorted({float(g) for g in gammas} | {trace.gamma})
        tokens = sum(mask.shape[1] for mask in trace.batch.masks.values())
        at_once = min(_AT_ONCE, max(1, _TOKENS_AT_ONCE // max(1, tokens)))
        passes = list(product(steps, range(0, len(rows), at_once)))
        answers = (
            rerun(trace, rows[i : i + at_once], explorer.model, g) for g, i in tqdm(passes, desc="answers", **_PATIENCE)
        )
        state["_answer"] = payload.answer(answers, steps)
        state["gamma"] = min(steps, key=lambda g: abs(g - explorer.gamma))
    return state


def _attention(explorer: Explorer, rows: Sequence[int], room: float) -> messages.Attention:
    """Who attends to whom in as many of these samples, in this order, as there is room for; where there is none for
    the first one, its weights are averaged over blocks of tokens."""
    trace, source, levels = explorer.trace, explorer.payload, range(len(explorer.levels))

    def size(count: int, pool: int) -> int:
        blocks = {m: -(-source.length(m, rows[:count]) // pool) for m in trace.modalities}
        pairs = sum(blocks[m] * (4 + sum(blocks[o] for o in trace.others(m))) for m in trace.attention)
        return count * len(levels) * source.heads * pairs

    count = max(1, bisect_right(range(1, len(rows) + 1), room, key=lambda n: size(n, 1)))
    longest = max(source.length(m, rows[:1]) for m in trace.modalities)
    pool = next(k for k in range(1, longest + 1) if size(count, k) <= room or k == longest)
    return source.attention(rows[:count], levels, trace.modalities, pool)


def _as_many_as_fit(make: Callable[[Sequence[int]], Any], rows: Sequence[int], room: float) -> Any:
    """The sound or pictures of as many of these samples, in this order, as there is room for; of the first always."""
    sizes = accumulate(_size(make([row])) for row in rows)
    count = sum(1 for _ in takewhile(lambda size: size <= room, sizes))
    return make(rows[: max(1, count)])


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, bytes | str) else 0


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
