"""Arrays in memory, and folders with a manifest: what is given arrives; what leads out or lies is refused."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from clcrkit import DataError
from clcrkit.datasets import from_arrays, from_folder
from tests.datasets.test_mmsa import to_explorer
from tests.datasets.writers_files import write_folder

PARTS = ("train", "valid", "test")


def arrays(samples: int = 60) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"sound": rng.normal(size=(samples, 4, 3)), "words": rng.integers(0, 9, (samples, 5))}


def test_arrays_arrive_in_the_parts_that_are_named():
    tokens, masks = arrays(), {"sound": np.arange(4) < np.arange(60)[:, None] % 5}
    labels = ["cat", "dog", "ant"] * 20
    parts = ["train", "dev", "test", "Train"] * 15
    split = from_arrays(tokens, labels, masks, groups=[f"g{i % 7}" for i in range(60)], parts=parts, names=range(60))
    assert split.label_names == ("ant", "cat", "dog")
    for part, spellings in (("train", ("train", "Train")), ("valid", ("dev",)), ("test", ("test",))):
        wanted = [i for i in range(60) if parts[i] in spellings]
        batch = getattr(split, part)
        assert batch.ids.tolist() == wanted
        assert [split.label_names[i] for i in batch.labels.tolist()] == [labels[i] for i in wanted]
        assert [split.attribute_names["group"][i] for i in batch.attributes["group"]] == [f"g{i % 7}" for i in wanted]
        assert [split.attribute_names["name"][i] for i in batch.attributes["name"]] == [str(i) for i in wanted]
        np.testing.assert_array_equal(batch.tokens["words"], tokens["words"][wanted])
        np.testing.assert_array_equal(batch.masks["sound"], masks["sound"][wanted])


def test_parts_are_drawn_by_group():
    groups = np.arange(60) // 3
    split = from_arrays(arrays(), np.arange(60) % 3, groups=groups)
    held = [set(getattr(split, part).attributes["group"].tolist()) for part in PARTS]
    assert sum(map(len, held)) == len(set.union(*held)) == 20
    assert split.label_names == ("0", "1", "2")
    assert from_arrays(arrays(), np.linspace(0, 1, 60)).label_names == ()
    assert from_arrays(arrays(), torch.eye(3)[torch.arange(60) % 3]).train.labels.shape[1] == 3


def test_arrays_to_explorer():
    to_explorer(from_arrays(arrays(), np.arange(60) % 2), 2, "classification")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a", ""] * 30}, "labels: some are names"),
        ({"labels": ["a", 1] * 30}, "labels: some are names"),
        ({"labels": [[1], [1, 2]] * 30}, "labels: rows of different lengths"),
        ({"labels": [10**9] * 60}, "class 1000000000, but classes go from 0 to less than 65536"),
        ({"labels": [-1] * 60}, "classes start at 0"),
        ({"labels": [1e300] * 60}, "labels.*NaN or inf"),
        ({"labels": [0] * 59}, "60 samples are needed"),
        ({"parts": ["train"] * 60}, "'valid': 0"),
        ({"parts": ["train", "valid", "test"]}, "3 of them, but there are 60"),
        ({"parts": ["train", "valid", "later"] * 20}, "'later', but train, valid or test"),
        ({"groups": ["a"]}, r"attribute group: shape \(1,\)"),
        ({"groups": ["a", "b"] * 30}, "at least 3"),
        ({"names": ["a", "b"] * 30}, "names: 58 of 60 are repeated"),
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, Any], message: str):
    given: dict[str, Any] = {"tokens": arrays(), "labels": np.arange(60) % 2, **change}
    with pytest.raises(DataError, match=message):
        from_arrays(**given)


# --- folders


def test_folder_to_explorer(tmp_path: Path):
    write_folder(tmp_path, 0)
    split = from_folder(tmp_path / "manifest.csv")
    to_explorer(split, 2, "classification")


def test_every_file_arrives(tmp_path: Path):
    write_folder(tmp_path, 1)
    split = from_folder(tmp_path / "manifest.csv")
    assert (len(split.train), len(split.valid), len(split.test)) == (12, 6, 6)
    assert split.label_names == ("cat", "dog")
    seen = 0
    for part in PARTS:
        batch = getattr(split, part)
        for i, clip in enumerate(batch.ids.tolist()):
            assert split.attribute_names["name"][batch.attributes["name"][i]] == f"clip{clip}"
            assert split.attribute_names["group"][batch.attributes["group"][i]] == f"speaker{clip % 4}"
            assert part == ("train", "valid", "test", "train")[clip % 4]
            sound = batch.tokens["sound"][i][batch.masks["sound"][i]].numpy()
            if clip == 5:
                assert not len(sound)
            elif clip % 3 == 2:
                np.testing.assert_array_equal(sound, np.load(tmp_path / f"sound{clip}.npy"))
            elif clip % 3 == 0:
                np.testing.assert_allclose(sound, np.loadtxt(tmp_path / f"sound{clip}.csv", delimiter=","), rtol=1e-6)
            else:
                with h5py.File(tmp_path / "sound.h5") as file:
                    np.testing.assert_array_equal(sound, file[f"clips/{clip}"][()])
            words = batch.tokens["words"][i][batch.masks["words"][i]].numpy()
            with np.load(tmp_path / f"words{clip}.npz") as file:
                np.testing.assert_array_equal(words, file["words"])
            seen += 1
    assert seen == 24


def listed(folder: Path, *lines: str, header: str = "id,label,a") -> Path:
    """A manifest of these lines behind ten good ones."""
    rows = []
    for i in range(10):
        np.save(folder / f"good{i}.npy", np.ones((2, 3)) + i)
        rows.append(f"good{i},{i % 2},good{i}.npy")
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows, *lines]))
    return path


def test_labels_are_read_as_what_they_are(tmp_path: Path):
    for values, kind, names in (
        ("0 1 2 0 1 2 0 1 2 0", torch.int64, ("0", "1", "2")),
        ("-1.5 2 3e2 0 0 0 0 1 1 1", torch.float32, ()),
        ("a b a b a b a b 1 1", torch.int64, ("1", "a", "b")),
    ):
        path = listed(tmp_path)
        rows = [line.split(",") for line in path.read_text().split("\n")]
        path.write_text(
            "\n".join(
                ",".join([row[0], value, row[2]])
                for row, value in zip(rows, ["label", *values.split()], strict=True)
            )
        )  # fmt: skip
        split = from_folder(path)
        assert split.train.labels is not None
        assert split.train.labels.dtype == kind
        assert split.label_names == names


def test_the_manifest_is_checked(tmp_path: Path):
    good = listed(tmp_path).read_text()
    for text, message in (
        ("", "an empty list"),
        ("id,label\na,1", "0 modalities"),
        ("id,a\nx,y", "id, label and modalities"),
        ("id,label,a,a\n1,2,3,4", "each once"),
        ("id,label,a", "no line"),
        (good + "\nx,1", "line 12 has 2 cells"),
        (good + "\nx,1,", "no file in any modality"),
        (good + "\nx,1,good0.npy", "line 12, a: good0.npy is named again"),
        (good + "\nx,1,./good0.npy", "line 12, a: ./good0.npy is named again"),
        (good + "\n,1,good0.npy", "line 12: no id"),
        ("\n".join(f"{line},{'b' * (not i)}" for i, line in enumerate(good.split("\n"))), "column b names no file"),
        (good.replace("good1,1", "good1," + "1" * 30), "line 3: label '1{30}', but a number or"),
        (good.replace("good1,1", "good1,NaN"), "line 3: label 'NaN'"),
        (good.replace("good1,1", "good1,inf").replace(",0,", ",0.5,"), "line 3: label 'inf'"),
        (good + '\nx,1,"good', "not a csv file"),
        (good.replace("good1,", "good0,"), "line 3: id good0 is that of line 2"),
        (good.replace("good1,1", "good1,"), "line 3: label ''"),
        ("id,label,a," + ",".join(f"m{i}" for i in range(40)) + "\n", "modalities"),
        ("\x00\xff", "csv|columns"),
    ):
        path = tmp_path / "manifest.csv"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(DataError, match=rf"manifest\.csv.*({message})"):
            from_folder(path)
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        from_folder(tmp_path / "manifest.csv")
    with pytest.raises(DataError, match="no such file"):
        from_folder(tmp_path / "absent.csv")


def test_nothing_outside_the_folder_is_read(tmp_path: Path):
    inner = tmp_path / "inner"
    inner.mkdir()
    np.save(tmp_path / "secret.npy", np.ones((2, 3)))
    (inner / "link.npy").symlink_to(tmp_path / "secret.npy")
    (inner / "up").symlink_to(tmp_path)
    for cell in ("../secret.npy", "link.npy", "up/secret.npy", str(tmp_path / "secret.npy"), "/etc/passwd"):
        with pytest.raises(DataError, match=r"line 12, a: .*leads out of"):
            from_folder(listed(inner, f"x,1,{cell}"))
    if os.name != "posix":  # no pipes
        return
    os.mkfifo(inner / "pipe.npy")
    with pytest.raises(DataError, match="line 12, a: "):
        from_folder(listed(inner, "x,1,pipe.npy"))


def test_one_long_sample_cannot_pad_all_others_to_its_length(tmp_path: Path):
    np.save(tmp_path / "long.npy", np.zeros((700_000, 3), np.float32))
    path = listed(tmp_path, "x,1,long.npy")
    text = path.read_text()
    for i in range(300):
        np.save(tmp_path / f"short{i}.npy", np.zeros((1, 3), np.float32))
        text += f"\nshort{i},0,short{i}.npy"
    path.write_text(text)
    with pytest.raises(DataError, match="a padded to 700000 tokens"):
        from_folder(path)


def test_floats_beyond_float32_are_refused(tmp_path: Path):
    np.save(tmp_path / "big.npy", np.full((2, 3), 1e300))
    with pytest.raises(DataError, match="a: 1 of 11 samples hold inf"):
        from_folder(listed(tmp_path, "x,1,big.npy"))
