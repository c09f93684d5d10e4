"""Every message between Python and the browser, the same for the live widget and the saved page.

The classes below are the contract. `js/types.d.ts` says the same to JavaScript, and a test holds the two together.
An array travels as `Packed`: raw little-endian bytes, times `scale` where there is one. The axes of every array are
those of the trace; `sample` counts the samples of the message, whose ids it names. Ids travel as text: a number in
JavaScript holds no whole number above 2**53 exactly.
"""

# annotations are not strings here: as strings they would hide NotRequired from __optional_keys__
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from clcrkit.datasets.split import Split
from clcrkit.errors import DataError
from clcrkit.patching import level_names
from clcrkit.trace import Trace
from clcrkit.viz.explorer import comparison, samples, spaces
from clcrkit.viz.explorer.packing import Packed, Points, ids_of, pack, pack_points, pack_steps, pooled, width_of
from clcrkit.viz.explorer.pictures import thumbnails
from clcrkit.viz.explorer.sound import wav
from clcrkit.viz.explorer.spaces import ProbeRow
from clcrkit.viz.explorer.tokens import feature_ranges, features, spelt, token_texts
from clcrkit.viz.palette import EXPLORER, Palette


class Column(TypedDict):
    """One fact about every sample; see `samples.Column`."""

    name: str
    kind: Literal["category", "number"]
    names: list[str]
    values: Packed  # (sample)


class Table(TypedDict):
    """What is known of the trace and of every sample; sent once."""

    ids: list[str]  # (sample)
    levels: list[str]
    modalities: list[str]
    task: str  # a name of `tasks.TASKS`
    outputs: list[str]
    gamma: float
    sparse: bool
    epochs: int
    heads: int  # 0 where there is no exchange
    audible: list[str]  # modalities whose samples can be played
    pictured: list[str]  # modalities whose tokens have pictures
    spaces: list[str]  # those of `spaces.SPACES` that the model names
    absent: list[str]  # fields of a trace that the model does not name
    palette: Palette
    columns: list[Column]
    prediction: Packed  # (sample, output)
    level_gate: Packed  # (sample, level)
    modality_gate: Packed  # (sample, modality)
    private_gate: Packed  # (sample, modality)
    participation: dict[str, Packed]  # by modality: (sample, level)
    present: dict[str, Packed]  # by modality: (sample)


class Lane(TypedDict):
    """The tokens of one modality."""

    mask: Packed  # (sample, token)
    evidence: Packed  # (sample, level, token)
    activation: Packed  # (sample, level, token)
    budget: Packed  # (sample, level), at gamma 1
    text: Packed  # (sample, token): positions in the block's texts
    truth: NotRequired[Packed]  # (sample, level, token)
    features: NotRequired[Packed]  # (sample, token, bin), 0 to 255
    other: NotRequired[Packed]  # (sample, level, token): the activation in the trace that this one is compared with
    other_budget: NotRequired[Packed]  # (sample, level), at gamma 1, likewise


class Block(TypedDict):
    """The tokens of some samples."""

    ids: list[str]  # (sample)
    lanes: dict[str, Lane]  # by modality
    texts: list[str]
    threshold: NotRequired[Packed]  # (sample, level); this and `scale` only for a model with a budget
    scale: NotRequired[Packed]  # (sample, level): of the activation, for each unit of evidence


class Listener(TypedDict):
    """Whom one modality's tokens attend to: each row's weights as 0 to 255 parts of the largest one, `top`."""

    others: list[list[Any]]  # [modality, number of its columns], in their order
    top: Packed  # (sample, level, head, token)
    weights: Packed  # (sample, level, head, token, other token)


class Attention(TypedDict):
    """Who attends to whom in some samples, at these levels, for these listening modalities.

    pool: where it is above 1, `token` and `other token` are blocks of so many tokens, whose weights were averaged.
    """

    ids: list[str]  # (sample)
    pool: int
    levels: list[int]
    asked: list[str]
    of: dict[str, Listener]  # by modality


class Sound(TypedDict):
    """How some samples sound: a WAV file each, None where the modality is missing."""

    ids: list[str]  # (sample)
    of: dict[str, list[Packed | None]]  # by modality


class Picture(TypedDict):
    """What the real tokens of some samples show, None where the modality is missing."""

    ids: list[str]  # (sample)
    of: dict[str, list[Packed | None]]  # by modality: (token, height, width, color), 0 to 255


class Answer(TypedDict):
    """What the model says of some samples at each gamma: arrays (sample, gamma, ...)."""

    ids: list[str]  # (sample)
    gammas: list[float]
    muted: NotRequired[list[list[Any]]]
    place: NotRequired[dict[str, list[float]]]  # by `spaces.space_key`, in its PCA; only of a model in the page
    prediction: Packed
    level_gate: Packed
    modality_gate: Packed
    private_gate: Packed


class Inputs(TypedDict):
    """What a model in the page reads of some samples."""

    ids: list[str]  # (sample)
    repeats: int  # how often the model's levels hold each token
    tokens: dict[str, Packed]  # by modality: (sample, token, feature), or (sample, token) ids
    masks: dict[str, Packed]  # by modality: (sample, token)
    maps: dict[str, Packed]  # by `spaces.space_key`: what `spaces.linear_map` says of its PCA


class Comparison(TypedDict):
    """The trace that this one is compared with, b. Gates are there where both have them; see `comparison`."""

    says: str
    lacks: list[str]
    sparse: bool
    gamma: float
    changed: Packed  # (sample)
    shift: Packed  # (sample)
    distance: dict[str, list[float]]  # by `spaces.space_key`: Procrustes distance, and with samples shuffled
    prediction: Packed  # (sample, output)
    level_gate: NotRequired[Packed]  # (sample, level)
    modality_gate: NotRequired[Packed]  # (sample, modality)
    private_gate: NotRequired[Packed]  # (sample, modality)
    participation: dict[str, Packed]  # by modality: (sample, level)


class Request(TypedDict):
    """What the browser asks for: a probe of [space, level, modality]; the attention of all levels from now on; a text
    among the tokens."""

    probe: NotRequired[list[Any]]
    levels: NotRequired[bool]
    find: NotRequired[str]


class State(TypedDict):
    """All that the browser reads, by trait of `Explorer`. A message is an empty dict until there is one."""

    views: list[str]
    selection: list[str]
    picked: str
    gamma: float
    level: int
    modality: str
    space: str
    projection: str
    color: str
    head: int
    epoch: int
    muted: list[Any]
    error: str
    live: bool
    _table: Table
    _points: dict[str, dict[str, Points]]  # by projection and space, then by `spaces.space_key`
    _block: Block | dict[str, Any]
    _attention: Attention | dict[str, Any]
    _sound: Sound | dict[str, Any]
    _picture: Picture | dict[str, Any]
    _answer: Answer | dict[str, Any]
    _compared: Comparison | dict[str, Any]
    _found: dict[str, Any]  # asked: a text; ids: of the samples whose tokens spell it
    _probes: dict[str, list[ProbeRow]]  # by `spaces.space_key`


SETTINGS = tuple(name for name in State.__annotations__ if name not in ("views", "error", "live") and name[0] != "_")
"""What a cell and the browser may both set."""


def answer(passes: Iterable[Trace], gammas: Sequence[float]) -> Answer:
    """`passes` hold the samples in the same order once for each gamma, gamma by gamma. Each is let go once read."""
    names = ("prediction", "level_gate", "modality_gate", "private_gate")

    def said(part: Trace) -> tuple[list[str], list[Tensor]]:
        return ids_of(part.batch), [getattr(part, name).float() for name in names]

    ids, values = zip(*map(said, passes), strict=True)
    of = {
        name: pack(torch.cat(each).unflatten(0, (len(gammas), -1)).transpose(0, 1))
        for name, each in zip(names, zip(*values, strict=True), strict=True)
    }
    whole = [i for some in ids for i in some]
    return {"gammas": list(gammas), "ids": whole[: len(whole) // len(gammas)], **of}  # type: ignore[typeddict-item]


class Payload:
    """Makes the messages about one trace. `points` and `probes` grow with what was asked for."""

    def __init__(
        self, trace: Trace, epochs: Sequence[Trace] = (), split: Split | None = None, other: Trace | None = None
    ) -> None:
        self.trace, self.epochs, self.split, self.other = trace, epochs, split, other
        self.points: dict[str, dict[str, Points]] = {}
        self.probes: dict[str, list[ProbeRow]] = {}
        self.heads = next((a.shape[2] for a in trace.attention.values()), 0)
        self._ranges = feature_ranges(trace)

    def table(self) -> Table:
        """Ids, names, colours, predictions, gates and participation of all samples."""
        trace, split = self.trace, self.split
        return {
            "ids": ids_of(trace.batch),
            "levels": list(level_names(trace.level_gate.shape[1])),
            "modalities": list(trace.modalities),
            "task": trace.task,
            "outputs": samples.output_names(trace, split),
            "gamma": trace.gamma,
            "sparse": trace.sparse,
            "epochs": len(self.epochs) + 1,
            "heads": self.heads,
            "audible": [m for m in trace.modalities if split and m in split.sound],
            "pictured": [m for m in trace.modalities if split and m in split.picture],
            "spaces": list(spaces.named_spaces(trace)),
            "absent": list(trace.absent),
            "palette": EXPLORER,
            "columns": [
                {"name": c.name, "kind": c.kind, "names": c.names, "values": pack(c.values, width_of(c.values))}
                for c in samples.columns(trace, split, self.other)
            ],
            "prediction": pack(trace.prediction.float()),
            "level_gate": pack(trace.level_gate.float()),
            "modality_gate": pack(trace.modality_gate.float()),
            "private_gate": pack(trace.private_gate.float()),
            "participation": {m: pack(trace.participation[m].float()) for m in trace.modalities},
            "present": {m: pack(trace.batch.masks[m].any(1), "u1") for m in trace.modalities},
        }

    def add_points(self, space: str, projection: str, level: int, modality: str) -> None:
        """Fit this projection of the space, unless it is there."""
        kind = f"{projection}/{space}"
        if spaces.space_key(space, level, modality) not in self.points.get(kind, {}):
            positions = spaces.positions(self.trace, self.epochs, space, projection, level, modality, self.other)
            self.points[kind] = self.points.get(kind, {}) | pack_points(positions)

    def add_probes(self, space: str, level: int, modality: str) -> None:
        """Probe the space, unless that is done."""
        key = spaces.space_key(space, level, modality)
        if key not in self.probes:
            self.probes[key] = spaces.probe_rows(self.trace, self.split, space, level, modality)

    def comparison(self) -> Comparison | dict[str, Any]:
        """The other trace beside this one; empty where there is none."""
        trace, other = self.trace, self.other
        if other is None:
            return {}
        verdict, gates = comparison.verdict(trace, other), comparison.gates(trace, other)
        budgeted = comparison.token_wise(trace, other)
        turned = [spaces.turned(trace, other, space) for space in spaces.named_spaces(trace)]
        return {
            "says": comparison.sentence(trace, other),
            "lacks": comparison.lacks(trace, other),
            "sparse": other.sparse,
            "gamma": other.gamma,
            "changed": pack(verdict.changed, "u1"),
            "shift": pack(verdict.shift),
            "distance": {key: distances for part in turned for key, (_, distances) in part.items()},
            "prediction": pack(other.prediction.float()),
            **{name: pack(gate) for name, gate in gates.items()},
            "participation": {m: pack(other.participation[m].float()) for m in budgeted},
        }

    def block(self, rows: Sequence[int], fine: bool = True) -> Block:
        """Tokens of the samples at these positions. fine=False halves the size by 65,536 steps for each array."""
        trace, chosen = self.trace, torch.tensor(list(rows))
        exactly = pack if fine else pack_steps
        lanes: dict[str, Lane] = {}
        texts: dict[str, int] = {"": 0}
        compared = comparison.token_wise(trace, self.other) if self.other else []
        for m in trace.modalities:
            mask, length = trace.batch.masks[m][chosen], self.length(m, rows)
            text = [
                [texts.setdefault(t, len(texts)) for t in token_texts(trace, i, m, self.split)[:length]] for i in rows
            ]
            lanes[m] = {
                "mask": pack(mask[:, :length], "u1"),
                "evidence": exactly(trace.evidence[m][chosen, :, :length].float()),
                "activation": exactly(trace.activation[m][chosen, :, :length].float()),
                "budget": pack(trace.rho[chosen].float() * mask.sum(1, keepdim=True)),
                "text": pack(text, "i4"),
            }
            if self.other and m in compared:
                lanes[m]["other"] = exactly(self.other.activation[m][chosen, :, :length].float())
                lanes[m]["other_budget"] = pack(self.other.rho[chosen].float() * mask.sum(1, keepdim=True))
            if m in trace.batch.evidence:
                lanes[m]["truth"] = pack(trace.batch.evidence[m][chosen, :, :length], "u1")
            if m in self._ranges:
                low, high = self._ranges[m]
                strip = features(trace.batch.tokens[m][chosen, :length])
                lanes[m]["features"] = pack(np.clip((strip - low) / (high - low), 0, 1) * 255, "u1")
        block: Block = {"ids": ids_of(trace.batch, chosen), "lanes": lanes, "texts": list(texts)}
        if trace.sparse:
            block["threshold"] = pack(trace.threshold[chosen].float())
            block["scale"] = pack(trace.scale[chosen].float())
        return block

    @cached_property
    def _spelt(self) -> list[str]:
        return spelt(self.trace, self.split)

    def saying(self, text: str) -> list[str]:
        """The ids of the samples whose tokens spell a text, which is in lower case."""
        return [i for i, line in zip(ids_of(self.trace.batch), self._spelt, strict=True) if text in line]

    def length(self, modality: str, rows: Sequence[int]) -> int:
        """How many tokens have to be sent of these samples: up to the last real one, and at least 1."""
        real = self.trace.batch.masks[modality][list(rows)].any(0).nonzero()
        return int(real.max()) + 1 if len(real) else 1

    def attention(
        self, rows: Sequence[int], levels: Sequence[int], modalities: Sequence[str], pool: int = 1
    ) -> Attention:
        """Who attends to whom, in the samples at these positions; averaged over blocks of pool x pool tokens."""
        trace, masks = self.trace, self.trace.batch.masks
        lengths = {m: self.length(m, rows) for m in trace.modalities}
        listeners: dict[str, Listener] = {}
        for m in (m for m in modalities if m in trace.attention):
            tops, weights = [], []
            for row, level in product(rows, levels):  # one at a time: those of long samples are large
                pieces = trace.attention[m][row, level].split([masks[o].shape[1] for o in trace.others(m)], -1)
                joined = torch.cat(
                    [
                        pooled(piece[:, : lengths[m], : lengths[o]].float(), masks[m][row], masks[o][row], pool)
                        for o, piece in zip(trace.others(m), pieces, strict=True)
                    ],
                    dim=-1,
                )
                tops.append(joined.amax(-1))
                weights.append((joined / tops[-1].clamp(min=1e-12)[..., None] * 255).round().to(torch.uint8))
            listeners[m] = {
                "others": [[o, -(-lengths[o] // pool)] for o in trace.others(m)],
                "top": pack(torch.stack(tops).unflatten(0, (len(rows), len(levels)))),
                "weights": pack(torch.stack(weights).unflatten(0, (len(rows), len(levels))), "u1"),
            }
        ids = ids_of(trace.batch, list(rows))
        return {"ids": ids, "pool": pool, "levels": list(levels), "asked": list(modalities), "of": listeners}

    def sound(self, rows: Sequence[int]) -> Sound:
        """How the samples at these positions sound, by modality that can be heard."""
        trace = self.trace
        files: dict[str, list[Packed | None]] = {}
        for m, waveform in (self.split.sound if self.split else {}).items():
            if m in trace.modalities:
                waves = (waveform(int(trace.batch.ids[i])) if trace.batch.masks[m][i].any() else None for i in rows)
                files[m] = [None if w is None else pack(np.frombuffer(wav(*w), np.uint8), "u1") for w in waves]
        return {"ids": ids_of(trace.batch, list(rows)), "of": files}

    def picture(self, rows: Sequence[int]) -> Picture:
        """What the tokens of the samples at these positions show, by modality that has pictures."""
        trace = self.trace
        images: dict[str, list[Packed | None]] = {}
        for m, look in (self.split.picture if self.split else {}).items():
            if m in trace.modalities:
                images[m] = [self._images(m, look, i) if trace.batch.masks[m][i].any() else None for i in rows]
        return {"ids": ids_of(trace.batch, list(rows)), "of": images}

    def _images(self, modality: str, look: Any, row: int) -> Packed:
        sample, tokens = int(self.trace.batch.ids[row]), int(self.trace.batch.masks[modality][row].sum())
        try:
            return pack(thumbnails(look(sample), tokens), "u1")
        except DataError as error:
            raise DataError(f"picture of {modality}, id {sample}: {error}") from error
