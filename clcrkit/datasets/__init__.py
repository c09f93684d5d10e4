"""Data sets, one file for each source. All of them give the same `Split` of Batches."""

from clcrkit.datasets.asynchrony import asynchrony, asynchrony_chunks
from clcrkit.datasets.digits import digits
from clcrkit.datasets.split import Split

__all__ = ["Split", "asynchrony", "asynchrony_chunks", "digits"]
