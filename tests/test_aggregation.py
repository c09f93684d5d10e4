"""InterCAD against plain loops in numpy, and the manners of its gates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clcrkit.aggregation import Aggregated, InterCAD, LevelNorm
from clcrkit.ops import weighted_mean

NAMES = ("a", "b", "c")
LENGTHS = {"a": 5, "b": 3, "c": 4}
SAMPLES, LEVELS, RANK, PRIVATE = 4, 3, 4, 6


@pytest.fixture
def masks() -> dict[str, Tensor]:
    real = {"a": [5, 2, 3, 0], "b": [3, 1, 0, 0], "c": [2, 4, 0, 4]}  # sample 2: only a; sample 3: only c
    return {m: torch.arange(LENGTHS[m]) < torch.tensor(real[m])[:, None] for m in NAMES}


def streams(masks, levels: int = LEVELS) -> tuple[dict, dict, dict]:
    here = {m: masks[m][:, None, :].expand(-1, levels, -1) for m in NAMES}
    exchanged = {m: torch.randn(*here[m].shape, RANK) * here[m][..., None] for m in NAMES}
    private = {m: torch.randn(*here[m].shape, PRIVATE) * here[m][..., None] for m in NAMES}
    allocation = {m: torch.rand(here[m].shape) * here[m] for m in NAMES}
    return exchanged, private, allocation


def shaken(levels: int = LEVELS, gates: bool = True) -> InterCAD:
    intercad = InterCAD(levels, RANK, PRIVATE, gates)
    with torch.no_grad():
        for parameter in intercad.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return intercad


def as_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def normed(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def loop_intercad(intercad: InterCAD, exchanged, private, allocation, masks, levels: int = LEVELS) -> list[dict]:
    """What InterCAD computes, one sample at a time, with missing modalities simply not there."""
    w = {name: as_numpy(p) for name, p in intercad.named_parameters()}
    samples = []
    for b in range(SAMPLES):
        there = [m for m in NAMES if masks[m][b].any()]
        s, p = {}, {}
        for m in there:
            real = masks[m][b].numpy()
            for level in range(levels):
                x, share = as_numpy(exchanged[m][b, level])[real], as_numpy(allocation[m][b, level])[real]
                pooled = sum(a * row for a, row in zip(share, x, strict=True)) / share.sum()
                s[m, level] = normed(pooled) * w["shared_norm.scale"][level] + w["shared_norm.shift"][level]
                pooled = as_numpy(private[m][b, level])[real].mean(0)
                p[m, level] = normed(pooled) * w["private_norm.scale"][level] + w["private_norm.shift"][level]
        logits = []
        for level in range(levels):
            context = np.mean([s[m, level] for m in there], axis=0)
            h = w["level_mlp.0.weight"] @ np.concatenate([context, w["anchors"][level]]) + w["level_mlp.0.bias"]
            h = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in h])
            logits.append((w["level_mlp.2.weight"] @ h + w["level_mlp.2.bias"])[0])
        omega = softmax(np.array(logits))
        s_bar = {m: sum(omega[lv] * s[m, lv] for lv in range(levels)) for m in there}
        p_bar = {m: sum(omega[lv] * p[m, lv] for lv in range(levels)) for m in there}
        query = w["modality_query.weight"] @ np.mean(list(s_bar.values()), axis=0)
        weight = softmax(np.array([query @ (w["modality_key.weight"] @ s_bar[m]) for m in there]) / math.sqrt(RANK))
        eta = {}
        for m in there:
            h = normed(w["private_mlp.0.weight"] @ p_bar[m]) * w["private_mlp.1.weight"] + w["private_mlp.1.bias"]
            eta[m] = 1 / (1 + math.exp(-(w["private_mlp.2.weight"] @ h + w["private_mlp.2.bias"])[0]))
        samples.append({
            "level_gate": omega,
            "modality_gate": np.array([weight[there.index(m)] if m in there else 0 for m in NAMES]),
            "private_gate": np.array([eta.get(m, 0) for m in NAMES]),
            "shared_code": sum(weight[i] * s_bar[m] for i, m in enumerate(there)),
            "private_code": sum(eta[m] * p_bar[m] for m in there) / sum(eta.values()),
        })  # fmt: skip
    return samples


@pytest.mark.parametrize("levels", [1, 3])
def test_intercad_equals_its_loops(levels, masks):
    intercad = shaken(levels)
    given = streams(masks, levels)
    found = intercad(*given, masks)
    for b, expected in enumerate(loop_intercad(intercad, *given, masks, levels)):
        for name, value in expected.items():
            np.testing.assert_allclose(as_numpy(getattr(found, name)[b]), value, atol=2e-5, err_msg=f"{name}, {b}")


def check_gates(done: Aggregated, masks) -> None:
    there = torch.stack([masks[m].any(1) for m in NAMES], dim=1)
    torch.testing.assert_close(done.level_gate.sum(1), torch.ones(SAMPLES))
    torch.testing.assert_close(done.modality_gate.sum(1), torch.ones(SAMPLES))
    assert (done.level_gate > 0).all()
    for i, m in enumerate(NAMES):
        for summary in (done.shared_summary[m], done.private_summary[m]):
            assert (summary[~there[:, i]] == 0).all()
            assert (summary[there[:, i]] != 0).any()
    for gate in (done.modality_gate, done.private_gate):
        assert (gate[~there] == 0).all()
        assert ((gate[there] > 0) & (gate[there] <= 1)).all()


def test_gates_sum_to_one_and_leave_out_who_is_missing(masks):
    done = shaken()(*streams(masks), masks)
    check_gates(done, masks)
    assert (done.private_gate < 1).all()
    assert done.level_gate.std(1).min() > 1e-3  # they do choose


def test_one_level_has_an_open_gate(masks):
    assert torch.equal(shaken(levels=1)(*streams(masks, 1), masks).level_gate, torch.ones(SAMPLES, 1))


def test_without_gates_all_is_a_plain_mean(masks):
    done = shaken(gates=False)(*streams(masks), masks)
    check_gates(done, masks)
    torch.testing.assert_close(done.level_gate, torch.full((SAMPLES, LEVELS), 1 / LEVELS))
    for b in range(SAMPLES):
        there = [m for m in NAMES if masks[m][b].any()]
        torch.testing.assert_close(
            done.shared_code[b], torch.stack([done.shared_summary[m][b] for m in there]).mean((0, 1))
        )
        torch.testing.assert_close(
            done.private_code[b], torch.stack([done.private_summary[m][b] for m in there]).mean((0, 1))
        )


def test_extreme_logits_keep_the_missing_out_and_the_codes_finite(masks):
    intercad = shaken()
    with torch.no_grad():
        intercad.modality_query.weight.mul_(1000)
        intercad.private_mlp[-1].bias.fill_(-200.0)
    done = intercad(*streams(masks), masks)
    assert done.modality_gate[2].tolist() == [1, 0, 0]
    assert all(code.isfinite().all() for code in (done.shared_code, done.private_code))


@pytest.mark.parametrize("gates", [True, False])
def test_double_precision_stays_double(gates, masks):
    given = [{m: x.double() for m, x in stream.items()} for stream in streams(masks)]
    done = shaken(gates=gates).double()(*given, masks)
    assert {done.shared_code.dtype, done.private_code.dtype, done.modality_gate.dtype} == {torch.float64}


def test_nothing_funded_is_finite_with_finite_gradients(masks):
    exchanged, private, allocation = streams(masks)
    nothing = {m: torch.zeros_like(a).requires_grad_() for m, a in allocation.items()}
    intercad = shaken()
    done = intercad(exchanged, private, nothing, masks)
    total = done.shared_code.sum() + done.private_code.sum()
    gradients = torch.autograd.grad(total, [*nothing.values(), *intercad.parameters()], allow_unused=True)
    assert total.isfinite()
    assert all(g is None or g.isfinite().all() for g in gradients)


def test_level_norm_is_a_layer_norm_for_each_level():
    norm = LevelNorm(LEVELS, RANK)
    with torch.no_grad():
        norm.scale.copy_(torch.rand(LEVELS, RANK))
        norm.shift.copy_(torch.rand(LEVELS, RANK))
    x = torch.randn(5, LEVELS, RANK)
    for level in range(LEVELS):
        single = torch.nn.LayerNorm(RANK)
        single.load_state_dict({"weight": norm.scale[level].detach(), "bias": norm.shift[level].detach()})
        torch.testing.assert_close(norm(x)[:, level], single(x[:, level]))


def test_weighted_mean():
    x = torch.tensor([[1.0, 10.0], [3.0, 30.0], [100.0, 100.0]])
    torch.testing.assert_close(weighted_mean(x, torch.tensor([0.3, 0.1, 0.0])), torch.tensor([1.5, 15.0]))
    torch.testing.assert_close(weighted_mean(x, torch.zeros(3)), torch.zeros(2))
