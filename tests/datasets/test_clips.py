"""AVE, CREMA-D, Kinetics-Sounds and UCF101: from the published layouts to an explorer, and what must be refused."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

from clcrkit import CLCR, CLCRConfig, ConfigError, DataError
from clcrkit.datasets import Split, ave, clips, cremad, kinetics_sounds, ucf101
from clcrkit.datasets.readers import frames as frame_reader
from clcrkit.datasets.readers.sound import log_mel, pictures_of, read_wav
from clcrkit.training import TrainConfig, fit
from clcrkit.viz import Explorer
from tests.datasets import writers_media as writers

LOADERS: dict[str, tuple[Callable[..., Split], Callable[[Path, int], None]]] = {
    "ave": (ave, writers.write_ave),
    "cremad": (cremad, writers.write_cremad),
    "kinetics_sounds": (kinetics_sounds, writers.write_kinetics_sounds),
    "ucf101": (ucf101, writers.write_ucf101),
}
WITH_GROUPS = ["cremad", "kinetics_sounds", "ucf101"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp(name) for name in LOADERS}
    for name, (_, write) in LOADERS.items():
        write(made[name], 0)
    return made


def named(split: Split, part: str) -> list[str]:
    return [split.attribute_names["name"][i] for i in getattr(split, part).attributes["name"].tolist()]


def groups(split: Split, part: str) -> set[int]:
    return set(getattr(split, part).attributes["group"].tolist())


@pytest.mark.parametrize("name", LOADERS)
def test_from_files_to_explorer(folders: dict[str, Path], name: str):
    split = LOADERS[name][0](folders[name], progress=False)
    config = CLCRConfig.of(
        split.train, outputs=len(split.label_names), width=16, rank=4, private_rank=4, heads=2, levels=3
    )
    torch.manual_seed(0)
    model = CLCR(config)
    done = fit(
        model, split.train, split.valid, config=TrainConfig(epochs=1, batch_size=8, device="cpu"), progress=False
    )
    assert len(done.history) == 1
    trace = model.trace(split.test)
    Explorer(trace, model, split=split)


@pytest.mark.parametrize("name", WITH_GROUPS)
def test_shards_hold_what_the_loader_reads(folders: dict[str, Path], tmp_path: Path, name: str):
    load = LOADERS[name][0]
    split, opened = load(folders[name], progress=False), load(folders[name], shards=tmp_path, progress=False)
    assert (opened.label_names, opened.attribute_names) == (split.label_names, split.attribute_names)
    for part in ("train", "valid", "test"):
        mine, expected = getattr(opened, part).select(slice(None)), getattr(split, part)
        assert torch.equal(mine.ids, expected.ids)
        assert torch.equal(mine.labels, expected.labels)
        assert all(torch.equal(mine.attributes[a], expected.attributes[a]) for a in ("group", "name"))
        for m in expected.modalities:
            assert torch.equal(mine.tokens[m], expected.tokens[m])


@pytest.mark.parametrize(
    ("name", "which", "apart"),
    [
        ("cremad", "actors", True),
        ("cremad", "published", False),
        ("kinetics_sounds", "videos", True),
        ("ucf101", "1", True),
        ("ucf101", "2", True),
        ("ucf101", "groups", True),
    ],
)
def test_parts_hold_every_sample_once_and_keep_groups_apart(folders, name: str, which: str, apart: bool):
    split = LOADERS[name][0](folders[name], split=which, progress=False)
    parts = ("train", "valid", "test")
    names = [n for part in parts for n in named(split, part)]
    assert sorted(names) == sorted(set(names))
    assert len(names) == {"cremad": 30, "kinetics_sounds": 40, "ucf101": 36}[name]
    shared = [groups(split, a) & groups(split, b) for a, b in itertools.combinations(parts, 2)]
    assert all(not s for s in shared) == apart
    again = LOADERS[name][0](folders[name], split=which, progress=False)
    other = LOADERS[name][0](folders[name], split=which, seed=1, progress=False)
    assert named(again, "valid") == named(split, "valid") != named(other, "valid")


def test_the_published_lists_are_kept(folders):
    for name, which, file in (
        ("cremad", "published", "test.csv"),
        ("kinetics_sounds", "published", "my_test.txt"),
        ("ucf101", "2", "testlist02.txt"),
    ):
        split = LOADERS[name][0](folders[name], split=which, progress=False)
        listed = [line.split(",")[0] for line in (folders[name] / file).read_text().split()]
        listed = [line.split("/")[-1].removesuffix(".avi") for line in listed]
        assert named(split, "test") == listed
    kinetics = kinetics_sounds(folders["kinetics_sounds"], progress=False)
    both = (groups(kinetics, "train") | groups(kinetics, "valid")) & groups(kinetics, "test")  # as it was published
    assert [kinetics.attribute_names["group"][code] for code in both] == ["-video15_x_"]
    assert not groups(kinetics, "train") & groups(kinetics, "valid")


def test_cremad_tokens_are_the_sound_and_the_frames(folders):
    place = folders["cremad"]
    split = cremad(place, progress=False)
    name, row = named(split, "train")[0], split.train.select([0])
    acoustic = row.tokens["acoustic"][row.masks["acoustic"]].numpy()
    np.testing.assert_array_equal(acoustic, log_mel(*read_wav(place / "AudioWAV" / f"{name}.wav"), hop=0.02))
    files = sorted((place / "Image-01-FPS" / name).iterdir())
    vision = row.tokens["vision"][row.masks["vision"]].numpy()
    assert vision.shape == (len(files), 16 * 16 * 3)
    for frame, file in zip(vision, files, strict=True):
        whole = np.asarray(Image.open(file), dtype=float) / 255
        np.testing.assert_allclose(frame.reshape(16, 16, 3).mean((0, 1)), whole.mean((0, 1)), atol=0.01)
    assert split.label_names[int(row.labels[0])][:3].upper() == name.split("_")[2]


def test_kinetics_sounds_averages_columns_of_npy_and_pkl_alike(folders):
    place = folders["kinetics_sounds"]
    split = kinetics_sounds(place, progress=False)
    seen = set()
    for i, name in enumerate(named(split, "train")):
        row = split.train.select([i])
        file = next((place / "audio_spec").glob(f"{name}.*"))
        seen.add(file.suffix)
        array = np.load(file, allow_pickle=True)
        expected = [array[:, start : start + 8].mean(1) for start in range(0, array.shape[1], 8)]
        np.testing.assert_allclose(row.tokens["acoustic"][row.masks["acoustic"]].numpy(), expected, atol=1e-5)
    assert seen == {".npy", ".pkl"}


def test_ucf101_flow_joins_both_directions_and_takes_32_frames(folders, tmp_path: Path):
    place = folders["ucf101"]
    split = ucf101(place, progress=False)
    name, row = named(split, "train")[0], split.train.select([0])
    flow = row.tokens["flow"][row.masks["flow"]]
    assert flow.shape == (len(list((place / "flow_u" / name).iterdir())), 2 * 16 * 16)
    for direction, half in (("flow_u", flow[:, :256]), ("flow_v", flow[:, 256:])):
        frames = frame_reader.image_frames(place, direction, name, grey=True)
        np.testing.assert_array_equal(half.numpy(), frames)
    random = np.random.default_rng(0)
    writers.write_frames(tmp_path / "clip", [f"frame{i:06d}.png" for i in range(100)], 0, random)
    taken = frame_reader.image_frames(tmp_path, "clip")
    assert taken.shape == (32, 768)
    np.testing.assert_array_equal(
        taken[-1], frame_reader.open_image(tmp_path / "clip" / "frame000099.png", (16, 16), "RGB").ravel()
    )


def scaled(path: Path, mode: str = "RGB") -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode).resize((40, 40), Image.Resampling.BOX), np.float32) / 255


def test_pictures_are_frames_colours_first_and_pieces_of_the_spectrogram(folders):
    place = folders["cremad"]
    split = cremad(place, pixels=40, progress=False)
    for name, row in zip(named(split, "test"), split.test, strict=True):
        files = sorted((place / "Image-01-FPS" / name).iterdir())
        seen = row.tokens["vision"][row.masks["vision"]].reshape(-1, 3, 40, 40).numpy()
        for frame, file in zip(seen, files, strict=True):
            np.testing.assert_array_equal(frame, np.moveaxis(scaled(file), -1, 0))
        shown = {m: split.picture[m](int(row.ids)) for m in ("vision", "acoustic")}
        np.testing.assert_array_equal(shown["vision"], [scaled(file) for file in files])
        expected = log_mel(*read_wav(place / "AudioWAV" / f"{name}.wav"), bands=64, hop=0.01)
        heard = row.tokens["acoustic"][row.masks["acoustic"]].reshape(-1, 64, 64).numpy()
        np.testing.assert_array_equal(np.concatenate(heard, axis=1)[:, : len(expected)], expected.T)
        np.testing.assert_allclose(shown["acoustic"], heard[:, ::-1] / heard.max(), atol=1e-6)
    assert split.sources["vision"].made_by == "clcrkit: at most 3 frames of 40 x 40 pixels"
    place = folders["ucf101"]
    split = ucf101(place, pixels=40, progress=False)
    name, row = named(split, "train")[0], split.train.select([0])
    flow = row.tokens["flow"][row.masks["flow"]].reshape(-1, 2, 40, 40).numpy()
    files = [sorted((place / direction / name).iterdir()) for direction in ("flow_u", "flow_v")]
    positions = np.linspace(0, len(files[0]) - 1, min(3, len(files[0]))).round().astype(int)
    for pair, i in zip(flow, positions, strict=True):
        np.testing.assert_array_equal(pair, np.stack([scaled(each[i], "L") for each in files]))
    sounds = kinetics_sounds(folders["kinetics_sounds"], pixels=40, progress=False)
    assert sounds.train.tokens["acoustic"].shape[2] == 65 * 64
    assert sounds.train.tokens["vision"].shape[1:] == (3, 3 * 40 * 40)


@given(st.integers(1, 5), st.integers(0, 200), st.integers(0, 9))
def test_a_spectrogram_is_cut_without_loss_and_filled_with_its_lowest_value(rows: int, columns: int, seed: int):
    spectrogram = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    cut = pictures_of(spectrogram)
    assert cut.shape == (-(-columns // 64), rows * 64)
    joined = np.concatenate([np.zeros((rows, 0)), *cut.reshape(len(cut), rows, 64)], axis=1)
    np.testing.assert_array_equal(joined[:, :columns], spectrogram)
    assert (joined[:, columns:] == (spectrogram.min() if columns else 0)).all()


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
def test_extracted_features_stand_in_for_the_media(folders, tmp_path: Path, ending: str):
    random = np.random.default_rng(0)
    whole = cremad(folders["cremad"], progress=False)
    expected = {}
    for name in whole.attribute_names["name"]:
        for m in ("acoustic", "vision"):
            (tmp_path / m).mkdir(exist_ok=True)
            array = expected[name, m] = random.normal(size=(random.integers(1, 5), 6)).astype(np.float32)
            path = tmp_path / m / f"{name}.{ending}"
            if ending == "npy":
                np.save(path, array)
            elif ending == "npz":
                np.savez_compressed(path, features=array)
            else:
                save_file({"features": array}, path)
    split = cremad(folders["cremad"], features_folder=tmp_path, progress=False)
    for i, name in enumerate(named(split, "test")):
        for m in ("acoustic", "vision"):
            real = split.test.tokens[m][i][split.test.masks[m][i]]
            np.testing.assert_array_equal(real.numpy(), expected[name, m])


def first_line(folder: Path, name: str) -> str:
    return (folder / name).read_text().split("\n")[0]


def linked_outward(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(__file__)


def emptied(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


CREMAD_DAMAGE: dict[str, tuple[Callable[[Path, str], object], str]] = {
    "a sound is missing": (lambda f, clip: (f / f"AudioWAV/{clip}.wav").unlink(), r"\.wav: no such file"),
    "a sound is damaged": (lambda f, clip: (f / f"AudioWAV/{clip}.wav").write_bytes(b"RIFF"), r"\.wav: not a PCM wav"),
    "a sound is a link outward": (
        lambda f, clip: linked_outward(f / f"AudioWAV/{clip}.wav"),
        "leads out of",
    ),
    "a frame is a link outward": (
        lambda f, clip: linked_outward(f / f"Image-01-FPS/{clip}/00000.jpg"),
        r"00000\.jpg: leads out of",
    ),
    "a frame is no picture": (
        lambda f, clip: (f / f"Image-01-FPS/{clip}/00001.jpg").write_bytes(b"GIF89a" + bytes(50)),
        r"00001\.jpg: not a jpg or png",
    ),
    "there is no frame": (
        lambda f, clip: emptied(f / f"Image-01-FPS/{clip}"),
        "holds no jpg",
    ),
    "a name leads out": (lambda f, clip: (f / "test.csv").write_text("../1001_x,NEU\n"), "plain name"),
    "an emotion is unknown": (lambda f, clip: (f / "test.csv").write_text("1001_x,JOY\n"), "JOY"),
    "a clip is listed twice": (lambda f, clip: (f / "test.csv").write_text(f"{clip},NEU\n"), "listed twice"),
    "a list is empty": (lambda f, clip: (f / "test.csv").write_text("\n"), r"test\.csv: an empty list"),
    "a list is missing": (lambda f, clip: (f / "test.csv").unlink(), r"test\.csv: no such file"),
    "a list is binary": (lambda f, clip: (f / "test.csv").write_bytes(b"\xff\xfe\x00"), r"test\.csv: not a list"),
}


@pytest.mark.parametrize("damage", CREMAD_DAMAGE)
def test_damaged_folders_are_refused_by_name(tmp_path: Path, damage: str):
    writers.write_cremad(tmp_path, 0)
    change, message = CREMAD_DAMAGE[damage]
    change(tmp_path, first_line(tmp_path, "train.csv").split(",")[0])
    with pytest.raises(DataError, match=message) as caught:
        cremad(tmp_path, progress=False)
    assert str(tmp_path) in str(caught.value) or "list" in str(caught.value) or "plain name" in message


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path):
    import os
    import pickle

    class Runs:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    writers.write_kinetics_sounds(tmp_path / "data", 0)
    file = next((tmp_path / "data" / "audio_spec").glob("*.pkl"))
    file.write_bytes(pickle.dumps(Runs()))
    with pytest.raises(DataError, match=file.name):
        kinetics_sounds(tmp_path / "data", progress=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", WITH_GROUPS)
def test_settings_out_of_range_are_refused(folders, name: str):
    with pytest.raises(ConfigError, match="split: 'random', but it must be"):
        LOADERS[name][0](folders[name], split="random")


FEATURE_DAMAGE: dict[str, Callable[[Path], object]] = {
    "x.npy": lambda p: np.save(p, np.array([{}, 1], dtype=object), allow_pickle=True),
    "y.npy": lambda p: np.save(p, np.zeros((2, 2, 2))),
    "z.npy": lambda p: np.save(p, np.array(["a", "b"])),
    "n.npy": lambda p: np.save(p, np.array([[np.inf]])),
    "h.npy": lambda p: p.write_bytes(huge_header() + bytes(8)),
    "t.npz": lambda p: np.savez(p, a=np.zeros((2, 2)), b=np.zeros((2, 2))),
    "o.npz": lambda p: np.savez(p, np.array([{}], dtype=object)),
    "b.npz": lambda p: bomb(p, huge_header() + bytes(1000)),
    "c.safetensors": lambda p: p.write_bytes(b"\xff" * 40),
    "d.safetensors": lambda p: save_file({"a": np.zeros((2, 0))}, p),
}


def huge_header() -> bytes:
    import io

    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    return written.getvalue()


def bomb(path: Path, content: bytes) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", content)


@pytest.mark.parametrize("name", FEATURE_DAMAGE)
def test_feature_files_that_cannot_be_used_are_refused(tmp_path: Path, name: str):
    (tmp_path / "m").mkdir()
    FEATURE_DAMAGE[name](tmp_path / "m" / name)
    with pytest.raises(DataError, match=name):
        clips.features(tmp_path, "m", name.split(".")[0])


def test_holding_out_takes_whole_groups_until_the_share_is_reached():
    rows = [
        clips.Row(f"{g}{i}", 0, g) for g, n in zip("abcdefgh", (9, 1, 4, 4, 2, 6, 3, 1), strict=True) for i in range(n)
    ]
    for seed in range(20):
        kept, held = clips.hold_out(rows, 0.3, np.random.default_rng(seed))
        assert len(kept) + len(held) == 30
        assert not {r.group for r in kept} & {r.group for r in held}
        assert 9 <= len(held) < 9 + 9
    with pytest.raises(DataError, match="1 groups"):
        clips.hold_out([replace_group(r) for r in rows], 0.3, np.random.default_rng(0))


def replace_group(row: clips.Row) -> clips.Row:
    return row._replace(group="a")
