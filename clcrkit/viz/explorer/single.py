"""Each view of the explorer on its own."""

from __future__ import annotations

from typing import Any

from clcrkit.datasets.split import Split
from clcrkit.trace import Trace
from clcrkit.viz.explorer.reallocation import Rerunnable
from clcrkit.viz.explorer.widget import Explorer


def subspaces(trace: Trace, split: Split | None = None, **state: Any) -> Explorer:
    """The first view alone: every sample in the shared or private space of any level and modality."""
    return Explorer(trace, split=split, views=("subspaces",), **state)


def budget(trace: Trace, model: Rerunnable | None = None, split: Split | None = None, **state: Any) -> Explorer:
    """The second view alone: which tokens of the picked sample the budget funds, and why."""
    return Explorer(trace, model, split, views=("budget",), **state)


def attention(trace: Trace, model: Rerunnable | None = None, split: Split | None = None, **state: Any) -> Explorer:
    """The third view alone: which tokens of the picked sample listened to which."""
    return Explorer(trace, model, split, views=("attention",), **state)


def gates(trace: Trace, split: Split | None = None, **state: Any) -> Explorer:
    """The fourth view alone: how levels and modalities are weighed, for all samples."""
    return Explorer(trace, split=split, views=("gates",), **state)
