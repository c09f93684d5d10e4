"""Where an optional library is not installed, the error names the extra that brings it, in one sentence."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clcrkit import CLCR, CLCRConfig, ConfigError, DataError, Modality, datasets, export_onnx
from clcrkit.datasets.extract import _sound_tokens
from clcrkit.datasets.readers.array_files import read_array
from clcrkit.datasets.readers.frames import open_image
from clcrkit.datasets.split import draw_parts
from clcrkit.errors import require
from clcrkit.pretrained import PretrainedText
from clcrkit.training import TrainingError
from tests.datasets.writers_media import write_ave, write_wav

MODEL = CLCR(CLCRConfig({"a": Modality(1), "b": Modality(1)}, outputs=2))
USES: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "an h5 file": ("h5py", "data", lambda folder: read_array(folder / "a.h5")),
    "AVE": ("h5py", "data", lambda folder: datasets.ave(folder)),
    "a picture": ("PIL", "data", lambda folder: open_image(folder / "a.png", (2, 2), "L")),
    "a download": ("pooch", "data", lambda folder: datasets.spoken_digits()),
    "digits": ("sklearn", "data", lambda folder: datasets.digits(size=200)),
    "drawn parts": ("sklearn", "data", lambda folder: draw_parts(np.arange(20) % 2)),
    "sound at another rate": ("scipy", "data", lambda folder: _sound_tokens(folder / "a.wav", 320)),
    "an ONNX file": ("onnx", "onnx", lambda folder: export_onnx(MODEL, folder / "a.onnx")),
    "a pretrained encoder": ("transformers", "pretrained", lambda folder: PretrainedText(folder)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_ave(tmp_path, 0)
    (tmp_path / "a.h5").write_bytes((tmp_path / "labels.h5").read_bytes())
    (tmp_path / "a.png").touch()
    write_wav(tmp_path / "a.wav", 0, np.random.default_rng(0))
    return tmp_path


@pytest.mark.parametrize("use", USES)
def test_a_missing_library_names_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch, use: str):
    library, extra, call = USES[use]
    monkeypatch.delenv("CLCRKIT_DATA", raising=False)
    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with pytest.raises(ModuleNotFoundError) as caught:
        call(folder)
    assert str(caught.value) == f"{library} is needed here and not installed: pip install 'clcrkit[{extra}]'"


def test_a_library_that_is_there_is_imported_and_its_own_errors_are_left_alone(tmp_path: Path, monkeypatch):
    assert require("json.decoder", "data").JSONDecoder
    (tmp_path / "incomplete.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing_of_this_name'"):
        require("incomplete", "data")


@given(st.text(max_size=3_000), st.sampled_from([DataError, ConfigError, TrainingError]))
def test_a_message_is_one_short_line_of_printable_text(text: str, kind: type[Exception]):
    error = kind(f"a file: {text}; choose another")
    message = str(error)
    assert message.isprintable()
    assert len(message) <= 500
    assert message.startswith("a file:")
    assert message.endswith("; choose another")
    assert str(kind(message)) == message
    assert str(pickle.loads(pickle.dumps(error))) == message
    if text.isprintable() and len(text) < 400:
        assert message == f"a file: {text}; choose another"
