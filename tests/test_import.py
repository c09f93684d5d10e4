"""`import clcrkit` stays cheap: what is slow to import is imported where it is used."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "sklearn pandas plotly umap captum matplotlib ipywidgets anywidget accelerate transformers torchmetrics scipy av"
)


def test_import_brings_no_heavy_library():
    program = f"import clcrkit, sys; print([m for m in {HEAVY.split()!r} if m in sys.modules])"
    # without site's .pth files and test plugins, in a process of its own
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_all_that_is_promised_is_there():
    import clcrkit

    assert all(hasattr(clcrkit, name) for name in clcrkit.__all__)
