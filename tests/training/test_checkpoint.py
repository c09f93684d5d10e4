"""Models on the disk."""

from __future__ import annotations

import time
import tracemalloc

import pytest
import torch

from clcrkit import CLCR, Batch, CLCRConfig, DataError, Modality
from clcrkit.baselines import RIVALS, LateFusion
from clcrkit.files import write_tensors
from clcrkit.pretrained import CachedLevels, with_stages
from clcrkit.training import TrainConfig, fit, load, predict, save
from clcrkit.training.checkpoint import flatten, unflatten

MODELS = {"CLCR": CLCR, **RIVALS, "one modality": lambda config: LateFusion(config, tuple(config.modalities)[:1])}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("double", [False, True])
def test_round_trip(model, batch, tmp_path, kind, double):
    made = MODELS[kind](model.config).to(torch.float64 if double else torch.float32).eval()
    save(made, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert (type(again), again.config, again.training) == (type(made), made.config, False)
    assert torch.equal(again(made.ready(batch)), made(made.ready(batch)))
    assert all(x.dtype == y.dtype for x, y in zip(again.parameters(), made.parameters(), strict=True))


def test_stages_of_ones_own_are_given_again(tmp_path):
    def made() -> CLCR:
        config = CLCRConfig({"a": Modality(12), "b": Modality(3)}, outputs=2, width=16, rank=4, private_rank=6)
        return with_stages(CLCR(config), {"a": CachedLevels(3, 4)}).eval()

    model, path = made(), tmp_path / "m"
    batch = Batch.from_arrays({"a": torch.randn(5, 4, 12), "b": torch.randn(5, 6, 3)})
    save(model, path)
    assert torch.equal(load(path, {"a": CachedLevels(3, 4)})(batch), model(batch))
    with pytest.raises(DataError, match="stages are needed for: a, but given for: none"):
        load(path)
    with pytest.raises(DataError, match="not the weights of these settings"):
        load(path, {"a": CachedLevels(3, 5)})


def test_a_run_gives_its_best_model(model, make_batch, tmp_path):
    train, valid = make_batch(samples=12, seed=1), make_batch(samples=8, seed=2)
    late = LateFusion(CLCRConfig.of(train, width=16, rank=4, private_rank=6), ("vision",))
    fit(late, train, valid, TrainConfig(epochs=2, batch_size=6, device="cpu"), tmp_path, progress=False)
    again = load(tmp_path)
    assert again.modalities == ("vision",)
    assert torch.equal(predict(again, valid), predict(late, valid))


def test_a_run_without_a_finished_epoch_has_no_model(model, make_batch, tmp_path):
    train = make_batch(samples=12, seed=1)
    stopped = CLCR(CLCRConfig.of(train, width=16, rank=4, private_rank=6))
    stopped.losses = lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        fit(stopped, train, train, TrainConfig(epochs=1, device="cpu"), tmp_path, progress=False)
    with pytest.raises(DataError, match="no epoch of this run is finished"):
        load(tmp_path)


def hostile(config: dict, **settings) -> dict:
    return {"kind": "model", "model": "CLCR", "modalities": [], "stages": [], "settings": {**config, **settings}}


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 8_000, "rank": 4_000, "private_rank": 4_000},
        {"levels": 10**6},
        {"modalities": {f"m{i}": {"size": 1, "ids": False} for i in range(2_000)}},
        {"modalities": {"a": {"size": 10**12, "ids": True}, "b": {"size": 1, "ids": False}}},
        {"outputs": 10**9},
        {"modalities": None},
        {"modalities": [1]},
        {"width": "wide"},
        {"levels": [3]},
    ],
)
def test_no_description_makes_more_than_the_file_holds(model, tmp_path, settings):
    write_tensors(tmp_path / "m", model.state_dict(), hostile(model.config.to_dict(), **settings))
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(DataError, match="of another version, or damaged"):
        load(tmp_path / "m")
    assert time.process_time() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()


def test_weights_that_are_not_finite_are_refused(model, tmp_path):
    weights = {name: torch.full_like(x, torch.nan) for name, x in model.state_dict().items()}
    write_tensors(tmp_path / "m", weights, hostile(model.config.to_dict()))
    with pytest.raises(DataError, match="holds NaN or inf"):
        load(tmp_path / "m")


def test_other_files_are_refused(model, tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(DataError, match="no such file"):
        load(path)
    save(model, path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="damaged"):
        load(path)
    write_tensors(path, {"a": torch.zeros(1)}, {"kind": "trace"})
    with pytest.raises(DataError, match="holds a trace"):
        load(path)
    write_tensors(path, {"a": torch.zeros(1)}, hostile(model.config.to_dict()))
    with pytest.raises(DataError, match="another version"):
        load(path)
    write_tensors(path, {}, {"kind": "model"})
    with pytest.raises(DataError, match="another version"):
        load(path)
    write_tensors(path, {}, hostile({"width": 3}))
    with pytest.raises(DataError, match="another version"):
        load(path)


def test_nested_states_survive_flattening():
    state = {"a": [torch.ones(2), {"b": 3, 4: None}], "c": {"d": torch.zeros(1), "e": "text", "f": 1e-9}}
    tensors: dict[str, torch.Tensor] = {}
    back = unflatten(flatten(state, "s", tensors), tensors)
    assert torch.equal(back["a"][0], torch.ones(2))
    assert back["a"][1] == {"b": 3, 4: None}
    assert back["c"]["e"] == "text"
    assert back["c"]["f"] == 1e-9
    assert len(tensors) == 2
