"""convert: the same files from memory and from a generator, after kills too; what does not fit is refused."""

import math
import random
import signal
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clcrkit import Batch, DataError
from clcrkit.datasets import Shards, Split, asynchrony, asynchrony_chunks, convert
from tests.children import exit_code, start
from tests.datasets.streaming import killed
from tests.datasets.streaming.ragged import ragged


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_generator_of_batches_gives_the_files_of_the_whole(tmp_path: Path):
    whole = asynchrony((700, 1, 1), seed=2).train
    convert({"train": whole}, tmp_path / "whole", shard_bytes=200_000, progress=False)
    chunks = (chunk.select(slice(700)) for chunk in asynchrony_chunks(700, chunk=90, seed=2))
    convert({"train": chunks}, tmp_path / "chunks", shard_bytes=200_000, progress=False)
    assert contents(tmp_path / "whole") == contents(tmp_path / "chunks")
    assert len(contents(tmp_path / "whole")) > 5


def test_converting_a_generator_keeps_no_more_than_a_shard_and_a_piece(tmp_path: Path):
    memory: list[weakref.ref[np.ndarray]] = []
    most = 0

    def pieces():
        nonlocal most
        for i in range(40):
            array = np.random.default_rng(i).normal(size=(10, 5, 20)).astype(np.float32)
            memory.append(weakref.ref(array))
            most = max(most, sum(ref() is not None for ref in memory))
            tokens, masks = {"a": torch.from_numpy(array)}, {"a": torch.ones(10, 5, dtype=torch.bool)}
            del array
            yield Batch(tokens, masks, None, 10 * i + torch.arange(10))

    convert({"train": pieces()}, tmp_path, shard_bytes=3 * 10 * 5 * 20 * 4, progress=False)
    assert len(Shards(tmp_path)) == 400
    assert 3 <= most <= 3 + 2


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server that forks")
@pytest.mark.parametrize("source", ["in memory", "generator"])
def test_killed_at_twenty_random_points_it_resumes_to_identical_files(tmp_path: Path, source: str):
    assert exit_code(start(killed.convert_until, math.inf, source, tmp_path / "whole")) == 0
    calls = int((tmp_path / "calls").read_text())
    expected = contents(tmp_path / "whole")
    assert len(expected) > 10
    draw = random.Random(source)
    kills = 0
    states: set[int] = set()
    folder = tmp_path / "killed0"
    while kills < 20:
        code = exit_code(start(killed.convert_until, draw.randint(1, calls // 2), source, folder))
        assert code in (0, -signal.SIGKILL)
        if code == 0:  # it came to its end before its kill: start anew
            assert contents(folder) == expected
            folder = tmp_path / f"killed{kills}"
            continue
        kills += 1
        states.add(len(contents(folder)) if folder.exists() else 0)
        assert not (folder / "index.json").exists() or contents(folder) == expected
    assert len(states) > 3  # the kills did fall on different states
    assert exit_code(start(killed.convert_until, math.inf, source, folder)) == 0
    assert contents(folder) == expected


def test_a_finished_folder_is_left_and_another_source_is_refused(tmp_path: Path):
    batch = ragged()
    convert({"all": batch}, tmp_path, shard_bytes=400, progress=False)
    before = contents(tmp_path)
    convert({"all": batch}, tmp_path, shard_bytes=400, progress=False)
    assert contents(tmp_path) == before
    with pytest.raises(DataError, match="holds a converted data set of"):
        convert({"all": batch.select(slice(5))}, tmp_path, progress=False)
    (tmp_path / "index.json").unlink()
    with pytest.raises(DataError, match="another source"):
        convert({"all": ragged(seed=1)}, tmp_path, shard_bytes=400, progress=False)
    with pytest.raises(DataError, match="another source"):
        convert({"all": replace(batch, attributes={}).select(slice(3))}, tmp_path, shard_bytes=400, progress=False)


def test_batches_that_do_not_fit_are_refused(tmp_path: Path):
    def parts():
        yield ragged(5)
        yield replace(ragged(5, labels="values"), ids=torch.arange(5))

    with pytest.raises(DataError, match=r"train: labels \['values'\].* but \['classes'\] before"):
        convert({"train": parts()}, tmp_path / "a", progress=False)
    with pytest.raises(DataError, match="no sample"):
        convert({"train": iter([])}, tmp_path / "b", progress=False)
    with pytest.raises(DataError, match="plain name"):
        convert({"../train": ragged(5)}, tmp_path / "c", progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        convert({"train": ragged(5)}, tmp_path / "file", progress=False)
    with pytest.raises(DataError, match="repeated"):
        Shards(convert({"train": iter([ragged(5), ragged(5)])}, tmp_path / "d", progress=False))


def test_names_come_along(tmp_path: Path):
    batch = ragged()
    vocabulary = {"words": tuple(map(str, range(20)))}
    split = Split(batch, batch, batch, tuple("abcd"), {"group": ("x", "y", "z")}, vocabulary)
    shards = Shards(convert(split, tmp_path, progress=False), "valid")
    assert shards.label_names == split.label_names
    assert shards.attribute_names == split.attribute_names
    assert shards.vocabulary == split.vocabulary
