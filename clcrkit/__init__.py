"""clcrkit: build, train and look inside CLCR (Cross-Level Co-Representation, arXiv 2602.19605).

`import clcrkit` brings the model and what it takes and gives. Data sets, training, analysis and pictures are
submodules of their own: `from clcrkit import datasets, training, analysis, viz`.
"""

from clcrkit.batch import Batch, collate
from clcrkit.config import ABLATIONS, CLCRConfig, Modality, ablated
from clcrkit.errors import ConfigError, DataError
from clcrkit.model import CLCR
from clcrkit.onnx_export import export_onnx
from clcrkit.trace import Trace

__version__ = "0.1.0"
__all__ = [
    "ABLATIONS",
    "CLCR",
    "Batch",
    "CLCRConfig",
    "ConfigError",
    "DataError",
    "Modality",
    "Trace",
    "ablated",
    "collate",
    "export_onnx",
]
