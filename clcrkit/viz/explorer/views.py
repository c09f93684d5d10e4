"""Which views there are, and for which of them a trace has what they show."""

from __future__ import annotations

from clcrkit.errors import ConfigError
from clcrkit.trace import Trace
from clcrkit.viz.explorer import spaces

VIEWS = ("subspaces", "budget", "attention", "gates")
_NEEDS = {
    "budget": ("allocation",),
    "attention": ("attention",),
    "gates": ("level_gate", "modality_gate", "private_gate"),
}  # of a trace, by view; the subspaces need one space


def views_of(trace: Trace, views: list[str]) -> list[str]:
    """The views for which the trace has what they show. Raises ConfigError where one was asked for, or none is left."""
    lacks = {view: [name for name in names if name in trace.absent] for view, names in _NEEDS.items()}
    lacks["subspaces"] = [] if spaces.named_spaces(trace) else ["shared or private summary or code"]
    left = [view for view in views if not lacks.get(view)]
    if left != views and (views != list(VIEWS) or not left):
        missing = next(view for view in views if view not in left)
        raise ConfigError(f"views: {missing}, but this trace names no {' and no '.join(lacks[missing])}")
    return left
