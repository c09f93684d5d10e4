"""Settings and data that do not fit, and what does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError, Modality
from clcrkit.datasets import Split

TWO = {"a": Modality(3), "b": Modality(4)}
WRONG_SETTINGS = [
    ({"modalities": {"a": Modality(3)}}, "modalities: 1, but it must be 2 or more"),
    ({"modalities": {"a": Modality(3), "b": Modality(0)}}, "size of b: 0, but it must be 1 or more"),
    ({"modalities": {"a.b": Modality(3), "b": Modality(2)}}, "modalities: 'a.b'"),
    ({"modalities": {"": Modality(3), "b": Modality(2)}}, "modalities: ''"),
    ({"modalities": {"type": Modality(3), "b": Modality(2)}}, "modalities: 'type'"),
    ({"task": "ranking"}, "task: 'ranking', but it must be classification or regression or multilabel"),
    ({"outputs": 1}, "outputs: 1, but it must be 2 or more for classification"),
    ({"outputs": 0, "task": "multilabel"}, "outputs: 0, but it must be 1 or more for multilabel"),
    ({"outputs": 2, "task": "regression"}, "outputs: 2, but it must be 1 for regression"),
    ({"levels": 0}, "levels: 0, but it must be 1 or more"),
    ({"width": 30}, "width: 30, but it must be a multiple of 4"),
    ({"width": 0}, "width: 0, but it must be a multiple of 4"),
    ({"heads": 0}, "heads: 0, but it must be 1 or more"),
    ({"rank": 31}, "rank: 31, but it must be a multiple of 2 heads"),
    ({"rank": 0}, "rank: 0, but it must be a multiple of 2 heads"),
    ({"private_rank": 33}, r"private_rank: 33, but it must be from 1 to width - rank \(32\)"),
    ({"private_rank": 0}, "private_rank: 0, but it must be from 1"),
    ({"dropout": 1.0}, "dropout: 1.0, but it must be from 0 up to, not including, 1"),
    ({"dropout": -0.1}, "dropout: -0.1"),
    ({"lambda_intra": -1.0}, "lambda_intra: -1.0, but it must be 0 or more"),
    ({"lambda_inter": float("nan")}, "lambda_inter: nan, but it must be 0 or more"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_SETTINGS, ids=range(len(WRONG_SETTINGS)))
def test_settings_that_cannot_be(change, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        CLCRConfig(**{"modalities": TWO, "outputs": 3, **change})


def test_allowed_edges_make_a_model():
    CLCR(CLCRConfig(TWO, outputs=2, levels=1, width=4, rank=1, private_rank=3, heads=1, dropout=0.0, lambda_intra=0.0))
    CLCR(CLCRConfig({"with space": Modality(1), "日本": Modality(2, ids=True)}, outputs=1, task="regression"))


def test_a_configuration_goes_through_plain_values():
    config = CLCRConfig({"a": Modality(3), "t": Modality(9, ids=True)}, outputs=3, levels=2)
    plain = config.to_dict()
    assert plain["modalities"] == {"a": {"size": 3, "ids": False}, "t": {"size": 9, "ids": True}}
    assert CLCRConfig.from_dict(plain) == config


@pytest.mark.parametrize(("task", "outputs"), [("classification", 3), ("regression", 1), ("multilabel", 4)])
def test_a_batch_tells_its_configuration(make_batch, task, outputs):
    config = CLCRConfig.of(make_batch(task=task), levels=2)
    assert (config.task, config.outputs, config.levels) == (task, outputs, 2)
    assert config.modalities == {"vision": Modality(5), "text": Modality(9, ids=True), "sound": Modality(3)}
    assert CLCRConfig.of(make_batch(task=task), outputs=outputs, modalities=TWO).modalities == TWO


def test_a_batch_without_labels_needs_task_and_outputs(batch, model):
    bare = replace(batch, labels=None)
    with pytest.raises(ConfigError, match="labels: this batch has none, so task and outputs must be given"):
        CLCRConfig.of(bare, outputs=3)
    assert CLCRConfig.of(bare, outputs=3, task="classification").outputs == 3
    with pytest.raises(ConfigError, match="depth: no such setting; there are modalities, outputs"):
        CLCRConfig.of(batch, depth=3)
    with pytest.raises(DataError, match="labels: this batch has none, and the objective needs them"):
        model.losses(bare)
    assert model(bare).shape == (6, 3)


def test_ready_orders_modalities_and_refuses_what_does_not_fit(batch, model):
    turned = batch.only("sound", "text", "vision")
    assert model.ready(turned).modalities == ("vision", "text", "sound")
    more = replace(
        batch, tokens={**batch.tokens, "x": batch.tokens["sound"]}, masks={**batch.masks, "x": batch.masks["sound"]}
    )
    assert model.ready(more).modalities == ("vision", "text", "sound")
    with pytest.raises(DataError, match="text: not in the batch, and this model needs vision, text, sound"):
        model.ready(batch.only("vision", "sound"))

    def having(**tokens: Tensor) -> Batch:
        return replace(batch, tokens={**batch.tokens, **tokens})

    with pytest.raises(DataError, match="vision: 4 features for each token, but this model needs 5"):
        model.ready(having(vision=torch.zeros(6, 7, 4)))
    with pytest.raises(DataError, match=r"vision: holds torch.int64, but floats are needed"):
        model.ready(having(vision=torch.zeros(6, 7, dtype=torch.int64)))
    with pytest.raises(DataError, match=r"text: holds torch.float32, but token ids \(int64\) are needed"):
        model.ready(having(text=torch.zeros(6, 6, 2)))
    with pytest.raises(DataError, match="text: holds token id 9, but ids must be below 9"):
        model.ready(having(text=torch.full((6, 6), 9)))
    hidden = torch.where(batch.masks["text"], batch.tokens["text"], 99)
    assert model.ready(having(text=hidden)).modalities == model.modalities


FORMS = [  # a setting, what it may be given as, and what it then is
    ("levels", [3, 3.0, "3", np.int64(3), np.float32(3), np.array(3), torch.tensor(3)], 3),
    ("dropout", [0.25, "0.25", "2.5e-1", np.float32(0.25), torch.tensor(0.25)], 0.25),
    ("width", [64, "64", np.uint8(64)], 64),
    ("sparse", [True, 1, np.bool_(True), torch.tensor(True)], True),
    ("mix", ["rotated", np.str_("rotated")], "rotated"),
    ("label_names", [("a", "b", "c"), ["a", "b", "c"], np.array(["a", "b", "c"])], ("a", "b", "c")),
]


def change(**settings: Any) -> CLCRConfig:
    return CLCRConfig(**{"modalities": TWO, "outputs": 3, **settings})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("name", "forms", "value"), FORMS)
def test_settings_become_plain_values(name, forms, value):
    for form in forms:
        config = change(outputs=np.int64(3), **{name: form})
        made = getattr(config, name)
        assert (type(made), made) == (type(value), value)
        assert CLCRConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


NO_SETTINGS = [
    *(("levels", x) for x in (2.5, None, "x", True, [3], float("nan"), float("inf"), np.ones(2), 10**6, 1j)),
    *(("dropout", x) for x in (None, "x", False, [0.1], float("inf"), torch.ones(2))),
    *(("lambda_intra", x) for x in (float("inf"), None, "")),
    *(("hierarchy", x) for x in ("False", None, 2, "no", [True])),
    *(("mix", x) for x in (None, 3, b"rotated")),
    *(("outputs", x) for x in (10**9, 2.5, None, "three")),
    *(("width", x) for x in (10**6, 2**40, 6.5)),
    *(("label_names", x) for x in ("abc", ("a",), (1, 2, 3))),
    *(("modalities", x) for x in (None, 3, {"a": 3, "b": 4}, ["a", "b"], {1: Modality(2), "b": Modality(3)})),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("name", "value"), NO_SETTINGS, ids=range(len(NO_SETTINGS)))
def test_settings_that_would_change_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"^{name}: "):
        change(**{name: value})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("size", [2.5, "x", None, 2**40, True])
def test_a_modality_has_a_plain_size(size):
    with pytest.raises(ConfigError, match=r"^size"):
        CLCRConfig({"a": Modality(size), "b": Modality(2)}, outputs=3)


@given(st.integers(1, 40).map(lambda n: 4 * n), st.sampled_from([1, 2, 3, 4, 8]))
def test_ranks_follow_the_width(make_batch, width, heads):
    if width < 2 * heads:
        return
    config = CLCRConfig.of(make_batch(), width=width, heads=heads)
    assert config.rank % heads == 0
    assert 0 <= width // 2 - config.rank < heads
    assert config.private_rank == width // 2


@pytest.mark.usefixtures("unchecked")
def test_ranks_that_are_given_stay(make_batch):
    assert CLCRConfig.of(make_batch(), width="32") == CLCRConfig.of(make_batch(), width=32, rank=16, private_rank=16)
    assert CLCRConfig.of(make_batch(), width=32, rank=24).private_rank == 8
    default = CLCRConfig.of(make_batch())
    assert (default.width, default.rank, default.private_rank) == (64, 32, 32)


def test_a_split_tells_its_configuration_and_names(make_batch):
    batch = make_batch()
    split = Split(batch, batch, batch, label_names=("a", "b", "c", "never seen"))
    config = CLCRConfig.of(split)
    assert (config.outputs, config.label_names) == (4, split.label_names)
    assert CLCRConfig.of(split, outputs=3).label_names == ()
    with pytest.raises(DataError, match="data: a list, but a Batch or a Split"):
        CLCRConfig.of([1, 2])
