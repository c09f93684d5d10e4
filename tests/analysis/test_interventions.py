"""Interventions, against loops, against passes changed by hand, and on models whose use of a place is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clcrkit import ConfigError, DataError
from clcrkit.analysis.interventions import PATHS, distance, effects, places_of, replacement, through, value_at
from clcrkit.analysis.stats import mean_interval

SOURCE = torch.tensor([3, 0, 5, 1, 2, 4])


@pytest.fixture
def trace(model, batch):
    return model.trace(batch)


def test_stars_stand_for_modalities_and_levels(trace):
    assert places_of(trace, "shared/*/deep") == ["shared/vision/deep", "shared/text/deep", "shared/sound/deep"]
    assert places_of(trace, "private") == ["private/vision", "private/text", "private/sound"]
    assert len(places_of(trace, "tokens/*/*")) == 9
    assert places_of(trace, "level_gate/*") == ["level_gate/shallow", "level_gate/mid", "level_gate/deep"]
    assert places_of(trace, "private_gate/*") == ["private_gate/vision", "private_gate/text", "private_gate/sound"]
    assert places_of(trace, "private_code") == ["private_code"]
    for wrong in ("smell", "shared/*/*/*", "private_code/*", "shared/text/high"):
        with pytest.raises(DataError, match="place"):
            places_of(trace, wrong)


@pytest.mark.parametrize("place", ["shared/text", "shared/text/mid", "allocation/vision", "level_gate", "private_code",
                                   "shared_summary/text/deep", "private_gate/text", "level_codes/mid"])  # fmt: skip
def test_replacements_are_what_they_are_called(trace, place):
    own, mask = value_at(trace, place), trace.batch.masks["vision" if "vision" in place else "text"]
    name = place.split("/")[0]
    assert torch.equal(replacement(trace, place, "interchange", SOURCE), own[SOURCE])
    assert not replacement(trace, place, "zero").any()
    mean, noise = replacement(trace, place, "mean"), replacement(trace, place, "noise", seed=3)
    assert mean.shape == noise.shape == own.shape
    assert torch.equal(noise, replacement(trace, place, "noise", seed=3))
    assert not torch.equal(noise, replacement(trace, place, "noise", seed=4))
    if name in ("shared", "allocation"):
        part, chosen = (own, mean) if place.count("/") == 2 else (own[:, 2], mean[:, 2])
        torch.testing.assert_close(chosen[0, 0], part[mask].mean(0))
    elif name == "shared_summary":
        torch.testing.assert_close(mean[0], own[mask.any(1)].mean(0))
    else:
        torch.testing.assert_close(mean[0], own.mean(0))
    if name not in ("shared", "shared_summary", "private_code", "level_codes"):
        assert 0 <= float(noise.min()) <= float(noise.max()) <= 1


def test_noise_has_the_mean_and_the_deviation_of_its_place(make_batch, make_model):
    batch = make_batch(400, missing=False)
    trace = make_model(batch).trace(batch)
    noise, own = replacement(trace, "private_summary/vision", "noise"), trace.private_summary["vision"]
    torch.testing.assert_close(noise.mean(0), own.mean(0), atol=0.15, rtol=0)
    torch.testing.assert_close(noise.std(0), own.std(0), atol=0.15, rtol=0)


def test_a_direction_and_tokens_leave_all_else_as_it_was(model, batch, trace):
    own, axis = trace.shared["vision"], torch.randn(4)
    value = replacement(trace, "shared/vision", "interchange", SOURCE, direction=axis)
    unit = axis / axis.norm()
    torch.testing.assert_close(value @ unit, own[SOURCE] @ unit)
    across = torch.linalg.qr(torch.cat([axis[:, None], torch.randn(4, 3)], 1))[0][:, 1:]
    torch.testing.assert_close(value @ across, own @ across)
    whole = replacement(trace, "shared/vision", "zero", direction=torch.randn(4, 4))
    torch.testing.assert_close(whole, torch.zeros_like(own), atol=1e-5, rtol=0)
    tokens = torch.zeros(6, 7, dtype=torch.bool)
    tokens[0, 2] = tokens[4, 0] = True
    for place in (
        "shared/vision",
        "shared/vision/mid",
        "allocation/vision",
        "attention/vision",
        "attention/vision/mid",
    ):
        value, before = replacement(trace, place, "zero", tokens=tokens), value_at(trace, place)
        axis_of_tokens = {"shared/vision": 2, "allocation/vision": 2, "shared/vision/mid": 1, "attention/vision": 3}
        at = axis_of_tokens.get(place, 2)
        assert not value.movedim(at, 1)[tokens].any()
        assert torch.equal(value.movedim(at, 1)[~tokens], before.movedim(at, 1)[~tokens])


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ConfigError, "kind: 'median', but it must be", {"kind": "median"}),
        (DataError, "source: a position for each of 6 samples", {"kind": "interchange"}),
        (DataError, "source: positions from 0 to 5", {"kind": "interchange", "source": SOURCE + 1}),
        (DataError, "'mean' has no meaning for weights", {"place": "attention/text", "kind": "mean"}),
        (DataError, r"direction: shape \(3,\) at 'shared/text'", {"kind": "zero", "direction": torch.ones(3)}),
        (DataError, "direction: shape", {"place": "level_gate", "kind": "zero", "direction": torch.ones(3)}),
        (DataError, r"tokens: shape \(6, 9\)", {"kind": "zero", "tokens": torch.ones(6, 9, dtype=torch.bool)}),
        (DataError, "tokens: shape", {"place": "level_gate", "kind": "zero", "tokens": torch.ones(6, 3) > 0}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(trace, error, message, arguments):
    with pytest.raises(error, match=message):
        replacement(trace, **{"place": "shared/text", **arguments})


def test_each_path_carries_its_part_and_nothing_else(model, batch, trace):
    patch = {"tokens/vision": replacement(trace, "tokens/vision", "interchange", SOURCE)}
    whole = model.trace(batch, patch=patch)
    private, own, exchange = (through(model, batch, patch, path) for path in PATHS)
    for other in ("text", "sound"):
        assert torch.equal(private.exchanged[other], trace.exchanged[other])
        assert torch.equal(own.exchanged[other], trace.exchanged[other])
        assert torch.equal(exchange.exchanged[other], whole.exchanged[other])
        assert not torch.equal(exchange.exchanged[other], trace.exchanged[other])
    assert torch.equal(private.exchanged["vision"], trace.exchanged["vision"])
    assert torch.equal(exchange.exchanged["vision"], trace.exchanged["vision"])
    assert torch.equal(own.exchanged["vision"], whole.exchanged["vision"])
    assert torch.equal(private.private["vision"], whole.private["vision"])
    assert torch.equal(own.private["vision"], trace.private["vision"])
    together = model.trace(
        batch,
        patch={
            place: value_at(whole, place)
            for place in ("private/vision", "allocation/vision", *places_of(whole, "exchanged"))
        },
    )
    torch.testing.assert_close(together.prediction, whole.prediction, atol=1e-6, rtol=0)


def test_a_private_patch_has_the_private_path_only(model, batch, trace):
    patch = {"private/text": replacement(trace, "private/text", "zero")}
    assert torch.equal(through(model, batch, patch, "private").prediction, model.trace(batch, patch=patch).prediction)
    for path in ("own", "exchange"):
        assert torch.equal(through(model, batch, patch, path).prediction, trace.prediction)
    for wrong in ({}, {"level_gate": trace.level_gate}, {f"tokens/{m}": trace.tokens[m] for m in ("text", "vision")}):
        with pytest.raises(DataError, match="tokens, shared or private of one modality is needed"):
            through(model, batch, wrong, "own")


def test_effects_are_distances_of_the_patched_passes(model, batch, trace):
    table = effects(model, batch, ["shared/*/deep", "private_code"], ("interchange", "zero"))
    assert list(table["place"]) == ["shared/*/deep"] * 2 + ["private_code"] * 2
    patch = {f"shared/{m}/deep": torch.zeros_like(trace.shared[m][:, 2]) for m in batch.modalities}
    probabilities = [model.trace(batch, patch=p).prediction.softmax(1).numpy() for p in ({}, patch)]
    each = np.abs(probabilities[0] - probabilities[1]).sum(1) / 2
    row = table.iloc[1]
    np.testing.assert_allclose(row[["effect", "low", "high"]].astype(float), mean_interval(each), rtol=1e-5)
    assert (table["samples"] == 6).all()
    paths = effects(model, batch, ["tokens/text"], ("zero",), ("whole", *PATHS)).set_index("path")["effect"]
    assert (paths > 0).all()
    with pytest.raises(ConfigError, match="an interchange needs 2 or more"):
        effects(model, batch.select([0]), ["private_code"])


def test_the_distance_of_other_tasks_is_the_mean_absolute_difference(make_batch, make_model):
    for task in ("regression", "multilabel"):
        trace = make_model(make_batch(task=task)).trace(make_batch(task=task))
        moved = replace(trace, prediction=trace.prediction + 0.5)
        gap = distance(trace, moved)
        if task == "regression":
            torch.testing.assert_close(gap, torch.full((6,), 0.5))
        else:
            torch.testing.assert_close(gap, (moved.prediction.sigmoid() - trace.prediction.sigmoid()).mean(1))
