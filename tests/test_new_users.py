"""What newcomers bring, end to end: it trains, or one sentence names the argument or the change that settles it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from clcrkit import CLCR, Batch, CLCRConfig
from clcrkit.datasets import from_arrays
from clcrkit.errors import ConfigError, DataError
from clcrkit.training import TrainConfig, evaluate, fit, load, predict_proba, save

N = 90
RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 3, N)
SOUND = RNG.normal(size=(N, 10, 6)) + LABEL[:, None, None]
WORDS = RNG.integers(0, 50, (N, 8))
FRAME = pd.DataFrame({"age": SOUND[:, 0, 0], "x": SOUND[:, 1, 0], "who": np.array(["ann", "ben"])[LABEL % 2]})
SPOILT = SOUND.copy()
SPOILT[3, 2, 1] = np.nan


def both(**changed: Any) -> Callable[[], Any]:
    return lambda: from_arrays({"sound": SOUND, "words": WORDS}, **{"labels": LABEL, **changed})


def tokens(label: Any = LABEL, axes: Any = None, **given: Any) -> Callable[[], Any]:
    return lambda: from_arrays(given, label, axes=axes)


TRAIN: dict[str, Callable[[], Any]] = {
    "two modalities": both(),
    "class names": both(labels=np.array(["cat", "dog", "eel"])[LABEL]),
    "a pandas column of names": both(labels=pd.Series(["cat", "dog", "eel"])[LABEL].reset_index(drop=True)),
    "torch tensors, int16 ids": tokens(sound=torch.tensor(SOUND), words=torch.tensor(WORDS).to(torch.int16)),
    "lists of different lengths": tokens(sound=[x[: 2 + i % 8] for i, x in enumerate(SOUND)], words=WORDS),
    "None where a modality is missing": tokens(
        sound=[None if i % 5 == 0 else x for i, x in enumerate(SOUND)], words=WORDS
    ),
    "rows of NaN where it is missing": tokens(
        sound=np.where(np.arange(N)[:, None, None] % 5 == 0, np.nan, SOUND), words=WORDS
    ),
    "lengths of 200 and 3": tokens(long=np.repeat(SOUND, 20, axis=1), short=SOUND[:, :3]),
    "columns of a table": tokens(table=FRAME[["age", "x"]], words=WORDS, axes="feature"),
    "one column of it": tokens(age=FRAME[["age"]], words=WORDS),
    "a regression": both(labels=SOUND.mean((1, 2))),
    "several labels": both(labels=np.stack([LABEL == 0, LABEL > 0], 1).astype(int)),
    "whole floats that are classes": both(labels=LABEL.astype(float), task="classification"),
    "names as attributes, groups": both(attributes={"who": FRAME["who"]}, groups=[f"s{i % 9}" for i in range(N)]),
}

ASKED: dict[str, tuple[Callable[[], Any], str]] = {
    "whole floats": (both(labels=LABEL.astype(float)), "task='classification' or task='regression'"),
    "one column of labels": (both(labels=LABEL[:, None]), "pass task="),
    "a label short": (both(labels=LABEL[:-1]), r"shape \(89,\), but 90 samples"),
    "names with gaps": (both(labels=["cat", None, "dog"] * 30), "drop those samples, or give them a name"),
    "ids that are names": (both(ids=[f"clip_{i}" for i in range(N)]), "number the samples"),
    "tables without axes": (tokens(table=SOUND[:, 0], words=WORDS), "axes='feature' or axes='token'"),
    "NaN in a feature": (tokens(sound=SPOILT, words=WORDS), r"first: id 3, token 2\): fill or mask them"),
    "integers that are measurements": (tokens(sound=(SOUND * 99).astype(np.int16), words=WORDS), "pass floats"),
    "one modality": (tokens(sound=SOUND), "modalities: 1, but it must be 2 or more"),
}


def trained(split: Any) -> CLCR:
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split, width=16, heads=2, standardise=True))
    fit(model, split, config=TrainConfig(epochs=1), progress=False)
    return model


@pytest.mark.parametrize("case", TRAIN)
def test_it_trains_and_gives_a_score(case: str) -> None:
    split = TRAIN[case]()
    assert np.isfinite(evaluate(trained(split), split)["score"])


@pytest.mark.parametrize("case", ASKED)
def test_one_sentence_says_what_settles_it(case: str) -> None:
    make, cure = ASKED[case]
    with pytest.raises((DataError, ConfigError)) as raised:
        trained(make())
    assert re.search(cure, str(raised.value))


def test_a_saved_model_answers_for_new_samples_without_labels(tmp_path) -> None:
    split = TRAIN["class names"]()
    model = trained(split)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    new = Batch.from_arrays({"sound": SOUND[:4], "words": WORDS[:4]})
    assert torch.equal(predict_proba(model, new), predict_proba(again, new))
    assert again.config.label_names == ("cat", "dog", "eel")
    with pytest.raises(DataError, match="but ids must be below 50"):
        predict_proba(model, Batch.from_arrays({"sound": SOUND[:4], "words": WORDS[:4] + 60}))
