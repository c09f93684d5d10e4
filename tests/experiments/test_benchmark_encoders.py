"""The benchmark command with a ResNet over clips, and with a BERT that is trained along: table, page, provenance, load,
resume, refusals. Networks are tiny; all else is as in earnest."""

from __future__ import annotations

from pathlib import Path
from signal import SIGINT, raise_signal
from typing import Any

import pandas as pd
import pytest
import torch

from clcrkit import ConfigError, DataError, resnet
from clcrkit.datasets import cremad, mmsa
from clcrkit.experiments.benchmark import main
from clcrkit.experiments.published import FRAMES, PICTURES, TEXT, VGG
from clcrkit.experiments.trials import Trial
from clcrkit.pretrained import PretrainedText
from clcrkit.resnet import ResNet
from clcrkit.training import load, predict
from clcrkit.training.run import Run
from tests.datasets import writers_media
from tests.experiments.test_benchmark import COLUMNS, SMALL, tiny, written
from tests.test_pretrained import tiny_text
from tests.test_resnet import TINY, tiny_resnet

SHAPES = {
    "cremad": {"acoustic": (1, 64, 64), "vision": (3, 32, 32)},
    "kinetics-sounds": {"acoustic": (1, 65, 64), "vision": (3, 32, 32)},
    "ave": {"acoustic": (1, 64, 64), "vision": (3, 32, 32)},
    "ucf101": {"vision": (3, 32, 32), "flow": (2, 32, 32)},
}
PICTURE: dict[str, Any] = {"resnet": "scratch", "pixels": 32}


@pytest.fixture(autouse=True)
def _tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet, "RESNET_18", TINY)


def stages(name: str, levels: int = 2) -> dict[str, ResNet]:
    return {m: ResNet(shape, levels) for m, shape in SHAPES[name].items()}


@pytest.mark.parametrize("name", SHAPES)
def test_a_resnet_reads_clips_from_files_to_table_and_page(
    name: str, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    path, out = written(name, tmp_path / "data"), tmp_path / "out"
    if name == "ave":  # published as features, and as videos elsewhere
        writers_media.write_ave_clips(path, 0)
    given = {**PICTURE, "models": ("CLCR", "OGM-GE", "vision alone")}
    table = tiny(name, path, out, **given)
    assert list(table) == COLUMNS
    assert (table["seeds"] == 2).all()
    said, foot = capsys.readouterr().out, (out / "table.md").read_text()
    for told in ("made by clcrkit: at most 3 frames of 32 x 32 pixels", "GB of memory", "trainings to run"):
        assert told in said
    for m in SHAPES[name]:
        assert f"{m}: read by a ResNet-18 of random weights; all of it is trained." in foot
    assert PICTURES in foot
    assert FRAMES not in foot
    assert VGG not in foot
    assert "Pretrained weights" not in foot
    assert (out / "explorer.html").stat().st_size > 10_000
    (run,) = out.glob("best run *")
    model = load(run, stages(name))
    assert {m: x.made_by.startswith("clcrkit: ") for m, x in model.config.modalities.items()} == dict.fromkeys(
        SHAPES[name], True
    )
    assert not any(x.mean for x in model.config.modalities.values())  # pictures are taken as they are
    monkeypatch.setattr(Trial, "train", None)  # nothing is trained twice
    pd.testing.assert_frame_equal(tiny(name, path, out, **given), table)


def test_a_resnet_of_a_folder_is_where_the_frames_start(tmp_path: Path, capsys):
    path, folder = written("cremad", tmp_path / "data"), tmp_path / "tiny-resnet"
    tiny_resnet(3).save_pretrained(folder)
    out, given = tmp_path / "out", {"seeds": (0,), "models": ("CLCR", "concat"), "pixels": 32}
    tiny("cremad", path, out, resnet=folder, **given)
    foot = (out / "table.md").read_text()
    assert "vision: read by ResNet tiny-resnet, layers 2, 4, weights" in foot
    assert "acoustic: read by a ResNet-18 of random weights" in foot
    assert "Pretrained weights are trained at 0.1 of the learning rate" in foot
    (run,) = out.glob("best run *")
    trained = load(run, stages("cremad")).encoders["vision"].stages.encoder.state_dict()
    torch.manual_seed(5)
    other = ResNet((3, 32, 32)).encoder.state_dict()
    start = tiny_resnet(3).state_dict()
    for name, x in trained.items():
        if name.endswith("convolution.weight"):
            assert 0 < (x - start[name]).norm() < 0.1 * (x - other[name]).norm()  # one epoch at 1e-4


@pytest.mark.usefixtures("listening")
def test_a_stopped_call_goes_on_within_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C after the first of two epochs of the second training: it is no finished trial, and goes on there."""
    path, out, close = written("cremad", tmp_path / "data"), tmp_path / "out", Run.close_epoch
    given = {**PICTURE, "models": ("concat",), "epochs": 2}
    closed: list[int] = []

    def counted(run: Run, valid: Any) -> None:
        close(run, valid)
        closed.append(run.epoch)
        if len(closed) == 3 and not (out / "table.csv").exists():
            raise_signal(SIGINT)

    monkeypatch.setattr(Run, "close_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        tiny("cremad", path, out, **given)
    assert closed == [1, 2, 1]
    assert len(list((out / "trials").glob("*.json"))) == 1
    (unfinished,) = (p for p in (out / "trials").iterdir() if p.is_dir())
    assert list(unfinished.iterdir())
    closed[:] = [0] * 9
    resumed = tiny("cremad", path, out, **given)
    assert closed[9] == 2  # not from the beginning
    assert not any(p.is_dir() for p in (out / "trials").iterdir())
    pd.testing.assert_frame_equal(resumed, tiny("cremad", path, tmp_path / "at once", **given))


def test_the_bert_is_trained_along_in_every_model(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    path, out, bert = written("mosi", tmp_path / "data"), tmp_path / "out", tmp_path / "tiny-bert"
    tiny_text().save_pretrained(bert)
    models = ("CLCR", "concat", "MulT", "language alone")
    given: dict[str, Any] = {"settings": {**SMALL, "levels": 3}, "bert": bert, "models": models}
    built: dict[str, Any] = {}
    train = Trial.train

    def kept(trial: Trial, *folder: Path):
        model, split, row = train(trial, *folder)
        built[trial.model] = model
        return model, split, row

    monkeypatch.setattr(Trial, "train", kept)
    table = tiny("mosi", path, out, finetune=True, **given)
    assert (table[table["figure"] == "mae"]["seeds"] == 2).all()
    start = tiny_text().state_dict()
    assert set(built) == set(models)
    for name, model in built.items():
        encoder = model.encoders["language"].stages.encoder
        changed = {n for n, x in encoder.state_dict().items() if not torch.equal(x, start[n])}
        assert changed, name
        assert all("layer." in n for n in changed)  # the embeddings stay
        assert {n.split("layer.")[1].split(".")[0] for n in changed} == set("012345")
    foot, said = (out / "table.md").read_text(), capsys.readouterr().out
    assert "language: read by PretrainedText tiny-bert, layers 2, 4, 6, weights" in foot
    assert "all 6 layers are trained, the embeddings are not" in foot
    assert "Pretrained weights are trained at 0.1 of the learning rate, which is ours" in foot
    assert TEXT not in foot
    assert "8 of 8 trainings to run" in said
    (run,) = out.glob("best run *")
    model = load(run, {"language": PretrainedText(str(bert), tuned=6, local_files_only=True)})
    assert predict(model, mmsa(path, text="ids", replace=True)).isfinite().all()
    # others than those of the frozen BERT, and nothing is trained twice
    cached = tiny("mosi", path, out, **given)
    assert len(list((out / "trials").iterdir())) == 16
    assert not cached["mean"].equals(table["mean"])
    monkeypatch.setattr(Trial, "train", None)
    pd.testing.assert_frame_equal(tiny("mosi", path, out, finetune=True, **given), table)


def test_what_a_set_cannot_have_is_refused_with_a_cure(tmp_path: Path, capsys):
    clips, out, bert = written("cremad", tmp_path / "cremad"), tmp_path / "out", tmp_path / "tiny-bert"
    tiny_text().save_pretrained(bert)
    with pytest.raises(ConfigError, match="resnet: given, but mmsa has no pictures, only features of them"):
        tiny("sims", written("sims", tmp_path / "sims"), out, **PICTURE)
    with pytest.raises(DataError, match=r"trainSet\.txt: .*; get the features of YapengTian/AVE-ECCV18"):
        tiny("ave", written("ave", tmp_path / "ave"), out, **PICTURE)
    with pytest.raises(ConfigError, match="features and resnet: given, but they exclude each other; leave one out"):
        tiny("cremad", clips, out, features=tmp_path, **PICTURE)
    with pytest.raises(ConfigError, match="pixels: 16, but it must be from 32 to 512"):
        tiny("cremad", clips, out, resnet="scratch", pixels=16)
    with pytest.raises(DataError, match=r"gone: no such folder; get the files of microsoft/resnet-18"):
        tiny("cremad", clips, out, resnet=tmp_path / "gone", pixels=32)
    with pytest.raises(DataError, match="holds a bert, but a resnet is needed"):
        tiny("cremad", clips, out, resnet=bert, pixels=32)
    with pytest.raises(ConfigError, match="finetune: True, but there is no BERT to train; pass its folder as bert"):
        tiny("mosi", written("mosi", tmp_path / "mosi"), out, finetune=True)
    with pytest.raises(ConfigError, match="pixels: 224, but nothing reads frames of that size; pass resnet, too"):
        tiny("cremad", clips, out, pixels=224)
    with pytest.raises(ConfigError, match="pixels: given, but features_folder stands in for all pictures"):
        cremad(clips, features_folder=tmp_path, pixels=32, progress=False)
    with pytest.raises(ConfigError, match="pixels: 513, but it must be from 32 to 512"):
        cremad(clips, pixels=513, progress=False)
    with pytest.raises(SystemExit):
        main(["cremad", str(clips), "--resnet", str(tmp_path / "gone"), "--pixels", "32"])
    assert "gone: no such folder" in capsys.readouterr().err
