"""The system's Firefox without a window, driven by WebDriver BiDi, which it speaks by itself.

Playwright drives only a Firefox of its own build, which no package registry has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

import websocket

_NAMES = ("firefox-esr", "firefox")
_LISTENS = "WebDriver BiDi listening on "
MISSING = f"no Firefox: none of {', '.join(_NAMES)} is on the path"


def find() -> str | None:
    """The path of the browser, as the system has it."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Firefox:
    """One page. errors: what its console has said of errors. outside: addresses that it asked for, off its file."""

    def __init__(self, executable: str, home: Path) -> None:
        command = [executable, "--headless", "--no-remote", "--profile", str(home), "--remote-debugging-port", "0"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"HOME": str(home)}
        )
        self._messages = 0
        self.errors: list[str] = []
        self.outside: list[str] = []

    def __enter__(self) -> Self:
        assert self._process.stderr is not None
        address = next(line.split(_LISTENS)[1] for line in self._process.stderr if _LISTENS in line).strip()
        self._socket = websocket.create_connection(f"{address}/session", timeout=60, suppress_origin=True)
        self._call("session.new", capabilities={})
        self._call("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self._page = self._call("browsingContext.getTree")["contexts"][0]["context"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)
        self._socket.close()

    def open(self, path: Path) -> None:
        self._call("browsingContext.navigate", context=self._page, url=path.as_uri(), wait="complete")

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives: of a promise what it keeps, and as JSON whatever is not plain."""
        wrapped = f"(async () => JSON.stringify(await ({script})))()"
        answer = self._call("script.evaluate", expression=wrapped, target={"context": self._page}, awaitPromise=True)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._messages += 1
        self._socket.send(json.dumps({"id": self._messages, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv())).get("id") != self._messages:
            self._note(message)
        assert message["type"] == "success", message
        result: dict[str, Any] = message["result"]
        return result

    def _note(self, message: dict[str, Any]) -> None:
        about = message["params"]
        if message["method"] == "log.entryAdded" and about["level"] == "error":
            self.errors.append(about["text"])
        elif message["method"] == "network.beforeRequestSent":
            address = about["request"]["url"]
            if not address.startswith(("file:", "data:", "blob:", "about:")):
                self.outside.append(address)
