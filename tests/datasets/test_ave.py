"""AVE: what is read from its files, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from clcrkit import DataError
from clcrkit.datasets import ave, check
from tests.datasets import writers_media as writers


def test_pools_places_and_takes_labels_and_evidence_from_the_files(tmp_path: Path):
    import h5py

    writers.write_ave(tmp_path, 0)
    split = ave(tmp_path, progress=False)
    arrays = {}
    for name in ("audio_feature", "visual_feature", "labels", "mil_labels"):
        with h5py.File(tmp_path / f"{name}.h5") as file:
            arrays[name] = file["avadataset"][:]
    ids = np.concatenate([getattr(split, part).ids.numpy() for part in ("train", "valid", "test")])
    assert sorted(ids) == list(range(12))
    for part in (split.train, split.valid, split.test):
        assert part.labels is not None
        rows = part.ids.numpy()
        np.testing.assert_array_equal(part.tokens["acoustic"].numpy(), arrays["audio_feature"][rows])
        pooled = arrays["visual_feature"][rows].reshape(len(rows), 10, 49, 512).mean(2)
        np.testing.assert_allclose(part.tokens["vision"].numpy(), pooled, rtol=1e-6)
        background = arrays["labels"][rows, :, 28] == 1
        for i, label in enumerate(part.labels.tolist()):
            assert arrays["mil_labels"][rows[i], label] == 1
            assert label < 28
        for m in part.modalities:
            for level in range(3):
                np.testing.assert_array_equal(part.evidence[m][:, level].numpy(), ~background)
        np.testing.assert_array_equal(part.attributes["event_seconds"].numpy(), (~background).sum(1))
        videos = [split.attribute_names["group"][i] for i in part.attributes["group"].tolist()]
        assert videos == [f"video{row // 2}" for row in rows]
        assert [split.label_names[label] for label in part.labels.tolist()] == [f"Kind {row}" for row in rows]
    assert split.label_names[20] == "event 20"  # there is no clip of it
    assert any("group" in problem for problem in map(str, check(split).problems))


def test_annotations_that_do_not_fit_are_refused_and_may_be_absent(tmp_path: Path):
    writers.write_ave(tmp_path, 0)
    path = tmp_path / "Annotations.txt"
    lines = path.read_text().splitlines()
    for changed, message in (
        (lines[:-1], "11 lines, 0 of them not"),
        ([*lines[:-1], "a&b"], "12 lines, 1 of them not"),
    ):
        path.write_text("\n".join(changed))
        with pytest.raises(DataError, match=message):
            ave(tmp_path, progress=False)
    path.unlink()
    split = ave(tmp_path, progress=False)
    assert split.label_names[0] == "event 0"
    assert "group" not in split.train.attributes


def with_h5(folder: Path, name: str, change: Callable[..., object]) -> None:
    import h5py

    with h5py.File(folder / name, "r+") as file:
        change(file)


def relinked(file, link) -> None:
    del file["avadataset"]
    file["avadataset"] = link


def reshaped(file, **settings) -> None:
    del file["avadataset"]
    file.create_dataset("avadataset", **settings)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("labels.h5", lambda f: relinked(f, __import__("h5py").ExternalLink("mil_labels.h5", "/avadataset")), "a link"),
        ("labels.h5", lambda f: relinked(f, __import__("h5py").SoftLink("/elsewhere")), "a link"),
        ("labels.h5", lambda f: f.move("avadataset", "other"), "no array 'avadataset'"),
        ("labels.h5", lambda f: reshaped(f, shape=(12, 10, 28), dtype="f4"), "12, 10, 28"),
        ("labels.h5", lambda f: reshaped(f, shape=(11, 10, 29), dtype="f4"), "different numbers of clips"),
        ("labels.h5", lambda f: reshaped(f, shape=(10**12, 10, 29), dtype="f4", chunks=(1, 10, 29)), "too large"),
        (
            "visual_feature.h5",
            lambda f: reshaped(f, shape=(12, 10, 7, 7, 512), maxshape=(None, 10, 7, 7, 512), dtype="f4",
                               chunks=(1000, 10, 7, 7, 512)),
            "too large",
        ),
        ("mil_labels.h5", lambda f: f["avadataset"].__setitem__(slice(None), 0), "has no event"),
        ("val_order.h5", lambda f: f["order"].__setitem__(0, 12), "name clip 12"),
        ("val_order.h5", lambda f: f["order"].__setitem__(0, f["order"][1]), "named twice"),
        ("audio_feature.h5", lambda f: f["avadataset"].__setitem__(0, np.nan), "NaN"),
    ],
)  # fmt: skip
def test_damaged_ave_files_are_refused(tmp_path: Path, name: str, change: Callable[..., object], message: str):
    writers.write_ave(tmp_path, 0)
    with_h5(tmp_path, name, change)
    with pytest.raises(DataError, match=message):
        ave(tmp_path, progress=False)


def test_files_that_are_no_h5_are_refused(tmp_path: Path):
    writers.write_ave(tmp_path, 0)
    whole = (tmp_path / "labels.h5").read_bytes()
    for content in (b"", b"\x89HDF", whole[:2000]):
        (tmp_path / "labels.h5").write_bytes(content)
        with pytest.raises(DataError, match=r"labels\.h5"):
            ave(tmp_path, progress=False)
    (tmp_path / "labels.h5").unlink()
    with pytest.raises(DataError, match=r"labels\.h5: no such file"):
        ave(tmp_path, progress=False)


def test_clips_are_read_as_pictures_in_the_published_lists(tmp_path: Path):
    writers.write_ave_clips(tmp_path, 0)
    split = ave(tmp_path, progress=False, pixels=32)
    assert [len(getattr(split, part)) for part in ("train", "valid", "test")] == [11, 2, 5]
    assert split.label_names == ("Kind 0, spoken", "Kind 1, spoken", "Kind 2, spoken")
    assert split.train.tokens["vision"].shape[1:] == (3, 3 * 32 * 32)
    assert split.train.tokens["acoustic"].shape[2] == 64 * 64
    first, again = split.train.select([0]), split.train.select([10])
    assert torch.equal(first.tokens["vision"], again.tokens["vision"])
    assert [row.labels.tolist() for row in (first, again) if row.labels is not None] == [
        [0],
        [1],
    ]  # two events of one video
    names = split.attribute_names
    assert names["name"][int(again.attributes["name"])] == "-vid_00 2"
    assert names["group"][int(again.attributes["group"])] == "-vid_00"
    assert any("train and test share 1 groups (first: -vid_03)" in problem for problem in check(split).problems)
    (tmp_path / "valSet.txt").write_text("Kind 0\n")
    with pytest.raises(DataError, match=r"valSet\.txt: line 'Kind 0', but '<event>&<video>&"):
        ave(tmp_path, progress=False, pixels=32)
    (tmp_path / "valSet.txt").write_text("Kind 0, spoken&../vid&good&0&1\n")
    with pytest.raises(DataError, match=r"'\.\./vid': samples name files, so it must be a plain name"):
        ave(tmp_path, progress=False, pixels=32)
    (tmp_path / "testSet.txt").unlink()
    with pytest.raises(DataError, match=r"testSet\.txt"):
        ave(tmp_path, progress=False, pixels=32)
