"""The playground: a page in which the reader makes a digit, and a trained CLCR answers at once. All [ours]."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from clcrkit.arguments import public
from clcrkit.datasets.digits import FLOOR_DB, HOP_MS, LETTERS, RATE, WORDS
from clcrkit.datasets.readers.sound import HIGHEST_HZ, LOWEST_HZ
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError
from clcrkit.files import write_text
from clcrkit.model import CLCR
from clcrkit.training import evaluate
from clcrkit.viz.explorer import html, live, svg
from clcrkit.viz.explorer.cards import find_cards
from clcrkit.viz.explorer.tokens import feature_ranges
from clcrkit.viz.explorer.widget import Explorer

LATEST = 40  # frames of silence that can come before the sound
_START = """const root = document.getElementById("explorer");
root.app = await openPlayground(root, JSON.parse(read("state")), read("arrays"), read("wasm"), read("onnx"));
"""


@public
def playground(model: CLCR, split: Split, path: str | os.PathLike[str]) -> Path:
    """Write a page in which the reader draws a digit, plays a clip and types a word, and the model runs at once.

    model: a CLCR trained on `split`, which is `datasets.digits(...)`; nothing of it leaves the page, which needs no
    network. Returns the path. Raises DataError for a split of other data, and where the page cannot be written or
    npm cannot fetch onnxruntime-web (once); whatever `export_onnx` raises.
    """
    _check(split)
    trace = model.trace(split.test)
    explorer = Explorer(trace, model, split, color="label", space="shared_code", modality="vision")
    accuracy = evaluate(model, split)["score"]
    cards, left_out = find_cards(model, trace, split)
    state = html.opening(explorer) | {
        "live": True,
        "_inputs": live.inputs(model, trace, range(len(trace))),
        "_playground": {
            "about": (
                f"A CLCR with {sum(p.numel() for p in model.parameters()):,} weights runs in "
                f"this page, offline. Accuracy on the {len(trace):,} samples of the test part: {accuracy:.3f}. "
                "Their voices and scans were never trained on."
            ),
            "letters": list(LETTERS),
            "words": {language: list(words) for language, words in WORDS.items()},
            "hopMs": HOP_MS,
            "latest": LATEST,
            "tones": _tones(split.test.tokens["acoustic"].shape[2]),
            "ranges": feature_ranges(trace),
            "cards": cards,
            "left_out": left_out,
        },
    }
    state["_table"]["audible"] = state["_table"]["pictured"] = []  # the workbench has both, as the reader changes them
    css = html.style() + (Path(html.__file__).parent / "playground.css").read_text(encoding="utf-8")
    network = live.model_for_page(model, split.label_names)
    page = html.document("The CLCR playground", css, svg.picture(explorer), state, _START, network)
    write_text(Path(path), page)
    return Path(path)


def _check(split: Split) -> None:
    batch = split.test
    widths = {m: x.shape[2] if x.is_floating_point() else "ids" for m, x in batch.tokens.items()}
    if widths != {"vision": 8, "acoustic": 24, "language": "ids"} or split.vocabulary.get("language") != LETTERS:
        raise DataError(f"split: its modalities are {widths}, but the playground is for those of datasets.digits()")


def _tones(bands: int) -> dict[str, Any]:
    """As `datasets.digits.sing` makes sound of bands."""
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    mel = np.linspace(lowest, highest, bands + 2)[1:-1]
    hertz = 700 * (10 ** (mel / 2595) - 1)
    return {"hertz": hertz.tolist(), "rate": RATE, "hop": RATE * HOP_MS // 1000, "floor": FLOOR_DB}
