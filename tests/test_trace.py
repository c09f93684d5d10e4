"""A trace joins, moves, saves and loads without loss, and refuses what is not one."""

from __future__ import annotations

from dataclasses import fields, replace

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clcrkit import Batch, DataError, Trace
from clcrkit.files import read_tensors, write_tensors


@pytest.fixture
def trace(model, batch) -> Trace:
    return model.trace(batch, gamma=0.7)


def entries(holder: Trace | Batch, prefix: str = "") -> dict[str, Tensor]:
    """All tensors by a name that says where they are."""
    found: dict[str, Tensor] = {}
    for field in fields(holder):
        value = getattr(holder, field.name)
        if isinstance(value, Batch):
            found |= entries(value, "batch.")
        elif isinstance(value, dict):
            found |= {f"{prefix}{field.name}/{m}": t for m, t in value.items()}
        elif isinstance(value, Tensor):
            found[prefix + field.name] = value
    return found


def assert_entry(name: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0, msg=lambda text: f"{name}: {text}")


def assert_same(found: Trace, expected: Trace, tolerance: float = 0.0) -> None:
    assert found.gamma == expected.gamma
    assert (found.task, found.sparse) == (expected.task, expected.sparse)
    assert found.modalities == expected.modalities
    a, b = entries(found), entries(expected)
    assert a.keys() == b.keys()
    for name in a:
        assert_entry(name, a[name], b[name], tolerance)


def test_names_and_sizes(trace):
    assert len(trace) == 6
    assert repr(trace) == "Trace(6 samples, 3 levels, vision, text, sound)"
    assert trace.others("text") == ("vision", "sound")
    assert trace.attention["text"].shape == (6, 3, 2, 6, 7 + 4)
    assert trace.exchanged["vision"].shape == (6, 3, 7, 4)
    assert trace.private["vision"].shape == (6, 3, 7, 6)


@pytest.mark.parametrize("mute", [False, True])
def test_without_attention_all_else_is_the_same(model, batch, mute):
    masks = {m: torch.zeros(6, 3, mask.shape[1], dtype=torch.bool) for m, mask in batch.masks.items()}
    masks["text"][:, 1, 2] = True
    kept = model.trace(batch, gamma=0.7, mute=masks if mute else None)
    without = model.trace(batch, gamma=0.7, mute=masks if mute else None, attention=False)
    assert without.attention == {}
    assert_same(without, replace(kept, attention={}), tolerance=1e-5)


def test_select_and_to(trace):
    picked = trace.select([4, 1])
    for name, tensor in entries(trace).items():
        assert torch.equal(entries(picked)[name], tensor[[4, 1]])
    assert all(tensor.device.type == "meta" for tensor in entries(trace.to("meta")).values())


def test_joined_parts_of_different_lengths_equal_one_trace_of_all(model, batch, trace):
    parts = [model.trace(part, gamma=0.7) for part in batch.batches(2)]
    assert len({part.batch.masks["vision"].shape for part in parts}) > 1
    assert_same(Trace.join(parts), trace, tolerance=1e-5)
    assert_same(Trace.join([trace]), trace)


def test_joined_parts_must_belong_together(model, batch, trace):
    with pytest.raises(DataError, match="traces: empty"):
        Trace.join([])
    with pytest.raises(DataError, match="gamma"):
        Trace.join([trace, model.trace(batch, gamma=0.1)])
    with pytest.raises(DataError, match=r"for classification and of .* for multilabel"):
        Trace.join([trace, replace(trace, task="multilabel")])
    with pytest.raises(DataError, match="without a budget"):
        Trace.join([trace, replace(trace, sparse=False)])


def test_a_row_is_found_by_its_id(trace):
    assert [trace.row(int(i)) for i in trace.batch.ids] == list(range(6))
    with pytest.raises(DataError, match="sample: id 7 is not in this trace of 6 samples"):
        trace.row(7)


@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_threshold_and_rho_explain_activation_and_budget(model, batch, make_model, gamma):
    trace = model.trace(batch, gamma=gamma)
    assert trace.sparse
    for m, mask in batch.masks.items():
        wanted = trace.scale[..., None] * (trace.evidence[m] - trace.threshold[..., None]) * mask[:, None]
        torch.testing.assert_close(trace.activation[m], wanted)
        cut = trace.threshold + trace.cutoff[m] / trace.scale
        above = (trace.evidence[m] > cut[..., None]) & mask[:, None]
        near = (trace.evidence[m] - cut[..., None]).abs() < 1e-4
        assert ((trace.allocation[m] > 0) == above)[~near].all()
        torch.testing.assert_close(trace.budget[m], gamma * trace.rho * mask.sum(1, keepdim=True))
    for ablation in ({"sparse": False}, {"intraced": False}):
        dense = make_model(batch, **ablation).trace(batch, gamma=gamma)
        assert not dense.sparse
        assert (dense.threshold == 0).all()
        for m, mask in batch.masks.items():
            torch.testing.assert_close(dense.budget[m], dense.rho * mask.sum(1, keepdim=True))


@pytest.mark.parametrize("ablation", [{}, {"intraced": False}, {"hierarchy": False}])
def test_save_and_load_give_back_every_bit(make_model, batch, tmp_path, ablation):
    batch = replace(batch, evidence={m: torch.rand(6, 3, batch.masks[m].shape[1]) < 0.5 for m in batch.modalities})
    saved = make_model(batch, **ablation).trace(batch, gamma=0.3)
    saved.save(tmp_path / "t.safetensors")
    assert_same(Trace.load(tmp_path / "t.safetensors"), saved)


def test_save_and_load_without_labels(model, batch, tmp_path):
    saved = model.trace(replace(batch, labels=None, attributes={}))
    saved.save(tmp_path / "t")
    loaded = Trace.load(tmp_path / "t")
    assert loaded.batch.labels is None
    assert_same(loaded, saved)


def test_the_order_of_modalities_and_attributes_is_kept(make_model, batch, tmp_path):
    turned = replace(batch.only("text", "vision", "sound"), attributes={"z": batch.ids, "a": batch.ids, "m": batch.ids})
    make_model(turned).trace(turned).save(tmp_path / "t")
    loaded = Trace.load(tmp_path / "t")
    assert loaded.modalities == ("text", "vision", "sound")
    assert list(loaded.attention) == ["text", "vision", "sound"]
    assert list(loaded.batch.attributes) == ["z", "a", "m"]


def without_types(function):
    """Run without the shape checks of the test run, which would refuse on their own what the kit itself must."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        return function()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    "lost", ["level_gate", "prediction", "tokens/text", "tokens/", "batch.ids", "batch.masks/sound"]
)
def test_a_trace_with_a_part_missing_is_refused(trace, tmp_path, lost):
    trace.save(tmp_path / "t")
    tensors, about = read_tensors(tmp_path / "t")
    kept = {name: t for name, t in tensors.items() if not name.startswith(lost)}
    assert len(kept) < len(tensors)
    write_tensors(tmp_path / "t", kept, about)
    with pytest.raises(DataError, match="a trace of another version, or damaged"):
        without_types(lambda: Trace.load(tmp_path / "t"))


@pytest.mark.parametrize(
    "change",
    [
        {"gamma": "much"}, {"gamma": None}, {"tensors": 3}, {"tensors": ["x"]},
        {"task": "guessing"}, {"task": None}, {"task": ["regression"]}, {"sparse": 1}, {"sparse": None},
    ],
)  # fmt: skip
def test_a_trace_with_an_odd_description_is_refused(trace, tmp_path, change):
    trace.save(tmp_path / "t")
    tensors, about = read_tensors(tmp_path / "t")
    write_tensors(tmp_path / "t", tensors, {**about, **change})
    with pytest.raises(DataError):
        without_types(lambda: Trace.load(tmp_path / "t"))


def test_other_kinds_of_files_are_refused(tmp_path):
    write_tensors(tmp_path / "weights", {"x": torch.ones(1)}, {"kind": "checkpoint"})
    with pytest.raises(DataError, match="weights: holds a checkpoint, not a trace"):
        Trace.load(tmp_path / "weights")
    with pytest.raises(DataError, match="no such file"):
        Trace.load(tmp_path / "absent")


@pytest.fixture(scope="module")
def written(tmp_path_factory, make_model, make_batch) -> tuple:
    path = tmp_path_factory.mktemp("trace") / "t"
    batch = make_batch(samples=2, modalities=2)
    make_model(batch).trace(batch).save(path)
    content = path.read_bytes()
    return path.with_name("damaged"), content, 8 + int.from_bytes(content[:8], "little")


@settings(max_examples=150)
@given(st.data())
def test_damaged_traces_are_refused_or_whole(written, data):
    """Flips in the header, where every byte is structure, and cuts anywhere."""
    path, content, header = written
    if data.draw(st.booleans()):
        damaged = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        place, flip = data.draw(st.integers(0, header - 1)), data.draw(st.integers(1, 255))
        damaged = content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :]
    path.write_bytes(damaged)
    try:
        loaded = without_types(lambda: Trace.load(path))
    except DataError:
        return
    assert all(isinstance(value, Tensor) for value in entries(loaded).values())
    for field in fields(Trace):
        value = getattr(loaded, field.name)
        if isinstance(value, dict):
            assert tuple(value) == loaded.modalities, field.name
        else:
            assert isinstance(value, Tensor | Batch | float | str | bool | tuple), field.name
    assert loaded.task in ("classification", "regression", "multilabel")
