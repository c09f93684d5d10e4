"""The benchmarks of the paper: how each is read and divided, its figures, and what the paper reports."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from clcrkit.errors import check_choice
from clcrkit.metrics import EMOTIONS


class Benchmark(NamedTuple):
    """One of BENCHMARKS.

    loader      the function of `clcrkit.datasets` that reads it
    divisions   by name the loader's settings; 'published' are the parts that papers use
    figures     the columns of its table: figures of `clcrkit.metrics`
    published   [paper] CLCR's figures, as shares where ours are
    obtain      how to get the files
    notes       what its table's foot says besides
    metrics     a function of `clcrkit.metrics`, where the task's own do not do
    channels    of the pictures that the loader makes of a clip, by modality; none where it reads no clips
    """

    loader: str
    divisions: Mapping[str, Mapping[str, Any]]
    figures: tuple[str, ...]
    published: Mapping[str, float]
    obtain: str
    notes: tuple[str, ...] = ()
    metrics: str = ""
    channels: Mapping[str, int] = MappingProxyType({})


_SENTIMENT = ("mae", "correlation", "accuracy_2_has0", "f1_2_has0", "accuracy_2_non0", "f1_2_non0", "accuracy_5",
              "accuracy_7")  # fmt: skip
_SIMS = ("mae", "correlation", "accuracy_2", "f1_2", "accuracy_3", "accuracy_5")
_CLASSES = ("accuracy", "f1_macro")
_EMOTIONS = tuple(f"{figure}_{emotion}" for emotion in EMOTIONS for figure in ("accuracy", "f1"))
_SOUND_AND_SIGHT = {"acoustic": 1, "vision": 3}
_PICKLE = {"published": {"replace": True}}
TEXT = (
    "Language is the BERT output (one layer) that the file holds; the paper taps an early, a middle and a late layer."
)
_ACC2 = "The notes on the paper quote one Acc-2 and do not say whether zero labels count: it stands beside both."
FRAMES = "Frames are 16 x 16 means, read by the kit's TCN; rivals' papers train a ResNet-18 on full frames."
VGG = "Features are VGG and VGGish of the published files."
PICTURES = (
    "Each picture passes a ResNet-18 alone and is not standardised: at most 3 frames of a clip, scaled to a square, "
    "and pieces of 64 columns of the spectrogram. Rivals' papers crop frames of 224 x 224, mirrored at random, and "
    "take the spectrogram whole."
)


def _mmsa(name: str, file: str) -> str:
    return f"get {file} of {name} from the links in the README of thuiar/MMSA and pass its path"


BENCHMARKS: Mapping[str, Benchmark] = {
    "mosi": Benchmark(
        "mmsa", _PICKLE, _SENTIMENT, {"mae": 0.678, "accuracy_2_has0": 0.8805, "accuracy_2_non0": 0.8805},
        _mmsa("CMU-MOSI", "aligned_50.pkl or unaligned_50.pkl"), (TEXT, _ACC2), "sentiment"),
    "mosei": Benchmark(
        "mmsa", _PICKLE, _SENTIMENT, {"mae": 0.511, "accuracy_2_has0": 0.8796, "accuracy_2_non0": 0.8796},
        _mmsa("CMU-MOSEI", "aligned_50.pkl or unaligned_50.pkl"), (TEXT, _ACC2), "sentiment"),
    "sims": Benchmark(
        "mmsa", _PICKLE, _SIMS, {}, _mmsa("SIMS", "unaligned_39.pkl"), (TEXT, "The paper has no figure on SIMS."),
        "sims"),
    "iemocap": Benchmark(
        "multibench", _PICKLE, _EMOTIONS, {},
        "get iemocap_data.pkl or iemocap_data_noalign.pkl from the links in the README of "
        "yaohungt/Multimodal-Transformer and pass its path",
        ("Language is the word vectors (GloVe) that the file holds.",
         "The notes on the paper have no figure on IEMOCAP.",
         "F1 is weighted by class, as in MulT, so that always saying no scores high for a rare emotion.",
         "MulT's file does not tell who speaks: a speaker may be in two parts."),
        "emotions"),
    "cremad": Benchmark(
        "cremad", {"published": {"split": "published"}, "actors apart": {"split": "actors"}}, _CLASSES,
        {"accuracy": 0.7792},
        "get the recordings of CREMA-D and the lists of GeWu-Lab/OGM-GE_CVPR2022, and pass the folder of train.csv, "
        "test.csv, AudioWAV and Image-01-FPS",
        (FRAMES, "The published parts share all actors: only 'actors apart' says something about new speakers."),
        channels=_SOUND_AND_SIGHT),
    "kinetics-sounds": Benchmark(
        "kinetics_sounds", {"published": {"split": "published"}, "videos apart": {"split": "videos"}}, _CLASSES,
        {"accuracy": 0.7541},
        "get the clips of Kinetics-400 that the lists of GeWu-Lab/OGM-GE_CVPR2022 name, and pass the folder of "
        "my_train.txt, my_test.txt, audio_spec and visual", (FRAMES,), channels=_SOUND_AND_SIGHT),
    "ave": Benchmark(
        "ave", {"published": {}}, _CLASSES, {"accuracy": 0.7382},
        "get the features of YapengTian/AVE-ECCV18 and pass the folder of audio_feature.h5, visual_feature.h5, "
        "labels.h5, mil_labels.h5 and the three order files; with resnet its videos and lists, and pass the folder of "
        "trainSet.txt, valSet.txt, testSet.txt, AudioWAV and Image-01-FPS",
        (VGG, "8 videos are in the published training and test part."), channels=_SOUND_AND_SIGHT),
    "ucf101": Benchmark(
        "ucf101", {"published": {"split": "1"}}, _CLASSES, {"accuracy": 0.8364},
        "get UCF101 and its lists, extract frames and optical flow as GeWu-Lab/BalanceBenchmark does, and pass the "
        "folder of classInd.txt, trainlist01.txt, testlist01.txt, visual, flow_u and flow_v",
        (FRAMES, "List 1 of 3; the notes on the paper do not say which. Its parts keep groups apart already."),
        channels={"vision": 3, "flow": 2}),
}  # fmt: skip
"""By name, as the command takes it."""


def benchmark_named(name: str) -> Benchmark:
    """The benchmark. Raises ConfigError for another name."""
    check_choice("name", name, tuple(BENCHMARKS))
    return BENCHMARKS[name]
