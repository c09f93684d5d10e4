"""The system's Chromium, for the tests in a browser and for still pictures."""

from __future__ import annotations

import os
import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
MISSING = f"no browser: none of {', '.join(_NAMES)} on the path and CHROMIUM is not set"


def find() -> str | None:
    """The path of the browser, as the variable CHROMIUM or the system has it."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
