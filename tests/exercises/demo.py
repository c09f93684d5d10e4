"""Two small exercises, a function and a class, to test the frame with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from exercises import Exercise, expect, expect_close


def center_stub(values: Tensor) -> Tensor:
    """Take the mean of each row away. Shape (row, column), in and out."""
    raise NotImplementedError


def center_solution(values: Tensor) -> Tensor:
    """Take the mean of each row away. Shape (row, column), in and out."""
    return values - values.mean(dim=1, keepdim=True)


VALUES = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])
GLOBAL = "you took away one mean for all rows: did you forget `dim`?"
SCALED = "your rows have length 1: center, do not normalise"
CHANGED = "your function changed its input: is there an `-=`?"


def rows_sum_to_zero(center: Callable[[Tensor], Tensor]) -> None:
    """each row sums to 0"""
    expect_close(center(VALUES.clone()).sum(dim=1), torch.zeros(2), GLOBAL)


def distances_stay(center: Callable[[Tensor], Tensor]) -> None:
    """differences within a row stay as they are"""
    expect_close(center(VALUES.clone()).diff(dim=1), VALUES.diff(dim=1), SCALED)


def input_stays(center: Callable[[Tensor], Tensor]) -> None:
    """the input is left alone"""
    given = VALUES.clone()
    center(given)
    expect(given.equal(VALUES), CHANGED)


def center_by_one_mean(values: Tensor) -> Tensor:
    return values - values.mean()


def center_and_scale(values: Tensor) -> Tensor:
    return nn.functional.normalize(values - values.mean(dim=1, keepdim=True), dim=1)


def center_in_place(values: Tensor) -> Tensor:
    values -= values.mean(dim=1, keepdim=True)
    return values


center = Exercise(
    title="center the rows",
    difficulty=1,
    importance=3,
    minutes=5,
    stub=center_stub,
    solution=center_solution,
    checks=[rows_sum_to_zero, distances_stay, input_stays],
    mistakes=[(center_by_one_mean, GLOBAL), (center_and_scale, SCALED), (center_in_place, CHANGED)],
)


class Gate_stub(nn.Module):
    """A learnable weight in (0, 1) for each column."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, values: Tensor) -> Tensor:
        raise NotImplementedError


class Gate_solution(nn.Module):
    """A learnable weight in (0, 1) for each column."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(columns))

    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(self.raw)


def gate_learns(gate: type[nn.Module]) -> None:
    """the weights can learn"""
    expect(len(list(gate(3).parameters())) > 0, "your module has no parameters: is the tensor an nn.Parameter?")


def gate_is_half_open(gate: type[nn.Module]) -> None:
    """a new gate is half open"""
    expect_close(gate(3)(torch.ones(3)), torch.full((3,), 0.5), "your new gate is not half open: where is the sigmoid?")


def gate_has_a_weight_for_each_column(gate: type[nn.Module]) -> None:
    """each column has its own weight"""
    count = sum(parameter.numel() for parameter in gate(3).parameters())
    expect(count == 3, f"your gate of 3 columns has {count} weights: one for each column, please")


class Gate_fixed(nn.Module):
    def __init__(self, columns: int) -> None:
        super().__init__()
        self.raw = torch.zeros(columns)

    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(self.raw)


class Gate_open(Gate_solution):
    def forward(self, values: Tensor) -> Tensor:
        return values * self.raw


class Gate_single(Gate_solution):
    def __init__(self, columns: int) -> None:
        super().__init__(1)


Gate = Exercise(
    title="a gate for each column",
    difficulty=2,
    importance=4,
    minutes=10,
    stub=Gate_stub,
    solution=Gate_solution,
    checks=[gate_learns, gate_is_half_open, gate_has_a_weight_for_each_column],
    mistakes=[
        (Gate_fixed, "your module has no parameters: is the tensor an nn.Parameter?"),
        (Gate_open, "your new gate is not half open: where is the sigmoid?"),
        (Gate_single, "your gate of 3 columns has 1 weights: one for each column, please"),
    ],
)
