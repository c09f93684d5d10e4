"""The public API: what packages list, what the page says, and what the README names are the same."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from tests import api

ROOT = Path(__file__).parents[1]
TEXTS = [path.name for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")]


def test_every_listed_name_exists_and_is_said_in_a_sentence() -> None:
    for module in api.public_modules():
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name), f"{module.__name__} lists {name}"
            assert api.summary(module, name).endswith((".", ":", ")")), f"{module.__name__}.{name} has no docstring"


def test_the_page_is_the_docstrings() -> None:
    assert api.PAGE.read_text(encoding="utf-8") == api.page(), "run `python -m tests.api`"


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_imported_in_a_text_exists(text: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / text).read_text(encoding="utf-8"), re.DOTALL)
    for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clcrkit"):
            module = importlib.import_module(str(node.module))
            missing = [a.name for a in node.names if not hasattr(module, a.name) and not _is_module(node, a.name)]
            assert not missing, f"{text}: {node.module} has no {', '.join(missing)}"


def _is_module(node: ast.ImportFrom, name: str) -> bool:
    return importlib.util.find_spec(f"{node.module}.{name}") is not None


@pytest.mark.parametrize("text", TEXTS)
def test_dotted_names_and_commands_in_a_text_exist(text: str) -> None:
    said = (ROOT / text).read_text(encoding="utf-8")
    for dotted in set(re.findall(r"\b((?:clcrkit|tests)(?:\.[a-z_]+)+)\b(?!\.py|/)", said)):
        package, _, name = dotted.rpartition(".")
        module = importlib.import_module(package)
        is_module = hasattr(module, "__path__") and importlib.util.find_spec(dotted) is not None
        assert is_module or hasattr(module, name), f"{text} names {dotted}"
    for path in re.findall(r"`((?:clcrkit|tests|data|notebooks)/[\w/.]+)`", said):
        assert "NN" in path or (ROOT / path).exists(), f"{text} names {path}"  # NN stands for a lesson's number
