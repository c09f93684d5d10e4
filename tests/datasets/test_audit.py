"""check: each trap is found where it was laid, alone, and named; honest data has no problem."""

import os
import re
import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from clcrkit.batch import Batch
from clcrkit.datasets import Report, Split, asynchrony, check, convert, digits, from_arrays, sharded
from clcrkit.quality import spoilers
from clcrkit.training import TrainConfig, fit
from clcrkit.viz.figures import data_report
from tests.padding import lengthened

PARTS = ("train", "valid", "test")


def honest(samples: int = 400, regression: bool = False, seed: int = 0) -> dict[str, Any]:
    """Arguments of from_arrays: two modalities that say something of the label, 80 groups, groups kept apart."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=samples).round(3) if regression else np.arange(samples) % 2
    signal = labels if regression else 2 * labels - 1
    return {
        "tokens": {
            "sound": rng.normal(size=(samples, 5, 6)) + 0.3 * signal[:, None, None],
            "face": rng.normal(size=(samples, 4, 3)),
        },
        "masks": {"sound": np.arange(5) < rng.integers(1, 6, samples)[:, None]},
        "labels": np.clip(labels, -2, 2) if regression else labels,
        "groups": np.arange(samples) // 5,
        "parts": np.array(PARTS)[[0, 0, 0, 1, 2]][np.arange(samples) // 5 % 5],
    }


def report(**changes: Any) -> Report:
    return check(from_arrays(**{**honest(), **changes}))


@pytest.mark.parametrize("regression", [False, True])
def test_honest_data_has_no_problem(regression: bool):
    found = check(from_arrays(**honest(regression=regression)))
    assert found.problems == ()
    assert repr(found) == "Report: no problems"


def test_the_kits_own_data_have_no_problem():
    assert check(asynchrony((300, 100, 200), seed=0)).problems == ()
    assert check(digits(size=1000)).problems == ()


def test_the_table_counts(monkeypatch):
    given = honest()
    given["masks"]["sound"][3] = False
    found = check(from_arrays(**given))
    row = found.table.set_index(["part", "modality"]).loc[("train", "sound")]
    mask = given["masks"]["sound"][given["parts"] == "train"]
    real = given["tokens"]["sound"][given["parts"] == "train"][mask]
    lengths = mask.sum(1)[mask.any(1)]
    assert row["samples"] == len(mask)
    assert row["missing"] == 1
    assert (row["shortest"], row["median"], row["longest"]) == (lengths.min(), np.median(lengths), lengths.max())
    assert row["features"] == 6
    assert row["largest_spread"] == pytest.approx(real.std(0).max(), rel=1e-5)
    assert row["smallest_spread"] == pytest.approx(real.std(0).min(), rel=1e-5)
    assert row["largest_value"] == pytest.approx(np.abs(real).max(), rel=1e-5)
    assert found.labels.groupby("part")["count"].sum().to_dict() == {"train": 240, "valid": 80, "test": 80}


def shared_groups(given: dict[str, Any]) -> str:
    given["groups"][given["parts"] == "test"] = 0
    return r"train and test share 1 groups \(first: 0\), which 100% of test"


def duplicates(given: dict[str, Any]) -> str:
    given["masks"] = None
    tests = np.flatnonzero(given["parts"] == "test")
    for values in given["tokens"].values():
        values[tests[:3]] = values[:3]
    return "3 of 80 test samples are in train too"


def copies(given: dict[str, Any]) -> str:
    given["masks"] = None
    for values in given["tokens"].values():
        values[1] = values[2] = values[0]
    return "2 of 240 train samples are copies"


def learned_with_the_labels(given: dict[str, Any]) -> str:
    inside = given["parts"] != "test"
    given["tokens"]["face"][inside] += (given["labels"][inside] * 4 - 2)[:, None, None]
    return r"face: a linear probe scores 1\.00 within train \(cross-validated\), 1\.00 on valid, but 0\.[345]\d on test"


def one_class(given: dict[str, Any]) -> str:
    given["labels"][given["parts"] == "valid"] = 1
    return "The valid part has a single class, 1"


def a_new_class(given: dict[str, Any]) -> str:
    given["labels"][np.flatnonzero(given["parts"] == "test")[:10]] = 2
    return r"Classes of test that train lacks: 2 \(1 in all\)"


def an_untested_class(given: dict[str, Any]) -> str:
    given["labels"][np.flatnonzero(given["parts"] == "train")[:10]] = 2
    return r"Classes without a test sample: 2 \(1 in all\)"


def one_sided(given: dict[str, Any]) -> str:
    given["labels"] = (np.arange(400) % 10 == 0).astype(int)
    return "9\\d% of train are of one class: always saying 0|90% of train"


def zeros(given: dict[str, Any]) -> str:
    given["tokens"]["face"][:40] = 0
    return "face: 40 of 400 samples hold nothing but zeros and are not masked"


def missing(given: dict[str, Any]) -> str:
    given["masks"]["sound"][:40] = False
    return "sound: missing in 40 of 400 samples"


def unscaled(given: dict[str, Any]) -> str:
    given["tokens"]["sound"][:, :, 2] *= 1e4
    return "sound: unscaled; spreads of its columns run from"


def far_off(given: dict[str, Any]) -> str:
    given["tokens"]["sound"] *= 255
    return "sound: unscaled"


def zero_column(given: dict[str, Any]) -> str:
    given["tokens"]["face"][:, :, 1] = 0
    return "face: 1 of 3 columns are all zero"


def constant_column(given: dict[str, Any]) -> str:
    given["tokens"]["face"][:, :, 1:] = 7.1
    return "face: 2 of 3 columns are constant"


def windows(given: dict[str, Any]) -> str:
    """Windows of two long recordings that overlap by half, dealt to parts at random."""
    for m, values in given["tokens"].items():
        samples, length, width = values.shape
        step = length // 2
        long = np.random.default_rng(1).normal(size=(samples * step + length, width))
        given["tokens"][m] = np.stack([long[i * step : i * step + length] for i in range(samples)])
    given["masks"] = None
    return r"\d+ of 80 test samples share stretches of their values with train and are no plain copies"


def near_copies(given: dict[str, Any]) -> str:
    given["masks"] = None
    tests = np.flatnonzero(given["parts"] == "test")
    for values in given["tokens"].values():
        values[tests[:3]] = values[:3] + 1e-6
    return "3 of 80 test samples share stretches"


def the_label_itself(given: dict[str, Any]) -> str:
    given["tokens"]["face"] = np.eye(2)[given["labels"]][:, None]
    return "face: a linear probe scores 1.000 or more on all parts: it may hold the label"


def the_label_among_token_ids(given: dict[str, Any]) -> str:
    """One of ten ids, at any place, is 900 plus the class; the others are noise."""
    rng = np.random.default_rng(2)
    given["tokens"]["words"] = rng.integers(0, 900, (len(given["labels"]), 10))
    given["tokens"]["words"][np.arange(len(given["labels"])), rng.integers(0, 10, len(given["labels"]))] = (
        900 + given["labels"]
    )
    return r"words: a linear probe scores (1\.000|0\.999) or more on all parts: it may hold the label"


def a_class_that_is_not_there(given: dict[str, Any]) -> str:
    given["classes"] = 3
    given["labels"] = given["labels"] * 2
    return r"Classes without a sample in any part: 1 \(1 in all\)"


def outliers(given: dict[str, Any]) -> str:
    sound = np.random.default_rng(1).normal(size=(400, 80, 6)) + 0.3 * (2 * given["labels"] - 1)[:, None, None]
    sound[0, 0, 0] = 1000
    given["tokens"]["sound"] = sound / sound[given["parts"] == "train"].std((0, 1))
    given["masks"] = None
    return r"sound: outliers; it is standardised, but values go up to 1\.\de\+02: clip them"


def time_blocks(given: dict[str, Any]) -> str:
    """A slow drift: a sample resembles the one before, and parts are drawn at random without groups."""
    drift = np.random.default_rng(1).normal(size=(400, 3)).cumsum(0)
    given["tokens"]["face"] = drift[:, None] / 5 + 0.05 * np.random.default_rng(2).normal(size=(400, 4, 3))
    given["groups"] = None
    given["parts"] = np.random.default_rng(3).permutation(given["parts"])
    return "face: test samples resemble the train samples next to them"


TRAPS = [
    windows, near_copies, the_label_itself, the_label_among_token_ids, a_class_that_is_not_there, outliers, time_blocks,
    shared_groups, duplicates, copies, learned_with_the_labels, one_class, a_new_class, an_untested_class, one_sided,
    zeros, missing, unscaled, far_off, zero_column, constant_column,
]  # fmt: skip


@pytest.mark.parametrize("lay", TRAPS)
def test_each_trap_is_found_and_named(lay: Any):
    given = honest()
    message = lay(given)
    found = check(from_arrays(**given))
    matching = [problem for problem in found.problems if re.search(message, problem)]
    assert matching, found
    assert found.problems[0] in matching  # the worst, and nothing of another kind before it
    assert str(len(found.problems)) in repr(found).splitlines()[0]


@pytest.mark.parametrize("lay", [lambda given: "", *TRAPS])
def test_nothing_masked_is_read(lay: Any):
    """Longer padding, and whatever lies under the masks, changes no word and no number of the report."""
    given = honest()
    given["masks"]["sound"][::7] = False
    lay(given)
    longest = given["tokens"]["face"].shape[1]
    lengths = 1 + np.arange(len(given["tokens"]["face"])) % longest
    given["masks"] = {**(given["masks"] or {}), "face": np.arange(longest) < lengths[:, None]}
    split = from_arrays(**given)

    def littered(part: str) -> Batch:
        return lengthened(getattr(split, part), 1e4)

    dirty = check(replace(split, train=littered("train"), valid=littered("valid"), test=littered("test")))
    clean = check(split)
    assert dirty.problems == clean.problems
    pd.testing.assert_frame_equal(dirty.table, clean.table)
    assert spoilers(littered("train")) == spoilers(split.train)


def test_classes_as_floats_and_unknown_groups_are_said():
    given = honest()
    split = from_arrays(**{**given, "labels": given["labels"] * 2.0, "task": "regression"})
    assert "Labels are floats of 2 whole values" in check(split).problems[0]
    found = check(from_arrays(**{**given, "groups": None}))
    assert found.problems == ()
    assert "groups: unknown" in repr(found)


@pytest.mark.parametrize("value", [0.0, -13.8, 9.0])
def test_shared_silence_is_no_copy(value: float):
    given = honest()
    given["masks"] = None
    for values in given["tokens"].values():
        values[:, 1] = value  # below or above all that is heard, or nothing at all
    assert not any("stretches" in problem for problem in check(from_arrays(**given)).problems)


def test_samples_sorted_by_label_are_no_neighbours_in_time():
    given = {**honest(), "groups": None}
    order = np.argsort(given["labels"], kind="stable")
    given["tokens"] = {m: values[order] for m, values in given["tokens"].items()}
    given["masks"] = {m: values[order] for m, values in given["masks"].items()}
    assert check(from_arrays(**{**given, "labels": given["labels"][order]})).problems == ()


@pytest.mark.parametrize("lay", [unscaled, far_off, zeros, outliers])
def test_fit_warns_of_what_would_spoil_it(lay: Any, make_model):
    given = honest()
    message = lay(given).replace("40 of 400", r"\d+ of \d+")
    split = from_arrays(**given)
    with pytest.warns(UserWarning, match=message):
        fit(make_model(split.train), split, config=TrainConfig(epochs=1, device="cpu"), progress=False)


def test_fit_says_nothing_of_honest_data(make_model):
    split = from_arrays(**honest())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(make_model(split.train), split, config=TrainConfig(epochs=1, device="cpu"), progress=False)


def test_labels_of_a_regression():
    given = honest(regression=True)
    given["labels"][given["parts"] == "test"] *= 3
    assert any("Labels of test go from -6 to 6" in p for p in check(from_arrays(**given)).problems)
    given["labels"][given["parts"] == "valid"] = 0.5
    assert any("All labels of the valid part are 0.5" in p for p in check(from_arrays(**given)).problems)
    split = from_arrays(**given)
    blind = Split(split.train, replace(split.valid, labels=None), split.test)
    assert "The valid part has no labels." in check(blind).problems


def test_a_probe_needs_groups_to_tell():
    """With few groups, one unlike the others makes the parts differ; that is no sign of a leak."""
    given = honest()
    message = learned_with_the_labels(given)
    given["groups"] = np.where(given["parts"] == "test", 10, 0) + np.arange(400) // 5 % 4
    found = check(from_arrays(**given))
    assert not any(re.search(message, problem) for problem in found.problems)
    assert found.table.set_index(["part", "modality"]).loc[("train", "face"), "probe"] == 1


def test_several_labels_token_ids_and_shards(tmp_path):
    rng = np.random.default_rng(0)
    tokens = {"words": rng.integers(0, 9, (60, 4)), "sound": rng.normal(size=(60, 3, 2))}
    split = from_arrays(tokens, torch.from_numpy((rng.random((60, 3)) < 0.5).astype(float)))
    found = check(split)
    assert len(found.labels) == 9
    assert not any("words" in problem for problem in found.problems)
    convert(split, tmp_path, progress=False)
    assert check(sharded(tmp_path)).problems == found.problems


def test_of_pictures_some_columns_are_looked_at_and_leaks_still_found():
    random = np.random.default_rng(0)
    pixels = random.random((90, 2, 5_000)).astype(np.float32)
    pixels[-1] = pixels[0]  # of train and of test
    split = from_arrays(
        {"vision": pixels, "sound": random.random((90, 3, 4))[[*range(89), 0]].astype(np.float32)},
        labels=np.arange(90) % 2, parts=np.repeat(["train", "valid", "test"], 30),
    )  # fmt: skip
    found = check(split)
    assert "vision: 4,096 of its 5,000 columns were looked at, evenly." in found.notes
    assert not any(note.startswith("sound: ") for note in found.notes)
    assert found.table.set_index(["part", "modality"]).loc[("train", "vision"), "features"] == 4_096
    assert any("test samples are in train too, equal in every modality" in problem for problem in found.problems)


def test_only_some_samples_of_a_large_part_are_looked_at(monkeypatch):
    monkeypatch.setattr(sys.modules["clcrkit.datasets.audit"], "MOST_SAMPLES", 50)
    assert set(report().table["samples"]) == {50}


@pytest.mark.parametrize("regression", [False, True])
def test_the_figure_shows_what_the_table_holds(regression: bool):
    found = check(from_arrays(**honest(regression=regression)))
    figure = data_report(found)
    bars = [t for t in figure.data if t.type == "bar" and t.name == "train" and t.yaxis == "y2"]
    wanted = found.table[found.table["part"] == "train"]["median"]
    np.testing.assert_array_equal(bars[0].y, wanted)
    assert {t.name for t in figure.data if t.yaxis == "y3"} == {"sound", "face"}
    assert all(axis.title.text for axis in figure.select_yaxes())
    assert figure.to_json() == data_report(check(from_arrays(**honest(regression=regression)))).to_json()


@pytest.mark.skipif("CLCRKIT_DATA" not in os.environ, reason="CLCRKIT_DATA names no folder with the real files")
def test_the_real_sets_traps_are_reported():
    from clcrkit.datasets import mmmo, mosi_utterances, spoken_digits

    found = "\n".join(check(mosi_utterances()).problems)
    assert "language: a linear probe scores" in found
    assert "vision: a linear probe scores" in found
    assert "acoustic: a linear probe" not in found
    assert "train and test share 6 groups" in "\n".join(check(spoken_digits()).problems)
    assert check(spoken_digits(split="speakers")).problems == ()
    assert check(mmmo()).problems == ()
    with np.load(os.path.join(os.environ["CLCRKIT_DATA"], "mfn_sequences.npz")) as file:
        for name, message in (
            ("youtube", "audio: 191 of 269 .*not masked"),
            ("pom", "vision: 486 of 903 .*not masked"),
        ):
            pieces = {m: [file[f"{name}_{part}_{m}"] for part in PARTS] for m in ("audio", "vision", "y")}
            parts = [part for part, y in zip(PARTS, pieces["y"], strict=True) for _ in y]
            score = np.concatenate([y.reshape(len(y), -1)[:, 0] for y in pieces.pop("y")]).astype(float)
            found = "\n".join(
                check(
                    from_arrays(
                        {m: np.concatenate(v) for m, v in pieces.items()}, score, parts=parts, task="regression"
                    )
                ).problems
            )
            assert re.search(message, found)
            assert ("audio: unscaled" in found) == (name == "youtube")
