"""A patched pass equals a pass that was changed by hand, at every place; and what may not change does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import Any
from unittest.mock import patch as replaced

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clcrkit import CLCR, Batch, DataError, Trace
from clcrkit.analysis.interventions import value_at
from clcrkit.patching import BY_MODALITY
from tests.test_model import stretched, unstretched

LEVELS = ("shallow", "mid", "deep")
OF_LEVELS = [f"{name}/{m}" for name in BY_MODALITY for m in ("vision", "text", "sound")] + ["level_gate", "level_codes"]
GATES = [f"{name}_gate{end}" for name in ("modality", "private") for end in ("", "/vision", "/text", "/sound")]
PLACES = [*OF_LEVELS, *(f"{place}/{level}" for place in OF_LEVELS for level in LEVELS), *GATES, "private_code"]


def other(trace: Trace, place: str, seed: int) -> Tensor:
    """Random values for a place, 0 where there is no token or no modality; shares and weights in [0, 1]."""
    own = value_at(trace, place)
    torch.manual_seed(seed)
    name, modality = [*place.split("/"), ""][:2]
    value = torch.rand_like(own) if "gate" in name or name in ("allocation", "attention") else torch.randn_like(own)
    whole = place.count("/") == 1
    if name == "attention":
        pairs = (
            trace.batch.masks[modality][:, :, None]
            & torch.cat([trace.batch.masks[m] for m in trace.others(modality)], 1)[:, None]
        )
        return value * (pairs[:, None, None] if whole else pairs[:, None])
    if name.endswith("summary"):
        return value * trace.batch.masks[modality].any(1)[(..., *(None,) * (own.ndim - 1))]
    if name in BY_MODALITY:
        mask = trace.batch.masks[modality]
        mask = mask[:, None] if whole else mask
        return value * mask[(..., *(None,) * (own.ndim - mask.ndim))]
    if name in ("modality_gate", "private_gate"):
        here = torch.stack([trace.batch.masks[m].any(1) for m in trace.modalities], 1)
        return value * (here[:, trace.modalities.index(modality)] if modality else here)
    return value


def put(x: Tensor, value: Tensor, position: int | None) -> Tensor:
    """x with value at a position of axis 1, out of place."""
    if position is None:
        return value
    columns = list(x.unbind(1))
    columns[position] = value
    return torch.stack(columns, 1)


def attended(model: CLCR, trace: Trace, modality: str, weights: Tensor) -> Tensor:
    """What the tokens of a modality receive under these attention weights, sample by sample and head by head."""
    exchange: Any = model.intraced.exchange
    received = torch.zeros_like(trace.shared[modality])
    size = model.config.rank // model.config.heads
    heard = torch.cat([trace.shared[m] for m in trace.others(modality)], 2)
    for i in range(len(trace)):
        for level in range(model.levels):
            values = heard[i, level] @ exchange.value[level]
            heads = [weights[i, level, h] @ values[:, h * size : (h + 1) * size] for h in range(model.config.heads)]
            received[i, level] = torch.cat(heads, 1) @ exchange.out[level]
    return received * trace.allocation[modality][..., None]


@contextmanager
def by_hand(model: CLCR, trace: Trace, place: str, value: Tensor) -> Iterator[None]:
    """Within it, the modules of the model give this value at the place."""
    name, *rest = place.split("/")
    modality = rest[0] if rest and rest[0] in trace.modalities else ""
    last = rest[-1] if rest else ""
    position = LEVELS.index(last) if last in LEVELS else None
    if name in ("modality_gate", "private_gate") and modality:
        position = trace.modalities.index(modality)
    inside, across = model.intraced, model.intercad
    turn = iter(trace.modalities)

    def own_turn(module: Any, inputs: Any, output: Any) -> Any:
        if next(turn) != modality:
            return output
        if name == "allocation":
            return output._replace(allocation=put(output.allocation, value, position))
        return put(output, value, position)

    def coordinates(module: Any, inputs: Any, output: Any) -> Any:
        both = [dict(x) for x in output]
        chosen = both[name == "private"]
        chosen[modality] = put(chosen[modality], value, position)
        return tuple(both)

    def of_exchange(module: Any, inputs: Any, output: Any) -> Any:
        weights = put(trace.attention[modality], value, position)
        return {**output[0], modality: attended(model, trace, modality, weights)}, output[1]

    def of_intraced(module: Any, inputs: Any, output: Any) -> Any:
        changed = {**output.exchanged, modality: put(output.exchanged[modality], value, position)}
        return output._replace(exchanged=changed)

    def codes(module: Any, inputs: Any) -> Any:
        shared, private = inputs[0].split(
            [inputs[0].shape[1] - model.config.private_rank, model.config.private_rank], 1
        )
        if name == "private_code":
            private = value
        elif name == "shared_code":
            shared = value
        else:
            parts = shared.unflatten(1, (model.levels, -1)) / model.levels
            shared = (put(parts, value, position) * model.levels).flatten(1)
        return torch.cat([shared, private], 1)

    with ExitStack() as stack:
        hooks: dict[str, Any] = {
            "tokens": (model.encoders[modality] if modality else None, lambda _m, _i, out: put(out, value, position)),
            "shared": (inside.subspaces, coordinates),
            "private": (inside.subspaces, coordinates),
            "allocation": (inside.budget, own_turn),
            "attention": (inside.exchange, of_exchange),
            "exchanged": (inside, of_intraced),
            "shared_summary": (across.shared_norm, own_turn),
            "private_summary": (across.private_norm, own_turn),
        }
        module, hook = hooks.get(name, (None, None))
        if module is not None:
            stack.callback(module.register_forward_hook(hook).remove)
        elif name.endswith("gate"):
            made = getattr(across, f"_{name}")
            stack.enter_context(replaced.object(across, f"_{name}", lambda *given: put(made(*given), value, position)))
        else:
            stack.callback(model.head.register_forward_pre_hook(codes).remove)
        yield


def test_a_patch_equals_the_same_change_by_hand_at_every_place(batch, model):
    """And moves the prediction, so that the comparison could fail."""
    trace = model.trace(batch)
    for seed, place in enumerate(PLACES):
        value = other(trace, place, seed)
        patched = model.trace(batch, patch={place: value})
        if place == "level_codes":  # of which the trace has the sum
            torch.testing.assert_close(patched.shared_code, value.sum(1), atol=1e-6, rtol=0)
        elif not place.startswith("level_codes"):
            torch.testing.assert_close(value_at(patched, place), value, atol=1e-6, rtol=0)
        with by_hand(model, trace, place, value), torch.no_grad():
            expected = model(batch)
        torch.testing.assert_close(patched.prediction, expected, atol=1e-6, rtol=0, msg=lambda t, p=place: f"{p}: {t}")
        assert (patched.prediction - trace.prediction).abs().max() > 1e-4, place


def test_the_shared_code_is_a_place_where_the_head_reads_it(batch, model, make_model):
    plain = make_model(batch, joined_levels=False)
    trace = plain.trace(batch)
    value = torch.randn_like(trace.shared_code)
    patched = plain.trace(batch, patch={"shared_code": value})
    assert torch.equal(patched.shared_code, value)
    with by_hand(plain, trace, "shared_code", value), torch.no_grad():
        torch.testing.assert_close(patched.prediction, plain(batch), atol=1e-6, rtol=0)
    with pytest.raises(
        DataError, match=r"patch shared_code: this model does not read it; it reads tokens, .*level_codes"
    ):
        model.trace(batch, patch={"shared_code": value})


CHOICES: list[dict[str, Any]] = [
    {}, {"sparse": False}, {"intraced": False}, {"intercad": False}, {"hierarchy": False}, {"budgeted": "both"},
    {"split": False, "intraced": False}, {"mix": "pooled"}, {"levels": 2}, {"weighted": False},
]  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_a_place_patched_with_its_own_value_changes_no_bit(make_batch, make_model, choice):
    batch = make_batch()
    model = make_model(batch, **choice)
    trace = model.trace(batch)
    names = {place.rpartition("/")[0] if place.endswith(LEVELS) else place for place in PLACES}
    for place in sorted(names):
        if place.startswith("attention") and not trace.attention:
            continue
        again = model.trace(batch, patch={place: value_at(trace, place)})
        for field in fields(Trace):
            a, b = getattr(again, field.name), getattr(trace, field.name)
            for x, y in zip(a.values(), b.values(), strict=True) if isinstance(a, dict) else [(a, b)]:
                assert not isinstance(x, Tensor) or torch.equal(x, y), f"{place} changes {field.name}"


@pytest.mark.parametrize("choice", [{}, {"sparse": False}, {"budgeted": "both"}])
def test_no_private_place_moves_a_token_of_another_modality(make_batch, make_model, choice):
    batch = make_batch()
    model = make_model(batch, **choice)
    trace = model.trace(batch)
    for m in batch.modalities:
        patched = model.trace(batch, patch={f"private/{m}": other(trace, f"private/{m}", 2)})
        assert (patched.private[m] - trace.private[m]).abs().max() > 0.1
        for name in ("tokens", "shared", "exchanged", "evidence", "allocation", "attention", "shared_summary"):
            for n in batch.modalities:
                assert torch.equal(getattr(patched, name)[n], getattr(trace, name)[n]), name
        assert all(torch.equal(patched.private[n], trace.private[n]) for n in batch.modalities if n != m)
    # the control: shared coordinates do
    moved = model.trace(batch, patch={"shared/vision": other(trace, "shared/vision", 2)})
    assert not torch.equal(moved.exchanged["text"], trace.exchanged["text"])


@settings(max_examples=20)
@given(st.sampled_from([place for place in PLACES if place.split("/")[0] in BY_MODALITY]), st.integers(0, 3))
def test_what_a_patch_holds_at_padding_and_longer_padding_change_nothing(make_batch, make_model, place, behind):
    batch = make_batch(seed=1)
    model = make_model(batch).double()
    short, long = model.trace(batch), stretched(batch, 0, behind, float("nan"))
    value = other(short, place, 1)
    expected = model.trace(batch, patch={place: value})
    name, modality = place.split("/")[:2]
    if name.endswith("summary"):
        dirty = value.clone()
        dirty[~batch.masks[modality].any(1)] = float("nan")
    elif name == "attention":
        pieces = value.split([batch.masks[m].shape[1] for m in short.others(modality)], -1)
        pad = torch.nn.functional.pad
        dirty = torch.cat([pad(x, (0, behind, 0, behind), value=float("nan")) for x in pieces], -1)
    else:
        axis = 1 if place.count("/") == 2 else 2
        dirty = value.transpose(axis, -1)
        dirty = torch.nn.functional.pad(dirty, (0, behind)).transpose(axis, -1).clone()
        mask = long.masks[modality]
        mask = mask[:, None].expand(-1, 3, -1) if axis == 2 else mask
        dirty[~mask] = float("nan")
    found = model.trace(long, patch={place: dirty})
    torch.testing.assert_close(found.prediction, expected.prediction, atol=1e-10, rtol=0)
    plain = unstretched(found, batch, 0)
    for key, wanted in unstretched(expected, batch, 0).items():
        torch.testing.assert_close(plain[key], wanted, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("place", "shape", "message"),
    [
        ("smell/vision", (1,), "place 'smell/vision': no 'smell' there; there are tokens, shared, "),
        ("shared", (1,), "place 'shared': a modality must follow shared, one of vision, text, sound"),
        ("shared/smell", (1,), "place 'shared/smell': a modality must follow shared"),
        ("shared/vision/high", (1,), "only shallow or mid or deep may follow shared/vision"),
        ("shared/vision/mid/3", (1,), "only shallow or mid or deep may follow shared/vision"),
        ("private_code/mid", (1,), "place 'private_code/mid': nothing may follow private_code"),
        ("private_gate/mid", (1,), "only vision or text or sound may follow private_gate"),
        ("shared/vision", (6, 7, 4), r"patch shared/vision: torch.float32 of shape \(6, 7, 4\), but .* \(6, 3, 7, 4\)"),
        ("level_gate/mid", (6, 3), r"patch level_gate/mid: torch.float32 of shape \(6, 3\), but .* \(6,\) is needed"),
    ],
)
def test_a_patch_must_fit(batch, model, place, shape, message):
    with pytest.raises(DataError, match=message):
        model.trace(batch, patch={place: torch.zeros(shape)})


def test_a_patch_of_another_dtype_or_not_finite_is_refused_and_the_mode_comes_back(batch, model):
    model.train()
    with pytest.raises(DataError, match=r"torch.float64 of shape .* but torch.float32"):
        model.trace(batch, patch={"level_gate": torch.zeros(6, 3, dtype=torch.float64)})
    with pytest.raises(DataError, match="patch level_gate: holds 18 NaN or inf"):
        model.trace(batch, patch={"level_gate": torch.full((6, 3), float("nan"))})
    assert model.training


def test_without_an_exchange_there_is_no_attention_to_patch(make_model, batch: Batch):
    model = make_model(batch, intraced=False)
    with pytest.raises(DataError, match="patch attention/vision: this model does not read it"):
        model.trace(batch, patch={"attention/vision": torch.zeros(6, 3, 2, 7, 10)})
