"""Python and JavaScript mean the same by every message."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, is_typeddict

import anywidget
import pytest

from clcrkit import Trace, viz
from clcrkit.tasks import TASKS
from clcrkit.viz import palette
from clcrkit.viz.explorer import messages

TYPES = (Path(messages.__file__).parent / "js" / "types.d.ts").read_text(encoding="utf-8")
MESSAGES = {name: value for name, value in vars(messages).items() if is_typeddict(value)}
MESSAGES |= {"Shades": palette.Shades, "Palette": palette.Palette}


def interface(name: str) -> dict[str, bool]:
    """The keys of a JavaScript interface, and whether each may be absent."""
    declared = re.search(rf"^export interface {name}(?: extends \w+)? \{{(.*?)^\}}", TYPES, re.M | re.S)
    assert declared, f"types.d.ts has no {name}"
    return {key: bool(optional) for key, optional in re.findall(r"^  (\w+)(\??):", declared[1], re.M)}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_typed_dicts_and_interfaces_have_the_same_keys(name: str) -> None:
    message: Any = MESSAGES[name]
    keys = {key: key in message.__optional_keys__ for key in message.__annotations__}
    if name == "Points":  # in the browser it is Values, and more
        keys = {key: optional for key, optional in keys.items() if key not in messages.Packed.__annotations__}
    assert interface(name) == keys


def test_the_state_is_all_that_the_widget_keeps_in_step() -> None:
    own = set(viz.Explorer.class_traits(sync=True)) - set(anywidget.AnyWidget.class_traits(sync=True))
    assert own == set(messages.State.__annotations__)


def test_tasks_have_the_same_names() -> None:
    declared = re.search(r"^  task: (.*);$", TYPES, re.M)
    assert declared
    assert re.findall(r'"(\w+)"', declared[1]) == list(TASKS)


def test_every_message_has_the_keys_it_promises(trace: Trace) -> None:
    explorer = viz.Explorer(trace)
    state = explorer.get_state()
    for name, message in (("_table", messages.Table), ("_block", messages.Block), ("_attention", messages.Attention)):
        assert message.__required_keys__ <= set(state[name]) <= set(message.__annotations__), name
    for lane in state["_block"]["lanes"].values():
        assert messages.Lane.__required_keys__ <= set(lane) <= set(messages.Lane.__annotations__)
    for points in state["_points"]["pca/shared"].values():
        assert {"dtype", "shape", "data", "reach", "scale"} == set(points)
