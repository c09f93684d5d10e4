"""From a trace to what the explorer draws: small typed arrays, the same for the live widget and the saved page.

An array travels as {"dtype", "shape", "scale", "data"}: raw little-endian bytes, times `scale` where there is one.
`table` holds what is known of every sample, `points` where samples lie in each space, and `block` the token-level
arrays of some samples; the axes of every array are those of the trace.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from clcrkit.analysis import projections
from clcrkit.budget import participation, project_truncated_simplex
from clcrkit.datasets.split import Split
from clcrkit.errors import DataError
from clcrkit.trace import Trace

SPACES = ("shared", "private", "shared_code", "private_code")
_CATEGORIES = 40  # an attribute with more values than this is shown as a number, not as groups
_BINS = 32  # wider token features are averaged into this many before they are drawn
_TEXT = 24  # longer token descriptions are cut


def pack(array: Any, dtype: str = "f4", scale: float | None = None) -> dict[str, Any]:
    """One array for the way to the browser. dtype: f4, f8, i4, u2, u1. With `scale`, whole steps of it travel."""
    values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    packed: dict[str, Any] = {"dtype": dtype, "shape": list(values.shape)}
    if scale is not None:
        packed["scale"] = scale
        values = np.rint(values / scale)
    packed["data"] = np.ascontiguousarray(values, dtype=f"<{dtype}").tobytes()
    return packed


def pack_steps(array: Any) -> dict[str, Any]:
    """Non-negative values in 65,536 steps of two bytes each."""
    values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    return pack(values, "u2", scale=max(float(values.max(initial=0)), 1e-6) / 65535)


def level_names(count: int) -> tuple[str, ...]:
    """What the levels are called, from shallow to deep."""
    return ("shallow", "mid", "deep") if count == 3 else tuple(f"level {i + 1}" for i in range(count))


def task_of(trace: Trace) -> str:
    """'classes', 'labels' (several at once) or 'value' (regression), read off the labels."""
    labels = trace.batch.labels
    if labels is None:
        return "value" if trace.prediction.shape[1] == 1 else "classes"
    if labels.ndim == 2:
        return "labels"
    return "value" if labels.is_floating_point() else "classes"


def columns(trace: Trace, split: Split | None) -> list[dict[str, Any]]:
    """What points can be coloured by: label, prediction, error and each attribute, one value for each sample.

    kind 'category': `values` are positions in `names`, -1 where unknown. kind 'number': `values` are floats.
    """
    task, labels, prediction = task_of(trace), trace.batch.labels, trace.prediction.float()
    found: list[dict[str, Any]] = []

    def category(name: str, values: Any, names: Sequence[str]) -> None:
        found.append({"name": name, "kind": "category", "names": list(map(str, names)), "values": np.asarray(values)})

    def number(name: str, values: Any) -> None:
        found.append({"name": name, "kind": "number", "names": [], "values": np.asarray(values, dtype=np.float64)})

    if task == "classes":
        names = output_names(trace, split)
        guess = prediction.argmax(1).numpy()
        if labels is not None:
            category("label", labels.numpy(), names)
        category("prediction", guess, names)
        if labels is not None:
            category("error", (guess != labels.numpy()).astype(int), ("right", "wrong"))
    elif task == "labels":
        names, guess = output_names(trace, split), (prediction > 0).numpy()
        assert labels is not None
        for i, name in enumerate(names):
            category("label" if len(names) == 1 else f"label {name}", labels[:, i].long().numpy(), ("no", "yes"))
        for i, name in enumerate(names):
            category(f"prediction {name}", guess[:, i].astype(int), ("no", "yes"))
        wrong = (guess != (labels.numpy() > 0)).sum(1)
        category("error", wrong, [f"{i} wrong" for i in range(int(wrong.max()) + 1)])
    else:
        if labels is not None:
            number("label", labels.numpy())
        number("prediction", prediction[:, 0].numpy())
        if labels is not None:
            number("error", (prediction[:, 0] - labels).abs().numpy())
    for name, tensor in trace.batch.attributes.items():
        if tensor.ndim != 1:
            continue  # (batch, ...) facts of more than one number have no single colour
        values, known = tensor.numpy(), (split.attribute_names if split else {}).get(name)
        distinct, position = np.unique(values, return_inverse=True)
        if known and values.min() >= -1 and values.max() < len(known):
            category(name, values, known)
        elif len(distinct) <= _CATEGORIES:
            category(name, position, [str(v) for v in distinct])
        else:
            number(name, values)
    return found


def output_names(trace: Trace, split: Split | None) -> list[str]:
    """A name for each output of the model; label names where they are known."""
    count = trace.prediction.shape[1]
    if task_of(trace) == "value":
        return ["value"] if count == 1 else [f"value {i}" for i in range(count)]
    labels = trace.batch.labels
    if task_of(trace) == "classes" and labels is not None:
        count = max(count, int(labels.max()) + 1)
    names = list(split.label_names) if split else []
    return [str(names[i]) if i < len(names) else str(i) for i in range(count)]


def table(trace: Trace, split: Split | None) -> dict[str, Any]:
    """What is known of every sample: ids, colours, prediction, gates, participation."""
    return {
        "ids": pack(trace.batch.ids.numpy(), "f8"),
        "levels": list(level_names(trace.level_gate.shape[1])),
        "modalities": list(trace.modalities),
        "task": task_of(trace),
        "outputs": output_names(trace, split),
        "gamma": trace.gamma,
        "budgeted": budgeted(trace),
        "heard": [m for m in trace.modalities if split and m in split.sound],
        "columns": [{**c, "values": pack(c["values"], "f4")} for c in columns(trace, split)],
        "prediction": pack(trace.prediction.float()),
        "level_gate": pack(trace.level_gate.float()),
        "modality_gate": pack(trace.modality_gate.float()),
        "private_gate": pack(trace.private_gate.float()),
        "participation": {m: pack(trace.participation[m].float()) for m in trace.modalities},
        "present": {m: pack(trace.batch.masks[m].any(1), "u1") for m in trace.modalities},
    }


def space_key(space: str, level: int, modality: str) -> str:
    """The name of one space in `points`: codes have no level and no modality."""
    return space if space.endswith("_code") else f"{space}/{level}/{modality}"


def space_values(trace: Trace, space: str, level: int, modality: str) -> Float[ndarray, "sample rank"]:
    """The coordinates of all samples in one space."""
    if space.endswith("_code"):
        values: Tensor = getattr(trace, space)
    else:
        values = getattr(trace, f"{space}_summary")[modality][:, level]
    return values.detach().float().cpu().numpy()


def points(
    trace: Trace, epochs: Sequence[Trace], space: str, method: str, level: int, modality: str
) -> dict[str, Float[ndarray, "epoch sample 2"]]:
    """Where all samples lie in spaces of one kind, by `space_key`; the trace itself is the last epoch.

    At each level one projection is fitted on the trace, for the shared space on all modalities together (they
    share the frame), and then transforms modalities and epochs. Levels have different frames, so that no
    coordinate of one means anything in another: each level has its own fit, turned to lie as near to the level
    before as a turn can bring it, so that the motion between levels is no larger than it has to be.
    PCA gives all levels and modalities at once. UMAP is slow: it gives the one asked for (for the shared space,
    all modalities of the level), turned to lie near its PCA.
    """
    steps = [*epochs, trace]
    groups: list[list[tuple[int, str]]]
    if space.endswith("_code"):
        groups = [[(0, "")]]
    elif space == "shared":
        groups = [[(at, m) for m in trace.modalities] for at in range(trace.level_gate.shape[1])]
    else:
        groups = [[(at, m)] for m in trace.modalities for at in range(trace.level_gate.shape[1])]
    linear = points(trace, epochs, space, "pca", level, modality) if method != "pca" else {}
    asked = space_key(space, level, modality)
    made: dict[str, Any] = {}
    before: Any = None
    for group in groups:
        keys = [space_key(space, at, m) for at, m in group]
        if linear and asked not in keys:
            continue
        stacked = np.concatenate([space_values(trace, space, at, m) for at, m in group])
        projection = projections.fit(stacked, method)
        places, turn = projection.transform(stacked), np.eye(2, dtype=np.float32)
        if linear:
            before = np.concatenate([linear[key][-1] for key in keys])
        if before is not None:
            places, turn = projections.align(places, before)
        before = places
        for key, (at, m) in zip(keys, group, strict=True):
            made[key] = np.stack([projection.transform(space_values(step, space, at, m)) @ turn for step in steps])
    return made


def budgeted(trace: Trace) -> bool:
    """False for a model without a budget (dense exchange): each real token has activation and share 1 at any gamma."""
    rows = _some(trace)
    for m in trace.modalities:
        real = trace.batch.masks[m][rows]
        asked = trace.activation[m][rows] == real[:, None]
        if not asked.all() or not (trace.budget[m][rows] == real.sum(1, keepdim=True)).all():
            return True
    return False


def packed_points(made: Mapping[str, Any]) -> dict[str, Any]:
    """Points as 0 to twice `reach`, on axes common to all spaces of the kind, so that motion keeps its size."""
    reach = max((float(np.abs(p).max()) for p in made.values()), default=0.0) or 1.0
    return {key: pack(p + reach, "u2", scale=2 * reach / 65535) | {"reach": reach} for key, p in made.items()}


def thresholds(trace: Trace) -> dict[str, list[float | None]]:
    """By modality, for each level: the evidence at which the activation is one half.

    The trace holds evidence and activation, and activation = sigmoid(scale (evidence / sqrt(k) - threshold)):
    its logit is a straight line in the evidence, so two parameters are read off by least squares. None where
    the tokens do not show a line (no budget, or everything saturated).
    """
    found: dict[str, list[float | None]] = {}
    rows = _some(trace)
    for m in trace.modalities:
        found[m] = []
        for level in range(trace.level_gate.shape[1]):
            real = trace.batch.masks[m][rows]
            e = trace.evidence[m][rows, level][real].double().numpy()
            a = trace.activation[m][rows, level][real].double().numpy()
            between = (a > 0.001) & (a < 0.999)
            e, a = e[between][:5000], a[between][:5000]
            if len(e) < 3 or np.ptp(e) < 1e-6:
                found[m].append(None)
                continue
            logit = np.log(a / (1 - a))
            slope, offset = np.polyfit(e, logit, 1)
            fits = slope > 1e-6 and np.abs(slope * e + offset - logit).max() < 0.05
            found[m].append(float(-offset / slope) if fits else None)
    return found


def _some(trace: Trace) -> Tensor:
    """Positions of at most 200 samples, evenly taken: enough to read off what is common to all."""
    return torch.linspace(0, len(trace) - 1, min(len(trace), 200)).long()


def features(tokens: Float[Tensor, "sample token feature"]) -> Float[ndarray, "sample token bin"]:
    """Input tokens as little pictures; many features are averaged into 32 bins."""
    values = tokens.float().numpy()
    if values.shape[2] > _BINS:
        pieces = np.array_split(np.arange(values.shape[2]), _BINS)
        values = np.stack([values[:, :, piece].mean(2) for piece in pieces], axis=2)
    return values


def feature_ranges(trace: Trace) -> dict[str, tuple[float, float]]:
    """By modality of float tokens: the range its pictures span, from the 1st to the 99th percentile."""
    rows, found = _some(trace), {}
    for m, tokens in trace.batch.tokens.items():
        if tokens.is_floating_point():
            shown = features(tokens[rows])[trace.batch.masks[m][rows].numpy()]
            low, high = np.quantile(shown, (0.01, 0.99)) if shown.size else (0.0, 1.0)
            found[m] = (float(low), max(float(high), float(low) + 1e-6))
    return found


def token_texts(trace: Trace, row: int, modality: str, split: Split | None) -> list[str]:
    """One short text for each token of one sample: the description, the vocabulary's word, or nothing."""
    tokens = trace.batch.tokens[modality][row]
    if split and modality in split.describe:
        length = int(trace.batch.masks[modality][row].sum())
        if not length:
            return [""] * len(tokens)
        real = trace.batch.masks[modality][row]
        said = iter(split.describe[modality](tokens[real]))
        texts = [str(next(said, "")) if is_real else "" for is_real in real.tolist()]
    elif split and modality in split.vocabulary and not tokens.is_floating_point():
        words = split.vocabulary[modality]
        texts = [str(words[i]) if i < len(words) else str(i) for i in tokens.tolist()]
    elif not tokens.is_floating_point():
        texts = [str(i) for i in tokens.tolist()]
    else:
        texts = [""] * len(tokens)
    return [text if len(text) <= _TEXT else text[: _TEXT - 1] + "…" for text in texts]


class Tokens:
    """Makes blocks: the token-level arrays of some samples, as the explorer's lanes draw them."""

    def __init__(self, trace: Trace, split: Split | None) -> None:
        self.trace, self.split = trace, split
        self.thresholds, self.ranges = thresholds(trace), feature_ranges(trace)

    def block(self, rows: Sequence[int], fine: bool = True) -> dict[str, Any]:
        """Lanes of the samples at these positions. fine=False halves the size by 65,536 steps for each array.

        By modality: mask (sample, token); evidence and activation (sample, level, token); budget (sample, level)
        for gamma 1; truth (sample, level, token) where it is known; features (sample, token, bin) in 0..255;
        text (sample, token), positions in `texts`.
        """
        trace, chosen = self.trace, torch.tensor(list(rows))
        exactly = pack if fine else pack_steps
        lanes: dict[str, Any] = {}
        texts: dict[str, int] = {"": 0}
        per_gamma = trace.gamma or 1.0  # at gamma 0 every budget is 0 and what it would be is not known
        for m in trace.modalities:
            mask = trace.batch.masks[m][chosen]
            length = int(mask.any(0).nonzero().max()) + 1 if mask.any() else 1
            said = [
                [texts.setdefault(t, len(texts)) for t in token_texts(trace, i, m, self.split)[:length]] for i in rows
            ]
            lanes[m] = {
                "mask": pack(mask[:, :length], "u1"),
                "evidence": exactly(trace.evidence[m][chosen, :, :length].float()),
                "activation": exactly(trace.activation[m][chosen, :, :length].float()),
                "budget": pack(trace.budget[m][chosen].float() / per_gamma),
                "threshold": self.thresholds[m],
                "text": pack(said, "i4"),
            }
            if m in trace.batch.evidence:
                lanes[m]["truth"] = pack(trace.batch.evidence[m][chosen, :, :length], "u1")
            if m in self.ranges:
                low, high = self.ranges[m]
                strip = features(trace.batch.tokens[m][chosen, :length])
                lanes[m]["features"] = pack(np.clip((strip - low) / (high - low), 0, 1) * 255, "u1")
        return {"ids": pack(trace.batch.ids[chosen], "f8"), "lanes": lanes, "texts": list(texts)}

    def attention(self, rows: Sequence[int], levels: Sequence[int], modalities: Sequence[str]) -> dict[str, Any]:
        """Who attends to whom, by modality: weights (sample, level, head, token, other token) as 0..255 parts of
        each row's largest weight `top` (sample, level, head, token)."""
        trace, chosen = self.trace, torch.tensor(list(rows))
        made: dict[str, Any] = {"levels": list(levels), "asked": list(modalities), "of": {}}
        made["ids"] = pack(trace.batch.ids[chosen], "f8")
        for m in modalities:
            if m not in trace.attention:
                continue
            weights = trace.attention[m][chosen][:, list(levels)].float().numpy()
            top = weights.max(-1)
            made["of"][m] = {
                "others": [[o, trace.batch.masks[o].shape[1]] for o in trace.others(m)],
                "top": pack(top),
                "weights": pack(np.rint(weights / np.maximum(top, 1e-12)[..., None] * 255), "u1"),
            }
        return made


def wav(waveform: ndarray, rate: int) -> bytes:
    """A waveform from -1 to 1 at `rate` Hz as a WAV file of 16 bits, one channel.

    Raises DataError for another number of axes, an empty one, values that are not finite or beyond 1, or a rate
    below 1.
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or not len(samples):
        raise DataError(f"waveform: shape {samples.shape}, but one axis of at least 1 value is needed")
    loudest = float(np.abs(samples).max())
    if not loudest <= 1 + 1e-6:  # nan is not, either
        raise DataError(f"waveform: a value of size {loudest:g}, but all must lie in -1 to 1")
    if rate < 1:
        raise DataError(f"rate: {rate} Hz, but at least 1 is needed")
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return written.getvalue()


def sounds(trace: Trace, rows: Sequence[int], split: Split | None) -> dict[str, Any]:
    """How the samples at these positions sound, by modality: a WAV file for each, None where it is missing."""
    of: dict[str, list[Any]] = {m: [] for m in trace.modalities if split and m in split.sound}
    for m, heard in of.items():
        assert split is not None
        for i in rows:
            there = bool(trace.batch.masks[m][i].any())
            file = wav(*split.sound[m](int(trace.batch.ids[i]))) if there else b""
            heard.append(pack(np.frombuffer(file, np.uint8), "u1") if there else None)
    return {"ids": pack(trace.batch.ids[list(rows)], "f8"), "of": of}


def answer(passes: Sequence[Trace], gammas: Sequence[float]) -> dict[str, Any]:
    """What the model says of some samples at each gamma: arrays of (sample, gamma, ...).

    `passes` hold the samples in the same order once for each gamma, gamma by gamma.
    """

    def by_sample(name: str) -> dict[str, Any]:
        values = torch.cat([getattr(part, name).float() for part in passes])
        return pack(values.unflatten(0, (len(gammas), -1)).transpose(0, 1))

    ids = torch.cat([part.batch.ids for part in passes])
    names = ("prediction", "level_gate", "modality_gate", "private_gate")
    return {
        "gammas": list(gammas),
        "ids": pack(ids[: len(ids) // len(gammas)], "f8"),
        **{name: by_sample(name) for name in names},
    }


def row_of(trace: Trace, sample: int) -> int:
    """The position of a sample id. Raises DataError for an id that the trace does not hold."""
    found = (trace.batch.ids == sample).nonzero()
    if not len(found):
        raise DataError(f"sample: id {sample} is not in this trace of {len(trace)} samples")
    return int(found[0])


def reallocated(trace: Trace, gamma: float) -> Trace:
    """The trace with budget, allocation, cutoff and participation at another gamma; all else is as traced."""
    if not budgeted(trace):
        return replace(trace, gamma=gamma)
    budgets, allocations, cutoffs, shares = {}, {}, {}, {}
    for m, mask in trace.batch.masks.items():
        real = mask[:, None, :].expand_as(trace.activation[m])
        budgets[m] = trace.budget[m] * (gamma / (trace.gamma or 1.0))
        allocations[m], cutoffs[m] = project_truncated_simplex(trace.activation[m], budgets[m], real)
        shares[m] = participation(allocations[m], mask)
    return replace(trace, gamma=gamma, budget=budgets, allocation=allocations, cutoff=cutoffs, participation=shares)
