"""Measures of what trained models use: known outcomes, places that exist, runs that go on, and the stored tables."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from clcrkit import DataError
from clcrkit.analysis.interventions import places_of, value_at
from clcrkit.experiments import causes
from clcrkit.experiments.plans import SETUPS
from clcrkit.experiments.trials import Trial
from clcrkit.training import TrainConfig

RESULTS = Path(__file__).parents[2] / "data" / "results"
SETTINGS = {"width": 8, "rank": 4, "private_rank": 4, "heads": 2}


def small(trial: Trial, samples: tuple[int, ...] = (24, 12, 40)) -> Trial:
    about = {**trial.setup.data_settings, "samples": list(samples)}
    setup = replace(trial.setup, data_settings=about, settings=SETTINGS, training=TrainConfig(epochs=1))
    return replace(trial, setup=setup)


KNOWN = [small(trial) for trial in causes.PLANS["interchange"]((0,))]


@pytest.mark.parametrize("trial", KNOWN, ids=lambda t: f"{t.setup.name} {t.model}")
def test_outcomes_are_the_labels_and_places_are_there(trial: Trial):
    test = trial.setup.split(0).test
    assert test.labels is not None
    known = causes.questions(trial.setup.name, test)
    for name, factors, outcome in known:
        if name == "label":
            assert torch.equal(outcome(factors), test.labels)
        for factor in factors:  # every factor can change the outcome
            order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
            assert not torch.equal(outcome({**factors, factor: factors[factor][order]}), outcome(factors))
    assert known[0][0] == "label"
    model = trial.build(trial.setup.split(0))
    trace = model.trace(test)
    found = [place for pattern in causes.places(model) for place in places_of(trace, pattern)]
    same = model.trace(test, patch={place: value_at(trace, place) for place in found})
    torch.testing.assert_close(same.prediction, trace.prediction)


def test_a_measured_trial_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = [trial for trial in KNOWN if trial.setup.name == "asynchrony redundant" and trial.model != "MISA"]
    monkeypatch.setattr(causes, "PLANS", dict.fromkeys(("interchange", "levels", "alignment"), lambda seeds: plan))
    monkeypatch.setattr(causes, "TOKEN_SAMPLES", 3)
    table = causes.run("interchange", (0,), tmp_path, 1)
    assert list(table)[:6] == ["data", "model", "seed", "score", "place", "factor"]
    assert set(table["model"]) == {"CLCR", "late fusion"}
    assert set(table["factor"]) == {"shallow", "mid", "deep"}

    def refuse(self: Trial) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(Trial, "train", refuse)
    pd.testing.assert_frame_equal(causes.run("interchange", (0,), tmp_path, 1), table)
    monkeypatch.setattr(causes, "PLANS", {"payoff": lambda seeds: plan[:1]})
    paid = causes.run("payoff", (0,), tmp_path, 1)
    assert set(paid["tokens"]) == {"all", "funded"}
    next(tmp_path.glob("*.json")).write_text("{")
    next(iter(reversed(list(tmp_path.glob("*.json"))))).write_text("{")
    with pytest.raises(DataError, match=r"damaged .*; delete it to run the trial again"):
        causes.run("payoff", (0,), tmp_path, 1)


def test_a_regression_is_cut_into_thirds_of_its_labels():
    labels = torch.arange(9.0)[:, None]
    assert causes._classes(labels, labels).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert causes._classes(torch.tensor([[-5.0], [100.0]]), labels).tolist() == [0, 2]
    assert causes._classes(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([0, 1])).tolist() == [1, 0]


@pytest.mark.parametrize("name", causes.PLANS)
def test_stored_tables_are_complete_and_of_these_settings(name: str):
    table = pd.read_csv(RESULTS / f"{name}.csv")
    about = json.loads((RESULTS / f"{name}.json").read_text())
    assert len(about["seeds"]) >= 3
    assert set(table["seed"]) == set(about["seeds"])
    for setup in about["setups"]:
        if setup["name"] in SETUPS:
            setup.pop("cached", None)  # older ones have what is gone, and lack what is new
            expected = {"encoders": {}, **setup, "training": asdict(TrainConfig(**setup["training"]))}
            assert json.loads(json.dumps(asdict(SETUPS[setup["name"]]))) == expected
    try:
        trials = causes.PLANS[name](about["seeds"])
    except DataError:
        return  # real data that are not here
    assert about["trials"] == len({trial.key for trial in trials})
    assert set(table["data"]) == {trial.setup.name for trial in trials}
