"""What CLCR is compared with, on the same encoders and the same head."""

from clcrkit.baselines.early import EarlyFusion
from clcrkit.baselines.late import LateFusion

__all__ = ["EarlyFusion", "LateFusion"]
