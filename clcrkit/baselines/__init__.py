"""What CLCR is compared with, on the same encoders and the same head."""

from collections.abc import Callable, Mapping

from clcrkit.baselines.base import Baseline
from clcrkit.baselines.crossmodal import MulT
from clcrkit.baselines.early import EarlyFusion
from clcrkit.baselines.late import LateFusion
from clcrkit.baselines.misa import MISA
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

__all__ = ["BASELINES", "MISA", "Baseline", "EarlyFusion", "LateFusion", "MulT", "TensorFusion"]
