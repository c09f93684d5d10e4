"""For every pytest run from this folder: notebooks are compared by the project's own rule."""

pytest_plugins = ["tests.notebooks.comparison"]
