"""Data sets, one file for each source. All of them give the same `Split` of Batches."""

from clcrkit.datasets.asynchrony import asynchrony, asynchrony_chunks
from clcrkit.datasets.audit import Report, check
from clcrkit.datasets.ave import ave
from clcrkit.datasets.cremad import cremad
from clcrkit.datasets.custom import from_arrays, from_folder
from clcrkit.datasets.digits import digits
from clcrkit.datasets.extract import extract_features
from clcrkit.datasets.kinetics_sounds import kinetics_sounds
from clcrkit.datasets.mmmo import mmmo
from clcrkit.datasets.mmsa import mmsa
from clcrkit.datasets.mosi_utterances import mosi_utterances
from clcrkit.datasets.multibench import multibench
from clcrkit.datasets.readers.video import unpack_clip
from clcrkit.datasets.split import Split
from clcrkit.datasets.spoken_digits import spoken_digits
from clcrkit.datasets.streaming.convert import convert
from clcrkit.datasets.streaming.shards import Shards, sharded
from clcrkit.datasets.ucf101 import ucf101
from clcrkit.datasets.worlds import world

__all__ = [
    "Report",
    "Shards",
    "Split",
    "asynchrony",
    "asynchrony_chunks",
    "ave",
    "check",
    "convert",
    "cremad",
    "digits",
    "extract_features",
    "from_arrays",
    "from_folder",
    "kinetics_sounds",
    "mmmo",
    "mmsa",
    "mosi_utterances",
    "multibench",
    "sharded",
    "spoken_digits",
    "ucf101",
    "unpack_clip",
    "world",
]
