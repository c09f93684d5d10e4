"""Depth: planted at one level of a trace, a factor is found there, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clcrkit.analysis.depth import by_level, depths
from clcrkit.analysis.probes import linear_probe


def test_a_planted_level_is_found_and_samples_without_the_modality_are_left_out(make_batch, make_model):
    batch = make_batch(120, modalities=2)
    trace = make_model(batch).trace(batch)
    factors = {"a": torch.arange(120) % 2, "b": torch.arange(120) // 2 % 2}
    planted = {m: torch.randn(120, 3, 4) for m in trace.modalities}
    planted["vision"][:, 0, 1] += 4 * factors["a"]
    planted["text"][:, 2, 0] += 4 * factors["a"]
    planted["text"][1::7, 2, 0] = 50.0  # of those the trace does not have
    masks = {**batch.masks, "text": batch.masks["text"].clone()}
    masks["text"][1::7] = False
    trace = replace(trace, shared_summary=planted, batch=replace(batch, masks=masks))
    table = by_level(trace, factors)
    assert len(table) == 2 * 3 * 2
    row = table[(table["modality"] == "text") & (table["level"] == 3) & (table["factor"] == "a")].iloc[0]
    here = masks["text"].any(1)
    expected = linear_probe(planted["text"][here, 2], factors["a"][here])
    assert tuple(row[["accuracy", "shuffled", "chance"]]) == pytest.approx(tuple(expected))
    found = depths(table).set_index(["modality", "factor"])
    assert found.loc[("vision", "a"), "best"] == 1
    assert found.loc[("text", "a"), "best"] == 3
    assert found.loc[("vision", "a"), "depth"] < 1.7
    assert found.loc[("text", "a"), "depth"] > 2.3


def test_depth_is_the_weighted_mean_level():
    import pandas as pd

    part = {"modality": "m", "factor": "f", "level": [1, 2, 3], "chance": 0.5}
    table = pd.DataFrame({**part, "accuracy": [0.6, 0.5, 0.8], "shuffled": [0.5, 0.6, 0.5]})
    assert depths(table)["depth"][0] == pytest.approx((0.1 * 1 + 0.3 * 3) / 0.4)
    assert np.isnan(depths(table.assign(shuffled=0.9))["depth"][0])
