"""Asynchrony: synthetic sequences whose shared and private factors, and the tokens that hold them, are known.

Everything here is [ours]. Three modalities (language, vision, acoustic) of different length and width. Most
tokens are distractors. A few, at times of their own in each modality, hold binary factors that all share,
one for each level of the hierarchy:

shallow  the pattern of one token; where it lies does not matter
mid      the order of two neighbours: A B or B A. Both orders have the same bag of tokens
deep     the order in which markers of three kinds, 6 tokens apart, follow each other: five steps of the turn
         A B C A B ... or of A C B A C ..., begun anywhere. Each kind comes first, second and so on equally often
         in both, so that neither the bag, nor a marker with its position, nor a window of 6 tokens says anything

The label is the triple: 8 classes, chance 0.125. Each modality also has a private factor of four values,
independent of all others, on four tokens and in two input directions that nothing else uses.

`relation` says how the modalities relate:

redundant      every modality shows every factor, so exchange cannot add anything
complementary  at each level two modalities are witnesses, and a referee token in the third says which one is right.
               The right witness shows the factor. The other one shows a coin toss with probability `lies`, else
               nothing. One witness alone is right with probability 0.75, a vote of both with 1 - lies / 4; certainty
               needs the referee's token together with the witnesses' tokens

One modality alone is thus bounded by 0.75 * 0.75 * 0.5 = 0.281 (it is a witness at two levels and the referee at the
third), a vote by (1 - lies / 4)^3, which is 0.67 at the default, and all three together by 1. With an exclusive-or
across modalities, no part alone would carry information, and small models would not start to learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clcrkit.arguments import public
from clcrkit.batch import Batch, concatenate
from clcrkit.datasets.split import Split
from clcrkit.errors import ConfigError, check_choice, check_range
from clcrkit.settings import make_plain

MODALITIES = ("language", "vision", "acoustic")
LEVELS = ("shallow", "mid", "deep")
WIDTHS = {"language": 20, "vision": 16, "acoustic": 12}
LENGTHS = {"language": (28, 33), "vision": (30, 36), "acoustic": (28, 35)}  # shortest and longest, in tokens
REFEREES = {"language": "deep", "vision": "shallow", "acoustic": "mid"}  # the level each one is the referee of

GAP = 6  # from one deep marker to the next, in tokens
DROWNED = 5.0  # noise that drowns a modality, in units of a feature's standard deviation
SILENT = -1  # the claim of a modality that shows nothing at a level
_BLOCK = 256  # samples that share one random stream: sample i is the same whatever the chunk size
_DECOYS = 6  # patterns without a meaning
_PRIVATE = 4  # private tokens in a sequence
MARKERS = 5  # deep markers in a sequence
_STARTS = np.arange(3)[:, None] + np.arange(MARKERS)
_TURNS = np.stack([_STARTS % 3, -_STARTS % 3])  # (deep, start, time): A B C A B, ...; A C B A C, ...


@dataclass(frozen=True)
class _Settings:
    relation: str = "complementary"
    lies: float = 0.5
    noise: float = 0.4
    missing: float = 0.0
    noisy: float = 0.0

    def __post_init__(self) -> None:
        make_plain(self)
        check_choice("relation", self.relation, ("complementary", "redundant"))
        for name, most in (("lies", 1), ("noise", 10), ("missing", 1), ("noisy", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"{name}: {getattr(self, name)}, but a number from 0 to {most} is needed")


@public
def asynchrony(
    samples: tuple[int, ...] = (3000, 500, 1000),
    seed: int = 0,
    relation: str = "complementary",
    lies: float = 0.5,
    noise: float = 0.4,
    missing: float = 0.0,
    noisy: float = 0.0,
) -> Split:
    """Sequences of three modalities with known factors and known evidence; see the top of this file. [ours]

    samples: how many for training, validation and test; at least 1 each.
    seed: 0 or more. It sets the world (what the patterns look like) and the samples; all parts share the world.
    relation: "complementary" (single modalities hold a part only) or "redundant" (each could do alone).
    lies: probability, 0 to 1, that the wrong witness shows a coin toss and not nothing, where complementary.
    noise: standard deviation, 0 to 10, of the Gaussian noise on every feature of every token; the tokens themselves
        have root mean square 1. Another noise changes nothing else.
    missing: probability, 0 to 1, that a modality is absent in a sample; one always stays.
    noisy: probability, 0 to 1, that a modality is drowned in a sample (noise of standard deviation 5).

    Batch.labels: (batch,) classes 4 shallow + 2 mid + deep. Batch.attributes: the factors
    shallow, mid, deep (0 or 1) and private_language, private_vision, private_acoustic (0 to 3).
    Batch.evidence[m]: (batch, 3, token), the tokens of modality m that take part in showing the factor of each
    level: the witnesses' (right or wrong: their own modality cannot tell) and the referee's. It is False where
    a modality is missing or drowned. Factors stay known where the modalities that show them are lost.
    Raises ConfigError for a setting outside its range.
    """
    if len(samples) != 3 or min(samples) < 1:
        raise ConfigError(f"samples: {samples}, but three numbers of at least 1 are needed (train, valid, test)")
    settings: Any = {"relation": relation, "lies": lies, "noise": noise, "missing": missing, "noisy": noisy}
    batch = concatenate(list(asynchrony_chunks(sum(samples), seed=seed, **settings)))
    train, valid, test = (batch.select(slice(*part)) for part in pairwise(accumulate(samples, initial=0)))
    return Split(
        train,
        valid,
        test,
        label_names=tuple(f"s{s} m{m} d{d}" for s in (0, 1) for m in (0, 1) for d in (0, 1)),
        attribute_names={
            "shallow": ("pattern 0", "pattern 1"),
            "mid": ("A B", "B A"),
            "deep": ("A B C A B", "A C B A C"),
        },
    )


@public
def asynchrony_chunks(samples: int, chunk: int = 1024, seed: int = 0, **settings: Any) -> Iterator[Batch]:
    """The samples of `asynchrony`, made on demand, `chunk` at a time; memory does not grow with `samples`. [ours]

    Sample i (its id) is the same whatever `samples` and `chunk` are; asynchrony() gives ids 0, 1, ... to its
    training part and goes on through validation and test. Settings and errors as there.
    """
    check_range("samples", samples, 1)
    check_range("chunk", chunk, 1)
    return _chunks(samples, chunk, seed, _Settings(**settings))


def _chunks(samples: int, chunk: int, seed: int, settings: _Settings) -> Iterator[Batch]:
    world = _make_world(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))))
    waiting: list[Batch] = []
    for start in range(0, samples, _BLOCK):
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, start // _BLOCK)))
        waiting.append(_make_block(world, stream, start, settings).select(slice(samples - start)))
        is_last = start + _BLOCK >= samples
        if is_last or sum(map(len, waiting)) >= chunk:
            joined = concatenate(waiting)
            full = len(joined) if is_last else len(joined) // chunk * chunk
            for first in range(0, full, chunk):
                yield joined.select(slice(first, min(first + chunk, full)))
            waiting = [joined.select(slice(full, None))]


def _make_world(random: np.random.Generator) -> dict[str, dict[str, NDArray[np.float64]]]:
    """By modality what each pattern looks like: (pattern, feature) of norm sqrt(feature), mutually orthogonal but the
    decoys. `common` is an orthonormal basis of all that is not private. All in float64 until a batch is made: there the
    rounding to float32 leaves the same bits on every processor."""
    world = {}
    for modality, width in WIDTHS.items():
        basis = np.linalg.qr(random.standard_normal((width, width)))[0]
        patterns = {
            "private": np.concatenate([basis[:2], -basis[:2]]),
            "shallow": basis[2:4],
            "mid": basis[4:6],
            "deep": basis[6:9],
            "referee": basis[9:11],
            "decoys": _unit(random.standard_normal((_DECOYS, width - 2))) @ basis[2:],
        }
        world[modality] = {name: np.sqrt(width) * rows for name, rows in patterns.items()}
        world[modality]["common"] = basis[2:]
    return world


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _make_block(
    world: dict[str, dict[str, NDArray[np.float64]]], random: np.random.Generator, start: int, settings: _Settings
) -> Batch:
    """Samples start, start + 1, ... of one block, from its own stream."""
    factors = random.integers(2, size=(_BLOCK, 3))
    private = random.integers(4, size=(_BLOCK, 3))
    believed = random.integers(2, size=(_BLOCK, 3))  # per level: which of the two witnesses is right
    coins = random.integers(2, size=(_BLOCK, 3))  # per level: what the other witness shows, if anything
    wrong = np.where(random.random((_BLOCK, 3)) < settings.lies, coins, SILENT)
    lost = random.random((_BLOCK, 3)) < settings.missing
    survivor = random.integers(3, size=_BLOCK)
    nothing_left = lost.all(1)
    lost[nothing_left, survivor[nothing_left]] = False
    drowned = random.random((_BLOCK, 3)) < settings.noisy

    tokens, masks, marked = {}, {}, {}
    witnesses = np.zeros(3, dtype=np.int64)  # per level, so far
    for m, modality in enumerate(MODALITIES):
        claims, referees = factors, None
        if settings.relation == "complementary":
            referees = LEVELS.index(REFEREES[modality])
            claims = np.where(believed == witnesses, factors, wrong)
            claims[:, referees] = SILENT
            witnesses += np.arange(3) != referees
        values, mask, evident = _make_modality(
            world[modality], random, modality, claims, private[:, m], referees, believed
        )
        strength = np.where(drowned[:, m], max(settings.noise, DROWNED), settings.noise)
        values += strength[:, None, None] * random.standard_normal(values.shape, dtype=np.float32)
        mask &= ~lost[:, m, None]
        tokens[modality], masks[modality] = values.astype(np.float32), mask
        marked[modality] = evident & mask[:, None] & ~drowned[:, m, None, None]

    attributes = {level: factors[:, i] for i, level in enumerate(LEVELS)}
    attributes |= {f"private_{modality}": private[:, m] for m, modality in enumerate(MODALITIES)}
    return Batch.from_arrays(
        tokens, factors @ np.array([4, 2, 1]), masks, start + np.arange(_BLOCK), attributes, marked, classes=8
    )


def _make_modality(
    patterns: dict[str, NDArray[np.float64]],
    random: np.random.Generator,
    modality: str,
    claims: NDArray[np.int64],
    private: NDArray[np.int64],
    referees: int | None,
    believed: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Tokens without noise, their mask and their evidence.

    claims: (batch, level), what is shown at each level: 0, 1 or SILENT. believed: (batch, level), which witness is
    right; shown at the level that this modality `referees`.
    """
    shortest, longest = LENGTHS[modality]
    rows = np.arange(len(claims))
    lengths = random.integers(shortest, longest + 1, size=len(claims))
    mask = np.arange(longest) < lengths[:, None]

    # Distractors everywhere: half of them patterns without a meaning, half of them directions of no pattern.
    directions = _unit(random.standard_normal((len(claims), longest, len(patterns["common"])))) @ patterns["common"]
    values = directions * np.sqrt(WIDTHS[modality])
    words = patterns["decoys"][random.integers(_DECOYS, size=mask.shape)]
    values = np.where(random.random(mask.shape)[..., None] < 0.5, words, values)
    evident = np.zeros((len(claims), 3, longest), dtype=bool)
    free = mask.copy()

    def place(at: NDArray[np.int64], shown: NDArray[np.float64], level: int | None, who: Any = slice(None)) -> None:
        values[rows[who], at[who]] = shown[who]
        free[rows[who], at[who]] = False
        if level is not None:
            evident[rows[who], level, at[who]] = True

    def anywhere(allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.where(allowed, random.random(allowed.shape), -1.0).argmax(1)

    shallow, mid, deep = claims.T
    begun = (random.random(len(claims)) * (lengths - GAP * (MARKERS - 1))).astype(np.int64)
    times = begun[:, None] + GAP * np.arange(MARKERS)
    turns = _TURNS[deep, random.integers(3, size=len(claims))]
    for step in range(MARKERS):
        place(times[:, step], patterns["deep"][turns[:, step]], 2, deep != SILENT)
    neighbours = np.zeros_like(free)
    neighbours[:, :-1] = free[:, :-1] & free[:, 1:]
    at = anywhere(neighbours)
    place(at, patterns["mid"][mid], 1, mid != SILENT)
    place(at + 1, patterns["mid"][1 - mid.clip(0)], 1, mid != SILENT)
    place(anywhere(free), patterns["shallow"][shallow], 0, shallow != SILENT)
    if referees is not None:
        place(anywhere(free), patterns["referee"][believed[:, referees]], referees)
    for _ in range(_PRIVATE):
        place(anywhere(free), patterns["private"][private], None)
    return values, mask, evident
