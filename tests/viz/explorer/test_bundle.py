"""What ships to the browser is the modules, joined; nothing of node goes with it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXPLORER = ROOT / "clcrkit" / "viz" / "explorer"
JS = EXPLORER / "js"


@pytest.fixture
def esbuild() -> list[str]:
    """The command that runs it. Without the tools the tests are skipped, but in CI they fail."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    tool = JS / "node_modules" / "esbuild" / "bin" / "esbuild"
    if not node or not tool.exists():
        reason = "esbuild is not installed; `make js` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return [node, str(tool)]


def test_the_shipped_bundle_is_that_of_the_modules(esbuild: list[str], tmp_path: Path) -> None:
    command = shlex.split(json.loads((JS / "package.json").read_text())["scripts"]["bundle"])
    assert command[0] == "esbuild"
    options = [part for part in command[1:] if not part.startswith("--outfile=")]
    subprocess.run([*esbuild, *options, f"--outfile={tmp_path / 'explorer.js'}"], cwd=JS, check=True)
    fresh = (tmp_path / "explorer.js").read_text(encoding="utf-8")
    shipped = (EXPLORER / "explorer.js").read_text(encoding="utf-8")
    assert shipped == fresh, "explorer.js is not what its modules make: run `make bundle`"


def test_node_stays_out_of_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["exclude"] == [str(JS.relative_to(ROOT))]
    shipped = {path.name for path in EXPLORER.iterdir() if path.suffix in (".js", ".json", ".css")}
    assert shipped == {"explorer.js", "explorer.css", "playground.css"}


def test_modules_are_read_in_one_sitting() -> None:
    for path in [*JS.glob("*.js"), *JS.glob("*.ts")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, path.name
        assert all(len(line) <= 120 for line in lines), path.name
