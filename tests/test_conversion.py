"""What enters as an array: any kind of array means the same, no value changes on the way, and doubt asks."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import Batch, DataError
from clcrkit.conversion import MOST_TOKEN_IDS, as_tensor, as_whole
from clcrkit.datasets import from_arrays

X = np.arange(24, dtype=np.float32).reshape(4, 3, 2) + 1
IDS = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6], [7, 8, 9]])
PARTS = ["train", "train", "valid", "test"]


def both(message: str, **arguments: Any) -> None:
    """Both doors refuse with this message."""
    given_ = {"tokens": {"a": X}, "labels": [0, 1, 0, 1], **arguments}
    with pytest.raises(DataError, match=re.escape(message)):
        Batch.from_arrays(**given_)
    with pytest.raises(DataError, match=re.escape(message)):
        from_arrays(**given_, parts=PARTS)


def ragged(kind: Any) -> list[Any]:
    return [kind(X[0]), kind(X[1, :1]), None, kind(X[3, :2])]


SAME = {
    "torch": torch.from_numpy(X),
    "float64": X.astype(np.float64),
    "big-endian": X.astype(">f8"),
    "longdouble": X.astype(np.longdouble),
    "bfloat16": torch.from_numpy(X).bfloat16(),
    "needs grad": torch.from_numpy(X).requires_grad_(),
    "sparse": torch.from_numpy(X).to_sparse(),
    "nested lists": X.tolist(),
    "tuple of arrays": tuple(X),
    "list of tensors": list(torch.from_numpy(X)),
    "objects": np.array([*X, None], dtype=object)[:4],
    "Series of arrays": pd.Series(list(X), index=[9, 8, 7, 6]),
    "Fortran order": np.asfortranarray(X),
    "reversed twice": X[::-1][::-1],
    "read-only": np.broadcast_to(X, X.shape),
    "masked array": np.ma.array(X, mask=False),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_of_array_is_the_same_batch(kind: str):
    made = Batch.from_arrays({"a": SAME[kind]})
    np.testing.assert_array_equal(made.tokens["a"].numpy(), X)
    assert made.tokens["a"].dtype == torch.float32
    assert made.masks["a"].all()
    assert not made.tokens["a"].requires_grad


@pytest.mark.parametrize(
    "kind", [np.uint8, np.uint16, np.uint32, np.uint64, ">i2", "<i4", np.int64, torch.tensor, list]
)
def test_every_kind_of_integers_is_the_same_ids(kind: Any):
    values = kind(IDS.tolist()) if kind in (torch.tensor, list) else IDS.astype(kind)
    assert Batch.from_arrays({"t": values}, ids=np.arange(4, dtype=np.uint16)).tokens["t"].tolist() == IDS.tolist()


@pytest.mark.parametrize("kind", [np.array, torch.tensor, lambda x: x.tolist(), np.ma.array])
def test_ragged_lists_are_padded_and_none_is_a_missing_modality(kind: Any):
    for listed in (ragged(kind), pd.Series(ragged(kind))):
        made = Batch.from_arrays({"a": listed, "t": IDS}, labels=["x", "y", "x", "y"])
        assert made.masks["a"].sum(1).tolist() == [3, 1, 0, 2]
        np.testing.assert_array_equal(made.tokens["a"][3, :2].numpy(), X[3, :2])
        assert not made.tokens["a"][2].any()


def test_what_is_missing_is_missing_in_every_spelling():
    gone = X.copy()
    gone[2] = np.nan
    hidden = np.ma.array(X, mask=np.isnan(gone))
    present = np.array([True, True, False, True])
    ways = {
        "NaN rows": ({"a": gone}, None),
        "NaN in a list": ({"a": [X[0], X[1], np.nan, X[3]]}, None),
        "NA in a Series": ({"a": pd.Series([X[0], X[1], pd.NA, X[3]], dtype=object)}, None),
        "no token": ({"a": [X[0], X[1], X[2, :0], X[3]]}, None),
        "masked": ({"a": hidden}, None),
        "presence": ({"a": X}, {"a": present}),
        "presence in pandas": ({"a": X}, {"a": pd.Series(present)}),
        "lengths": ({"a": X}, {"a": [3, 3, 0, 3]}),
        "lengths as floats": ({"a": X}, {"a": [3.0, 3.0, 0.0, 3.0]}),
        "mask": ({"a": X}, {"a": np.repeat(present[:, None], 3, 1)}),
        "mask of floats": ({"a": X}, {"a": np.repeat(present[:, None], 3, 1) * 1.0}),
    }
    for way, (tokens, masks) in ways.items():
        made = Batch.from_arrays({**tokens, "t": IDS}, masks=masks)
        assert made.masks["a"].all(1).tolist() == present.tolist(), way
        np.testing.assert_array_equal(made.tokens["a"].numpy(), np.where(present[:, None, None], X, 0), way)


def test_names_are_kept_by_both_doors():
    frame = pd.DataFrame({"sound": list(X), "mood": ["sad", "glad", "sad", "glad"], "who": ["b", "a", "b", "c"]})
    made = Batch.from_arrays({"sound": frame["sound"]}, frame["mood"], attributes={"who": frame["who"]})
    assert (made.label_names, made.attribute_names) == (("glad", "sad"), {"who": ("a", "b", "c")})
    assert made.labels is not None
    assert [made.label_names[i] for i in made.labels] == frame["mood"].tolist()
    assert made.select([1]).label_names == made.to("cpu").label_names == made.label_names
    split = from_arrays({"sound": frame["sound"]}, frame["mood"], parts=PARTS, attributes={"who": frame["who"]})
    assert (split.label_names, split.attribute_names) == (made.label_names, made.attribute_names)
    ordered = pd.Categorical(frame["mood"], categories=["sad", "glad", "never"], ordered=True)
    for values in (ordered, pd.Series(ordered)):
        assert Batch.from_arrays({"a": X}, values).label_names == ("sad", "glad")
    named = Batch.from_arrays({"a": X}, [3, 1, 3, 1], classes=[1, 2, 3])
    assert named.labels is not None
    assert (named.labels.tolist(), named.label_names) == ([2, 0, 2, 0], ("1", "2", "3"))
    assert Batch.from_arrays({"a": X}, ["nan", "b", "b", "b"], classes=["b", "nan"]).label_names == ("b", "nan")
    for values in ([0, 0, 2, 2], np.array([0, 0, 2, 2], np.uint8), pd.Series([0, 0, 2, 2], dtype="Int64")):
        assert Batch.from_arrays({"a": X}, values, classes=3).labels.tolist() == [0, 0, 2, 2]


def test_what_is_decided_is_done():
    flat = X[:, 0]
    assert Batch.from_arrays({"a": flat}, axes="feature").tokens["a"].shape == (4, 1, 2)
    assert Batch.from_arrays({"a": flat}, axes={"a": "token"}).tokens["a"].shape == (4, 2, 1)
    assert Batch.from_arrays({"a": pd.DataFrame(flat)}, axes="feature").tokens["a"].tolist() == flat[:, None].tolist()
    assert Batch.from_arrays({"a": [flat[0], None, [1.0, 2.0, 3.0], [4.0]], "b": X}, axes="token").masks["a"].sum() == 6
    whole = np.array([0.0, 1.0, 2.0, 1.0])
    as_classes, as_numbers = (Batch.from_arrays({"a": X}, whole, task=t) for t in ("classification", "regression"))
    assert as_classes.labels.tolist() == as_numbers.labels.tolist() == [0, 1, 2, 1]
    assert (as_classes.labels.dtype, as_numbers.labels.dtype) == (torch.int64, torch.float32)
    for column in (whole[:, None], pd.DataFrame({"y": whole}), whole[:, None].tolist()):
        for task, shape in (("classification", (4,)), ("regression", (4,))):
            assert Batch.from_arrays({"a": X}, column, task=task).labels.shape == shape
    assert Batch.from_arrays({"a": X}, [[0], [1], [1], [0]], task="multilabel").labels.shape == (4, 1)
    assert Batch.from_arrays({"a": X}, [3, 1, 2, 0], task="regression").labels.dtype == torch.float32


PART_OF_A_TOKEN = np.zeros(X.shape, dtype=bool)
PART_OF_A_TOKEN[0, 0, 0] = True
ASKED = [
    ("floats that are all whole (0., 1., 2.) may be classes or a regression; pass task=", {"labels": [0.0, 1, 2, 1]}),
    ("go up to 3, but no sample is of class 0; pass", {"labels": [1, 2, 3, 1]}),
    ("go up to 3, but no sample is of class 2; pass", {"labels": [0, 1, 3, 1]}),
    ("or classes=4 where", {"labels": [0, 1, 3, 1]}),
    ("are negative (-1); classes start at 0 (first: id 0, token 0); pass the values", {"labels": [-1, 1, -1, 1]}),
    ("one column, (batch, 1), may hold", {"labels": [[0], [1], [0], [1]]}),
    ("one column, (batch, 1), may hold", {"labels": np.array([[0.5], [1], [0], [1]])}),
    ("are names, and 1 of 4 are empty, NaN or no names (first: 'nan', the one", {"labels": ["a", "nan", "b", "a"]}),
    ("some are names, and 1 of 4 are empty, NaN or no names (first: 'NaN'", {"labels": ["a", "NaN", "b", "a"]}),
    ("are names, and 1 of 4 are empty, NaN or no names (first: nan", {"labels": pd.Series(["a", np.nan, "b", "a"])}),
    ("some are names, and 1 of 4 are empty, NaN or no names (first: None", {"labels": ["a", None, "b", "a"]}),
    ("labels: not an array of numbers (1 of 4 are missing; drop them)", {"labels": [0, None, 1, 0]}),
    ("labels: 1 of 4 samples are NaN or inf", {"labels": pd.Series([0, None, 1, 0], dtype="Int64")}),
    ("labels: not an array of numbers (some are masked)", {"labels": np.ma.masked_equal([0, 7, 0, 1], 7)}),
    ("class 1000000000, but classes go from 0 to less than 65536", {"labels": [0, 1, 10**9, 1]}),
    ("class 3, but classes go from 0 to less than 3", {"labels": [0, 1, 3, 1], "classes": 3}),
    ("that classes names are needed", {"labels": ["a", "b", "c", "a"], "classes": ["a", "b"]}),
    ("but from 2 to 65536 are needed, each once", {"labels": ["a", "b", "a", "b"], "classes": ["a", "b", "a"]}),
    ("holds 0.5, but whole numbers are needed", {"labels": [0.5, 1, 0, 1], "task": "classification"}),
    ("which do not make a classification", {"labels": np.eye(4), "task": "classification"}),
    ("with names, which do not make a regression", {"labels": list("abab"), "task": "regression"}),
    ("is beyond what float32 tells apart", {"labels": [2**30 + 1, 0, 1, 2], "task": "regression"}),
    ("a: floats of shape (4, 2) may be one token of 2 features or 2 tokens", {"tokens": {"a": X[:, 0]}}),
    ("a: floats of shape (2,) may be one token of 2 features or 2 tokens", {"tokens": {"a": [*X[:3, 0], None]}}),
    ("axes: z is no modality", {"axes": {"z": "token"}}),
    ("integers are token ids; pass floats for measurements", {"tokens": {"a": X.astype(np.int16)}}),
    ("integers are token ids; pass floats for measurements", {"tokens": {"a": IDS.astype(np.int16) - 4}}),
    ("a: holds True and False", {"tokens": {"a": IDS > 2}}),
    (f"ids must be below {MOST_TOKEN_IDS}", {"tokens": {"a": np.where(IDS == 4, 2**40, IDS)}}),
    ("a: masked in some features of a token only", {"tokens": {"a": np.ma.array(X, mask=PART_OF_A_TOKEN)}}),
    ("a: holds 18446744073709551615, but whole numbers must be below 2**63",
     {"tokens": {"a": np.full((4, 3), 2**64 - 1, dtype=np.uint64)}}),
    ("a padded to 200000 tokens", {"tokens": {"a": [np.ones((200_000, 1), np.float32), *([X[0, :, :1]] * 99)]}}),
    ("ids: holds 0.69999999999999996, but whole numbers are needed", {"ids": [0.7, 1.7, 2, 3]}),
    ("ids: holds 18446744073709551615, but whole numbers must be below 2**63",
     {"ids": np.array([2**64 - 1, 0, 1, 2], dtype=np.uint64)}),
    ("ids: holds 1e+17, but whole numbers are needed", {"ids": [1e17, 0, 1, 2]}),
    ("a mask: holds nan, but True and False", {"masks": {"a": np.full((4, 3), np.nan)}}),
    ("a mask: holds 0.5, but True and False", {"masks": {"a": np.full((4, 3), 0.5)}}),
    ("a: a mask of one 0 or 1 for each sample may be presence or lengths", {"masks": {"a": [1, 1, 0, 1]}}),
    ("a: lengths from 1 to 4, but they must be from 0 to 3", {"masks": {"a": [1, 2, 3, 4]}}),
    ("calls real what is missing", {"tokens": {"a": ragged(np.array), "t": IDS}, "masks": {"a": np.ones((4, 3))}}),
    ("calls real what is missing", {"tokens": {"a": ragged(np.array), "t": IDS}, "masks": {"a": np.ones(4, bool)}}),
    ("attribute who: some are names, and 1 of 4", {"attributes": {"who": ["x", None, "y", "z"]}}),
    ("attribute who: holds 0.5", {"attributes": {"who": [0.5, 1, 2, 3]}}),
    ("evidence a: holds 2", {"evidence": {"a": np.full((4, 3, 3), 2)}}),
    ("tokens: ndarray, but a mapping", {"tokens": X}),
    ("tokens: 5 is no text", {"tokens": {5: X}}),
    ("masks: list, but a mapping", {"masks": [1, 2]}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "arguments"), ASKED[1:], ids=range(1, len(ASKED)))
def test_doubt_asks_and_what_would_change_is_refused(message: str, arguments: dict[str, Any]):
    if "id 0" in message or "padded" in message:  # said of one door only, or large
        with pytest.raises(DataError, match=re.escape(message)):
            Batch.from_arrays(**{"tokens": {"a": X}, **arguments})
    else:
        both(message, **arguments)


def test_groups_and_names_may_not_be_missing():
    for what in ("groups", "names"):
        with pytest.raises(DataError, match=f"{what}: 1 of 4 are missing"):
            from_arrays({"a": X}, [0, 1, 0, 1], parts=PARTS, **{what: ["x", None, "y", "z"]})


DTYPES = [
    np.bool_,
    np.int8,
    np.uint16,
    np.uint32,
    np.int64,
    np.uint64,
    np.float16,
    np.float32,
    np.float64,
    ">i4",
    ">f8",
]


@given(st.sampled_from(DTYPES), st.lists(st.integers(-(2**66), 2**66) | st.floats(), max_size=5))
def test_no_value_changes_on_the_way(dtype: Any, listed: list[Any]):
    with np.errstate(all="ignore"):
        try:
            values = np.array(listed).astype(dtype)
        except (OverflowError, TypeError):
            return
    try:
        tensor = as_tensor("x", values)
        whole = as_whole("x", tensor)
    except DataError:
        return
    assert all(int(a) == int(b) and a == b for a, b in zip(whole.tolist(), values.tolist(), strict=True))


@given(st.lists(st.integers(0, 4) | st.none(), min_size=2, max_size=6).filter(any), st.booleans())
def test_a_ragged_list_is_its_samples(lengths: list[int | None], as_ids: bool):
    rng = np.random.default_rng(0)
    rows = [None if n is None else rng.integers(0, 9, n) if as_ids else rng.normal(size=(n, 2)) for n in lengths]
    made = Batch.from_arrays({"a": rows, "b": np.ones((len(rows), 1, 1))})
    for row, tokens, mask in zip(rows, made.tokens["a"], made.masks["a"], strict=True):
        wanted = np.zeros((0, 2)) if row is None or not len(row) else row.astype(np.float32 if not as_ids else int)
        np.testing.assert_array_equal(tokens[mask].numpy().reshape(-1), wanted.reshape(-1))
        assert not tokens[~mask].any()


INDEX: list[Any] = [
    3, -1, np.int64(2), slice(1, 3), slice(None, None, -1), slice(-2, None), [], [2, 0, 2], (1, 3), range(2),
    np.array([], dtype=float), np.array([3, 1], dtype=np.uint8), np.array([True, False, True, False]),
    [True, False, False, True], pd.Series([True, False, True, False], index=[5, 6, 7, 8]), pd.Series([2, 1]),
    pd.Series([True, False, True, True], dtype="boolean"), torch.tensor([2, 1]), torch.tensor(1), torch.ones(4) > 0,
]  # fmt: skip


@pytest.mark.parametrize("index", INDEX, ids=range(len(INDEX)))
def test_a_batch_is_indexed_as_numpy_is(index: Any):
    batch = Batch.from_arrays({"a": X}, [0, 1, 0, 1], ids=[7, 5, 9, 1])
    plain = np.asarray(index, dtype=bool) if str(getattr(index, "dtype", "")) == "boolean" else index
    plain = plain if isinstance(plain, slice) else np.asarray(plain)
    plain = plain.astype(int) if not isinstance(plain, slice) and not plain.size else plain
    wanted = np.atleast_1d(np.array([7, 5, 9, 1])[plain]).tolist()
    assert batch[index].ids.tolist() == batch.select(index).ids.tolist() == wanted
    assert [int(one.ids) for one in batch] == [7, 5, 9, 1]


@pytest.mark.parametrize("index", [4, -5, [0, 4], [True, False], 1.5, "a", [0.0, 1.0], torch.ones(3) > 0, None, X, IDS])
def test_an_index_that_does_not_fit_is_refused(index: Any):
    batch = Batch.from_arrays({"a": X})
    with pytest.raises(DataError, match="index: "):
        batch[index]


def test_one_column_of_floats_is_one_token_of_one_feature() -> None:
    column = X[:, 0, :1]
    batch = Batch.from_arrays({"a": column})
    assert torch.equal(batch.tokens["a"], torch.tensor(column)[:, None])
