"""Interchange accuracy, on a stand-in whose places are known to hold a factor, and against a loop."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from clcrkit import CLCR, DataError
from clcrkit.analysis import interchange as module
from clcrkit.analysis.interchange import interchange, interchange_matrix
from clcrkit.datasets import asynchrony
from clcrkit.viz.figures import interchange as picture

FACTORS = {"shallow": torch.arange(8) // 4, "mid": torch.arange(8) // 2 % 2, "deep": torch.arange(8) % 2}


def outcome(factors: Any) -> torch.Tensor:
    return 4 * factors["shallow"] + 2 * factors["mid"] + factors["deep"]


class Known(CLCR):
    """Reads shallow from one place, mid and deep from another, and nothing from a third."""

    def __init__(self, factors: dict[str, torch.Tensor]) -> None:
        torch.nn.Module.__init__(self)
        self.config: Any = None
        self.factors = factors

    def trace(self, data: Any, *others: Any, patch: Any = None, **more: Any) -> Any:
        held = {"one": self.factors["shallow"], "two": 2 * self.factors["mid"] + self.factors["deep"]}
        held |= {"none": self.factors["shallow"]} | (patch or {})
        logits = torch.nn.functional.one_hot(4 * held["one"] + held["two"], 8).float()
        return SimpleNamespace(prediction=logits, held=held)


@pytest.fixture
def known(monkeypatch, make_batch):
    monkeypatch.setattr(module, "places_of", lambda trace, pattern: [pattern])
    monkeypatch.setattr(module, "replacement", lambda trace, place, kind, order: trace.held[place][order])
    batch, classes = make_batch(64), torch.arange(64) % 8
    factors = {name: values[classes] for name, values in FACTORS.items()}
    table = interchange(Known(factors), batch, ["one", "two", "none"], factors, outcome)
    return table.set_index(["place", "factor"])


def test_a_place_that_holds_one_factor_and_nothing_else_has_accuracy_1(known):
    row = known.loc["one", "shallow"]
    assert (row["accuracy"], row["control"], row["pairs"]) == (1, 0, 64)
    assert 0.9 < row["low"] < 1
    assert 0 < row["control_high"] < 0.1
    assert (known.loc["one"].loc[["mid", "deep"], "accuracy"] == 0).all()
    assert (known.loc["none"][["accuracy", "control"]] == 0).all().all()


def test_a_place_that_holds_two_factors_swaps_both(known):
    """The swap is exact only where the other factor happens to be the same: half of the pairs."""
    assert known.loc["two", "mid"]["accuracy"] == pytest.approx(0.5, abs=0.2)
    assert known.loc["two", "mid"]["control"] == 0
    assert known.loc["two", "shallow"]["accuracy"] == 0


def test_pairs_change_the_outcome_and_controls_keep_the_factor():
    random = np.random.default_rng(0)
    factors = {
        "key": torch.from_numpy(random.integers(3, size=40)),
        "values": torch.from_numpy(random.integers(2, size=(40, 3))),
    }
    answer = lambda f: f["values"].gather(1, f["key"][:, None])[:, 0]  # noqa: E731
    for name in factors:
        base, source, same, target = module._pairs(factors, name, answer, np.random.default_rng(1))
        assert len(base) > 20
        for i, j, k, wanted in zip(base.tolist(), source.tolist(), same.tolist(), target.tolist(), strict=True):
            key, values = (factors[n][j if n == name else i] for n in ("key", "values"))
            assert wanted == values[key] != factors["values"][i][factors["key"][i]]
            assert k != i
            assert torch.equal(factors[name][k], factors[name][i])


def test_a_factor_that_changes_no_outcome_has_no_pairs(make_batch, make_model):
    test = asynchrony((8, 2, 12)).test
    model = make_model(test)
    names = ("shallow", "private_vision")
    table = interchange(model, test, ["shared/*/deep"], test.attributes, outcome).set_index("factor").loc[list(names)]
    assert np.isnan(table.loc["private_vision", "accuracy"])
    assert list(table["pairs"]) == [12, 0]
    with pytest.raises(DataError, match="factors a: 3 samples, but the batch has 12"):
        interchange(model, test, ["shared"], {"a": torch.zeros(3)}, outcome)


def test_the_patched_passes_are_those_of_the_pairs(make_model):
    test = asynchrony((8, 2, 12)).test
    model, factors = make_model(test), {n: test.attributes[n] for n in FACTORS}
    table = interchange(model, test, ["private/*/mid"], factors, outcome, seed=3)
    base, source, _, target = module._pairs(factors, "shallow", outcome, np.random.default_rng(3))
    plain, right = model.trace(test), 0
    for i, j, wanted in zip(base.tolist(), source.tolist(), target.tolist(), strict=True):
        patch = {}
        for m in test.modalities:
            patch[f"private/{m}/mid"] = plain.private[m][:, 1].clone()
            patch[f"private/{m}/mid"][i] = plain.private[m][j, 1]
        right += int(model.trace(test, patch=patch).prediction[i].argmax() == wanted)
    assert table["accuracy"][0] == right / 12


def test_matrix_and_picture_keep_the_order_of_the_table(known):
    table = known.reset_index()
    matrix = interchange_matrix(table)
    assert list(matrix.index) == ["one", "two", "none"]
    assert list(matrix.columns) == ["shallow", "mid", "deep"]
    figure = picture(table)
    for heat, column in zip(figure.data, ("accuracy", "control"), strict=True):
        assert list(heat.y) == ["one", "two", "none"]
        for (i, place), (j, factor) in itertools.product(enumerate(heat.y), enumerate(heat.x)):
            assert heat.z[i][j] == pytest.approx(known.loc[(place, factor), column], abs=0.005)
