"""Where samples are drawn, and what probes read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clcrkit import CLCR, Batch, DataError, Trace, viz
from clcrkit.viz.explorer import spaces
from tests.viz.explorer.conftest import sent, unpacked


def test_points_are_one_fit_per_level_turned_but_not_stretched(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    explorer.space, explorer.level, explorer.modality = "shared", 1, "sound"
    values = trace.shared_summary["sound"][:, 1].numpy()
    everyone = np.concatenate([trace.shared_summary[m][:, 1].numpy() for m in trace.modalities])
    centre = everyone.mean(0)
    directions = np.linalg.svd(everyone - centre)[2][:2]
    wanted = (values - centre) @ directions.T
    np.testing.assert_allclose(
        np.linalg.norm(explorer.points()[:, None] - explorer.points()[None], axis=-1),
        np.linalg.norm(wanted[:, None] - wanted[None], axis=-1),
        atol=1e-4,
    )
    points = sent(explorer, "_points")["pca/shared"]["shared/1/sound"]
    np.testing.assert_allclose(
        unpacked(points)[0] - points["reach"], explorer.points(), atol=2 * points["reach"] / 65535
    )


def test_traits_choose_the_space(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    seen = [explorer.points()]
    for change in ({"level": 0}, {"modality": "text"}, {"space": "private"}, {"space": "private_code"}):
        for name, value in change.items():
            setattr(explorer, name, value)
        assert all(not np.allclose(explorer.points(), other) for other in seen)
        seen.append(explorer.points())
        assert f"pca/{explorer.space}" in sent(explorer, "_points")


def test_epochs_are_seen_through_the_last_ones_eyes(
    trace: Trace, make_model: Callable[..., CLCR], batch: Batch
) -> None:
    earlier = make_model(batch, seed=5).trace(batch)
    explorer = viz.Explorer(trace, epochs=[earlier, trace])
    assert explorer.epoch == 2
    last = explorer.points()
    np.testing.assert_array_equal(last, viz.Explorer(trace).points())
    explorer.epoch = 1
    np.testing.assert_allclose(explorer.points(), last, atol=1e-6)
    explorer.epoch = 0
    assert not np.allclose(explorer.points(), last)
    with pytest.raises(DataError, match="epochs: trace 0 holds other samples"):
        viz.Explorer(trace, epochs=[trace.select(slice(0, 5))])


def test_probe_rows_have_their_control(trace: Trace) -> None:
    rows = viz.Explorer(trace).probes("shared_code")
    assert [row["target"] for row in rows] == ["label", "speaker"]
    assert all(0 <= row[key] <= 1 for row in rows for key in ("accuracy", "shuffled", "chance"))


def test_umap_is_made_for_the_space_looked_at_only(trace: Trace, monkeypatch: Any) -> None:
    fitted = []

    def fake(values: Any, seed: int) -> Any:  # UMAP itself is tested with the projections; here, when it is asked
        fitted.append(len(values))
        return lambda rows: np.asarray(rows[:, :2], dtype=np.float32)

    monkeypatch.setattr(spaces.projections, "_umap", fake)
    explorer = viz.Explorer(trace, projection="umap", level=1, modality="text")
    assert set(sent(explorer, "_points")["umap/shared"]) == {f"shared/1/{m}" for m in trace.modalities}
    assert fitted == [90]
    explorer.modality = "sound"
    assert fitted == [90]
    explorer.level = 0
    assert len(fitted) == 2
    assert len(sent(explorer, "_points")["umap/shared"]) == 6
    values = trace.shared_summary["sound"][:, 0, :2].numpy()
    np.testing.assert_allclose(
        np.linalg.norm(explorer.points() - explorer.points()[0], axis=1),
        np.linalg.norm(values - values[0], axis=1),
        atol=1e-5,
    )
