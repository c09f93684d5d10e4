"""MulT's pickles, as Python 2 wrote them, and MultiBench's, padded in front."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from clcrkit import DataError
from clcrkit.datasets import check, multibench
from clcrkit.datasets.split import PARTS
from tests.datasets.test_mmsa import KEYS, to_explorer
from tests.datasets.writers_files import SIZES, mult_parts, write_mult


def test_from_files_to_explorer(tmp_path: Path):
    write_mult(tmp_path, 0)
    to_explorer(multibench(tmp_path / "mosi_data_noalign.pkl"), 1, "regression")


@pytest.mark.parametrize("in_front", [True, False])
def test_every_real_token_arrives(tmp_path: Path, in_front: bool):
    parts = mult_parts(1, in_front)
    parts["train"]["audio"][4] = 0
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(parts))
    split = multibench(tmp_path / "file.pkl")
    for part, count in SIZES.items():
        batch, held = getattr(split, part), parts[part]
        for m, key in KEYS.items():
            for i in range(count):
                real = held[key][i][(held[key][i] != 0).any(1)].astype(np.float32)
                np.testing.assert_array_equal(batch.tokens[m][i][batch.masks[m][i]].numpy(), real)
        np.testing.assert_allclose(batch.labels.numpy(), held["labels"][:, 0, 0], rtol=1e-6)
        videos = [split.attribute_names["group"][i] for i in batch.attributes["group"].tolist()]
        assert videos == [row[0].decode() for row in held["id"]]
        names = [split.attribute_names["name"][i] for i in batch.attributes["name"].tolist()]
        assert names == [b"_".join(row).decode() for row in held["id"]]


@pytest.mark.parametrize(
    ("name", "video"), [("a_b$_$3", "a_b"), ("a-b[12]", "a-b"), ("03bSnISJMiM_11", "03bSnISJMiM"), ("plain", "plain")]
)
def test_the_video_of_an_id(tmp_path: Path, name: str, video: str):
    parts = mult_parts(2)
    for held in parts.values():
        held["id"] = np.array([[name]] * len(held["id"]))
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(parts))
    assert multibench(tmp_path / "file.pkl").attribute_names["group"] == (video,)


def test_not_finite_is_named_or_replaced(tmp_path: Path):
    parts = mult_parts(3)
    parts["valid"]["audio"][1, 0, 2] = -np.inf
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(parts))
    with pytest.raises(DataError, match=r"valid acoustic: 1 of 4 samples"):
        multibench(tmp_path / "file.pkl")
    assert multibench(tmp_path / "file.pkl", replace=True).valid.tokens["acoustic"][1, 0, 2] == 0


def test_without_an_id_groups_are_not_known(tmp_path: Path):
    parts = mult_parts(3)
    (tmp_path / "with.pkl").write_bytes(pickle.dumps(parts))
    for held in parts.values():
        del held["id"]
    (tmp_path / "without.pkl").write_bytes(pickle.dumps(parts))
    known, split = multibench(tmp_path / "with.pkl"), multibench(tmp_path / "without.pkl")
    for part in PARTS:
        one, other = getattr(known, part), getattr(split, part)
        torch.testing.assert_close(other.labels, one.labels)
        torch.testing.assert_close(other.tokens, one.tokens)
        assert set(other.attributes) == {"name"}
    assert any("groups: unknown" in note for note in check(split).notes)


@pytest.mark.parametrize("names", [("train", "valid", "test"), (b"train", b"valid", b"test"), ("train", "dev", "test")])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_iemocap_as_mult_has_it(tmp_path: Path, names: tuple, end: bytes):
    """labels (sample, 4, 2) and no id; parts under other names and keys as Python 2 wrote them; copied as text."""
    parts, path = mult_parts(5), tmp_path / "iemocap_data.pkl"
    truth = {part: np.random.default_rng(i).integers(0, 2, (SIZES[part], 4)) for i, part in enumerate(parts)}
    for part, held in parts.items():
        del held["id"]
        held["labels"] = np.eye(2)[truth[part]]
    as_bytes = isinstance(names[0], bytes)
    content = {
        name: {(key.encode() if as_bytes else key): value for key, value in held.items()}
        for name, held in zip(names, parts.values(), strict=True)
    }
    path.write_bytes(pickle.dumps(content, protocol=0).replace(b"\n", end))
    if end == b"\r\n":
        with pytest.raises(DataError, match=r"line ends of Windows \(CRLF\).*copy it as binary"):
            multibench(path)
        return
    split = multibench(path)
    assert split.label_names == ("neutral", "happy", "sad", "angry")
    for part, labels in truth.items():
        batch = getattr(split, part)
        np.testing.assert_array_equal(batch.labels.numpy(), labels)
        assert set(batch.attributes) == {"name"}
    path.write_bytes(pickle.dumps({**content, "valid": 0, "dev": 0, b"valid": 0}))
    with pytest.raises(DataError, match="a dict of 'train', 'valid' and 'test'"):
        multibench(path)


def test_damage_is_named(tmp_path: Path):
    for key, value, message in (
        ("labels", np.zeros((12, 5, 2)), "labels is an array of shape"),
        ("labels", np.zeros((12, 4, 2)), r"labels of shape \(12, 4, 2\), but one 1 and one 0 in each pair"),
        ("labels", None, "labels is a NoneType"),
        ("id", np.full((12, 9), "a"), r"id of shape \(12, 9\)"),
        ("text", np.zeros((12, 3)), "text is float64 of shape"),
    ):
        parts = mult_parts(4)
        parts["train"][key] = value
        (tmp_path / "file.pkl").write_bytes(pickle.dumps(parts))
        with pytest.raises(DataError, match=rf"file\.pkl: train: {message}"):
            multibench(tmp_path / "file.pkl")
