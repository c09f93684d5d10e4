"""Files are written whole or not at all, and only what was written whole is read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from clcrkit import DataError
from clcrkit.files import digest, read_tensors, write_json, write_tensors

TENSORS = {"x": torch.arange(6.0).reshape(2, 3), "y": torch.tensor([True, False]), "z": torch.zeros(0, 4)}
ABOUT = {"kind": "test", "names": ["b", "a"], "n": 3}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "made" / "on the way" / "x.safetensors"
    write_tensors(path, TENSORS, ABOUT)
    tensors, about = read_tensors(str(path))
    assert about == ABOUT
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype
    assert os.listdir(path.parent) == [path.name]


def test_views_and_shared_memory_can_be_written(tmp_path):
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    write_tensors(tmp_path / "x", {"a": x, "b": x.T, "c": x[1:, ::2]}, {})
    tensors, _ = read_tensors(tmp_path / "x")
    assert torch.equal(tensors["b"], x.T)
    assert torch.equal(tensors["c"], x[1:, ::2])


@pytest.mark.parametrize("step", ["write_bytes", "replace", "fsync"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, error):
    path = tmp_path / "x"
    write_tensors(path, TENSORS, ABOUT)

    def fail(*args: object, **kwargs: object) -> None:
        if step == "write_bytes":
            with open(str(args[0]), "wb") as half:
                half.write(b"half a file")
        raise error

    monkeypatch.setattr(Path if step == "write_bytes" else os, step, fail)
    expected = DataError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="x: cannot be written" if expected is DataError else None):
        write_tensors(path, {"x": torch.ones(1)}, {})
    monkeypatch.undo()
    assert read_tensors(path)[1] == ABOUT
    assert os.listdir(tmp_path) == ["x"]


def test_a_folder_that_cannot_be_made_or_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_tensors(tmp_path / "file" / "x", TENSORS, {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_tensors(tmp_path / "folder", TENSORS, {})
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_file_has_the_permissions_that_any_new_file_has(tmp_path):
    (tmp_path / "plain").write_text("")
    write_tensors(tmp_path / "x", TENSORS, {})
    assert stat.filemode((tmp_path / "x").stat().st_mode) == stat.filemode((tmp_path / "plain").stat().st_mode)


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="absent: no such file"):
        read_tensors(tmp_path / "absent")
    with pytest.raises(DataError):
        read_tensors(tmp_path)
    for name, content in {
        "empty": b"",
        "text": b"hello, this is no tensor",
        "zeros": bytes(100),
        "ff": b"\xff" * 100,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}: not a file that clcrkit wrote, or damaged"):
            read_tensors(tmp_path / name)
    save_file(TENSORS, tmp_path / "other")
    with pytest.raises(DataError, match="other: not a file that clcrkit wrote"):
        read_tensors(tmp_path / "other")
    for about in ("no json", "[1]", "3", "[" * 200_000, json.dumps(ABOUT)):  # the last one without a digest
        save_file(TENSORS, tmp_path / "odd", metadata={"clcrkit": about})
        with pytest.raises(DataError, match="odd: not a file that clcrkit wrote"):
            read_tensors(tmp_path / "odd")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple:
    path = tmp_path_factory.mktemp("files") / "x"
    write_tensors(path, TENSORS, ABOUT)
    return path.with_name("damaged"), path.read_bytes()


def test_every_truncation_is_refused(written):
    path, content = written
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            read_tensors(path)


@settings(max_examples=300)
@given(st.data())
def test_flipped_bytes_are_refused_or_change_nothing(written, data):
    """Wherever it is: in the lengths, the header, the description, a value. Spaces that pad the header are nothing."""
    path, content = written
    place = data.draw(st.integers(0, len(content) - 1))
    flip = data.draw(st.integers(1, 255))
    path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
    try:
        tensors, about = read_tensors(path)
    except DataError:
        return
    assert about == ABOUT
    assert digest(tensors) == digest(TENSORS)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for i in range(20):
        write_tensors(tmp_path / str(i), TENSORS, ABOUT)
    assert len({(tmp_path / str(i)).read_bytes() for i in range(20)}) == 1


def test_what_was_read_is_no_part_of_the_file_any_more(tmp_path):
    path = tmp_path / "x"
    write_tensors(path, TENSORS, ABOUT)
    tensors, _ = read_tensors(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert digest(tensors) == digest(TENSORS)


@given(st.integers(0, 5), st.sampled_from(["value", "name", "shape", "type", "text"]))
def test_a_digest_tells_apart(place, what):
    x = torch.arange(6.0)
    other = x.clone()
    other[place] += 1e-6
    changed = {
        "value": {"x": other},
        "name": {"y": x},
        "shape": {"x": x[None]},
        "type": {"x": x.int()},
        "text": {"x": x},
    }
    assert digest({"x": x}) == digest({"x": torch.stack([x, x], 1)[:, 0]})
    assert digest({"x": x}) != digest(changed[what], "" if what != "text" else "a")


def test_a_json_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "index.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(DataError, match=r"index\.json: cannot be written \(no room\)"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    with pytest.raises(DataError, match="cannot be written"):
        write_json(tmp_path / "nowhere" / "a.json", {})
