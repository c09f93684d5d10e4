"""Wrong calls of every public function: each ends as it should, or in one sentence, and changes nothing it was given.

A new public function is one line in `calls`, with its arguments as they should be. A call replaces some of them: by odd
values of the right type, by wrong types, or by another of its arguments. CLCRKIT_CALLS=3000 makes as many calls."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError, Modality, Trace, ablated, collate, export_onnx
from clcrkit import baselines as b
from clcrkit import datasets as d
from clcrkit import training as t
from clcrkit.analysis import attribution, faithfulness, similarity
from clcrkit.files import digest
from clcrkit.viz import Explorer, attention, budget, clip, gates, playground, subspaces
from tests.api import public_modules

CALLS = int(os.environ.get("CLCRKIT_CALLS", "300"))
# results, which the kit itself makes; names without a call
MADE_BY_THE_KIT = {
    "Batch",
    "Trace",
    "Fit",
    "Rates",
    "Report",
    "Source",
    "Baseline",
    "ABLATIONS",
    "BASELINES",
    "RIVALS",
    "VIEWS",
}


@pytest.fixture(scope="module")
def things(make_batch: Any, make_model: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What the calls are made with."""
    folder = tmp_path_factory.mktemp("public")
    split = d.Split(make_batch(8, seed=1), make_batch(6, seed=2), make_batch(6, seed=3))
    model = make_model(split.train)
    t.save(model, folder / "model.safetensors")
    trace = model.trace(split)
    trace.save(folder / "trace.safetensors")
    (folder / "text.txt").write_text("id,label\n")
    d.convert(split, folder / "shards", progress=False)
    batch = split.test
    return SimpleNamespace(
        folder=folder,
        split=split,
        batch=batch,
        model=model,
        trace=trace,
        config=model.config,
        shards=d.Shards(folder / "shards", workers=0),
        attribution=attribution.attribute_tokens(model, batch, "ablation"),
        arrays={m: x.numpy() for m, x in batch.tokens.items()},
        masks={m: x.numpy() for m, x in batch.masks.items()},
    )


def calls(x: SimpleNamespace) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """By name: what is called, and its arguments as they should be."""
    quick = t.TrainConfig(epochs=1, batch_size=4, device="cpu")
    quiet = {"progress": False}
    arrays = {"tokens": x.arrays, "labels": x.batch.labels.numpy(), "masks": x.masks, "classes": 3}
    read = {"folder": x.folder, **quiet}
    clips = {**read, "split": "1", "features_folder": x.folder, "shards": None, "seed": 0, "pixels": 0}
    view: dict[str, Any] = {"trace": x.trace, "split": x.split}
    explained = {"model": x.model, "batch": x.batch, "target": 1}
    samples = [{"vision": np.ones((2, 5)), "text": [1, 2]}, {"vision": None, "text": [1]}]
    return {
        "CLCR": (CLCR, {"config": x.config}),
        "CLCRConfig": (CLCRConfig, {**x.config.to_dict(), "modalities": x.config.modalities}),
        "CLCRConfig.of": (CLCRConfig.of, {"data": x.split, "width": 16, "levels": 2, "task": "classification"}),
        "ConfigError": (ConfigError, {"message": "a"}),
        "DataError": (DataError, {"message": "a"}),
        "Modality": (Modality, {"size": 4, "ids": True}),
        "ablated": (ablated, {"config": x.config, "name": "full"}),
        "collate": (collate, {"samples": samples, "labels": [0, 1], "ids": [4, 5]}),
        "export_onnx": (_never_right(export_onnx), {"model": x.model, "path": "a.onnx", "label_names": ()}),
        **{
            name: (getattr(b, name), {"config": x.config, "modalities": ("text", "vision")})
            for name in ("MISA", "Concatenation", "OGMGE", "EarlyFusion", "LateFusion")
        },
        "MulT": (b.MulT, {"config": x.config, "modalities": None, "width": 8, "heads": 2, "layers": 1}),
        "TensorFusion": (b.TensorFusion, {"config": x.config, "modalities": None, "rank": 2}),
        "Shards": (d.Shards, {"folder": x.folder / "shards", "part": "train", "workers": 0}),
        "Split": (d.Split, {"train": x.batch, "valid": x.batch, "test": x.batch}),
        "asynchrony": (d.asynchrony, {"samples": (4, 2, 2), "seed": 0, "relation": "redundant", "lies": 0.5}),
        "asynchrony_chunks": (
            lambda **settings: next(d.asynchrony_chunks(**settings)),
            {"samples": 4, "chunk": 2, "seed": 0, "noise": 0.1},
        ),
        "ave": (d.ave, {**read, "pixels": 0}),
        "check": (d.check, {"split": x.split}),
        "convert": (
            d.convert,
            {"source": x.split, "folder": "shards", "shard_bytes": 1000, "label_names": (), **quiet},
        ),
        "unpack_clip": (
            d.unpack_clip,
            {"path": x.folder / "text.txt", "sound": "a.wav", "frames": "a", "frames_per_second": 1},
        ),
        "clip": (clip, {"path": x.folder / "text.txt", "model": x.model, "text": "a", "encoders": {}}),
        "cremad": (d.cremad, {**clips, "split": "actors"}),
        "digits": (d.digits, {"noise": 1.0, "size": 200, "seed": 0}),
        "extract_features": (
            d.extract_features,
            {"encoder": x.model, "items": {"a": "a.txt"}, "folder": "features", "batch_size": 2, **quiet},
        ),
        "from_arrays": (d.from_arrays, {**arrays, "groups": None, "parts": None, "names": None, "seed": 0}),
        "from_folder": (d.from_folder, {"manifest": x.folder / "text.txt", "seed": 0}),
        "kinetics_sounds": (d.kinetics_sounds, {**clips, "split": "published"}),
        "mmmo": (d.mmmo, {"folder": x.folder}),
        "mmsa": (d.mmsa, {"path": x.folder / "text.txt", "text": "ids", "labels": "regression", "replace": False}),
        "mosi_utterances": (d.mosi_utterances, {"folder": x.folder, "split": "poria", "seed": 0, "window": 8}),
        "multibench": (d.multibench, {"path": x.folder / "text.txt", "replace": True}),
        "sharded": (d.sharded, {"folder": x.folder / "shards"}),
        "spoken_digits": (d.spoken_digits, {"folder": x.folder, "split": "official", "seed": 0}),
        "ucf101": (d.ucf101, clips),
        "world": (d.world, {"mechanism": "exchange", "needed": True, "samples": (8, 4, 4), "seed": 0}),
        "TrainConfig": (t.TrainConfig, {"epochs": 2, "learning_rate": 0.1, "device": None, "monitor": "score"}),
        "TrainingError": (t.TrainingError, {"message": "a"}),
        "evaluate": (t.evaluate, {"model": x.model, "source": x.split, "monitor": "f1_macro"}),
        "fit": (
            t.fit,
            {"model": x.model, "train": x.split.train, "valid": x.split.valid, "config": quick, "folder": None}
            | {"probe": None, "checkpoint_every": 30.0, **quiet},
        ),
        "find_learning_rate": (
            t.find_learning_rate,
            {"model": x.model, "train": x.split, "config": quick, "lowest": 1e-4, "highest": 0.1, "steps": 10},
        ),
        "load": (t.load, {"path": x.folder / "model.safetensors", "stages": None}),
        "predict": (t.predict, {"model": x.model, "source": x.batch, "batch_size": 4}),
        "predict_proba": (t.predict_proba, {"model": x.model, "source": x.shards, "batch_size": 4}),
        "save": (t.save, {"model": x.model, "path": "again.safetensors"}),
        "Explorer": (Explorer, {**view, "model": x.model, "views": ("gates",), "epochs": (), "compare": x.trace}),
        "attention": (attention, {**view, "model": x.model, "picked": 100}),
        "budget": (budget, {**view, "model": None, "gamma": 1.0}),
        "gates": (gates, {**view, "level": 1}),
        "playground": (playground, {"model": x.model, "split": x.split, "path": "page.html"}),  # for digits only
        "subspaces": (subspaces, {**view, "color": "label"}),
        # and what is called on them
        "Batch.from_arrays": (Batch.from_arrays, {**arrays, "ids": [4, 5, 6, 7, 8, 9], "attributes": None}),
        "Batch.select": (x.batch.select, {"index": [0, 1]}),
        "Batch.only": (lambda modality: x.batch.only(modality), {"modality": "text"}),
        "Batch.to": (x.batch.to, {"device": "cpu"}),
        "Batch.batches": (
            lambda **given: list(x.batch.batches(**given)),
            {"size": 2, "order": torch.arange(6), "drop_last": True},
        ),
        "Trace.join": (Trace.join, {"parts": [x.trace, x.trace.select(slice(2))]}),
        "Trace.load": (Trace.load, {"path": x.folder / "trace.safetensors"}),
        "Trace.row": (x.trace.row, {"sample": 100}),
        "Trace.select": (x.trace.select, {"index": [0, 1]}),
        "Shards.select": (x.shards.select, {"index": [0, 1]}),
        "model": (lambda batch: x.model(batch), {"batch": x.batch}),
        "model.losses": (x.model.losses, {"batch": x.batch}),
        "model.trace": (x.model.trace, {"data": x.split, "gamma": 0.5, "mute": None, "patch": None}),
        "attribute_tokens": (attribution.attribute_tokens, {**explained, "method": "ablation", "steps": 2}),
        "attribute_modalities": (attribution.attribute_modalities, explained),
        "agreement": (faithfulness.agreement, {"trace": x.trace, "attribution": x.attribution}),
        "level_spaces": (similarity.level_spaces, {"trace": x.trace, "kind": "private"}),
    }


def _never_right(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without the calls that take seconds."""

    def call(model: Any, path: Any, label_names: Any) -> None:
        if not isinstance(model, CLCR):
            function(model, path, label_names)

    return call


def odd(x: SimpleNamespace) -> list[Any]:
    """Values that no argument, or another one, is meant to have."""
    return [
        None, True, False, 0, 1, 2, 3, 5, -1, 2**40, 2**70, 0.5, -0.5, 1e-3, float("nan"), float("inf"), 1e300, 1j,
        "", "a", "label", "train", "text", "cuda", "tpu", "1e-3", "\0", "\ud800", "x" * 5000, "2.5", b"a",
        [], {}, (), set(), [1, 2], [0.5], ["a", "b"], (5, 5, 5), {"a": 1}, {5: [1]}, {"text": None}, [[1], [2, 3]],
        np.int64(2), np.float32(0.5), np.bool_(True), np.str_("a"), np.array(3), np.zeros(0), np.arange(6), range(6),
        np.ones((6, 3)), np.array([np.nan] * 6), np.array([None, "a"], object), np.array(["2020"], "datetime64[D]"),
        torch.tensor(1), torch.zeros(0), torch.arange(6), torch.ones(6, 3, dtype=torch.float64), torch.tensor([1j]),
        torch.zeros(2, device="meta"), pd.Series([1, 2]), pd.DataFrame({"a": [1, 2]}), pd.NA, pd.Timestamp("2020"),
        x.batch, x.split, x.shards, x.trace, x.model, x.config, x.attribution, x.batch[[]], x.batch.only("text"),
        torch.nn.DataParallel(x.model), torch.nn.Linear(2, 2), CLCR, Batch, t.TrainConfig(epochs=1), Modality(3),
        d.from_arrays, lambda *_: 1, object(), iter([1]), Path("nowhere"), x.folder, x.folder / "text.txt",
        x.folder / "model.safetensors", x.arrays, x.masks, int, slice(2), NotImplemented, ..., Exception("a"),
    ]  # fmt: skip


def fingerprint(value: Any) -> Any:
    """What must be the same after a call."""
    if isinstance(value, torch.nn.Module):
        return digest(value.state_dict())
    if isinstance(value, Batch):
        return digest({f"{what}/{m}": v for what in ("tokens", "masks") for m, v in getattr(value, what).items()})
    if isinstance(value, torch.Tensor):
        return None if value.device.type == "meta" else digest({"": value})
    if isinstance(value, dict):
        return {str(key): fingerprint(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [fingerprint(v) for v in value]
    return repr(value) if isinstance(value, (int, float, str, np.ndarray, pd.DataFrame)) else id(value)


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: None) -> Iterator[None]:
    """Relative paths lie in a folder of their own; nothing is downloaded; no warning is shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLCRKIT_DATA", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_public_name_is_called(things: SimpleNamespace):
    names = {name for module in public_modules() for name in module.__all__}
    assert names - MADE_BY_THE_KIT <= set(calls(things)), "a new public name needs a line in `calls`"


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("apart")
@settings(max_examples=CALLS, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_wrong_call_is_refused_in_one_sentence(things: SimpleNamespace, data: st.DataObject):
    known, values = calls(things), odd(things)
    name = data.draw(st.sampled_from(sorted(known)))
    function, right = known[name]
    given_ = dict(right)
    for argument in data.draw(st.sets(st.sampled_from(sorted(right)), min_size=1, max_size=2)):
        place = data.draw(st.integers(0, len(values) + 1))
        given_[argument] = values[place] if place < len(values) else data.draw(st.sampled_from(list(right.values())))
    expect_one_sentence(name, function, given_)


def expect_one_sentence(name: str, function: Callable[..., Any], given_: dict[str, Any]) -> None:
    trained = name == "fit"
    before = {key: fingerprint(value) for key, value in given_.items()}
    state = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
    result = None
    with suppress(DataError, ConfigError, t.TrainingError):
        result = function(**given_)
    assert state == (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled())
    for key, value in given_.items():
        assert trained or fingerprint(value) == before[key], f"{name} changed its {key}"
    if is_dataclass(result) and name in ("CLCRConfig", "TrainConfig", "Modality"):
        for key, value in given_.items():
            if isinstance(value, (int, float, str)):
                kept = getattr(result, key)
                assert kept == value or kept == type(kept)(value)
