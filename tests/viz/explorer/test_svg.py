"""The still picture."""

from __future__ import annotations

from typing import Any

from clcrkit import Trace, viz
from clcrkit.datasets.split import Split


def test_still_picture_is_the_same_every_time_and_holds_no_script(trace: Trace, split: Split, monkeypatch: Any) -> None:
    monkeypatch.delenv("CLCRKIT_EMBED_PAGES", raising=False)
    data, _ = viz.Explorer(trace, split=split)._repr_mimebundle_()
    again, _ = viz.Explorer(trace, split=split)._repr_mimebundle_()
    assert data["image/svg+xml"] == again["image/svg+xml"]
    assert data["text/plain"] == again["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "script" not in data["image/svg+xml"]
    assert len(data["image/svg+xml"]) < 60_000
