"""A browser and a JupyterLab of the tests' own: nothing of the user's settings, and nothing off this machine."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests import chromium

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "clcrkit/viz/explorer/js/node_modules/axe-core/axe.min.js"
_OWN = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|file:|data:|blob:|about:")


class Watched:
    """A page whose every request, console error and page error is kept."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.outside: list[str] = []
        self.errors: list[str] = []
        context.on("request", lambda r: None if _OWN.match(r.url) else self.outside.append(r.url))
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)

    def shoot(self, name: str, full: bool = True) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"), full_page=full)

    def assert_quiet(self) -> None:
        assert self.outside == []
        assert self.errors == []


def missing(what: str) -> NoReturn:
    """The test is skipped, but in CI, where all is installed, it fails."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def axe(page: Page) -> list[list[str]]:
    """What axe-core finds wrong in the page: the rule, and the first place that breaks it."""
    if not AXE.exists():
        missing("axe-core is missing: make js installs it")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[list[str]] = page.evaluate(
        "axe.run().then((all) => all.violations.map((v) => [v.id, v.nodes[0].html]))"
    )
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium as the system has it. Without one the tests are skipped, but in CI they fail."""
    found = chromium.find()
    if not found:
        missing(chromium.MISSING)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=chromium.FLAGS)
        yield started
        started.close()


@pytest.fixture
def offline(browser: Browser) -> Iterator[Watched]:
    """A page with the network cut off, for files on the disk."""
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    yield Watched(context)
    context.close()


class Lab:
    """A running JupyterLab whose notebooks live in `root`."""

    def __init__(self, root: Path, port: int, token: str, browser: Browser) -> None:
        self.root, self.browser = root, browser
        self._address, self._token = f"http://127.0.0.1:{port}", token
        self._contexts: list[BrowserContext] = []

    def open(self, name: str, script: str = "") -> Watched:
        """Open the notebook `name`, which nobody has trusted. `script` runs in the page before anything else."""
        context = self.browser.new_context(viewport={"width": 1300, "height": 1100})
        context.add_init_script(script)
        self._contexts.append(context)
        watched = Watched(context)
        watched.page.goto(f"{self._address}/lab/tree/{name}?token={self._token}&reset")
        watched.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").wait_for()
        return watched

    def run(self, name: str, done: str, script: str = "", seconds: float = 120) -> Watched:
        """Open the notebook `name`, run all its cells and wait until the output `done` appears.

        The notebook should make `done` at run time ("DO" + "NE"), so that its source is not taken for it.
        """
        watched = self.open(name, script)
        page = watched.page
        # the status bar tells the kernel's true state; the circle in the toolbar is idle before it is connected
        idle = page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle$")).first
        idle.wait_for(timeout=seconds * 1000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        output = page.locator(".jp-OutputArea-output", has_text=done).first
        stderr = page.locator("[data-mime-type='application/vnd.jupyter.stderr']")  # warnings, and tracebacks too
        failed = stderr.filter(has_text=re.compile(r"\w+(Error|Interrupt)\b")).first
        output.or_(failed).first.wait_for(state="attached", timeout=seconds * 1000)
        assert not failed.count(), failed.inner_text()
        idle.wait_for(timeout=seconds * 1000)
        return watched

    def use_theme(self, watched: Watched, theme: str) -> None:
        """Switch to 'JupyterLab Dark' or 'JupyterLab Light' by the menu."""
        page = watched.page
        page.get_by_role("menuitem", name="Settings", exact=True).click()
        page.locator(".lm-Menu-item", has_text=re.compile("^Theme")).first.click()
        page.locator(".lm-Menu-item", has_text=re.compile(f"^{theme}$")).first.click()
        expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for all tests, with its settings, kernels and notebooks in a folder of its own."""
    home, root = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("root")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    settings = home / "config" / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        json.dumps(
            {
                "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
                # all cells are in the page, on screen or not
                "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
                "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
            }
        )
    )
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
               "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
               "IPYTHONDIR": "ipython"}  # fmt: skip
    environment = dict(os.environ, **{name: str(home / folder) for name, folder in folders.items()})
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}",
               "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
               "--LabApp.extension_manager=readonly"]  # fmt: skip
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            if server.poll() is not None:
                pytest.fail(f"JupyterLab ended: {(home / 'log').read_text()[-2000:]}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={token}", timeout=1)
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail(f"JupyterLab did not start in 60 s: {(home / 'log').read_text()[-2000:]}")
        started = Lab(root, port, token, browser)
        yield started
        started.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # the server and its kernels
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
