"""Models on the disk."""

from __future__ import annotations

import pytest
import torch

from clcrkit import DataError
from clcrkit.files import write_tensors
from clcrkit.training import load, save
from clcrkit.training.checkpoint import flatten, unflatten


def test_round_trip(model, batch, tmp_path):
    save(model, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.config == model.config
    assert torch.equal(again(batch), model(batch))


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
    write_tensors(path, {"a": torch.zeros(1)}, {"kind": "model", "config": model.config.to_dict()})
    with pytest.raises(DataError, match="another version"):
        load(path)
    write_tensors(path, {}, {"kind": "model", "config": {"width": 3}})
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
