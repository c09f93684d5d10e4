"""The command of the paper's benchmarks on tiny files in the published layouts: table, page, resume, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clcrkit.config import READINGS
from clcrkit.datasets import ave, mmsa
from clcrkit.experiments import benchmark as module
from clcrkit.experiments.benchmark import benchmark, main
from clcrkit.experiments.published import BENCHMARKS
from clcrkit.experiments.trials import Setup, Trial
from clcrkit.training import load
from tests.datasets import writers_files, writers_media

SMALL = {"width": 8, "rank": 4, "private_rank": 4, "heads": 2, "levels": 2}
FEW = ("CLCR", "concat")
COLUMNS = ["division", "model", "figure", "mean", "low", "high", "seeds", "published"]
WRITERS: Mapping[str, tuple[Callable[[Path, int], None], str]] = {
    "mosi": (writers_files.write_mmsa, "aligned_50.pkl"),
    "mosei": (writers_files.write_mmsa_unaligned, "unaligned_50.pkl"),
    "sims": (writers_files.write_mmsa_unaligned, "unaligned_50.pkl"),
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
    assert set(table["model"]) == {"OGM-GE", *READINGS}
    assert not (out / "explorer.html").exists()  # there is no run of CLCR to explain
    rivals = ["CLCR", "plain reading", "concat", "OGM-GE", "late fusion", "low-rank fusion", "MulT", "MISA"]
    assert module._fitting(Setup("s", ave(path, progress=False))) == rivals
    assert module._fitting(Setup("s", mmsa(written("mosi", tmp_path / "mosi")))) == [m for m in rivals if m != "OGM-GE"]


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
