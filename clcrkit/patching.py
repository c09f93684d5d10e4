"""Patches: values that replace what a forward pass computes at named places; it runs on from there. All [ours].

A place is written `name/modality/level`, such as "shared/language/deep". Without a level all levels are meant; what
belongs to the sample as a whole has no modality: "level_gate/deep", "private_code". The gates of modalities are
`modality_gate/vision` and `private_gate/vision`. Names and shapes are those of `Trace`. One more is `level_codes`,
(batch, level, rank): the parts of the shared code, which the head reads level by level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from clcrkit.errors import DataError

BY_MODALITY = (
    "tokens", "shared", "private", "allocation", "attention", "exchanged", "shared_summary", "private_summary",
)  # fmt: skip
OF_THE_SAMPLE = ("level_gate", "modality_gate", "private_gate", "level_codes", "shared_code", "private_code")
_ON_LEVELS = (*BY_MODALITY, "level_gate", "level_codes")
_ON_MODALITIES = ("modality_gate", "private_gate")


def level_names(count: int) -> tuple[str, ...]:
    """What the levels are called, from shallow to deep."""
    return ("shallow", "mid", "deep") if count == 3 else tuple(f"level {i + 1}" for i in range(count))


class Place(NamedTuple):
    """One place of a pass: which modality's value ("" for the sample's), and the position on axis 1 (None: all)."""

    name: str
    modality: str
    position: int | None

    @classmethod
    def read(cls, text: str, modalities: tuple[str, ...], levels: int) -> Place:
        """The place of this name. Raises DataError for a place that no pass has."""
        name, *rest = text.split("/")
        modality, names = "", level_names(levels)
        if name not in (*BY_MODALITY, *OF_THE_SAMPLE):
            raise DataError(f"place {text!r}: no {name!r} there; there are {', '.join((*BY_MODALITY, *OF_THE_SAMPLE))}")
        if name in BY_MODALITY:
            if not rest or rest[0] not in modalities:
                raise DataError(f"place {text!r}: a modality must follow {name}, one of {', '.join(modalities)}")
            modality = rest.pop(0)
        steps = names if name in _ON_LEVELS else modalities if name in _ON_MODALITIES else ()
        if len(rest) > 1 or not set(rest) <= set(steps):
            allowed = f"only {' or '.join(steps)} may" if steps else "nothing may"
            raise DataError(f"place {text!r}: {allowed} follow {name}{f'/{modality}' if modality else ''}")
        return cls(name, modality, steps.index(rest[0]) if rest else None)


class Patches:
    """What to put where in one pass. Raises DataError for a place that no pass has.

    values: by place, in the shape that the pass computes there (without axis 1 where the place names its entry), and
    in the model's dtype. What a patch holds at padding, and for a missing modality, changes nothing.
    """

    def __init__(self, values: Mapping[str, Float[Tensor, "..."]], modalities: tuple[str, ...], levels: int) -> None:
        self.values = {Place.read(text, modalities, levels): (text, value) for text, value in values.items()}
        self.reached: set[str] = set()

    def apply(self, name: str, modality: str, x: Tensor, real: Tensor | None = None) -> Tensor:
        """x with the patches of this place in it, and x itself where there are none. `real` has x's first axes: where
        it is False, there is 0."""
        self.reached.add(name)
        own = [(place.position, *given) for place, given in self.values.items() if place[:2] == (name, modality)]
        if not own:
            return x
        patched = x.clone()  # in x's own layout, since other strides would round differently
        for index, text, value in own:
            part = patched if index is None else patched[:, index]
            if value.shape != part.shape or value.dtype != part.dtype:
                raise DataError(
                    f"patch {text}: {value.dtype} of shape {tuple(value.shape)}, but {part.dtype} of shape "
                    f"{tuple(part.shape)} is needed"
                )
            part.copy_(value)
        if real is not None:
            patched = patched.masked_fill(~real[(...,) + (None,) * (x.ndim - real.ndim)], 0)
        bad = ~patched.isfinite()
        if bad.any():
            raise DataError(f"patch {own[0][1]}: holds {int(bad.sum())} NaN or inf; only finite numbers are allowed")
        return patched

    def check_reached(self) -> None:
        """Raises DataError where the pass never came by a place."""
        for text, _ in self.values.values():
            if text.split("/")[0] not in self.reached:
                there = ", ".join(name for name in (*BY_MODALITY, *OF_THE_SAMPLE) if name in self.reached)
                raise DataError(f"patch {text}: this model does not read it; it reads {there}")


def patched(patches: Patches | None, name: str, x: Tensor, real: Bool[Tensor, "..."] | None = None) -> Tensor:
    """A value of the sample with its patches."""
    return x if patches is None else patches.apply(name, "", x, real)


def patched_each(
    patches: Patches | None, name: str, values: dict[str, Tensor], masks: Mapping[str, Bool[Tensor, "batch ..."]]
) -> dict[str, Tensor]:
    """Values by modality with their patches. masks: (batch, token) for values on tokens, (batch, 1) for summaries."""
    if patches is None:
        return values
    real = {m: masks[m][:, None].expand(values[m].shape[: masks[m].ndim + 1]) for m in values}
    return {m: patches.apply(name, m, x, real[m]) for m, x in values.items()}
