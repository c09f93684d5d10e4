"""The stored tables of `data/results`: their maker, their reader, and that they are up to date."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from clcrkit import ConfigError, DataError
from clcrkit.experiments import causes, stored
from clcrkit.experiments.plans import PAPER, RATES, SEEDS, SETUPS, TABLES
from clcrkit.experiments.trials import Trial
from clcrkit.training import TrainConfig
from tests.experiments.tiny import TINY

RESULTS = Path(__file__).parents[2] / "data" / "results"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, RESULTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_tables = script("make_tables")


def test_a_table_is_stored_with_what_made_it(tmp_path: Path):
    trials = [Trial(TINY, "vision alone", seed) for seed in (0, 1)]
    table = make_tables.make("tiny", trials, 1, tmp_path / "results", tmp_path / "runs")
    read = stored.load(tmp_path / "results", "tiny")
    assert list(read) == list(table)
    assert read["score"].to_list() == pytest.approx(table["score"].to_list(), rel=1e-5)
    about = json.loads((tmp_path / "results" / "tiny.json").read_text())
    assert (about["seeds"], about["trials"]) == ([0, 1], 2)
    assert about["setups"][0]["training"]["epochs"] == 1
    assert len(list((tmp_path / "runs").glob("*.json"))) == 2
    with pytest.raises(DataError, match=r"nowhere\.csv: no such table; .*`python data/results/make_tables\.py nowhere"):
        stored.load(tmp_path, "nowhere")


def test_the_command_knows_its_tables(capsys: pytest.CaptureFixture[str]):
    make_tables.main([])
    assert capsys.readouterr().out.split() == [*TABLES, *causes.PLANS]
    with pytest.raises(ConfigError, match="digitz: no such table"):
        make_tables.main(["digitz"])


@pytest.mark.parametrize("name", stored.available(RESULTS))
def test_stored_tables_are_complete_and_of_these_settings(name: str):
    """A stored table that its own command would no longer make is out of date."""
    table = pd.read_csv(RESULTS / f"{name}.csv")
    about = json.loads((RESULTS / f"{name}.json").read_text())
    assert len(table) == about["trials"]
    assert table["score"].notna().all()
    assert len(about["seeds"]) >= (2 if name.startswith("tuning_") else 5)
    setups = {}
    for setup in about["setups"]:  # older ones lack what was not used
        setup.pop("cached", None)  # and have what is gone
        training = TrainConfig(**setup["training"])
        setups[setup["name"]] = {"figures": "", "encoders": {}, **setup, "training": training}
    for setup in (*SETUPS.values(), PAPER):
        assert setups.get(setup.name) in (None, {**vars(setup), "training": setup.training})
    try:
        trials = TABLES[name](about["seeds"])
    except DataError:
        return  # the modalities of a real set that is not here are not known
    assert table["key"].to_list() == [t.key for t in {t.key: t for t in trials}.values()]


@pytest.mark.parametrize("name", [name for name in stored.available(RESULTS) if name.startswith("tuning_")])
def test_the_rates_are_those_with_the_highest_validation_score(name: str):
    table = stored.load(RESULTS, name)
    mean = table.pivot_table(index="model", columns="rate", values="valid_score")
    assert mean.idxmax(axis=1).to_dict() == RATES[table["data"].iloc[0]]
    assert not set(table["seed"]) & set(SEEDS)


def test_the_commit_is_named_where_there_is_one():
    assert make_tables.commit() == "" or 7 <= len(make_tables.commit().rstrip("+")) <= 40


def test_the_evidence_has_each_trial_once(tmp_path: Path):
    table = stored.evidence(RESULTS)
    assert table["key"].is_unique
    assert {"digits", "spoken digits", "world: exchange", "world: exchange, idle"} <= set(table["data"])
    with pytest.raises(DataError, match=r"no stored table; `python data/results/make_tables\.py comparison_"):
        stored.evidence(tmp_path)


def test_the_stored_verdicts_are_those_of_the_stored_tables(monkeypatch: pytest.MonkeyPatch):
    judged = script("judge_claims").judge(stored.evidence(RESULTS))
    verdicts = pd.read_csv(RESULTS / "claims.csv")
    assert (
        judged[["claim", "reading", "data", "verdict"]].to_numpy().tolist()
        == verdicts[["claim", "reading", "data", "verdict"]].fillna("").to_numpy().tolist()
    )
