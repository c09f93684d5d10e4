"""Worlds: small synthetic data, each made to need one mechanism of CLCR, or, with `needed=False`, to leave it idle.

Whether it is needed is another question, which trainings answer (`data/results`). Everything here is [ours]. As in
`asynchrony`, a token is a pattern (a direction that all samples of a seed share, of root mean square 1, orthogonal to
all other patterns) or a distractor (a direction of its own), plus Gaussian noise; which tokens tell something, and at
which level, is known. One idea a world:

exchange       'ask' holds one of 6 keys, 'store' holds the 6 keys, each joined with one of 4 values in one token; the
               label is the value of the asked key. 'ask' alone knows nothing (0.25). Whoever takes the mean of 'store'
               and then looks at 'ask' knows how often each value is stored, not with which key: 0.47 (the mean
               share of the most frequent of 4 values among 6). Idle: only the asked key is stored.
budget         one token of 60, in one of two modalities drawn for each sample, names the class of 8; all others are
               distractors. Nothing bounds a model that weighs all tokens alike, but the mean over tokens holds a
               sixtieth of the pattern. Idle: half of the tokens name the class.
level gates    the shallow pattern, the mid order (two neighbours) and the deep order (two tokens 9 apart) each claim
               one of 4 classes, independently; a referee token names the level that is right. Whoever does not know
               which level to believe reaches 0.57, by a vote. Idle: all levels claim the label.
modality gates each of three modalities claims one of 4 classes at one of its ends, and at the other end, beyond every
               reach of the encoder, says whether its claim is the truth or a lie: a coin for each, with at least one
               truth; a lie is any of 4 classes. Whoever ignores the marks reaches 0.65, by a vote. Modality or private
               gates can heed them, but so can a LayerNorm on the summaries, which makes a claim small beside a
               loud mark: only without it, and in a narrow code, are they needed (`data/results`). Idle: all tell the
               truth.
no leak        both modalities show the label, one of 4 classes, faintly (in a half of the samples each); in training
               and validation a private token of one names it too, in 90 of 100 samples, but in the test it names any
               class. Whoever trusts that token alone has 0.25 in the test; whoever ignores it reaches 0.81. Idle: it
               names any class in training as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clcrkit.arguments import public
from clcrkit.batch import Batch
from clcrkit.datasets.split import Split
from clcrkit.errors import ConfigError

FEATURES = 24
NOISE = 0.3  # standard deviation on each feature
Labels = NDArray[np.int64]
Random = np.random.Generator
Samples = tuple[int, ...]


class Canvas:
    """The sequences of one modality, distractors at first, on which patterns are placed at free positions."""

    def __init__(self, world: Random, random: Random, size: int, length: int, patterns: int) -> None:
        self.patterns = np.linalg.qr(world.standard_normal((FEATURES, FEATURES)))[0][:patterns] * FEATURES**0.5
        self.random, self.rows, self.length = random, np.arange(size), length
        directions = random.standard_normal((size, length, FEATURES))
        self.tokens = directions / np.linalg.norm(directions, axis=-1, keepdims=True) * FEATURES**0.5
        self.free = np.ones((size, length), dtype=bool)
        self.evidence = np.zeros((size, 3, length), dtype=bool)

    def show(
        self,
        patterns: list[NDArray[np.float64]],
        level: int | None,
        gap: int = 1,
        who: NDArray[np.bool_] | None = None,
        within: NDArray[np.bool_] | None = None,
    ) -> None:
        """Place these patterns, each (sample, feature), `gap` tokens apart, at free positions, in the samples `who` and
        at the positions `within`, (sample, token) (default all). They are evidence at `level`, unless it is None."""
        free = self.free if within is None else self.free & within
        starts = self.length - gap * (len(patterns) - 1)
        free = np.logical_and.reduce([free[:, i * gap : i * gap + starts] for i in range(len(patterns))])
        first = np.where(free, self.random.random(free.shape), -1.0).argmax(1)
        rows = self.rows if who is None else self.rows[who]
        for i, pattern in enumerate(patterns):
            at = first[rows] + i * gap
            self.tokens[rows, at] = pattern[rows]
            self.free[rows, at] = False
            if level is not None:
                self.evidence[rows, level, at] = True


@public
def world(mechanism: str, needed: bool = True, samples: tuple[int, ...] = (3000, 400, 800), seed: int = 0) -> Split:
    """Sequences made to need one mechanism, or to leave it idle; see the top of this file. [ours]

    mechanism: a name of WORLDS.
    samples: how many for training, validation and test; at least 1 each.
    seed: 0 or more; it draws the patterns and the samples.

    Returns a Split with labels (classes), attributes (the factors that made the label) and evidence by modality,
    (batch, 3, token). Raises ConfigError for a setting outside its range.
    """
    if mechanism not in WORLDS:
        raise ConfigError(f"mechanism: {mechanism!r}, but {', '.join(WORLDS)} are there")
    if len(samples) != 3 or min(samples) < 1:
        raise ConfigError(f"samples: {samples}, but three numbers of at least 1 are needed (train, valid, test)")
    patterns, random = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    canvases, labels, attributes = WORLDS[mechanism](patterns, random, samples, needed)
    noisy = {m: c.tokens + NOISE * c.random.standard_normal(c.tokens.shape) for m, c in canvases.items()}
    tokens = {m: x.astype(np.float32) for m, x in noisy.items()}
    evidence = {m: c.evidence for m, c in canvases.items()}
    batch = Batch.from_arrays(tokens, labels, attributes=attributes, evidence=evidence, classes=int(labels.max()) + 1)
    train, valid, test = (batch.select(slice(*part)) for part in pairwise(np.cumsum((0, *samples)).tolist()))
    return Split(train, valid, test)


World = tuple[dict[str, Canvas], Labels, dict[str, Labels]]


def _exchange(world: Random, random: Random, samples: Samples, needed: bool) -> World:
    keys, values, size = 6, 4, sum(samples)
    asked, stored = random.integers(keys, size=size), random.integers(values, size=(size, keys))
    ask, store = Canvas(world, random, size, 4, keys), Canvas(world, random, size, 8, keys + values)
    ask.show([ask.patterns[asked]], 0)
    for key in range(keys):
        pair = (store.patterns[key] + store.patterns[keys + stored[:, key]]) / 2**0.5
        store.show([pair], 0, who=None if needed else asked == key)
    return (
        {"ask": ask, "store": store},
        stored[np.arange(size), asked],
        {"key": asked, **{f"value of key {k}": stored[:, k] for k in range(keys)}},
    )


def _budget(world: Random, random: Random, samples: Samples, needed: bool) -> World:
    classes, length, size = 8, 60, sum(samples)
    label, told = random.integers(classes, size=size), random.integers(2, size=size)
    canvases = {m: Canvas(world, random, size, length, classes) for m in ("vision", "acoustic")}
    for i, canvas in enumerate(canvases.values()):
        for _ in range(1 if needed else length // 2):
            canvas.show([canvas.patterns[label]], 0, who=told == i)
    return canvases, label, {"told": told}


def _level_gates(world: Random, random: Random, samples: Samples, needed: bool) -> World:
    classes, levels, size = 4, 3, sum(samples)
    label, right = random.integers(classes, size=size), random.integers(levels, size=size)
    claims = random.integers(classes, size=(size, levels))
    claims[np.arange(size), right] = label
    if not needed:
        claims[:] = label[:, None]
    canvases = {m: Canvas(world, random, size, 30, 3 * classes + levels) for m in ("vision", "acoustic")}
    partner = np.array([1, 0, 3, 2])  # an order is A B, B A, C D or D C
    for canvas in canvases.values():
        shallow, mid, deep, referees = np.split(canvas.patterns, (4, 8, 12))
        canvas.show([deep[claims[:, 2]], deep[partner[claims[:, 2]]]], 2, gap=9)
        canvas.show([mid[claims[:, 1]], mid[partner[claims[:, 1]]]], 1)
        canvas.show([shallow[claims[:, 0]]], 0)
        canvas.show([referees[right]], 0)
    return canvases, label, {"right": right, **{f"claim {i + 1}": claims[:, i] for i in range(levels)}}


def _modality_gates(world: Random, random: Random, samples: Samples, needed: bool) -> World:
    classes, length, copies, size = 4, 36, 3, sum(samples)
    label = random.integers(classes, size=size)
    honest = random.random((size, 3)) < 0.15
    honest[np.arange(size), random.integers(3, size=size)] = True
    if not needed:
        honest[:] = True
    canvases: dict[str, Canvas] = {}
    attributes: dict[str, Labels] = {}
    for i, m in enumerate(("language", "vision", "acoustic")):
        canvas = canvases[m] = Canvas(world, random, size, length, classes + 2)
        claim = np.where(honest[:, i], label, random.integers(classes, size=size))
        claim_first = random.random((size, 1)) < 0.5
        start, end = np.arange(length) < copies + 1, np.arange(length) >= length - copies - 1
        for _ in range(copies):
            canvas.show([canvas.patterns[claim]], 0, within=np.where(claim_first, start, end))
            canvas.show([canvas.patterns[classes + honest[:, i]]], 0, within=np.where(claim_first, end, start))
        attributes |= {f"claim of {m}": claim, f"honest {m}": honest[:, i].astype(np.int64)}
    return canvases, label, attributes


def _no_leak(world: Random, random: Random, samples: Samples, needed: bool) -> World:
    classes, size = 4, sum(samples)
    label, told = random.integers(classes, size=size), random.random(size) < 0.9
    told[-samples[-1] :] = False
    if not needed:
        told[:] = False
    cue = np.where(told, label, random.integers(classes, size=size))
    canvases = {m: Canvas(world, random, size, 12, 2 * classes) for m in ("vision", "acoustic")}
    for m, canvas in canvases.items():
        canvas.show([canvas.patterns[label]], 0, who=random.random(size) < 0.5)
        if m == "acoustic":
            canvas.show([canvas.patterns[classes + cue]], None)
    return canvases, label, {"cue": cue}


WORLDS: Mapping[str, Callable[[Random, Random, Samples, bool], World]] = {
    "exchange": _exchange,
    "budget": _budget,
    "level gates": _level_gates,
    "modality gates": _modality_gates,
    "no leak": _no_leak,
}
