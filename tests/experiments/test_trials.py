"""The engine: what a trial is, that a finished one is not run again, and that where it runs changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from signal import SIGINT, raise_signal
from typing import Any

import pandas as pd
import pytest
import torch
from joblib import parallel_config

from clcrkit import ConfigError, DataError
from clcrkit.experiments import trials
from clcrkit.experiments.trials import GAMMAS, NOISE, Setup, Trial, run
from clcrkit.training import evaluate
from clcrkit.training.run import Run
from tests.experiments import tiny

TINY = replace(
    tiny.TINY,
    data_settings={**tiny.TINY.data_settings, "samples": [48, 24, 24]},
    training=replace(tiny.TINY.training, epochs=2),
)
MEASURED = ["score", "valid_score", "best_epoch", "parameters", "accuracy", "noise 1"]


def test_a_key_is_all_that_decides_the_result_and_nothing_else():
    trial = Trial(TINY)
    same = [
        Trial(replace(TINY, name="another name")),
        Trial(replace(TINY, training=replace(TINY.training, seed=7))),  # the trial's seed is used
        Trial(TINY, settings={"width": 8}),
    ]
    other = [
        Trial(TINY, seed=1),
        Trial(TINY, "late fusion"),
        Trial(TINY, rho=0.5),
        Trial(TINY, settings={"levels": 1}),
        Trial(replace(TINY, training=replace(TINY.training, epochs=3))),
        Trial(replace(TINY, data_settings={**TINY.data_settings, "noise": 0.1})),
    ]
    assert {t.key for t in same} == {trial.key}
    assert len({t.key for t in [trial, *other]}) == 1 + len(other)


def test_a_row_is_what_training_by_hand_gives():
    trial = Trial(TINY, "late fusion", seed=1)
    row = run([trial], progress=False).iloc[0]
    model, split, went = trial.train()
    assert row["score"] == evaluate(model, split.test)["score"] == pytest.approx(row["accuracy"])
    assert row["valid_score"] == went["valid_score"]
    assert row["parameters"] == sum(p.numel() for p in model.parameters())
    assert (row["data"], row["model"], row["changes"], row["seed"]) == ("tiny", "late fusion", "", 1)


def test_the_test_part_has_no_say_in_the_training(monkeypatch: pytest.MonkeyPatch):
    trial = Trial(TINY, "late fusion")
    model, split, went = trial.train()
    assert split.test.labels is not None
    wrong = replace(split, test=replace(split.test, labels=7 - split.test.labels))
    monkeypatch.setattr(Setup, "split", lambda setup, seed: wrong)
    again, _, as_before = trial.train()
    assert (went["valid_score"], went["best_epoch"]) == (as_before["valid_score"], as_before["best_epoch"])
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)


def test_clcr_brings_what_it_decided():
    row = run([Trial(TINY)], progress=False).iloc[0]
    gates = [row[f"gate {m}"] for m in ("language", "vision", "acoustic")]
    assert sum(gates) == pytest.approx(1, abs=1e-5)
    assert row["level 1"] + row["level 2"] == pytest.approx(1, abs=1e-5)
    assert {f"noise {s:g}" for s in NOISE} <= set(row.index)
    assert row["score at gamma 1"] == row["score"]
    assert row["participation at gamma 1"] == pytest.approx(row["participation"])
    spent = [row[f"participation at gamma {g:g}"] for g in GAMMAS]
    assert spent == sorted(spent)


def test_participation_is_the_mean_share_over_what_is_there(make_batch, make_model):
    batch = make_batch(samples=5)
    model = make_model(batch)
    trace = model.trace(batch)
    shares = [
        float(trace.allocation[m][i, level, batch.masks[m][i]].mean())
        for m in batch.modalities
        for i in range(5)
        if batch.masks[m][i].any()
        for level in range(model.levels)
    ]
    assert trials._decisions(model, batch)["participation"] == pytest.approx(sum(shares) / len(shares), abs=1e-5)


def test_decisions_do_not_depend_on_the_pieces(make_batch, make_model, monkeypatch: pytest.MonkeyPatch):
    batch = make_batch(samples=7)
    model = make_model(batch)
    whole = trials._decisions(model, batch)
    monkeypatch.setattr(trials, "PIECE", 3)
    assert trials._decisions(model, batch) == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("rho", [0.1, 0.68])  # the second is the paper's best participation
def test_a_fixed_budget_is_spent_and_not_learned(rho):
    model, split, _ = Trial(TINY, rho=rho).train()
    assert model.intraced.budget.rho == pytest.approx(torch.full((2,), rho))
    assert trials._decisions(model, split.test)["participation"] == pytest.approx(rho, abs=1e-5)


def test_budgets_that_no_trial_can_have_are_refused():
    split = TINY.split(0)
    with pytest.raises(ConfigError, match=r"rho: 1\.5"):
        Trial(TINY, rho=1.5).build(split)
    with pytest.raises(ConfigError, match="model with a budget"):
        Trial(TINY, "dense exchange", rho=0.5).build(split)


def test_the_models_of_a_seed_see_the_same_data_and_another_seed_another():
    first, same, other = (Trial(TINY, m, s).setup.split(s) for m, s in (("CLCR", 0), ("MISA", 0), ("CLCR", 1)))
    assert torch.equal(first.train.tokens["vision"], same.train.tokens["vision"])
    assert not torch.equal(first.train.tokens["vision"], other.train.tokens["vision"])


@pytest.mark.parametrize("name", ["no hierarchy", "late fusion", "vision alone"])
def test_every_name_gives_its_model(name: str):
    model = Trial(TINY, name).build(TINY.split(0))
    assert len(list(model.encoders.children())) == (1 if name == "vision alone" else 3)
    assert model.config.hierarchy == (name != "no hierarchy")


def test_wrong_names_are_refused():
    with pytest.raises(ConfigError, match="'late fussion', but there are CLCR"):
        run([Trial(TINY, "late fussion")], progress=False)
    with pytest.raises(ConfigError, match="data: 'Split'"):
        replace(TINY, data="Split").split(0)
    with pytest.raises(ConfigError, match="no argument nois"):
        replace(TINY, data_settings={"nois": 1}).split(0)


def test_finished_trials_are_kept_when_one_fails_and_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    good = [Trial(TINY, "late fusion"), Trial(TINY, "vision alone")]
    with pytest.raises(ConfigError):
        run([*good, Trial(TINY, "nothing")], tmp_path, progress=False)
    assert {p.stem for p in tmp_path.iterdir()} == {t.key for t in good}
    ran: list[str] = []
    truly = trials._row

    def noted(trial: Trial, folder: Path) -> dict[str, Any]:
        ran.append(trial.model)
        return truly(trial, folder)

    monkeypatch.setattr(trials, "_row", noted)
    table = run([*good, Trial(TINY, "acoustic alone"), good[0]], tmp_path, progress=False)
    assert ran == ["acoustic alone"]
    assert table["model"].to_list() == ["late fusion", "vision alone", "acoustic alone"]  # in order, each once
    fresh = run(good, progress=False)
    pd.testing.assert_frame_equal(table.iloc[:2][MEASURED], fresh[MEASURED])


def test_a_killed_run_goes_on(tmp_path: Path):
    program = (
        "import sys\nfrom clcrkit.experiments.trials import Setup, Trial, run\n"
        "from clcrkit.training import TrainConfig\n"
        "setup = Setup('tiny', 'asynchrony', {'samples': [48, 24, 24], 'relation': 'redundant'},\n"
        "    {'width': 8, 'rank': 4, 'private_rank': 4, 'heads': 2, 'levels': 2},\n"
        "    TrainConfig(epochs=2, batch_size=16, device='cpu'))\n"
        "run([Trial(setup, 'vision alone', seed) for seed in range(500)], sys.argv[1], progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    try:
        while not list(tmp_path.glob("*.json")):
            assert process.poll() is None, "it ended without a trial"
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    trials = [Trial(TINY, "vision alone", seed) for seed in range(len(done) + 1)]
    table = run(trials, tmp_path, progress=False)
    assert len(table) == len(done) + 1
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_file_says_what_it_is_and_a_damaged_one_is_named(tmp_path: Path):
    trial = Trial(TINY, "vision alone")
    run([trial], tmp_path, progress=False)
    path = tmp_path / f"{trial.key}.json"
    assert json.loads(path.read_text())["trial"] == json.loads(json.dumps(trial.described))
    for damaged in (path.read_text()[:40], '{"row": {}}', '{"row": null}', '{"row": []}', "[" * 200_000, "3"):
        path.write_text(damaged)
        with pytest.raises(DataError, match=rf"{trial.key}.json: not a trial's file, or damaged .* delete it"):
            run([trial], tmp_path, progress=False)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"runs: cannot be used as a folder for trials \(.*Not a directory"):
        run([Trial(TINY, "vision alone")], tmp_path / "file" / "runs", progress=False)


def test_threads_are_left_as_they_were():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run([Trial(TINY, "vision alone")], progress=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_dask_cluster_gives_what_one_process_gives(tmp_path: Path):
    from distributed import Client, LocalCluster

    trials = [Trial(TINY, model, seed) for seed in (0, 1) for model in ("late fusion", "vision alone")]
    here = run(trials, progress=False)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)) as two,
        Client(two),
        parallel_config(backend="dask"),
    ):
        there = run(trials, tmp_path / "runs", progress=False)
    pd.testing.assert_frame_equal(here[MEASURED], there[MEASURED])
    assert len(list((tmp_path / "runs").iterdir())) == len(trials)


def test_trials_in_threads_of_one_process_take_turns():
    """Their random numbers come from one state: without turns they would take each other's."""
    trials = [Trial(TINY, "CLCR", seed) for seed in range(3)]
    here = run(trials, progress=False)
    with parallel_config(backend="threading", n_jobs=3):
        there = run(trials, progress=False)
    pd.testing.assert_frame_equal(here[MEASURED], there[MEASURED])


def test_processes_of_this_machine_give_the_same():
    trials = [Trial(TINY, model) for model in ("late fusion", "vision alone")]
    pd.testing.assert_frame_equal(
        run(trials, progress=False)[MEASURED], run(trials, n_jobs=2, progress=False)[MEASURED]
    )


def test_a_note_is_kept_with_the_trials_that_ran_under_it(tmp_path: Path):
    first, second = Trial(TINY, "vision alone", 0), Trial(TINY, "vision alone", 1)
    run([first], tmp_path, progress=False, note={"commit": "aaa"})
    table = run([first, second], tmp_path, progress=False, note={"commit": "bbb"})
    assert table["commit"].to_list() == ["aaa", "bbb"]
    assert "commit" not in run([first], progress=False)


def test_a_tuned_learning_rate_is_the_only_difference_and_the_setups_own_changes_nothing():
    split, tuned = TINY.split(0), Trial(TINY, rate=0.02)
    assert tuned.training == replace(TINY.training, seed=0, learning_rate=0.02)
    assert tuned.key != Trial(TINY).key
    assert Trial(TINY, rate=TINY.training.learning_rate).key == Trial(TINY).key
    assert Trial(replace(TINY, training=replace(TINY.training, learning_rate=0.02))).key == tuned.key
    assert Trial(TINY, "plain reading").build(split).config == Trial(TINY).build(split).config.paper()


def test_what_ctrl_c_stopped_is_no_finished_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    close = Run.close_epoch

    def stopped(run: Run, valid: Any) -> None:
        close(run, valid)
        raise_signal(SIGINT)

    trial = Trial(TINY, "concat")
    monkeypatch.setattr(Run, "close_epoch", stopped)
    with pytest.raises(KeyboardInterrupt):
        run([trial], tmp_path, n_jobs=1, progress=False)
    assert not list(tmp_path.iterdir())
