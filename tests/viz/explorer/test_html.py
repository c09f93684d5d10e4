"""The explorer as one page: complete, safe, and asking nothing of the network."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clcrkit import CLCR, Batch, ConfigError, DataError, Trace, viz
from clcrkit.datasets.split import Split
from clcrkit.viz.explorer import html as page_module
from tests.viz.explorer.conftest import page_array, page_state


def test_embedded_page_replaces_widget_and_picture(trace: Trace, monkeypatch: Any) -> None:
    monkeypatch.setenv("CLCRKIT_EMBED_PAGES", "1")
    explorer = viz.Explorer(trace, views=("gates",))
    data, _ = explorer._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"}
    source = re.fullmatch(r'<iframe [^>]*srcdoc="([^"]*)"></iframe>', data["text/html"])
    assert source
    assert html.unescape(source[1]) == explorer.page()


def test_page_holds_the_models_answers_at_each_gamma(trace: Trace, model: CLCR, batch: Batch, tmp_path: Path) -> None:
    explorer = viz.Explorer(trace, model, views=("budget", "attention"), selection=[103])
    page = explorer.export(tmp_path / "deep" / "page.html", gammas=(0.2, 1.5)).read_text()
    state = page_state(page)
    assert state["selection"] == [103]
    assert state["_answer"]["gammas"] == [0.2, 1.0, 1.5]
    ids = page_array(page, state["_answer"]["ids"]).astype(int)
    assert sorted(ids) == batch.ids.tolist()
    answers = page_array(page, state["_answer"]["prediction"])
    for g, gamma in enumerate((0.2, 1.0, 1.5)):
        np.testing.assert_allclose(answers[:, g], model.trace(batch, gamma=gamma).prediction[ids - 100], atol=1e-5)
    lane = state["_block"]["lanes"]["vision"]
    np.testing.assert_allclose(page_array(page, lane["activation"]), trace.activation["vision"][ids - 100], atol=1e-4)


def test_page_says_how_much_it_keeps(trace: Trace, monkeypatch: Any) -> None:
    monkeypatch.setattr(page_module, "TOKEN_BYTES", 4000)
    monkeypatch.setattr(page_module, "ATTENTION_BYTES", 1)
    explorer = viz.Explorer(trace, views=("budget", "attention"), selection=[120, 110])
    page = explorer.page()
    state = page_state(page)
    kept = page_array(page, state["_block"]["ids"]).astype(int)
    assert list(kept[:2]) == [120, 110]
    assert 2 < len(kept) < 30
    assert list(page_array(page, state["_attention"]["ids"])) == [120]


def test_page_cannot_be_broken_out_of(trace: Trace, batch: Batch) -> None:
    hostile = '</script><script>alert("x")</script><!-- <b>'
    split = Split(
        batch, batch, batch, label_names=(hostile, hostile, hostile), attribute_names={"speaker": (hostile, "b")}
    )
    page = viz.Explorer(trace, split=split, views=("budget", "gates")).page()
    assert "<script>alert" not in page
    assert page.count("</script>") == 3
    assert page_state(page)["_table"]["outputs"] == [hostile] * 3


def test_page_asks_nothing_of_the_network(trace: Trace) -> None:
    page = viz.Explorer(trace, views=("gates",)).page()
    assert set(re.findall(r"https?://[^\s\"'<>]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "import(" not in page
    assert "fetch(" not in page


def test_wrong_gammas_and_paths_are_refused(trace: Trace, tmp_path: Path) -> None:
    explorer = viz.Explorer(trace, views=("gates",))
    with pytest.raises(ConfigError, match=r"gammas: -1"):
        explorer.page(gammas=(1.0, -1.0))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        explorer.export(tmp_path / "file" / "page.html")
