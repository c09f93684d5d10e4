"""MMSA's pickles: what the file says arrives, padding and missing modalities are masked, and damage is named."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clcrkit import CLCR, CLCRConfig, ConfigError, DataError
from clcrkit.datasets import Split, mmsa
from clcrkit.training import TrainConfig, fit
from clcrkit.viz import Explorer
from tests.datasets.writers_files import ANNOTATIONS, SIZES, mmsa_parts, write_mmsa, write_mmsa_unaligned

KEYS = {"language": "text", "acoustic": "audio", "vision": "vision"}


def written(folder: Path, parts: Any) -> Path:
    path = folder / "file.pkl"
    path.write_bytes(pickle.dumps(parts))
    return path


def to_explorer(split: Split, outputs: int, task: str) -> None:
    """One epoch, a trace, an explorer."""
    config = CLCRConfig.of(
        split.train, width=16, rank=4, private_rank=4, heads=2, outputs=outputs, task=task
    )  # fmt: skip
    torch.manual_seed(0)
    model = CLCR(config)
    fit(model, split.train, split.valid, TrainConfig(epochs=1, batch_size=8, device="cpu"), progress=False)
    Explorer(model.trace(split.test), model, split=split)


def test_from_files_to_explorer(tmp_path: Path):
    write_mmsa(tmp_path, 0)
    write_mmsa_unaligned(tmp_path, 0)
    to_explorer(mmsa(tmp_path / "aligned_50.pkl"), 1, "regression")
    to_explorer(mmsa(tmp_path / "unaligned_50.pkl", labels="classification"), 3, "classification")


@pytest.mark.parametrize("aligned", [True, False])
def test_every_real_token_and_no_other_arrives(tmp_path: Path, aligned: bool):
    parts = mmsa_parts(1, aligned)
    split = mmsa(written(tmp_path, parts))
    for part, count in SIZES.items():
        batch, held = getattr(split, part), parts[part]
        assert len(batch) == count
        for m, key in KEYS.items():
            for i in range(count):
                real = held[key][i][(held[key][i] != 0).any(1)]  # the writer's tokens are never all zero
                np.testing.assert_array_equal(batch.tokens[m][i][batch.masks[m][i]].numpy(), real)
        np.testing.assert_allclose(batch.labels.numpy(), held["regression_labels"])
        names = [split.attribute_names["name"][i] for i in batch.attributes["name"].tolist()]
        assert names == held["id"]
        videos = [split.attribute_names["group"][i] for i in batch.attributes["group"].tolist()]
        assert videos == [name.split("$_$")[0] for name in names]
    ids = torch.cat([split.train.ids, split.valid.ids, split.test.ids])
    assert ids.tolist() == list(range(sum(SIZES.values())))


def test_text_as_ids(tmp_path: Path):
    parts = mmsa_parts(2)
    batch = mmsa(written(tmp_path, parts), text="ids").train
    ids, attention = parts["train"]["text_bert"][:, 0], parts["train"]["text_bert"][:, 1] == 1
    assert batch.tokens["language"].dtype == torch.int64
    np.testing.assert_array_equal(batch.masks["language"].numpy(), attention)
    np.testing.assert_array_equal(batch.tokens["language"].numpy()[attention], ids[attention])


def test_labels_by_name(tmp_path: Path):
    parts = mmsa_parts(3)
    split = mmsa(written(tmp_path, parts), labels="annotations")
    assert split.label_names == ANNOTATIONS
    for part in SIZES:
        found = [ANNOTATIONS[i] for i in getattr(split, part).labels.tolist()]
        assert found == parts[part]["annotations"]
    classes = mmsa(written(tmp_path, parts), labels="classification").train.labels
    assert classes is not None
    assert classes.tolist() == parts["train"]["classification_labels"].tolist()


def test_the_attention_mask_masks_features_of_padding(tmp_path: Path):
    parts = mmsa_parts(4)
    for held in parts.values():
        held["text"] = np.where(held["text"] == 0, np.float32(0.5), held["text"])  # BERT also has output for [PAD]
    batch = mmsa(written(tmp_path, parts)).train
    np.testing.assert_array_equal(batch.masks["language"].numpy(), parts["train"]["text_bert"][:, 1] == 1)


def test_padding_in_front_and_zeros_inside(tmp_path: Path):
    parts = mmsa_parts(5)
    for held in parts.values():
        del held["text_bert"]
        held["audio"] = held["audio"][:, ::-1]
    parts["train"]["vision"][0] = 1
    parts["train"]["vision"][0, 2] = 0
    batch = mmsa(written(tmp_path, parts)).train
    audio = parts["train"]["audio"]
    np.testing.assert_array_equal(batch.masks["acoustic"].numpy(), (audio != 0).any(-1))
    assert batch.masks["vision"][0].all()


@pytest.mark.parametrize("aligned", [True, False])
def test_nothing_but_zeros_is_a_missing_modality(tmp_path: Path, aligned: bool):
    parts = mmsa_parts(6, aligned)
    parts["train"]["audio"][3] = 0
    batch = mmsa(written(tmp_path, parts)).train
    assert not batch.masks["acoustic"][3].any()
    assert batch.masks["acoustic"].any(1).sum() == SIZES["train"] - 1
    assert batch.masks["vision"][3].any()


@pytest.mark.parametrize("value", [-np.inf, np.nan, 1e300])
def test_what_is_not_finite_is_named_or_replaced(tmp_path: Path, value: float):
    parts = mmsa_parts(7)
    audio = parts["train"]["audio"].astype(np.float64)
    audio[2, 1, 4] = audio[5, 0, 0] = value
    parts["train"]["audio"] = audio
    path = written(tmp_path, parts)
    with pytest.raises(
        DataError, match=r"train acoustic: 2 of 12 samples .* 2 values .*video01\$_\$0, token 1.*replace"
    ):
        mmsa(path)
    batch = mmsa(path, replace=True).train
    assert batch.tokens["acoustic"][2, 1, 4] == 0
    assert batch.tokens["acoustic"][2, 1, 3] == np.float32(audio[2, 1, 3])
    assert all(tokens.isfinite().all() for tokens in batch.tokens.values())


def test_garbage_in_the_padding_changes_nothing(tmp_path: Path):
    clean = mmsa(written(tmp_path, mmsa_parts(8, aligned=False)))
    parts = mmsa_parts(8, aligned=False)
    for held in parts.values():
        for key in ("audio", "vision"):
            padding = np.arange(held[key].shape[1]) >= np.array(held[f"{key}_lengths"])[:, None]
            held[key][padding] = np.nan
    dirty = mmsa(written(tmp_path, parts))
    for m in KEYS:
        assert torch.equal(clean.train.tokens[m], dirty.train.tokens[m])
        assert torch.equal(clean.train.masks[m], dirty.train.masks[m])


def changed(change: Any) -> Any:
    parts = mmsa_parts(9, aligned=False)
    result = change(parts)
    return parts if result is None else result


def put(part: str, key: str, value: Any) -> Any:
    return lambda parts: parts[part].__setitem__(key, value)


DAMAGE = {
    "no dict": (lambda parts: [1], "a dict of 'train'"),
    "no test": (lambda parts: parts.pop("test") and None, "holds train, valid"),
    "a list as part": (lambda parts: {**parts, "test": [1]}, "a dict of 'train'"),
    "no audio": (lambda parts: parts["valid"].pop("audio") is None or None, "valid: no audio; it has"),
    "two axes": (put("train", "audio", np.zeros((12, 5))), r"audio is float64 of shape \(12, 5\)"),
    "text as array": (put("train", "audio", np.full((12, 5, 1), "a")), "audio is <U1"),
    "objects": (put("train", "vision", np.full((12, 5, 1), None)), "vision is object"),
    "a list": (put("train", "vision", [[1.0]]), "vision is a list"),
    "no samples": (put("train", "vision", np.zeros((0, 5, 4))), "none of them 0"),
    "too few": (put("train", "vision", np.ones((11, 11, 4))), "vision_lengths of shape"),
    "another width": (put("test", "vision", np.ones((6, 11, 3))), r"vision has train \(4,\)"),
    "lengths too long": (put("train", "audio_lengths", [10] * 12), "audio_lengths: 12 of 12 are not from 0 to 9"),
    "lengths negative": (put("train", "audio_lengths", [-1] * 12), "are not from 0 to 9"),
    "lengths as text": (put("train", "audio_lengths", ["a"] * 12), "audio_lengths must be numbers"),
    "lengths not whole": (put("train", "audio_lengths", [1.5] * 12), "audio_lengths must be whole"),
    "no ids": (put("train", "id", None), "id is a NoneType"),
    "ids in two columns": (put("train", "id", np.full((12, 2), "a")), r"id is an array of shape \(12, 2\)"),
    "too few ids": (put("train", "id", ["a"]), "there are 1 ids"),
    "ids of lists": (put("train", "id", [["a"]] * 12), "id must hold one string or number"),
    "no labels": (put("train", "regression_labels", None), "no regression_labels"),
    "labels of two": (put("train", "regression_labels", np.zeros((12, 2))), "regression_labels is an array"),
    "labels NaN": (put("train", "regression_labels", np.full(12, np.nan)), "labels.*NaN or inf"),
    "text_bert flat": (put("train", "text_bert", np.zeros((12, 50))), "text_bert is float64 of shape"),
    "text_bert too large": (put("train", "text_bert", np.full((12, 3, 7), 1e12)), "ids are from 0"),
    "text_bert negative": (put("train", "text_bert", np.full((12, 3, 7), -1)), "ids are from 0"),
    "text_bert NaN": (put("train", "text_bert", np.full((12, 3, 7), np.nan)), "text_bert must be whole"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(tmp_path: Path, name: str):
    change, message = DAMAGE[name]
    with pytest.raises(DataError, match=rf"file\.pkl.*{message}"):
        mmsa(written(tmp_path, changed(change)))


def test_classes_must_be_classes(tmp_path: Path):
    for value, message in ((-1, "classes start at 0"), (10**9, "less than 65536"), (0.5, "must be whole")):
        parts = mmsa_parts(9)
        parts["test"]["classification_labels"] = np.full(6, value)
        with pytest.raises(DataError, match=message):
            mmsa(written(tmp_path, parts), labels="classification")


def test_settings(tmp_path: Path):
    for wrong in ({"text": "words"}, {"labels": "score"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            mmsa(tmp_path / "any.pkl", **wrong)  # type: ignore[arg-type]
