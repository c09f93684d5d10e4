"""The explorer as one page: complete, safe, and asking nothing of the network."""

from __future__ import annotations

import html
import os
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError, Trace, viz
from clcrkit.datasets.split import Split
from clcrkit.viz.explorer import html as page_module
from tests.viz.explorer.conftest import page_array, page_state


def test_embedded_page_replaces_the_widget(trace: Trace, monkeypatch: Any) -> None:
    monkeypatch.setenv("CLCRKIT_EMBED_PAGES", "1")
    explorer = viz.Explorer(trace, views=("gates",))
    data, _ = explorer._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html", "image/svg+xml"}
    source = re.fullmatch(r'<iframe [^>]*srcdoc="([^"]*)"></iframe>', data["text/html"])
    assert source
    assert html.unescape(source[1]) == explorer.page()


def test_page_holds_the_models_answers_at_each_gamma(trace: Trace, model: CLCR, batch: Batch, tmp_path: Path) -> None:
    explorer = viz.Explorer(trace, model, views=("budget", "attention"), selection=[103])
    page = explorer.export(tmp_path / "deep" / "page.html", gammas=(0.2, 1.5)).read_text()
    state = page_state(page)
    assert state["selection"] == ["103"]
    assert state["_answer"]["gammas"] == [0.2, 1.0, 1.5]
    ids = np.array(state["_answer"]["ids"], dtype=int)
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
    kept = state["_block"]["ids"]
    assert kept[:2] == ["120", "110"]
    assert 2 < len(kept) < 30
    assert state["_attention"]["ids"] == ["120"]


@pytest.fixture(scope="module")
def long() -> tuple[Trace, CLCR]:
    """Two samples of 2,000 tokens in each of two modalities: their attention alone takes 768 MB."""
    torch.manual_seed(0)
    tokens = {m: torch.randn(2, 2000, 8) for m in ("a", "b")}
    batch = Batch.from_arrays(tokens, labels=[0, 1], task="classification")
    model = CLCR(CLCRConfig.of(batch, width=16, rank=4, private_rank=4, heads=4)).eval()
    return model.trace(batch), model


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_page_of_long_samples_stays_small_in_file_and_memory(long: tuple[Trace, CLCR], tmp_path: Path) -> None:
    explorer = viz.Explorer(*long)

    def memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, most, over = memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    page = explorer.page(gammas=(1.0,))
    over.set()
    watcher.join()
    assert most > before  # it did watch
    assert most - before < 2**30
    assert len(page) < 15e6
    assert page_state(page)["_answer"]["ids"] == ["0", "1"]


@pytest.mark.parametrize("max_mb", [1.0, 2.0, 8.0])
def test_a_page_takes_no_more_than_it_may(long: tuple[Trace, CLCR], tmp_path: Path, max_mb: float) -> None:
    trace, _ = long
    path = viz.Explorer(trace).export(tmp_path / "page.html", max_mb=max_mb)
    assert path.stat().st_size <= max_mb * 1e6
    page = path.read_text(encoding="utf-8")
    attention = page_state(page)["_attention"]
    pool = attention["pool"]
    assert pool > 1
    assert attention["of"]["a"]["weights"]["shape"] == [1, 3, 4, -(-2000 // pool), -(-2000 // pool)]
    # the mean over all keys is the same for every listener, pooled or not: attention sums to 1
    weights = page_array(page, attention["of"]["a"]["weights"]) / 255
    total = (weights * page_array(page, attention["of"]["a"]["top"])[..., None]).mean(-1)
    np.testing.assert_allclose(total * 2000, 1, atol=0.05)


def test_attention_is_averaged_only_where_it_has_to_be(trace: Trace, long: tuple[Trace, CLCR]) -> None:
    """Short samples are sent as they are, also beside a long one; the still picture says what it averaged."""
    state = page_state(viz.Explorer(trace).page())
    assert (state["_attention"]["pool"], len(state["_attention"]["ids"])) == (1, 30)
    masks = {
        m: mask & ((torch.arange(2000) < 50) | torch.tensor([[False], [True]]))
        for m, mask in long[0].batch.masks.items()
    }
    mixed = replace(long[0], batch=replace(long[0].batch, masks=masks))
    for picked, pool in ((0, 1), (1, 5)):
        page = viz.Explorer(mixed, views=("attention",), picked=picked).page()
        state = page_state(page)
        assert (state["_attention"]["ids"], state["_attention"]["pool"]) == ([str(picked)], pool)
        assert ("averaged over blocks of 7 × 7 tokens" in page) == (picked == 1)


@pytest.mark.parametrize("max_mb", [0.0, -1.0, float("nan"), float("inf")])
def test_wrong_sizes_are_refused(trace: Trace, max_mb: float) -> None:
    with pytest.raises(ConfigError, match="max_mb: "):
        viz.Explorer(trace).page(max_mb=max_mb)


def test_progress_is_shown_of_what_takes_long(trace: Trace, model: CLCR, capsys: Any, monkeypatch: Any) -> None:
    explorer = viz.Explorer(trace, model)
    monkeypatch.setitem(page_module._PATIENCE, "delay", 1000)
    explorer.page(gammas=(1.0,))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(page_module, "_PATIENCE", {"delay": 1e-9, "mininterval": 0})  # as if it took two seconds
    viz.Explorer(trace, model).page(gammas=(1.0,))
    said = capsys.readouterr().err
    assert "probes: 100%" in said
    assert "answers: 100%" in said


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
