"""The whole model's numbers: gradients, precisions, and steps that make no GPU wait."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from clcrkit import ABLATIONS, Batch, Trace, exchange, ops
from clcrkit.tasks import TASKS


def in_double(batch: Batch) -> Batch:
    return replace(batch, tokens={m: x.double() if x.is_floating_point() else x for m, x in batch.tokens.items()})


def test_gradients_of_all_parameters_by_finite_differences(make_batch, make_model):
    """In float64, one random direction for each parameter: central differences of the loss."""
    batch = in_double(make_batch(samples=7, seed=4))
    model = make_model(batch, levels=2, lambda_intra=0.7, lambda_inter=0.7).double()
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(model.losses(batch).total, list(parameters.values()))
    checked = 0
    for (name, parameter), gradient in zip(parameters.items(), found, strict=True):
        direction, still = torch.randn_like(parameter), parameter.detach().clone()
        values = []
        with torch.no_grad():
            for step in (1e-6, -1e-6):
                parameter.copy_(still + step * direction)
                values.append(float(model.losses(batch).total))
            parameter.copy_(still)
        slope = (values[0] - values[1]) / 2e-6
        expected = float((gradient * direction).sum())
        assert slope == pytest.approx(expected, rel=1e-5, abs=1e-7), name
        checked += abs(expected) > 1e-7
    assert checked > 0.9 * len(parameters)


@pytest.mark.parametrize("name", ABLATIONS)
def test_double_precision_runs_in_double_throughout(make_batch, make_model, name):
    single_ = make_batch()
    batch = in_double(single_)
    model = make_model(batch, **ABLATIONS[name])
    plain = model.trace(single_)
    double = model.double().trace(batch)
    for field in fields(Trace):
        value, single = getattr(double, field.name), getattr(plain, field.name)
        pairs = [(value[m], single[m]) for m in value] if isinstance(value, dict) else [(value, single)]
        for a, b in pairs:
            if isinstance(a, Tensor):
                assert a.dtype == torch.float64, field.name
                torch.testing.assert_close(a.float(), b, atol=2e-5, rtol=1e-4)
    assert model.losses(batch).total.dtype == torch.float64


@pytest.mark.parametrize("task", TASKS)
def test_bfloat16_is_finite_and_near_float32(make_batch, make_model, task):
    batch = make_batch(samples=24, task=task)
    model = make_model(batch, width=32, rank=8, private_rank=8)
    parameters = list(model.parameters())
    exact = model.losses(batch)
    wanted = torch.autograd.grad(exact.total, parameters)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model.losses(batch)
    found = torch.autograd.grad(rough.total, parameters)
    torch.testing.assert_close(rough.by_name(), exact.by_name(), atol=0.02, rtol=0.02)
    assert all(g.isfinite().all() for g in found)
    a, b = (torch.cat([g.flatten() for g in gradients]) for gradients in (wanted, found))
    # less near than without a budget: its scale of 8 makes the errors of evidence larger
    assert float(torch.cosine_similarity(a, b, dim=0)) > 0.95


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("levels", [1, 3])
def test_every_parameter_learns_in_every_ablation(make_batch, make_model, name, levels):
    batch = make_batch(samples=12)
    model = make_model(batch, levels=levels, **ABLATIONS[name])
    model.losses(batch).total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


class NoWaiting(TorchDispatchMode):
    """Refuses what on a GPU makes the host wait: reading a value, or a result whose size depends on values."""

    WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "bincount")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indexed_by_mask = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name.strip("_") in {w.strip("_") for w in self.WAITS} or indexed_by_mask:
            raise AssertionError(f"{name} makes the host wait")
        return func(*args, **(kwargs or {}))


def test_a_step_never_makes_the_host_wait_for_a_gpu(make_batch, make_model, monkeypatch):
    """On the CPU it counts funded tokens and looks for masked ones; told that it runs elsewhere, it must not."""
    for module in (ops, exchange):
        monkeypatch.setattr(module, "on_host", lambda _: False)
    for task in TASKS:
        batch = make_batch(task=task)
        model = make_model(batch, dropout=0.1).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        with NoWaiting():
            losses = model.losses(batch)
            optimizer.zero_grad()
            losses.total.backward()
            optimizer.step()
        assert losses.total.isfinite()


@pytest.mark.parametrize(
    "wait", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool((x > 0).all()), lambda x: x.nonzero()]
)
def test_waiting_would_be_seen(wait):
    with pytest.raises(AssertionError, match="makes the host wait"), NoWaiting():
        wait(torch.ones(3))


def test_counting_the_funded_tokens_would_be_seen(batch, model):
    with pytest.raises(AssertionError, match="makes the host wait"), NoWaiting():
        model.losses(batch)
