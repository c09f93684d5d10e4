"""Folder: how a run reaches the disk, and comes back after it was killed."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clcrkit.errors import DataError
from clcrkit.trace import Trace
from clcrkit.training.checkpoint import STATE, read_state, write_state
from clcrkit.training.run import Run


class Folder:
    """The folder of a run: `state.safetensors`, and a trace of the probe samples for every epoch.

    Writing in the middle of a run may fail (a full disk): the run then goes on, with a warning, and the earlier files
    stay. A folder that is gone is written anew. `identity` is what must be equal for a run to be continued.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any], every: float) -> None:
        self.path, self.identity, self.every = Path(path), dict(identity), every
        self.state = self.path / STATE
        self._last = time.monotonic()
        self._failed = False

    def open(self, run: Run) -> tuple[dict[str, Any], list[Trace]] | None:
        """The stored state and traces of this run, or None if there is none: then its beginning is written.

        Raises DataError where the folder cannot be used, or holds another run or a damaged one."""
        try:
            for scratch in self.path.glob(".*.safetensors.*"):  # left behind by a writer that was killed
                scratch.unlink()
            exists = self.state.exists()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be used as a run's folder ({error})") from None
        state = read_state(self.state, self.identity) if exists else run.state()
        if not (exists and run.is_over(state)):  # a finished run can be read where nothing can be written
            write_state(self.state, self.identity, state)  # fails now, and not after an epoch
        epochs = range(1, 1 + state["epoch"]) if self.identity["probe samples"] else ()
        try:
            return (state, [Trace.load(self._trace(epoch)) for epoch in epochs]) if exists else None
        except DataError as error:
            needed = f"the state needs the traces of its {len(epochs)} epochs"
            raise DataError(f"{error}; {needed}: put it back, or choose another folder") from None

    def write_when_due(self, run: Run) -> None:
        """Write the state if `every` seconds have passed and all of it is finite."""
        if time.monotonic() - self._last >= self.every and run.finite():
            self.write(run)

    def write(self, run: Run) -> None:
        """Write the state, after the traces that belong to it: the last epoch's, and those that are gone."""
        try:
            for epoch, trace in enumerate(run.traces, start=1):
                if (epoch, 0) == (run.epoch, run.step) or not self._trace(epoch).exists():
                    trace.save(self._trace(epoch))
            write_state(self.state, self.identity, run.state())
            self._failed = False
        except DataError as error:
            if not self._failed:
                warnings.warn(f"{error}; the run goes on, and its last checkpoint stays", stacklevel=2)
            self._failed = True
        self._last = time.monotonic()

    def _trace(self, epoch: int) -> Path:
        return self.path / f"trace-{epoch:04d}.safetensors"
