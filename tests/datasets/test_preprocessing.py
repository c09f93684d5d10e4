"""Masks from lengths and from zeros, against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import DataError
from clcrkit.datasets.preprocessing import mask_from_lengths, mask_from_zeros

FILLED = st.integers(1, 6).flatmap(
    lambda longest: st.lists(st.lists(st.booleans(), min_size=longest, max_size=longest), min_size=1, max_size=6)
)


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_lengths(lengths: list[int]):
    mask = mask_from_lengths(np.array(lengths), 5)
    assert mask.tolist() == [[token < length for token in range(5)] for length in lengths]


def test_lengths_that_do_not_fit():
    for wrong in (-1, 6):
        with pytest.raises(DataError, match=rf"lengths: 1 of 2 are not from 0 to 5 \(first: sample 1, {wrong}\)"):
            mask_from_lengths(np.array([3, wrong]), 5)


@given(filled=FILLED)
def test_zeros(filled: list[list[bool]]):
    tokens = np.array(filled)[:, :, None] * np.array([0.0, 2.0])
    begin = sum(any(row) and not row[0] for row in filled)
    end = sum(any(row) and not row[-1] for row in filled)
    expected = []
    for row in filled:
        places = [i for i, real in enumerate(row) if real]
        if not places:
            expected.append([False] * len(row))
        elif begin > end:
            expected.append([i >= places[0] for i in range(len(row))])
        else:
            expected.append([i <= places[-1] for i in range(len(row))])
    assert mask_from_zeros(tokens).tolist() == expected
