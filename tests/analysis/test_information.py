"""Partial information, on gates whose answers are known, and against a search over all couplings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import entr

from clcrkit import DataError
from clcrkit.analysis.information import decompose, modality_information
from clcrkit.datasets import world


def gate(function) -> np.ndarray:
    joint = np.zeros((4, 2, 2))
    for a, b in itertools.product(range(2), repeat=2):
        joint[function(a, b), a, b] = 0.25
    return joint


KNOWN = {
    "xor": (gate(lambda a, b: a ^ b), (0, 0, 0, 1)),
    # 3/4 log2(4/3) bits in each input, the same ones; the rest of .811 only together
    "and": (gate(lambda a, b: a & b), (0.311278, 0, 0, 0.5)),
    "copy of both": (gate(lambda a, b: 2 * a + b), (0, 1, 1, 0)),
    "copy of the first": (gate(lambda a, b: a), (0, 1, 0, 0)),
    "redundant": (np.eye(2)[:, :, None] * np.eye(2)[:, None] / 2, (1, 0, 0, 0)),
    "nothing": (np.ones((2, 2, 2)), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_gates_with_known_answers(name):
    joint, expected = KNOWN[name]
    np.testing.assert_allclose(decompose(joint), expected, atol=2e-3)


def information(p: np.ndarray) -> np.ndarray:
    """I(label; first, second) of joints whose last three axes are these."""
    h = [entr(x).reshape(*p.shape[:-3], -1).sum(-1) for x in (p.sum((-2, -1)), p.sum(-3), p)]
    return (h[0] + h[1] - h[2]) / np.log(2)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_binary_joints_against_a_search_over_all_couplings(seed):
    """Two by two, a coupling with given marginals has one degree of freedom for each label."""
    p = np.random.default_rng(seed).dirichlet(np.ones(8)).reshape(2, 2, 2)
    steps = [np.linspace(-min(q[0, 0], q[1, 1]), min(q[0, 1], q[1, 0]), 201) for q in p]
    turn = np.stack(np.meshgrid(*steps), -1)[..., None, None] * np.array([[1, -1], [-1, 1]])
    least = information(np.clip(p + turn, 0, None)).min()
    first, second = (float(information(p.sum(axis, keepdims=True))) for axis in (2, 1))
    expected = (first + second - least, least - second, least - first, information(p) - least)
    found = decompose(p)
    np.testing.assert_allclose(found, expected, atol=3e-3)
    assert found.total == pytest.approx(float(information(p)), abs=1e-9)
    assert min(found) > -1e-9
    swapped = decompose(p.transpose(0, 2, 1))
    np.testing.assert_allclose(swapped, np.array(found)[[0, 2, 1, 3]], atol=2e-3)


def test_the_worlds_hold_the_information_that_they_were_made_with():
    """In 'exchange' the asked value takes both modalities, beyond what is stored; idle, one has it."""
    amount = {}
    for needed in (True, False):
        batch = world("exchange", needed=needed, samples=(1500, 1, 1)).train
        asked = batch.attributes["key"].numpy()
        first_two = asked < 2
        stored = np.stack([batch.attributes[f"value of key {k}"].numpy() for k in range(6)], 1)[first_two]
        label, asked = batch.labels.numpy()[first_two], asked[first_two]
        store = stored[:, 0] * 4 + stored[:, 1] if needed else stored[np.arange(len(asked)), asked]
        amount[needed] = modality_information(label, asked, store, repeats=3).set_index("information")
    for table in amount.values():
        assert table.loc["unique first", "bits"] < 0.05
        assert (table["shuffled"] < table["bits"]["synergistic"] + table["bits"]["unique second"]).all()
    # of 2 bits, two stored values leave 1 in doubt where they differ, which is in 3 of 4 samples
    assert amount[True].loc["synergistic", "bits"] == pytest.approx(0.75, abs=0.1)
    assert amount[True].loc["unique second", "bits"] == pytest.approx(1.25, abs=0.1)
    assert amount[False].loc["unique second", "bits"] == pytest.approx(2, abs=0.1)
    assert amount[False].loc["synergistic", "bits"] < 0.05


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_decomposed_is_refused():
    for wrong in (np.zeros((2, 2, 2)), -np.ones((2, 2, 2)), np.full((2, 2, 2), np.nan)):
        with pytest.raises(DataError, match="joint: counts from"):
            decompose(wrong)
    with pytest.raises(DataError, match="samples: 3 labels, 2 and 3"):
        modality_information(np.arange(3), np.arange(2), np.arange(3))
