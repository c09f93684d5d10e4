"""Plans: which trials they list."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clcrkit import ABLATIONS
from clcrkit.baselines import BASELINES
from clcrkit.datasets import Split
from clcrkit.experiments import plans
from clcrkit.experiments.compare import FAILS, HOLDS, OPEN, SAME, by_seed
from clcrkit.experiments.plans import SWEEPS, TABLES, ablation, budgets, compare, comparison, sweep
from clcrkit.experiments.trials import Setup, Trial, run
from tests.experiments.tiny import TINY


def test_the_ablation_table_has_the_papers_rows():
    table = ablation(TINY, seeds=(0,), progress=False)
    assert table["model"].to_list() == ["CLCR", *[name for name in ABLATIONS if name != "full"]]
    assert table["score"].between(0, 1).all()
    assert table.set_index("model")["participation"]["dense exchange"] == pytest.approx(1)


def test_a_comparison_holds_everything_once_for_each_seed_and_goes_seed_by_seed():
    trials = comparison(TINY, seeds=(3, 4))
    models = [t.model for t in trials if t.seed == 3]
    alone = ["language alone", "vision alone", "acoustic alone"]
    parts = ["no hierarchy", "no IntraCED", "no InterCAD", "full mix", "no regularisers", "dense exchange"]
    assert models == ["CLCR", "plain reading", *parts, *BASELINES, *alone]
    assert [t.seed for t in trials] == [3] * len(models) + [4] * len(models)
    assert len({t.key for t in trials}) == len(trials)


def test_sweeps_change_what_they_name_and_share_the_rest():
    swept = sweep(TINY, [{"levels": 1}, {"levels": 2}], seeds=(0,))
    split = TINY.split(0)
    assert [t.build(split).config.levels for t in swept] == [1, 2]
    assert swept[1].key == Trial(TINY).key  # a sweep's own setting is not trained again
    assert Trial(TINY, settings={"lambda_intra": 0.3}).key == Trial(TINY).key  # nor is a default
    assert Trial(TINY, settings={"lambda_intra": 0.1}).key != Trial(TINY).key
    assert [t.rho for t in budgets(TINY, seeds=(0,), rhos=(0.2, 0.7))] == [None, 0.2, 0.7, None]


@pytest.mark.parametrize("name", SWEEPS)
def test_every_stored_sweep_is_possible(name: str):
    split = TINY.split(0)
    for change in SWEEPS[name]:
        Trial(TINY, settings={**plans.SMALL, **change}).build(split)


def test_the_narrow_worlds_leave_the_claims_room_in_one_space_only_and_their_twins_differ_in_one_thing():
    split, room = TINY.split(0), {"modality": [], "private": []}
    for trial in plans.narrow((0,)):
        config = Trial(TINY, trial.model, settings={**trial.setup.settings, **trial.settings}).build(split).config
        assert config.intercad == (trial.model == "CLCR")
        room[trial.setup.name.split()[2]].append((config.rank, config.private_rank))
        asked = (trial.setup.data_settings["needed"], config.normed)
        assert asked in {(True, False), (True, True), (False, False)}
    assert {name: set(ranks) for name, ranks in room.items()} == {"modality": {(4, 2)}, "private": {(2, 4)}}
    assert len(plans.narrow(range(plans.FEW + 1))) == 12 * plans.FEW + 4


@pytest.mark.parametrize(
    "name", ["comparison_asynchrony_redundant", "budget_digits", "sweep_levels", "sweep_rank_split"]
)
def test_a_tables_trials_are_of_the_seeds_that_were_asked_for(name: str):
    trials = TABLES[name]((5, 6))
    assert [t.seed for t in trials] == sorted([5, 6] * (len(trials) // 2))
    assert {t.rho for t in trials} <= {None, 0.1, 0.25, 0.45, 0.68, 0.9}


def test_data_of_ones_own_are_compared_in_one_call(tmp_path):
    split = TINY.split(0)
    how = {"settings": {**TINY.settings}, "training": TINY.training, "progress": False}
    found = compare(split, models=("CLCR", "late fusion", "vision alone"), seeds=(0, 1), folder=tmp_path, **how)
    assert found.summary["model"].to_list() == ["CLCR", "late fusion", "vision alone"]
    assert found.differences["model"].to_list() == ["late fusion", "vision alone"]
    assert set(found.differences["verdict"]) <= {HOLDS, FAILS, SAME, OPEN}
    assert len(found.plot().data[0].x) == 3
    assert "late fusion" in repr(found)
    gap = by_seed(found.table, "data")
    assert found.differences["mean"][0] == pytest.approx((gap["CLCR"] - gap["late fusion"]).mean())
    by_name = run([Trial(TINY, "late fusion")], progress=False)  # the same data under their name
    assert found.table.set_index(["model", "seed"])["score"]["late fusion", 0] == by_name["score"][0]
    asked = []

    def draw(seed: int) -> Split:
        asked.append(seed)
        return TINY.split(seed)

    by_function = compare(draw, models=("late fusion",), seeds=(0, 1), folder=tmp_path, **how)
    assert set(asked) == {0, 1}
    assert len(list(tmp_path.iterdir())) == 7  # seed 0 is of the same data as the Split's, and is not trained again
    assert by_function.table["score"][0] == found.table.set_index(["model", "seed"])["score"]["late fusion", 0]
    changed = replace(split, train=replace(split.train, labels=split.train.labels.flip(0)))
    assert Trial(Setup("data", changed)).key != Trial(Setup("data", split)).key == Trial(Setup("other", split)).key
