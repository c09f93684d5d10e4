"""The page of the public API, clcrkit/README.md, made from the docstrings.

    python -m tests.api

Public is what a package lists in `__all__`. Each name stands with its arguments and its docstring's first sentence.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import clcrkit

PAGE = Path(clcrkit.__file__).with_name("README.md")
HEAD = """# The public API

What the packages list in `__all__`. Shapes, units and errors are in the docstrings (`help(clcrkit.CLCR)`), where
**[paper]** and **[ours]** say whose idea each part is. This page is made by `python -m tests.api`.
"""


def public_modules() -> Iterator[ModuleType]:
    """clcrkit and its modules that have an `__all__`, in alphabetical order."""
    names = [info.name for info in pkgutil.walk_packages(clcrkit.__path__, "clcrkit.")]
    for name in ["clcrkit", *sorted(names)]:
        module = importlib.import_module(name)
        if hasattr(module, "__all__"):
            yield module


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    for module in public_modules():
        rows = [f"| `{name}{_arguments(getattr(module, name))}` | {summary(module, name)} |" for name in module.__all__]
        parts.append(
            f"## {module.__name__}\n\n{_first_sentence(module.__doc__)}\n\n| | |\n|---|---|\n" + "\n".join(rows)
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _arguments(value: Any) -> str:
    """The names of a function's arguments, those with a default in brackets; nothing for classes and constants."""
    if not inspect.isfunction(value):
        return ""
    named = [p for p in inspect.signature(value).parameters.values() if p.name not in ("self", "cls")]
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
    shown = [stars.get(p.kind.name, "") + p.name for p in named if p.default is p.empty]
    return f"({', '.join([*shown, *(['…'] if len(shown) < len(named) else [])])})"


def summary(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    if inspect.ismodule(value) or inspect.isroutine(value) or inspect.isclass(value):
        return _first_sentence(inspect.getdoc(value))
    return _first_sentence(_constant_doc(module, name)) or f"A {type(value).__name__}."


def _constant_doc(module: ModuleType, name: str) -> str:
    """The string below a constant, where it is defined."""
    for other in [module, *(m for m in map(importlib.import_module, _imported_from(module, name)))]:
        text = inspect.getsource(other)
        hit = re.search(rf'^{name}\b[^\n]*=.*?\n"""(.+?)"""', text, re.DOTALL | re.MULTILINE)
        if hit and not re.search(r"\n(def|class) ", hit[0]):
            return hit[1]
    return ""


def _imported_from(module: ModuleType, name: str) -> list[str]:
    return re.findall(rf"^from ([\w.]+) import (?:\(|[^\n]*\b){name}\b", inspect.getsource(module), re.MULTILINE)


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    return (re.split(r"(?<=[.!?]) (?=[A-Z\[`])", paragraph)[0] if paragraph else "").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
