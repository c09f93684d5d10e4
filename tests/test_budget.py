"""The projection against KKT conditions, SLSQP, entmax and a solver by sorted breakpoints; then the budget on top."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from entmax import sparsemax
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

from clcrkit.budget import TokenBudget, participation, project_truncated_simplex, spending

VALUES = arrays(np.float64, st.integers(1, 12), elements=st.floats(-2, 3, width=32))
UNIT = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1, width=32))


def project(values: np.ndarray, budget: float) -> tuple[np.ndarray, float]:
    share, cutoff = project_truncated_simplex(torch.tensor(values), torch.tensor(budget, dtype=torch.float64))
    return share.numpy(), float(cutoff)


def kkt_violation(values: np.ndarray, budget: float, share: np.ndarray, cutoff: float) -> float:
    """How far (share, cutoff) is from the conditions of optimality (which suffice: the problem is convex)."""
    slack = budget - share.sum()
    pull = values - cutoff - share  # multiplier of the upper bound minus that of the lower one
    free = (share > 0) & (share < 1)
    return max(
        -share.min(),
        share.max() - 1,
        -slack,
        -cutoff,
        abs(cutoff * slack),
        np.abs(pull[free]).max(initial=0),
        pull[share == 0].max(initial=0),
        -pull[share == 1].min(initial=0),
    )


def by_breakpoints(values: np.ndarray, budget: float) -> np.ndarray:
    """The same projection another way: the cut-off is where the piecewise linear total meets the budget."""

    def total(cut: float) -> float:
        return float(np.clip(values - cut, 0, 1).sum())

    if total(0) <= budget:
        return np.clip(values, 0, 1)
    cuts = np.unique(np.concatenate([[0.0], values, values - 1]))
    cuts = cuts[cuts >= 0]
    totals = np.array([total(cut) for cut in cuts])
    right = int(np.argmax(totals <= budget))
    step = (totals[right - 1] - budget) / (totals[right - 1] - totals[right])
    return np.clip(values - (cuts[right - 1] + step * (cuts[right] - cuts[right - 1])), 0, 1)


@settings(max_examples=300)
@given(VALUES, st.floats(0, 14))
def test_projection_meets_the_optimality_conditions(values, budget):
    assert kkt_violation(values, budget, *project(values, budget)) < 1e-9


def test_optimality_conditions_catch_a_rescaling_in_place_of_the_projection():
    values = np.array([0.9, 0.5, 0.1])
    assert kkt_violation(values, 1.0, values / values.sum(), 0.1) > 0.01
    assert kkt_violation(values, 1.0, *project(values, 1.0)) < 1e-12


@settings(max_examples=25)
@given(VALUES, st.floats(0, 14))
def test_projection_equals_slsqp(values, budget):
    found = minimize(
        lambda a: 0.5 * np.square(a - values).sum(),
        np.zeros_like(values),
        jac=lambda a: a - values,
        bounds=[(0, 1)] * len(values),
        constraints={"type": "ineq", "fun": lambda a: budget - a.sum(), "jac": lambda a: -np.ones_like(a)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assume(found.success)  # it stops now and then where many tokens are tied
    np.testing.assert_allclose(project(values, budget)[0], found.x, atol=1e-6)


@given(UNIT)
def test_budget_of_one_that_binds_is_sparsemax(values):
    values = values + (1.001 - min(values.sum(), 1.0)) / len(values)  # so that the budget binds
    expected = sparsemax(torch.tensor(values), dim=-1).numpy()
    np.testing.assert_allclose(project(values, 1.0)[0], expected, atol=1e-12)


@given(VALUES, st.floats(0, 14), st.randoms(use_true_random=False))
def test_permuted_tokens_get_permuted_shares(values, budget, random):
    order = list(range(len(values)))
    random.shuffle(order)
    np.testing.assert_allclose(project(values[order], budget)[0], project(values, budget)[0][order], atol=1e-12)


@given(st.floats(-1, 3), st.integers(1, 9), st.floats(0, 9))
def test_ties_share_equally(value, count, budget):
    share, _ = project(np.full(count, value), budget)
    np.testing.assert_allclose(share, min(max(value, 0), 1, budget / count), atol=1e-12)


def test_ties_have_equal_finite_gradients():
    values = torch.full((5,), 0.7, dtype=torch.float64, requires_grad=True)
    budget = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    share, _ = project_truncated_simplex(values, budget)
    torch.testing.assert_close(
        torch.autograd.grad(share.sum(), [values, budget]), (torch.zeros(5).double(), budget / 2)
    )


@given(VALUES)
def test_no_budget_no_share(values):
    share, cutoff = project(values, 0.0)
    assert (share == 0).all()
    assert cutoff >= max(values.max(), 0) - 1e-12


@given(VALUES, st.floats(0, 5))
def test_budget_over_the_sum_only_clips(values, extra):
    clipped = np.clip(values, 0, 1)
    share, cutoff = project(values, clipped.sum() + 1e-9 + extra)
    np.testing.assert_array_equal(share, clipped)
    assert cutoff == 0


@given(UNIT, st.floats(0, 14), st.integers(1, 4))
def test_hidden_tokens_get_nothing_and_change_nothing(values, budget, hidden):
    padded = torch.cat([torch.full((hidden,), 9.0).double(), torch.tensor(values)])
    mask = torch.arange(len(padded)) >= hidden
    share, cutoff = project_truncated_simplex(padded, torch.tensor(budget, dtype=torch.float64), mask)
    alone, alone_cutoff = project(values, budget)
    assert (share[:hidden] == 0).all()
    np.testing.assert_allclose(share[hidden:].numpy(), alone, atol=1e-12)
    np.testing.assert_allclose(float(cutoff), alone_cutoff, atol=1e-12)


@pytest.mark.parametrize("hidden_value", [0.0, 1e30, float("nan"), float("inf")])
def test_all_padding_but_one_and_all_padding(hidden_value):
    values = torch.full((2, 4), hidden_value)
    values[0, 2] = 0.6
    values.requires_grad_()
    mask = torch.zeros(2, 4, dtype=torch.bool)
    mask[0, 2] = True
    budget = torch.tensor([0.25, 0.0], requires_grad=True)
    share, cutoff = project_truncated_simplex(values, budget, mask)
    torch.testing.assert_close(share, torch.tensor([[0, 0, 0.25, 0], [0, 0, 0, 0]]))
    torch.testing.assert_close(cutoff, torch.tensor([0.35, 0.0]))
    by_values, by_budget = torch.autograd.grad(share.sum(), [values, budget])
    torch.testing.assert_close(by_values, torch.zeros(2, 4))
    torch.testing.assert_close(by_budget, torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.68, 0.99])
def test_float32_is_accurate_for_500_tokens(scale, part):
    values = np.random.default_rng(1).random(500).astype(np.float32) * np.float32(scale)
    budget = np.float32(part * np.clip(values, 0, 1).sum(dtype=np.float64))
    share, _ = project_truncated_simplex(torch.tensor(values), torch.tensor(budget))
    unit = 2.0**-23 * max(scale, 1.0)
    expected = by_breakpoints(values.astype(np.float64), float(budget))
    np.testing.assert_allclose(share.numpy(), expected, atol=4 * min(unit, max(scale, 1) * 1e-6), rtol=1e-5)
    assert share.sum(dtype=torch.float64) <= budget + 500 * unit


def test_float32_holds_its_tolerance_where_values_differ_by_orders():
    rng = np.random.default_rng(2)
    values = (10.0 ** rng.uniform(-7, 2, (40, 500))).astype(np.float32)
    budget = rng.uniform(0, 300, 40).astype(np.float32)
    share, _ = project_truncated_simplex(torch.tensor(values), torch.tensor(budget))
    expected = np.stack(
        [by_breakpoints(v, b) for v, b in zip(values.astype(np.float64), budget.astype(np.float64), strict=True)]
    )
    np.testing.assert_allclose(share.numpy(), expected, atol=2e-5)


def pull_back(values: Tensor, budget: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    values, budget = values.clone().requires_grad_(), budget.clone().requires_grad_()
    share, _ = project_truncated_simplex(values, budget)
    by_values, by_budget = torch.autograd.grad(share, [values, budget], incoming)
    return share.detach(), by_values, by_budget


@given(UNIT, st.floats(0.05, 0.95), st.integers(0, 2**20))
def test_gradient_is_the_closed_form(values, part, seed):
    values = torch.tensor(values) + torch.linspace(0, 0.01, len(values))
    budget = part * values.clamp(0, 1).sum()
    incoming = torch.randn(len(values), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    share, by_values, by_budget = pull_back(values, budget, incoming)
    free = (share > 1e-9) & (share < 1 - 1e-9)
    edge = ((values - share).abs() < 1e-9) & ~free  # a token on a kink may take either side's derivative
    assume(free.any() and not edge.any())
    mean = incoming[free].mean()
    torch.testing.assert_close(by_values, torch.where(free, incoming - mean, 0.0))
    torch.testing.assert_close(by_budget, mean)


@pytest.mark.parametrize("budget", [0.4, 1.7, 3.0, 9.0])
def test_gradcheck_of_values_and_budget(budget):
    # outside [0, 1], and with no token near a kink
    values = torch.tensor([[1.9, 0.83, 0.61, 0.5, 0.31, -0.4], [0.9, 2.4, 0.45, 0.3, 0.71, 0.2]]).double()
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    budgets = torch.tensor([budget, 0.6 * budget]).double()
    assert torch.autograd.gradcheck(
        lambda v, b: project_truncated_simplex(v, b, mask), (values.requires_grad_(), budgets.requires_grad_())
    )


def test_gradcheck_catches_a_cutoff_without_gradient():
    values = torch.tensor([0.9, 0.8, 0.3]).double().requires_grad_()
    budget = torch.tensor(1.0).double()
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(
            lambda v: (v - project_truncated_simplex(v, budget)[1].detach()).clamp(0, 1), (values,)
        )


@pytest.fixture
def token_budget() -> TokenBudget:
    made = TokenBudget(levels=2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.tensor([-0.3, 0.4]))
    return made


def test_token_budget_follows_its_formulas(token_budget):
    shared = torch.randn(3, 2, 6, 4)
    mask = torch.tensor([[1] * 6, [1] * 3 + [0] * 3, [0] * 6]).bool()
    given_ = token_budget(shared, mask, gamma=0.8)
    x, real = shared.double().numpy(), mask.numpy()
    log_scale, threshold, logit = (
        p.detach().double().numpy() for p in (token_budget.log_scale, token_budget.threshold, token_budget.rho_logit)
    )
    for b in range(3):
        for level in range(2):
            length = np.sqrt(np.square(x[b, level]).sum(-1))
            activation = np.exp(log_scale[level]) * (length / 2 - threshold[level]) * real[b]
            budget = 0.8 / (1 + np.exp(-logit[level])) * real[b].sum()
            share = by_breakpoints(activation, budget) * real[b]
            for found, expected in (
                (given_.evidence, length),
                (given_.activation, activation),
                (given_.allocation, share),
                (given_.budget, budget),
            ):
                np.testing.assert_allclose(found[b, level].detach().numpy(), expected, atol=1e-5)
    torch.testing.assert_close(
        participation(given_.allocation, mask)[:2], given_.allocation.sum(-1)[:2] / torch.tensor([[6.0], [3.0]])
    )
    assert (participation(given_.allocation, mask)[2] == 0).all()


def test_muted_tokens_get_no_share_and_leave_it_to_others(token_budget):
    shared, mask = torch.randn(2, 2, 6, 4), torch.ones(2, 6, dtype=torch.bool)
    mute = torch.zeros(2, 2, 6, dtype=torch.bool)
    mute[:, :, :2] = True
    free, muted = token_budget(shared, mask, 0.5), token_budget(shared, mask, 0.5, mute)
    assert (muted.allocation[:, :, :2] == 0).all()
    assert (muted.activation[:, :, :2] == 0).all()
    assert (muted.allocation[:, :, 2:] >= free.allocation[:, :, 2:] - 1e-6).all()
    torch.testing.assert_close(muted.budget, free.budget)


def test_gamma_turns_the_budget_from_nothing_to_all(token_budget):
    shared, mask = torch.randn(2, 2, 6, 4), torch.ones(2, 6, dtype=torch.bool)
    used = [token_budget(shared, mask, gamma).allocation.sum() for gamma in (0.0, 0.5, 1.0, 10.0)]
    assert used[0] == 0
    assert all(a <= b + 1e-6 for a, b in itertools.pairwise(used))
    torch.testing.assert_close(used[3], token_budget(shared, mask, 10.0).activation.clamp(0, 1).sum())


def test_spending_is_the_mean_over_samples_and_in_each_over_its_present_modalities(token_budget):
    masks = {
        "a": torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]]).bool(),
        "b": torch.tensor([[1, 1], [0, 0], [1, 1]]).bool(),
    }
    allocations = {m: token_budget(torch.randn(3, 2, mask.shape[1], 4), mask) for m, mask in masks.items()}
    figures = spending(allocations, masks, token_budget.rho)
    for level in range(2):
        rows = []
        for i in range(3):
            present = [m for m, mask in masks.items() if mask[i].any()]
            shares = [allocations[m].allocation[i, level] for m in present]
            counts = [int(masks[m][i].sum()) for m in present]
            rows.append([
                np.mean([float(s.sum()) / n for s, n in zip(shares, counts, strict=True)]),
                np.mean([int((s > 0).sum()) / n for s, n in zip(shares, counts, strict=True)]),
                np.mean([float(allocations[m].cutoff[i, level]) for m in present]),
            ])  # fmt: skip
        expected = dict(zip(("participation", "funded", "cutoff"), np.mean(rows, axis=0), strict=True))
        for name, value in {"rho": float(token_budget.rho[level]), **expected}.items():
            assert float(figures[f"{name} {level + 1}"]) == pytest.approx(value, rel=1e-5)
    assert not any(x.requires_grad for x in figures.values())
