"""The whole model: padding, garbage in it, the order of modalities and the other samples change nothing."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clcrkit import CLCR, Batch, ConfigError, DataError, Trace

TOKEN_WISE = ("tokens", "shared", "private", "exchanged", "evidence", "activation", "allocation")


def stretched(batch: Batch, front: int, behind: int, garbage: float) -> Batch:
    """The same samples with garbage under longer masks. Made past from_arrays, which would clean it."""
    tokens, masks = {}, {}
    for m, x in batch.tokens.items():
        mask = batch.masks[m]
        fill = (7 if x.ndim == 2 else garbage) * torch.ones_like(x[:1, :1])
        dirty = torch.where(mask if x.ndim == 2 else mask[..., None], x, fill.to(x.dtype))

        def more(n: int, like: Tensor = dirty, fill: Tensor = fill) -> Tensor:
            return fill.to(like.dtype).expand(len(like), n, *like.shape[2:])

        none = mask.new_zeros(len(mask), 1)
        tokens[m] = torch.cat([more(front), dirty, more(behind)], dim=1)
        masks[m] = torch.cat([none.expand(-1, front), mask, none.expand(-1, behind)], dim=1)
    return replace(batch, tokens=tokens, masks=masks, evidence={})


def unstretched(trace: Trace, batch: Batch, front: int) -> dict[str, dict[str, Tensor] | Tensor]:
    """The trace's entries at the places of the original batch; everything else in it must be 0."""
    found: dict[str, dict[str, Tensor] | Tensor] = {}
    for field in fields(Trace):
        value = getattr(trace, field.name)
        if field.name in TOKEN_WISE:
            found[field.name] = {m: x[:, :, front : front + batch.masks[m].shape[1]] for m, x in value.items()}
            for m, x in value.items():
                hidden = ~trace.batch.masks[m]
                if field.name not in ("evidence", "shared", "private"):
                    assert (x.transpose(1, 2)[hidden] == 0).all(), field.name
        elif field.name == "attention":
            found["attention"] = {}
            for m, x in value.items():
                rows = x[..., front : front + batch.masks[m].shape[1], :]
                stretches = rows.split([trace.batch.masks[n].shape[1] for n in trace.others(m)], dim=-1)
                found["attention"][m] = torch.cat(
                    [
                        s[..., front : front + batch.masks[n].shape[1]]
                        for s, n in zip(stretches, trace.others(m), strict=True)
                    ],
                    dim=-1,
                )
        elif field.name not in ("batch", "gamma"):
            found[field.name] = value
    return found


def assert_close(a, b, atol: float = 1e-6) -> None:
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


# ---- what may not matter


GARBAGE = [1e6, -1e30, 3e38, float("inf"), float("nan")]


@settings(max_examples=20)
@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from(GARBAGE), st.integers(0, 3))
def test_longer_padding_and_garbage_in_it_change_nothing(make_batch, make_model, front, behind, garbage, seed):
    batch = make_batch(seed=seed)
    model = make_model(batch, levels=2)
    assert_close(model(stretched(batch, front, behind, garbage)), model(batch))
    # in float64, where rounding cannot hide anything: every entry of the trace, and the losses
    model = model.double()
    dirty = stretched(batch, front, behind, garbage)
    plain, found = unstretched(model.trace(batch), batch, 0), unstretched(model.trace(dirty), batch, front)
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value, atol=1e-10, rtol=0, msg=lambda text, n=name: f"{n}: {text}")
    torch.testing.assert_close(tuple(model.losses(dirty)), tuple(model.losses(batch)), atol=1e-10, rtol=0)


def test_gradients_do_not_see_garbage_either(batch, model):
    model = model.double()
    parameters = list(model.parameters())
    clean = torch.autograd.grad(model.losses(batch).total, parameters)
    dirty = torch.autograd.grad(model.losses(stretched(batch, 2, 3, float("nan"))).total, parameters)
    torch.testing.assert_close(dirty, clean, atol=1e-10, rtol=0)


def test_a_mask_that_is_ignored_would_be_seen(batch, model):
    """The control: the same garbage under an open mask changes the prediction."""
    dirty = stretched(batch, 0, 2, 1e6)
    open_ = replace(dirty, masks={m: torch.ones_like(mask) for m, mask in dirty.masks.items()})
    assert (model(open_) - model(batch)).abs().max() > 1e-3


@pytest.mark.parametrize(
    "choice", [{}, {"sparse": False}, {"intraced": False}, {"intercad": False}, {"hierarchy": False}]
)
def test_the_order_of_modalities_does_not_matter(make_batch, make_model, choice):
    batch = make_batch(samples=8)
    model = make_model(batch, **choice)
    plain, losses = model.trace(batch), model.losses(batch)
    for order in list(itertools.permutations(batch.modalities))[1:]:
        config = replace(model.config, modalities={m: model.config.modalities[m] for m in order})
        turned = CLCR(config).eval()
        turned.load_state_dict(model.state_dict())
        found = turned.trace(batch)  # in the old order: the model puts it in its own
        assert found.modalities == order
        assert_close(turned(batch), plain.prediction)
        torch.testing.assert_close(tuple(turned.losses(batch)), tuple(losses), atol=1e-6, rtol=1e-5)
        for field in fields(Trace):
            value, expected = getattr(found, field.name), getattr(plain, field.name)
            if field.name in ("modality_gate", "private_gate"):
                assert_close(value, expected[:, [batch.modalities.index(m) for m in order]])
            elif field.name == "attention":
                for m in value:
                    pieces = [
                        dict(
                            zip(t.others(m), a.split([t.batch.masks[n].shape[1] for n in t.others(m)], -1), strict=True)
                        )
                        for t, a in ((found, value[m]), (plain, expected[m]))
                    ]
                    assert_close(pieces[0], pieces[1])
            elif isinstance(value, dict | Tensor):
                assert_close(value, expected, atol=3e-6)  # other sums, in another order


def test_samples_do_not_see_each_other(batch, model):
    whole = model.trace(batch)
    for i in range(len(batch)):
        assert_close(model.trace(batch.select([i])).prediction, whole.prediction[[i]])


def test_losses_and_calls_and_traces_agree(batch, model):
    trace = model.trace(batch)
    assert_close(model(batch), trace.prediction)
    assert_close(model(batch, gamma=0.2), model.trace(batch, gamma=0.2).prediction)
    assert (model(batch, gamma=0.2) - trace.prediction).abs().max() > 1e-4
    losses = model.losses(batch)
    assert_close(losses.task, torch.nn.functional.cross_entropy(trace.prediction, batch.labels))
    c = model.config
    terms = losses.terms
    assert_close(terms["inter"], terms["inter_private"] + terms["inter_leakage"] + terms["inter_mix"])
    assert_close(losses.total, losses.task + c.lambda_intra * terms["intra"] + c.lambda_inter * terms["inter"])


def test_trace_leaves_the_mode_as_it_was_and_ignores_dropout(make_model, batch):
    model = make_model(batch, dropout=0.5).train()
    assert_close(model.trace(batch).prediction, model.eval()(batch))
    model.train().trace(batch)
    assert model.training
    with pytest.raises(ConfigError, match=r"gamma: -1\.0, but it must be 0 or more"):
        model.trace(batch, gamma=-1.0)
    assert model.training


def test_mute_takes_the_share_of_one_token_only(batch, model):
    mute = {"vision": torch.zeros(6, 3, 7, dtype=torch.bool)}
    mute["vision"][0, 1, 2] = True
    plain, muted = model.trace(batch), model.trace(batch, mute=mute)
    assert plain.allocation["vision"][0, 1, 2] > 0
    assert muted.allocation["vision"][0, 1, 2] == 0
    assert (muted.prediction[0] - plain.prediction[0]).abs().max() > 1e-6
    assert_close(muted.prediction[1:], plain.prediction[1:])


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("smell", (6, 3, 7), "mute: smell is no modality; there are vision, text, sound"),
        ("vision", (6, 3, 2), r"mute vision: shape \(6, 3, 2\), but \(batch, level, token\) is \(6, 3, 7\)"),
        ("vision", (6, 1, 7), r"mute vision: shape \(6, 1, 7\)"),
    ],
)
def test_mute_must_fit(batch, model, name, shape, message):
    with pytest.raises(DataError, match=message):
        model.trace(batch, mute={name: torch.zeros(shape, dtype=torch.bool)})
