"""Claims on made-up tables whose verdicts are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clcrkit.baselines import BASELINES
from clcrkit.experiments.claims import CLAIMS, judge, markdown
from clcrkit.experiments.compare import FAILS, HOLDS, OPEN, SAME

SEEDS = 5


def _rows(model: str, score: float, changes: str = "", spread: float = 0.01, **more: float) -> list[dict[str, object]]:
    """Five seeds around a score; the same seed moves all models alike, and a little each."""
    own = np.random.default_rng(sum(map(ord, model + changes)))
    alike = np.linspace(-0.2, 0.2, SEEDS)
    return [
        {"data": "d", "model": model, "changes": changes, "seed": seed, "key": f"{model}{changes}{seed}", **more}
        | {"score": score + alike[seed] + spread * own.normal(), "valid_score": score}
        for seed in range(SEEDS)
    ]


def _baselines(score: float, late_fusion: float | None = None) -> list[dict[str, object]]:
    """Every baseline at this score; late fusion at its own."""
    own = {"late fusion": late_fusion or score}
    return [row for name in BASELINES for row in _rows(name, own.get(name, score))]


def _judged(*rows: list[dict[str, object]]) -> pd.DataFrame:
    return judge(pd.DataFrame([row for part in rows for row in part])).set_index("claim")


@pytest.mark.parametrize(
    ("hierarchy", "intraced", "intercad", "expected"),
    [(0.5, 0.7, 0.8, HOLDS), (0.7, 0.5, 0.8, FAILS), (0.6, 0.6, 0.8, OPEN), (0.8, 0.8, 0.6, FAILS)],
)
def test_the_hierarchy_must_cost_more_than_each_other_part(hierarchy, intraced, intercad, expected):
    found = _judged(
        _rows("CLCR", 0.9),
        _rows("no hierarchy", hierarchy),
        _rows("no IntraCED", intraced, spread=0.02),
        _rows("no InterCAD", intercad),
    )
    assert found.loc["hierarchy", "verdict"] == expected
    lowest = min((intraced, "no IntraCED"), (intercad, "no InterCAD"))
    assert found.loc["hierarchy", "compared"] == f"{lowest[1]} − no hierarchy"
    assert found.loc["hierarchy", "mean"] == pytest.approx(lowest[0] - hierarchy, abs=0.03)


def test_intraced_sparse_and_full_mix():
    better = _judged(
        _rows("CLCR", 0.9), _rows("no IntraCED", 0.6), _rows("no InterCAD", 0.8), _rows("dense exchange", 0.7),
        _rows("full mix", 0.3), _rows("no hierarchy", 0.5), _rows("no regularisers", 0.8),
    )  # fmt: skip
    assert better.loc[["intraced", "full mix", "sparse"], "verdict"].to_list() == [HOLDS] * 3
    worse = _judged(
        _rows("CLCR", 0.6), _rows("no IntraCED", 0.9), _rows("no InterCAD", 0.8), _rows("dense exchange", 0.7),
        _rows("full mix", 0.85),
    )  # fmt: skip
    assert worse.loc[["intraced", "full mix", "sparse"], "verdict"].to_list() == [FAILS] * 3


def test_noise_is_judged_by_what_is_lost_and_not_by_what_is_left():
    rows = [_rows("CLCR", 0.6), *(_rows(name, 0.9) for name in BASELINES), _rows("sound alone", 0.4)]
    for row in (row for part in rows for row in part):
        row["noise 1"] = row["score"] - (0.1 if row["model"] == "CLCR" else 0.2)
    assert _judged(*rows).loc["noise", "verdict"] == HOLDS
    for row in rows[1]:  # one baseline loses less
        row["noise 1"] = row["score"] - 0.05
    found = _judged(*rows).loc["noise"]
    assert found["verdict"] == FAILS
    assert found["mean"] == pytest.approx(-0.05)
    for row in rows[1]:  # but it knows less than one modality
        row["valid_score"] = 0.3
    assert _judged(*rows).loc["noise", "verdict"] == HOLDS
    assert "noise" not in _judged(*rows[:-1]).index  # nobody knows what one modality is worth


def test_the_leading_modality_is_the_best_alone_on_validation():
    rows = [
        _rows("CLCR", 0.9, **{"gate sound": 0.5, "gate text": 0.3, "gate image": 0.2}),
        _rows("sound alone", 0.6),
        _rows("text alone", 0.5),
        _rows("image alone", 0.4),
    ]
    for i, row in enumerate(rows[0]):
        row["gate sound"] += 0.01 * i
    assert _judged(*rows).loc["leading", "verdict"] == HOLDS
    for row in rows[2]:
        row["valid_score"] = 0.7  # its test score stays lower
    found = _judged(*rows).loc["leading"]
    assert found["verdict"] == FAILS
    assert found["compared"] == "gate of text − highest other"


def test_every_baseline_must_be_beaten_and_the_strongest_is_shown():
    found = _judged(_rows("CLCR", 0.8), _baselines(0.5, late_fusion=0.7)).loc["baselines"]
    assert (found["compared"], found["verdict"]) == ("CLCR − late fusion", HOLDS)
    found = _judged(_rows("CLCR", 0.8), _baselines(0.5, late_fusion=0.9)).loc["baselines"]
    assert (found["compared"], found["verdict"]) == ("CLCR − late fusion", FAILS)
    assert "baselines" not in _judged(_rows("CLCR", 0.8), _rows("late fusion", 0.7)).index  # the others were not run


def test_where_there_is_no_difference_the_one_that_shows_it_is_shown():
    rows = [_rows("CLCR", 0.8), _baselines(0.5, late_fusion=0.799)]
    unsure = [row for row in rows[1] if row["model"] == "MISA"]
    for row, score in zip(unsure, (0.2, 0.9, 0.2, 0.9, 0.2), strict=False):
        row["score"] = score
    found = _judged(*rows).loc["baselines"]
    assert (found["compared"], found["verdict"]) == ("CLCR − late fusion", SAME)


def test_participation_is_what_was_spent_and_meets_every_other_budget():
    budgets = ((0.25, 0.25, 0.6), (0.7, 0.66, 0.8), (0.9, 0.8, 0.7))  # the budget, what was spent, the score
    fixed = [_rows("CLCR", score, f"rho={rho}", participation=spent) for rho, spent, score in budgets]
    assert _judged(*fixed, _rows("dense exchange", 0.5)).loc["participation", "verdict"] == HOLDS
    found = _judged(*fixed, _rows("dense exchange", 0.9)).loc["participation"]
    assert (found["compared"], found["verdict"]) == ("CLCR (rho=0.7) − dense exchange", FAILS)
    idle = _rows("CLCR", 0.8, "rho=0.68", participation=0.4)  # a budget that was not used up
    assert "participation" not in _judged(idle, _rows("dense exchange", 0.5)).index


def test_what_was_not_run_is_not_judged():
    found = _judged(_rows("CLCR", 0.9), _rows("dense exchange", 0.5))
    assert found.index.to_list() == ["sparse"]


def test_a_claim_is_judged_under_every_reading_that_was_trained():
    rows = [_rows("CLCR", 0.9), _rows("no hierarchy", 0.7), _rows("full mix", 0.8), _rows("full mix, pooled", 0.5)]
    table = judge(pd.DataFrame([row for part in rows for row in part]))
    found = table[table["claim"] == "full mix"].set_index("reading")["verdict"]
    assert found.to_dict() == {"": FAILS, "full mix, pooled": HOLDS}
    assert "reading: full mix, pooled" in markdown(table)
    plain = judge(pd.DataFrame(_rows("CLCR", 0.9) + _rows("plain reading", 0.6) + _baselines(0.8)))
    assert plain.set_index("reading")["verdict"].to_dict() == {"": HOLDS, "plain reading": FAILS}


@pytest.mark.parametrize(("without", "expected"), [(0.6, HOLDS), (0.77, FAILS), (0.9, FAILS)])
def test_a_mechanism_must_be_worth_a_tenth_in_its_own_world_and_is_not_judged_in_the_idle_one(without, expected):
    rows = pd.DataFrame(_rows("CLCR", 0.8, spread=0.001) + _rows("no InterCAD", without, spread=0.001))
    judged = judge(rows.assign(data="world: level gates")).set_index("claim")
    assert judged.loc["worlds", "verdict"] == expected
    assert judged.loc["worlds", "mean"] == pytest.approx(0.8 - without - 0.1, abs=0.002)
    assert "worlds" not in judge(rows.assign(data="world: level gates, idle"))["claim"].to_list()


def test_a_small_difference_is_none_and_an_open_one_says_how_many_seeds_it_takes():
    first, second = _rows("CLCR", 0.9, spread=0.0), _rows("dense exchange", 0.9, spread=0.0)
    for i, row in enumerate(second):
        row["score"] = first[i]["score"] + 0.001 * (-1) ** i
    small = _judged(first, second)
    assert small.loc["sparse", "verdict"] == SAME
    assert np.isnan(small.loc["sparse", "seeds"])
    wide = _judged(_rows("CLCR", 0.9, spread=0.3), _rows("dense exchange", 0.85, spread=0.3))
    assert wide.loc["sparse", "verdict"] == OPEN
    assert wide.loc["sparse", "seeds"] > SEEDS
    table = judge(pd.DataFrame(_rows("CLCR", 0.9, spread=0.3) + _rows("dense exchange", 0.85, spread=0.3)))
    assert f"({wide.loc['sparse', 'seeds']:.0f} seeds would)" in markdown(table)


def test_markdown_has_a_row_for_each_judgement_and_names_each_claim_once():
    table = judge(pd.DataFrame(_rows("CLCR", 0.9) + _rows("dense exchange", 0.5)))
    both = pd.concat([table, table.assign(data="e")])
    lines = markdown(both).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith(f"| {CLAIMS['sparse'].text} | d | CLCR − dense exchange | +0.39")
    assert lines[3].startswith("|  | e |")
    assert all(line.endswith(f"| {HOLDS} |") for line in lines[2:])
