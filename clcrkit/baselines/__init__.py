"""What CLCR is compared with, on the same encoders and the same head."""

from collections.abc import Callable, Mapping

from clcrkit.baselines.base import Baseline
from clcrkit.baselines.crossmodal import MulT
from clcrkit.baselines.early import EarlyFusion
from clcrkit.baselines.late import LateFusion
from clcrkit.baselines.misa import MISA
from clcrkit.baselines.modulation import OGMGE, Concatenation
from clcrkit.baselines.tensor import TensorFusion
from clcrkit.config import CLCRConfig

BASELINES: Mapping[str, Callable[[CLCRConfig], Baseline]] = {
    "late fusion": LateFusion,
    "early fusion": EarlyFusion,
    "low-rank fusion": TensorFusion,
    "MulT": MulT,
    "MISA": MISA,
}
"""By name, from the simplest on: `BASELINES["MulT"](config)`. A modality on its own is `LateFusion(config, (m,))`."""

RIVALS: Mapping[str, Callable[[CLCRConfig], Baseline]] = {
    "concat": Concatenation,
    "OGM-GE": OGMGE,
    **BASELINES,
}
"""BASELINES, and what the papers of the six benchmarks compare with besides: `experiments.benchmark` trains them."""

__all__ = [
    "BASELINES",
    "MISA",
    "OGMGE",
    "RIVALS",
    "Baseline",
    "Concatenation",
    "EarlyFusion",
    "LateFusion",
    "MulT",
    "TensorFusion",
]
