"""How the messages about one trace are made (`messages`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clcrkit.datasets.split import Split
from clcrkit.errors import DataError
from clcrkit.patching import level_names
from clcrkit.trace import Trace
from clcrkit.viz.explorer import comparison, messages, samples, spaces
from clcrkit.viz.explorer.packing import Packed, Points, ids_of, pack, pack_points, pack_steps, pooled, width_of
from clcrkit.viz.explorer.pictures import thumbnails
from clcrkit.viz.explorer.sound import wav
from clcrkit.viz.explorer.tokens import feature_ranges, features, spelt, token_texts
from clcrkit.viz.palette import EXPLORER


def answer(passes: Iterable[Trace], gammas: Sequence[float]) -> messages.Answer:
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
        self.probes: dict[str, list[spaces.ProbeRow]] = {}
        self.heads = next((a.shape[2] for a in trace.attention.values()), 0)
        self._ranges = feature_ranges(trace)

    def table(self) -> messages.Table:
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

    def comparison(self) -> messages.Comparison | dict[str, Any]:
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

    def block(self, rows: Sequence[int], fine: bool = True) -> messages.Block:
        """Tokens of the samples at these positions. fine=False halves the size by 65,536 steps for each array."""
        trace, chosen = self.trace, torch.tensor(list(rows))
        exactly = pack if fine else pack_steps
        lanes: dict[str, messages.Lane] = {}
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
        block: messages.Block = {"ids": ids_of(trace.batch, chosen), "lanes": lanes, "texts": list(texts)}
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
        self,
        rows: Sequence[int],
        levels: Sequence[int],
        modalities: Sequence[str],
        pool: int = 1,
        head: int | None = None,
    ) -> messages.Attention:
        """Who attends to whom, in the samples at these positions; averaged over blocks of pool x pool tokens. Of all
        heads, or of one (-1: their mean): a message of many tokens takes the browser as long as drawing it."""
        trace, masks = self.trace, self.trace.batch.masks
        lengths = {m: self.length(m, rows) for m in trace.modalities}
        listeners: dict[str, messages.Listener] = {}
        for m in (m for m in modalities if m in trace.attention):
            tops, weights = [], []
            for row, level in product(rows, levels):  # one at a time: those of long samples are large
                heads = trace.attention[m][row, level]
                if head is not None:
                    heads = heads[head : head + 1] if head >= 0 else heads.mean(0, keepdim=True)
                pieces = heads.split([masks[o].shape[1] for o in trace.others(m)], -1)
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
        return {
            "ids": ids_of(trace.batch, list(rows)),
            "pool": pool,
            "levels": list(levels),
            "head": head,
            "asked": list(modalities),
            "of": listeners,
        }

    def sound(self, rows: Sequence[int]) -> messages.Sound:
        """How the samples at these positions sound, by modality that can be heard."""
        trace = self.trace
        files: dict[str, list[Packed | None]] = {}
        for m, waveform in (self.split.sound if self.split else {}).items():
            if m in trace.modalities:
                waves = (waveform(int(trace.batch.ids[i])) if trace.batch.masks[m][i].any() else None for i in rows)
                files[m] = [None if w is None else pack(np.frombuffer(wav(*w), np.uint8), "u1") for w in waves]
        return {"ids": ids_of(trace.batch, list(rows)), "of": files}

    def picture(self, rows: Sequence[int]) -> messages.Picture:
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
