"""What the explorer draws below tokens is what they show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clcrkit import CLCR, DataError, Trace, viz
from clcrkit.datasets import digits
from clcrkit.datasets.split import Split
from clcrkit.viz.explorer import html as page_module
from clcrkit.viz.explorer.pictures import thumbnails
from tests.viz.explorer.conftest import page_array, page_state, sent, tone, unpacked


def look(trace: Trace) -> Any:
    """Pictures of their own for each token: 2 high, 3 wide."""

    def picture(sample: int) -> np.ndarray:
        count = int(trace.batch.masks["vision"][trace.row(sample)].sum())
        return np.random.default_rng(sample).integers(0, 256, (count, 2, 3, 3)).astype(np.uint8)

    return picture


def test_the_picked_samples_tokens_have_their_pictures(trace: Trace, split: Split) -> None:
    show = look(trace)
    explorer = viz.Explorer(trace, split=replace(split, picture={"vision": show}), picked=104)
    assert sent(explorer, "_table")["pictured"] == ["vision"]
    for sample in (104, 120):
        explorer.picked = sample
        assert sent(explorer, "_picture")["ids"] == [str(sample)]
        np.testing.assert_array_equal(unpacked(sent(explorer, "_picture")["of"]["vision"][0]), show(sample))
    assert sent(viz.gates(trace, split), "_picture") == {}


def test_broken_pictures_keep_nothing_else_away(trace: Trace, model: CLCR, split: Split) -> None:
    def few(sample: int) -> np.ndarray:
        return look(trace)(sample)[: 1 if sample == 105 else None]

    explorer = viz.Explorer(trace, model, replace(split, picture={"vision": few}, sound={"sound": tone}), picked=104)
    explorer.picked = 105
    assert explorer.error.startswith("DataError: picture of vision, id 105: 1 images, but one for each of its ")
    for part in ("_block", "_attention", "_answer", "_sound"):
        assert sent(explorer, part)["ids"] == ["105"]
    explorer.picked = 106
    assert explorer.error == ""


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 5)), r"shape \(2, 5\)"),
        (np.zeros((2, 5, 5, 2)), r"shape \(2, 5, 5, 2\)"),
        (np.zeros((2, 0, 5)), r"shape \(2, 0, 5\)"),
        (np.zeros((3, 5, 5)), "3 images, but one for each of its 2"),
        (np.zeros((2, 5, 5), dtype=np.int64), "images of int64"),
        (np.full((2, 5, 5), 1.5), "values from 1.5 to 1.5"),
        (np.full((2, 5, 5), np.nan), "values from nan to nan"),
    ],
)
def test_what_is_no_picture_is_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        thumbnails(images, 2)


def test_large_images_are_averaged_and_small_ones_are_not_touched() -> None:
    wide = np.repeat(np.linspace(0, 1, 4), 24)[None, None].repeat(2, 1)  # (1, 2, 96): steps of grey
    small = thumbnails(wide, 1)
    assert small.shape == (1, 1, 48, 1)
    np.testing.assert_array_equal(small[0, 0, :, 0], np.repeat([0, 85, 170, 255], 12))
    one = np.random.default_rng(0).integers(0, 256, (4, 48, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(thumbnails(one, 4), one)


def test_a_page_keeps_as_many_pictures_as_fit(trace: Trace, split: Split, monkeypatch: Any) -> None:
    show = look(trace)
    explorer = viz.Explorer(
        trace, split=replace(split, picture={"vision": show}), views=("budget",), selection=[120, 110]
    )
    assert len(page_state(explorer.page())["_picture"]["ids"]) == len(trace)
    monkeypatch.setattr(page_module, "PICTURE_BYTES", 400)
    text = explorer.page()
    state = page_state(text)
    ids = [int(i) for i in state["_picture"]["ids"]]
    assert ids[:2] == [120, 110]
    assert len(ids) < len(trace)
    sizes = [0 if kept is None else int(np.prod(kept["shape"])) for kept in state["_picture"]["of"]["vision"]]
    assert sum(sizes) <= 400 or len(ids) == 1
    for sample, kept in zip(ids, state["_picture"]["of"]["vision"], strict=True):
        if kept is not None:
            np.testing.assert_array_equal(page_array(text, kept), show(sample))


def test_the_digits_show_the_scan_the_model_reads() -> None:
    split = digits(size=200)
    sample = int(split.test.ids[7])
    images = split.picture["vision"](sample)
    scan = split.test.tokens["vision"][7].numpy()
    np.testing.assert_allclose(images[np.arange(8), np.arange(8)], scan, atol=1e-6)
    np.testing.assert_allclose(images[2, 5], 0.35 * scan[5], atol=1e-6)
    with pytest.raises(DataError, match="sample: no id -1 in the digits"):
        split.picture["vision"](-1)
