"""What enters a Batch is checked and cleaned once; what leaves it is cut, picked and joined without loss."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import Batch, DataError, collate
from clcrkit.batch import concatenate, pad_axis

X = np.arange(24, dtype=np.float64).reshape(4, 3, 2)
IDS = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6], [0, 0, 0]])
MASK = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)


def refuses(message: str):
    return pytest.raises(DataError, match=f"^{re.escape(message)}")


def test_arrays_become_tensors_of_the_stated_types():
    batch = Batch.from_arrays(
        {"a": X, "t": IDS},
        labels=[0, 1, 2, 1],
        masks={"t": MASK},
        ids=[7, 5, 9, 1],
        attributes={"who": [1, 1, 2, 2]},
        evidence={"a": np.ones((4, 3, 3))},
    )
    assert batch.modalities == ("a", "t")
    assert len(batch) == 4
    assert repr(batch) == "Batch(4 samples: a (3, 2), t (3,))"
    assert (batch.tokens["a"].dtype, batch.tokens["t"].dtype) == (torch.float32, torch.int64)
    assert batch.masks["a"].all()
    assert batch.ids.tolist() == [7, 5, 9, 1]
    assert batch.labels is not None
    assert batch.labels.dtype == torch.int64
    assert (batch.attributes["who"].dtype, batch.evidence["a"].dtype) == (torch.int64, torch.bool)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [([0.5, 1.5, 2, 0], torch.float32), (np.eye(4), torch.float32), (np.eye(4, dtype=int), torch.float32),
     (np.array([True, False, True, False]), torch.int64), (None, None)],
)  # fmt: skip
def test_kinds_of_labels(labels, dtype):
    made = Batch.from_arrays({"a": X}, labels=labels).labels
    assert made is None if dtype is None else made.dtype == dtype


def test_vectors_are_one_token():
    batch = Batch.from_arrays({"a": X[:, 0], "b": X}, axes={"a": "feature"})
    assert batch.tokens["a"].shape == (4, 1, 2)
    assert batch.masks["a"].shape == (4, 1)


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e30])
def test_what_the_mask_hides_is_zeroed(rubbish):
    tokens = np.where(MASK[..., None], X, rubbish)
    batch = Batch.from_arrays({"a": tokens, "b": X}, masks={"a": MASK})
    assert (batch.tokens["a"][~torch.tensor(MASK)] == 0).all()
    np.testing.assert_array_equal(batch.tokens["a"].numpy()[MASK], X[MASK])


def test_negative_ids_under_the_mask_are_zeroed():
    batch = Batch.from_arrays({"t": np.where(MASK, IDS, -1), "b": X}, masks={"t": MASK})
    np.testing.assert_array_equal(batch.tokens["t"].numpy(), np.where(MASK, IDS, 0))


def changed(array: np.ndarray, place: tuple, value: float) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


REFUSED = [
    ("tokens: no modality given", {"tokens": {}}),
    ("a: not an array of numbers", {"tokens": {"a": [["x"]]}}),
    ("a: floats of shape (1,) may be one token of 1 features or 1 tokens", {"tokens": {"a": [[1.0], [1.0, 2.0]]}}),
    ("a: complex numbers", {"tokens": {"a": X + 1j}}),
    ("a: shape (4,), but (batch, token, feature)", {"tokens": {"a": X[:, 0, 0]}}),
    ("a: shape (4,), but (batch, token) with", {"tokens": {"a": IDS[:, 0]}}),
    ("a: shape (4, 0, 2), but (batch, token, feature)", {"tokens": {"a": X[:, :0]}}),
    ("a: shape (0, 3, 2)", {"tokens": {"a": X[:0]}}),
    ("a: shape (4, 3, 1), but (batch, token) with no empty axis", {"tokens": {"a": IDS[..., None]}}),
    ("b: 3 samples, but a has 4", {"tokens": {"a": X, "b": X[:3]}}),
    ("a: mask of shape (4, 2), but (batch, token) is (4, 3)", {"tokens": {"a": X}, "masks": {"a": MASK[:, :2]}}),
    ("masks: z is no modality; there are a, b", {"tokens": {"a": X, "b": X}, "masks": {"z": MASK}}),
    ("masks: 1 of 4 samples have no token in any modality (first: id 3)", {"tokens": {"a": X}, "masks": {"a": MASK}}),
    ("ids: shape (3,), but (4,)", {"tokens": {"a": X}, "ids": [1, 2, 3]}),
    ("ids: not an array of numbers (<U1); number the samples, and keep these as an attribute",
     {"tokens": {"a": X}, "ids": ["a", "b", "c", "d"]}),
    ("ids: 1 of 4 are repeated", {"tokens": {"a": X}, "ids": [1, 2, 3, 1]}),
    ("a: 1 of 4 samples hold NaN; only finite numbers are allowed (first: id 12, token 1): fill or mask them",
     {"tokens": {"a": changed(X, (2, 1, 0), np.nan)}, "ids": [10, 11, 12, 13]}),
    ("a: 2 of 4 samples hold inf; only finite numbers are allowed (first: id 0, token 2)",
     {"tokens": {"a": changed(changed(X, (3, 0, 0), -np.inf), (0, 2, 1), np.inf)}}),
    ("a: 1 of 4 samples hold inf", {"tokens": {"a": changed(X, (3, 0, 0), 1e300)}}),
    ("t: 1 of 4 samples hold a token id of -2; ids start at 0 (first: id 1, token 0)",
     {"tokens": {"t": changed(IDS, (1, 0), -2)}}),
    ("labels: shape (3,), but 4 samples", {"tokens": {"a": X}, "labels": [1, 2, 3]}),
    ("labels: shape (), but 4 samples", {"tokens": {"a": X}, "labels": 1}),
    ("labels: 3 axes", {"tokens": {"a": X}, "labels": X}),
    ("labels: (batch, label) labels must be 0 or 1", {"tokens": {"a": X}, "labels": X[:, 0]}),
    ("labels: (batch, label) labels must be 0 or 1", {"tokens": {"a": X}, "labels": IDS}),
    ("labels: 1 of 4 samples are NaN or inf", {"tokens": {"a": X}, "labels": [1.0, np.nan, 2.0, 3.0]}),
    ("labels: 1 of 4 samples are NaN or inf", {"tokens": {"a": X}, "labels": [1.0, 1e300, 2.0, 3.0]}),
    ("labels: 1 of 4 samples are negative (-1); classes start at 0 (first: id 2",
     {"tokens": {"a": X}, "labels": [1, 0, -1, 2]}),
    ("attribute who: shape (2,), but 4 samples", {"tokens": {"a": X}, "attributes": {"who": [1, 2]}}),
    ("attribute who: ", {"tokens": {"a": X}, "attributes": {"who": IDS}}),
    ("attribute who: ", {"tokens": {"a": X}, "attributes": {"who": [0.5, 1, 2, np.nan]}}),
    ("evidence a: shape (2, 3), but 4 samples", {"tokens": {"a": X}, "evidence": {"a": [[1, 1, 1]] * 2}}),
    ("evidence a: ", {"tokens": {"a": X}, "evidence": {"a": MASK}}),
    ("evidence a: ", {"tokens": {"a": X}, "evidence": {"a": np.ones((4, 3, 2))}}),
    ("evidence: z", {"tokens": {"a": X}, "evidence": {"z": np.ones((4, 3, 3))}}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "given_"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_used_is_refused_with_its_place_and_value(message, given_):
    with refuses(message):
        Batch.from_arrays(**given_)


@pytest.mark.parametrize("view", [X[::-1], X[:, ::-1], np.broadcast_to(X[:1], X.shape), X.astype(np.float16)])
@pytest.mark.filterwarnings("error")
def test_any_numpy_view_will_do(view):
    batch = Batch.from_arrays({"a": view}, labels=np.arange(4)[::-1])
    np.testing.assert_array_equal(batch.tokens["a"].numpy(), view)


def test_a_batch_does_not_change_when_its_arrays_do():
    x, mask, labels, ids = X.astype(np.float32), MASK.copy(), np.array([0, 1, 2, 0]), np.arange(4)
    batch = Batch.from_arrays({"a": x, "b": X}, labels=labels, masks={"a": mask}, ids=ids)
    kept = [t.clone() for t in (batch.tokens["a"], batch.masks["a"], batch.labels, batch.ids)]
    for array in (x, mask, labels, ids):
        array[...] = 1
    for before, after in zip(kept, (batch.tokens["a"], batch.masks["a"], batch.labels, batch.ids), strict=True):
        assert torch.equal(before, after)


# ---- picking, cutting, joining


@pytest.mark.parametrize("index", [slice(1, 4), [4, 0, 2], torch.tensor([True, False, True, False, False, True])])
def test_select_picks_the_same_samples_of_everything(batch, index):
    picked = batch.select(index)
    wanted = torch.arange(6)[index if isinstance(index, slice) else torch.as_tensor(index)]
    assert torch.equal(picked.ids, batch.ids[wanted])
    assert torch.equal(picked.labels, batch.labels[wanted])
    assert torch.equal(picked.attributes["speaker"], batch.attributes["speaker"][wanted])
    for m in batch.modalities:
        assert torch.equal(picked.tokens[m], batch.tokens[m][wanted])
        assert torch.equal(picked.masks[m], batch.masks[m][wanted])


def test_only_keeps_the_asked_modalities_in_the_asked_order(batch):
    assert batch.only("sound", "vision").modalities == ("sound", "vision")
    assert torch.equal(batch.only("sound").tokens["sound"], batch.tokens["sound"])
    with refuses("modalities: smell asked for, but there are sound, text, vision"):
        batch.only("smell")
    with refuses("modalities: none asked for"):
        batch.only()


def test_to_moves_everything(batch):
    moved = batch.to("meta")
    assert {t.device.type for t in (*moved.tokens.values(), *moved.masks.values(), moved.labels, moved.ids)} == {"meta"}
    assert moved.attributes["speaker"].device.type == "meta"
    assert batch.ids.device.type == "cpu"


@given(st.integers(1, 7), st.permutations(range(6)), st.booleans())
def test_batches_cover_the_order_and_cut_only_padding(make_batch, size, order, drop_last):
    batch = make_batch()
    parts = list(batch.batches(size, torch.tensor(order), drop_last=drop_last))
    covered = [int(i) for part in parts for i in part.ids]
    expected = [int(batch.ids[i]) for i in order]
    assert covered == (expected[: 6 // size * size] if drop_last else expected)
    for part in parts:
        assert len(part) <= size
        whole = batch.select([int(i) - 100 for i in part.ids])
        for m in batch.modalities:
            length = part.masks[m].shape[1]
            assert length == max(1, int(whole.masks[m].sum(1).max()))  # this batch's padding is all behind
            assert torch.equal(part.tokens[m], whole.tokens[m][:, :length])
            assert not whole.masks[m][:, length:].any()


def test_batches_keep_tokens_behind_leading_padding():
    mask = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], dtype=bool)
    parts = list(Batch.from_arrays({"a": X}, masks={"a": mask}).batches(2))
    assert [part.masks["a"].tolist() for part in parts] == [mask[:2].tolist(), mask[2:].tolist()]


def test_collate_pads_ragged_samples_and_leaves_out_missing_modalities():
    samples = [
        {"a": X[0], "t": [1, 2]},
        {"t": [3], "a": None},
        {"a": X[1, :1]},
        {"a": np.zeros((0, 2)), "t": np.array([4, 5, 6])},
    ]
    batch = collate(samples, labels=[0, 1, 0, 1], ids=[4, 3, 2, 1])
    assert batch.masks["a"].sum(1).tolist() == [3, 0, 1, 0]
    assert batch.masks["t"].tolist() == [[True, True, False], [True, False, False], [False] * 3, [True] * 3]
    assert batch.tokens["t"].tolist() == [[1, 2, 0], [3, 0, 0], [0, 0, 0], [4, 5, 6]]
    np.testing.assert_array_equal(batch.tokens["a"][0].numpy(), X[0])
    np.testing.assert_array_equal(batch.tokens["a"][2, :1].numpy(), X[1, :1])
    assert batch.ids.tolist() == [4, 3, 2, 1]


def test_collate_keeps_values_that_do_not_fit_the_first_samples_type():
    rows = [np.array([1], dtype=np.uint8), np.array([300, 70_000])]
    assert collate([{"t": row} for row in rows]).tokens["t"].tolist() == [[1, 0], [300, 70_000]]
    rows = [np.array([[1.0]], dtype=np.float16), np.array([[1e6]])]
    assert collate([{"a": row} for row in rows]).tokens["a"].flatten().tolist() == [1, 1e6]


@pytest.mark.parametrize(
    ("message", "samples"),
    [
        ("samples: empty", []),
        ("a: no sample has a token", [{"a": None, "b": [1]}, {"b": [2]}]),
        (
            "a: samples differ in width or kind: float32 (2,), float32 (3,)",
            [{"a": np.ones((2, 3))}, {"a": np.ones((1, 2))}],
        ),
        ("a: samples differ in width or kind: float32 (1,), int64 ()", [{"a": [1, 2]}, {"a": [[1.0]]}]),
        ("a: floats of shape (1, 2) may be one token of 2 features or 2 tokens", [{"a": [1.0, 2.0]}]),
        ("a: a sample of shape (1, 2), but (token, feature)", [{"a": [[1, 2]]}, {"a": [[1, 2], [3, 4]]}]),
        ("a: 1 of 2 samples hold NaN", [{"a": [[1.0]]}, {"a": [[np.nan], [1.0]]}]),
        ("masks: 1 of 2 samples have no token in any modality (first: id 1)", [{"a": [1]}, {"a": None}]),
    ],
)
def test_collate_refuses(message, samples):
    with refuses(message):
        collate(samples)


def test_concatenate_pads_to_the_longest_and_keeps_the_order(batch):
    parts = list(batch.batches(2))
    assert len({part.masks["vision"].shape for part in parts}) > 1
    whole = concatenate(parts)
    for m in batch.modalities:
        length = whole.masks[m].shape[1]
        assert torch.equal(whole.tokens[m], batch.tokens[m][:, :length])
        assert torch.equal(whole.masks[m], batch.masks[m][:, :length])
    assert torch.equal(whole.ids, batch.ids)
    assert torch.equal(whole.labels, batch.labels)
    assert torch.equal(whole.attributes["speaker"], batch.attributes["speaker"])


def test_pad_axis():
    x = torch.ones(2, 3, dtype=torch.bool)
    assert pad_axis(x, 1, 3) is x
    assert pad_axis(x, 0, 4).tolist() == [[True] * 3] * 2 + [[False] * 3] * 2
