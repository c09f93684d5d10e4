"""The playground's 'try this' cards: moments of a trained model that show what CLCR is about. All [ours].

Each is looked for among the test samples with the model that ships, so that what a card says is true of it. A moment
that this model does not have is left out, and the page says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NotRequired, TypedDict

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from clcrkit.batch import Batch
from clcrkit.datasets.digits import HOP_MS
from clcrkit.datasets.split import Split
from clcrkit.model import CLCR
from clcrkit.trace import Trace

SHIFT = 10  # frames of silence before the asynchronous cue
SMALL = 0.1  # the gamma that is too small
SURE = 0.7  # least probability of an answer that a card calls sure
_WRONG_TRIED = 12  # samples among which a distractor is looked for


class Card(TypedDict):
    """One moment: the sample it begins from, what is changed, what is looked at, and what the model says then."""

    title: str
    look: str
    sample: str
    off: list[str]
    gamma: float
    muted: list[tuple[str, int, int]]
    level: int
    modality: str
    space: str
    says: str
    clip: NotRequired[dict[str, Any]]  # of `sample` the frames `from` to `to`, after `later` frames of silence


def find_cards(model: CLCR, trace: Trace, split: Split) -> tuple[list[Card], list[str]]:
    """The cards that hold for this model on this trace of its test part, and a reason for each that does not."""
    cards, left_out = [], []
    named = replace(trace.batch, label_names=split.label_names, attribute_names=split.attribute_names)
    trace = replace(trace, batch=named)
    for find in FINDERS:
        card = find(model, trace)
        if card is None:
            left_out.append(f"Left out, as no test sample shows it with this model: {find.__doc__}")
        else:
            cards.append(card)
    return cards, left_out


def with_only(batch: Batch, on: Sequence[str]) -> Batch:
    """The batch with the other modalities missing."""
    masks = {m: mask if m in on else torch.zeros_like(mask) for m, mask in batch.masks.items()}
    return replace(batch, masks=masks)


def delayed(batch: Batch, modality: str, frames: int) -> Batch:
    """The batch with so many tokens of silence before those of one modality."""
    tokens, mask = batch.tokens[modality], batch.masks[modality]
    silence = tokens.new_zeros(len(tokens), frames, *tokens.shape[2:])
    there = mask.any(1, keepdim=True).expand(-1, frames)
    return replace(
        batch,
        tokens={**batch.tokens, modality: torch.cat([silence, tokens], 1)},
        masks={**batch.masks, modality: torch.cat([there, mask], 1)},
    )


def most_heard(trace: Trace, speaker: str, listener: str, level: int) -> Int64[Tensor, "batch"]:
    """The token of `speaker` that `listener`'s funded tokens attend to most at one level."""
    others = trace.others(listener)
    lengths = [trace.allocation[o].shape[2] for o in others]
    start = sum(lengths[: others.index(speaker)])
    attention = trace.attention[listener][:, level].mean(1)[..., start : start + lengths[others.index(speaker)]]
    return (trace.allocation[listener][:, level, :, None] * attention).sum(1).argmax(-1)


def _probability(trace: Trace) -> Float[Tensor, "batch output"]:
    return trace.prediction.softmax(1)


def _right(trace: Trace) -> Float[Tensor, "batch"]:
    """The probability of the label where it is the answer, else 0."""
    labels = _labels(trace)
    probability = _probability(trace)
    hit = probability.argmax(1) == labels
    return torch.where(hit, probability.gather(1, labels[:, None])[:, 0], 0)


def _labels(trace: Trace) -> Int64[Tensor, "batch"]:
    assert trace.batch.labels is not None
    return trace.batch.labels


def _name(trace: Trace, row: int, probability: Float[Tensor, "batch output"]) -> str:
    return str(trace.batch.label_names[int(probability[row].argmax())])


def _card(trace: Trace, row: int, says: Float[Tensor, "batch output"], **more: Any) -> Card:
    defaults: Any = {"off": [], "gamma": 1.0, "muted": [], "level": trace.level_gate.shape[1] - 1}
    defaults |= {"modality": "vision", "space": "shared_code", "sample": str(int(trace.batch.ids[row]))}
    return {**defaults, "says": _name(trace, row, says), **more}  # type: ignore[typeddict-item]


def rescued(model: CLCR, trace: Trace) -> Card | None:
    """A weak modality rescued."""
    alone = {m: model.trace(with_only(trace.batch, [m]), attention=False) for m in trace.modalities}
    wrong = (alone["vision"].prediction.argmax(1) != _labels(trace)) * alone["vision"].prediction.softmax(1).amax(1)
    score = _right(trace) * _right(alone["acoustic"]).gt(0) * _right(alone["language"]).gt(0) * wrong
    row = int(score.argmax())
    if score[row] <= SURE / 2:
        return None
    together = _name(trace, row, _probability(trace))
    misread = _name(trace, row, _probability(alone["vision"]))
    return _card(
        trace,
        row,
        _probability(trace),
        title="A weak modality, rescued",
        look=f"The scan alone reads as {misread}, sound and word as {together}; together they say {together}. Look at "
        "'Whom it believes', then draw the digit more clearly.",
        modality="vision",
        space="shared",
    )


def distractor(model: CLCR, trace: Trace) -> Card | None:
    """A distractor muted."""
    wrong = (_right(trace) == 0).nonzero()[:, 0]
    lost = _probability(trace)[wrong].gather(1, _labels(trace)[wrong][:, None])[:, 0]
    best: tuple[float, int, tuple[str, int, int], Any] | None = None
    for row in wrong[lost.argsort(descending=True)][:_WRONG_TRIED].tolist():
        one = trace.select([row])
        places = list(_funded(one))
        if not places:
            continue
        batch = trace.batch.select([row] * len(places))
        mute = {m: torch.zeros(len(places), *a.shape[1:], dtype=torch.bool) for m, a in one.activation.items()}
        for i, (m, level, token) in enumerate(places):
            mute[m][i, level, token] = True
        muted = model.trace(batch, mute=mute, attention=False)
        score = _right(muted)
        at = int(score.argmax())
        if score[at] > (best[0] if best else 0.4):
            best = (float(score[at]), row, places[at], _probability(muted)[at : at + 1])
    if best is None:
        return None
    _, row, (m, level, token), says = best
    right = str(trace.batch.label_names[int(says.argmax())])
    card = _card(
        trace,
        row,
        _probability(trace),
        title="A distractor, muted",
        look=f"As it is, the model says {_name(trace, row, _probability(trace))}. One {m} token is muted at this "
        f"level, and now it says {right}, which is right. Click the crossed token in the lane to let it speak again.",
        muted=[(m, level, token)],
        level=level,
        modality=m,
        space="shared",
    )
    return {**card, "says": right}


def _funded(one: Trace) -> Iterator[tuple[str, int, int]]:
    """Modality, level and position of every token of a trace of one sample that has a share."""
    for m, share in one.allocation.items():
        for level, token in (share[0] > 0).nonzero().tolist():
            yield m, level, token


def starved(model: CLCR, trace: Trace) -> Card | None:
    """A budget too small."""
    small = model.trace(trace.batch, gamma=SMALL, attention=False)
    probability = _probability(small)
    wrong = (probability.argmax(1) != _labels(trace)) * probability.amax(1)
    score = _right(trace) * wrong
    row = int(score.argmax())
    if score[row] <= 0.3:
        return None
    return _card(
        trace,
        row,
        probability,
        title="A budget too small",
        look=f"A tenth of the budget funds next to nothing, and {_name(trace, row, _probability(trace))}, which is "
        f"right, becomes {_name(trace, row, probability)}. Raise γ to 1 and watch the cut-off λ fall over the tokens.",
        gamma=SMALL,
        level=int(trace.level_gate[row].argmax()),
        modality="acoustic",
        space="shared_code",
    )


def missing(model: CLCR, trace: Trace) -> Card | None:
    """A missing modality."""
    without = model.trace(with_only(trace.batch, ["vision", "acoustic"]), attention=False)
    gate = without.modality_gate[:, trace.modalities.index("language")]
    poorer = model.trace(with_only(trace.batch, ["vision"]), attention=False)
    score = _right(without) * (_right(poorer) == 0) * (_right(trace) > SURE) * (gate < 1e-6)
    row = int(score.argmax())
    if score[row] <= SURE:
        return None
    right = _name(trace, row, _probability(without))
    return _card(
        trace,
        row,
        _probability(without),
        title="A missing modality",
        look=f"The word is gone, and its gate is 0: scan and sound still say {right}. Switch the sound off, too, and "
        f"the scan alone says {_name(trace, row, _probability(poorer))}.",
        off=["language"],
        modality="acoustic",
    )


def no_leak(model: CLCR, trace: Trace) -> Card | None:
    """A private cue that does not leak."""
    voice, labels, right = trace.batch.attributes["voice"], _labels(trace), _right(trace)
    deep = trace.level_gate.shape[1] - 1
    names = trace.batch.attribute_names.get("voice", ())
    for row in right.argsort(descending=True)[:40].tolist():
        others = ((labels == labels[row]) & (voice != voice[row]) & (right > SURE)).nonzero()[:, 0].tolist()
        for other in others[:6]:
            batch = with_sound_of(trace.batch.select([row]), trace.batch.select([other]))
            swapped = model.trace(batch, attention=False)
            moved = {
                m: float((swapped.private_summary[m] - trace.private_summary[m][row]).abs().max())
                for m in trace.modalities
            }
            says = _probability(swapped)
            if moved["vision"] > 1e-5 or moved["language"] > 1e-5 or moved["acoustic"] < 1 or _right(swapped)[0] < SURE:
                continue
            frames = int(trace.batch.masks["acoustic"][other].sum())
            clip = {"sample": str(int(trace.batch.ids[other])), "from": 0, "to": frames, "later": 0}
            said = str(trace.batch.label_names[int(says.argmax())])
            who = [str(names[int(voice[i])]) if len(names) else "another voice" for i in (row, other)]
            card = _card(
                trace,
                row,
                _probability(trace),
                title="A private cue that must not leak",
                look=f"{who[1]} speaks instead of {who[0]}: the private summary of acoustic leaves its ghost behind. "
                "Choose vision or language as Modality: their private summaries have not moved at all.",
                clip=clip,
                level=deep,
                modality="acoustic",
                space="private",
            )
            return {**card, "says": said}
    return None


def with_sound_of(batch: Batch, other: Batch) -> Batch:
    """The batch with the sound of another one."""
    return replace(
        batch,
        tokens={**batch.tokens, "acoustic": other.tokens["acoustic"]},
        masks={**batch.masks, "acoustic": other.masks["acoustic"]},
    )


def asynchronous(model: CLCR, trace: Trace) -> Card | None:
    """An asynchronous cue."""
    late = model.trace(delayed(trace.batch, "acoustic", SHIFT))
    probability, best = _probability(late), None
    for level in range(trace.level_gate.shape[1]):
        before, after = (most_heard(t, "acoustic", "vision", level) for t in (trace, late))
        follows = (after == before + SHIFT) & (
            before >= 3
        )  # not the first frames, which silence would take the place of
        score = _right(late) * (_right(trace) > SURE) * follows * trace.level_gate[:, level]
        row = int(score.argmax())
        if score[row] > 0 and _right(late)[row] > SURE and (best is None or score[row] > best[0]):
            best = (float(score[row]), row, level, int(before[row]))
    if best is None:
        return None
    _, row, level, token = best
    frames = int(trace.batch.masks["acoustic"][row].sum())
    return _card(
        trace,
        row,
        probability,
        title="An asynchronous cue",
        look=f"The sound comes {SHIFT * HOP_MS} ms later. The frame that vision listens to most was at "
        f"{token * HOP_MS} ms and is now at {(token + SHIFT) * HOP_MS} ms; the answer is still "
        f"{_name(trace, row, probability)}.",
        clip={"sample": str(int(trace.batch.ids[row])), "from": 0, "to": frames, "later": SHIFT},
        level=level,
        modality="vision",
        space="shared_code",
    )


FINDERS: tuple[Callable[[CLCR, Trace], Card | None], ...] = (
    rescued,
    distractor,
    starved,
    missing,
    no_leak,
    asynchronous,
)
