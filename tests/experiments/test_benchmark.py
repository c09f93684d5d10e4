"""The command of the paper's benchmarks on tiny files in the published layouts: table, page, resume, refusals."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from clcrkit import ConfigError, DataError
from clcrkit.config import READINGS
from clcrkit.datasets import ave, extract_features, mmsa, multibench
from clcrkit.experiments import benchmark as module
from clcrkit.experiments.benchmark import benchmark, main
from clcrkit.experiments.published import BENCHMARKS, FRAMES, TEXT
from clcrkit.experiments.trials import Setup, Trial
from clcrkit.pretrained import CachedLevels, PretrainedText
from clcrkit.training import load
from clcrkit.training.config import make_optimizer, schedule
from tests.datasets import writers_files, writers_media
from tests.test_pretrained import stage, tiny_text

SMALL = {"width": 8, "rank": 4, "private_rank": 4, "heads": 2, "levels": 2}
FEW = ("CLCR", "concat")
COLUMNS = ["division", "model", "figure", "mean", "low", "high", "seeds", "published"]
WRITERS: Mapping[str, tuple[Callable[[Path, int], None], str]] = {
    "mosi": (writers_files.write_mmsa, "aligned_50.pkl"),
    "mosei": (writers_files.write_mmsa_unaligned, "unaligned_50.pkl"),
    "sims": (writers_files.write_mmsa_unaligned, "unaligned_50.pkl"),
    "iemocap": (writers_files.write_iemocap, "iemocap_data.pkl"),
    "cremad": (writers_media.write_cremad, ""),
    "kinetics-sounds": (writers_media.write_kinetics_sounds, ""),
    "ave": (writers_media.write_ave, ""),
    "ucf101": (writers_media.write_ucf101, ""),
}


def written(name: str, folder: Path) -> Path:
    write, file = WRITERS[name]
    folder.mkdir(exist_ok=True)
    write(folder, 0)
    return folder / file


def tiny(name: str, path: Path, out: Path, **options) -> pd.DataFrame:
    given = {"models": FEW, "seeds": (0, 1), "epochs": 1, "settings": SMALL, "progress": False, **options}
    return benchmark(name, path, out, **given)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_goes_from_files_to_table_and_page(name: str, tmp_path: Path, capsys):
    out = tmp_path / "out"
    table = tiny(name, written(name, tmp_path / "data"), out)
    about = BENCHMARKS[name]
    assert list(table) == list(pd.read_csv(out / "table.csv")) == COLUMNS
    assert set(table["figure"]) == set(about.figures)
    assert set(table["division"]) == set(about.divisions)
    assert (table["seeds"] == 2).sum() >= len(table) / 2  # a correlation of two equal predictions has no value
    ours = table[(table["division"] == "published") & (table["model"] == "CLCR")].set_index("figure")
    assert ours["published"].dropna().to_dict() == dict(about.published)
    assert table["published"].notna().sum() == len(about.published)
    text = (out / "table.md").read_text()
    assert ("CLCR as published [paper]" in text) == bool(about.published)
    for told in ("± is half of the 95 % interval", "1 epochs", *about.notes):
        assert told in text
    assert (out / "explorer.html").stat().st_size > 10_000
    (run,) = out.glob("best run *")
    assert load(run).config.width == 8
    said = capsys.readouterr().out
    for told in ("Split(train", "parameters", "trainings to run", "MB on the disk"):
        assert told in said


def test_a_killed_call_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, out = written("mosi", tmp_path / "data"), tmp_path / "out"
    trained: list[str] = []
    train = Trial.train

    def counted(trial: Trial):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(trial.key)
        return train(trial)

    monkeypatch.setattr(Trial, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        tiny("mosi", path, out)
    before = {file: file.stat().st_mtime_ns for file in (out / "trials").iterdir()}
    assert len(before) == 2
    monkeypatch.setattr(Trial, "train", train)
    resumed = tiny("mosi", path, out)
    assert all(file.stat().st_mtime_ns == then for file, then in before.items())
    assert len(list((out / "trials").glob("*.json"))) == 4
    pd.testing.assert_frame_equal(resumed, tiny("mosi", path, tmp_path / "at once"))


def test_two_processes_give_the_table_of_one(tmp_path: Path):
    path = written("ave", tmp_path / "data")
    given = {"models": ("concat",)}
    one, two = (tiny("ave", path, tmp_path / str(n), n_jobs=n, **given) for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_readings_and_the_models_that_fit_the_task(tmp_path: Path):
    path, out = written("ave", tmp_path / "ave"), tmp_path / "out"
    table = tiny("ave", path, out, models=("OGM-GE",), seeds=(0,), readings=True)
    assert set(table["model"]) == {"OGM-GE", *READINGS, *(f"CLCR (rho={rho})" for rho in module.RHOS)}
    assert not (out / "explorer.html").exists()  # there is no run of CLCR to explain
    rivals = ["CLCR", "plain reading", "concat", "OGM-GE", "late fusion", "low-rank fusion", "MulT", "MISA"]
    assert module._fitting(Setup("s", ave(path, progress=False))) == rivals
    for other in (mmsa(written("mosi", tmp_path / "mosi")), multibench(written("iemocap", tmp_path / "iemocap"))):
        assert module._fitting(Setup("s", other)) == [m for m in rivals if m != "OGM-GE"]


def test_a_missing_file_is_one_sentence_with_how_to_get_it(tmp_path: Path, capsys):
    for name in BENCHMARKS:
        with pytest.raises(SystemExit):
            main([name, str(tmp_path / "nowhere")])
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert "no such file or folder" in said
        assert BENCHMARKS[name].obtain[:40] in said
    folder = written("cremad", tmp_path / "data")
    next((folder / "AudioWAV").iterdir()).unlink()
    with pytest.raises(SystemExit):
        main(["cremad", str(folder)])
    said = capsys.readouterr().err
    assert ".wav: no such file" in said
    assert BENCHMARKS["cremad"].obtain[:40] in said


def test_the_command_prints_table_and_page(tmp_path: Path, capsys):
    path, out = written("ave", tmp_path / "data"), tmp_path / "out"
    options = ["--folder", str(out), "--recipe", "ours", "--seeds", "3", "--models", "CLCR", "--epochs", "1"]
    main(["ave", str(path), *options])
    said = capsys.readouterr().out
    for told in ("# ave, recipe 'ours'", "adamw", "73.82"):
        assert told in said
    assert said.strip().endswith("explorer.html")
    assert np.isnan(pd.read_csv(out / "table.csv")["low"]).all()  # one seed has no interval


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A BERT of random weights, as a folder."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny-bert"
    tiny_text().save_pretrained(folder)
    return folder


def test_language_has_three_layers_of_a_bert(tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    path, out = written("mosi", tmp_path / "data"), tmp_path / "out"
    settings = {**SMALL, "levels": 3}
    given: dict[str, Any] = {"settings": settings, "bert": bert, "seeds": (0,), "models": ("CLCR", "concat", "MISA")}
    table = tiny("mosi", path, out, **given)
    assert "language: made by PretrainedText tiny-bert, layers 2, 4, 6, weights" in capsys.readouterr().out
    foot = (out / "table.md").read_text()
    assert "language: made by PretrainedText tiny-bert" in foot
    assert TEXT not in foot
    # independent: transformers itself, a text at a time
    split, encoder = mmsa(path, text="ids", replace=True), tiny_text().eval()
    (levels,) = load_file(out / "levels" / "language-train.safetensors").values()
    for ids, mask, found in zip(split.train.tokens["language"], split.train.masks["language"], levels, strict=True):
        with torch.no_grad():
            hidden = encoder(ids[mask][None], output_hidden_states=True).hidden_states
        expected = torch.cat([hidden[layer][0] for layer in (2, 4, 6)], dim=-1)
        torch.testing.assert_close(found[mask], expected, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(PretrainedText, "forward", None)  # nothing is computed twice
    pd.testing.assert_frame_equal(tiny("mosi", path, out, **given), table)
    (run,) = out.glob("best run *")
    assert load(run, {"language": CachedLevels(3, 16)}).config.modalities["language"].made_by.startswith("Pretrained")


def test_extracted_features_give_levels_to_all_models(tmp_path: Path):
    path = written("cremad", tmp_path / "data")
    names = [p.stem for p in (path / "AudioWAV").iterdir()]
    media: dict[str, dict[str, Any]] = {
        "acoustic": {name: path / "AudioWAV" / f"{name}.wav" for name in names},
        "vision": {name: path / "Image-01-FPS" / name for name in names},
    }
    for m, kind in (("acoustic", "audio"), ("vision", "image")):
        extract_features(stage(kind, levels=2), media[m], tmp_path / "levels" / m, progress=False)
    out = tmp_path / "out"
    tiny("cremad", path, out, features=tmp_path / "levels", seeds=(0,), models=("CLCR", "OGM-GE", "vision alone"))
    foot = (out / "table.md").read_text()
    assert "acoustic: made by PretrainedAudio" in foot
    assert FRAMES not in foot
    with pytest.raises(ConfigError, match=r"encoders: 32 features of acoustic are not 3 levels"):
        tiny("cremad", path, out, features=tmp_path / "levels", settings={**SMALL, "levels": 3})


def test_encoders_that_a_set_cannot_have_are_refused(tmp_path: Path, bert: Path):
    mosi, ave_folder = written("mosi", tmp_path / "mosi"), written("ave", tmp_path / "ave")
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="bert: given, but ave has no texts"):
        tiny("ave", ave_folder, out, bert=bert)
    with pytest.raises(ConfigError, match="features: given, but mmsa has no media"):
        tiny("mosi", mosi, out, features=tmp_path)
    with pytest.raises(DataError, match=r"gone: no such folder; get the files of bert-base-uncased"):
        tiny("mosi", mosi, out, bert=tmp_path / "gone")
    with pytest.raises(DataError, match="no encoder with weights in safetensors"):
        tiny("mosi", mosi, out, bert=tmp_path)


def test_mults_pickles_are_read_and_those_of_another_task_are_refused(tmp_path: Path):
    parts = writers_files.mult_parts(0)
    for held in parts.values():
        del held["id"]
    path = tmp_path / "mosi_data.pkl"
    path.write_bytes(pickle.dumps(parts))
    table = tiny("mosi", path, tmp_path / "out", models=("concat",), seeds=(0,))
    assert set(table["figure"]) == set(BENCHMARKS["mosi"].figures)
    with pytest.raises(DataError, match="holds a sentiment, but this benchmark needs IEMOCAP's emotions"):
        tiny("iemocap", path, tmp_path / "out")
    with pytest.raises(DataError, match="holds IEMOCAP's emotions, but this benchmark needs a sentiment"):
        tiny("mosei", written("iemocap", tmp_path / "iemocap"), tmp_path / "out")


def test_the_papers_recipe_is_what_it_states(tmp_path: Path):
    """Read from the optimizer that is built, for CLCR and for each rival."""
    split = ave(written("ave", tmp_path / "data"), progress=False)
    setup = Setup("published", split, {}, SMALL, module.RECIPES["paper"])
    for name in module._fitting(setup):
        trial = Trial(setup, name)
        model, training = trial.build(split), trial.training
        optimizer = make_optimizer(model, training)
        assert type(optimizer) is torch.optim.SGD
        decayed = [p for group in optimizer.param_groups for p in group["params"] if group["weight_decay"] == 1e-4]
        assert {id(p) for p in decayed} == {id(p) for p in model.parameters()}
        for group in optimizer.param_groups:
            assert (group["lr"], group["momentum"], group["dampening"], group["nesterov"]) == (1e-3, 0.9, 0, False)
        assert (training.batch_size, training.epochs, training.clip, training.patience) == (64, 100, 0, 0)
        assert {schedule(training.schedule, step, 1000) for step in range(1000)} == {1.0}


def test_the_foot_tells_recipe_and_what_the_paper_does_not_say(tmp_path: Path):
    path, out = written("ave", tmp_path / "ave"), tmp_path / "out"
    tiny("ave", path, out, seeds=(0,), models=("concat",), epochs=0, settings={**SMALL, "dropout": 0.25})
    foot = (out / "table.md").read_text()
    told = "sgd with momentum 0.9, learning rate 0.001, weight decay 0.0001 on all weights, batch 64, 100 epochs"
    for words in (f"{told}, schedule constant, not clipped", "No model was tuned", "dropout 0.25", "width 8"):
        assert words in foot


def test_every_reading_of_the_design_is_reachable(tmp_path: Path):
    """Whom the budget holds, what full mix and no IntraCED are, a fixed budget, the private code: by name."""
    split = ave(written("ave", tmp_path / "data"), progress=False)
    setup = Setup("published", split, {}, SMALL)
    configs = {name: Trial(setup, name).build(split).config for name in ("CLCR", "full mix", "no IntraCED", *READINGS)}
    assert {c.budgeted for c in configs.values()} == {"listeners", "speakers", "both"}
    assert {c.mix for c in configs.values()} == {"", "rotated", "shuffled", "pooled"}
    assert {(c.intraced, c.split) for c in configs.values()} == {(True, True), (False, True), (False, False)}
    assert {c.private_sum for c in configs.values()} == {False, True}
    assert 0.68 in module.RHOS


def test_each_model_gets_the_rate_that_validates_best(tmp_path: Path, capsys):
    path, out = written("ave", tmp_path / "data"), tmp_path / "out"
    rates = (1e-4, 1e-2)
    tiny("ave", path, out, rates=rates, epochs=3, recipe="ours", seeds=(0,))
    assert "6 of 6 trainings to run" in capsys.readouterr().out
    tiny("ave", path, out, rates=rates, epochs=3, recipe="ours", seeds=(0,))
    assert "0 of 2 trainings to run" in capsys.readouterr().out
    trials = [json.loads(file.read_text()) for file in (out / "trials").iterdir()]
    searched = [t for t in trials if t["trial"]["seed"] == module.TUNING_SEED]
    final = [t for t in trials if t["trial"]["seed"] == 0]
    assert len(searched) == len(FEW) * len(rates)  # the same effort for each
    assert len(final) == len(FEW)
    for one in final:
        model = one["trial"]["model"]
        own = {
            t["trial"]["training"]["learning_rate"]: t["row"]["valid_score"]
            for t in searched
            if t["trial"]["model"] == model
        }
        assert own[one["trial"]["training"]["learning_rate"]] == max(own.values())
        rate = one["trial"]["training"]["learning_rate"]
        assert f"{model} (published) {rate:g}" in (out / "table.md").read_text()
