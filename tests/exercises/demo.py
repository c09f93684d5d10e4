"""Two small exercises, a function and a class, to test the frame with."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from exercises import Exercise, expect, expect_close


@partial(Exercise, "center the rows", difficulty=1, importance=3, minutes=5)
def center(values: Tensor) -> Tensor:
    """Take the mean of each row away. Shape (row, column), in and out."""
    return values - values.mean(dim=1, keepdim=True)


VALUES = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])
GLOBAL = "you took away one mean for all rows: did you forget `dim`?"
SCALED = "your rows have length 1: center, do not normalise"
ALONE = "a single row is centered like the others"


@center.case("each row sums to 0")
def rows_sum_to_zero(answer: Callable[[Tensor], Tensor]) -> None:
    expect_close(answer(VALUES).sum(dim=1), torch.zeros(2), GLOBAL)


@center.case("differences within a row stay as they are")
def distances_stay(answer: Callable[[Tensor], Tensor]) -> None:
    expect_close(answer(VALUES).diff(dim=1), VALUES.diff(dim=1), SCALED)


@center.case("a single row")
def a_row_alone(answer: Callable[[Tensor], Tensor]) -> None:
    expect_close(answer(VALUES[:1]), torch.tensor([[-2.0, -1.0, 3.0]]), ALONE)


def center_by_one_mean(values: Tensor) -> Tensor:
    return values - values.mean()


def center_and_scale(values: Tensor) -> Tensor:
    return nn.functional.normalize(values - values.mean(dim=1, keepdim=True), dim=1)


def center_several(values: Tensor) -> Tensor:
    return values - values.mean(dim=1, keepdim=True) if len(values) > 1 else values


center.mistakes = [(center_by_one_mean, GLOBAL), (center_and_scale, SCALED), (center_several, ALONE)]


class Solution:
    """Holds the class, whose name at the top of this module belongs to the exercise."""

    class Gate(nn.Module):
        """A learnable weight in (0, 1) for each column."""

        def __init__(self, columns: int) -> None:
            super().__init__()
            self.raw = nn.Parameter(torch.zeros(columns))

        def forward(self, values: Tensor) -> Tensor:
            """Shape (row, column), in and out."""
            return values * torch.sigmoid(self.raw)


Gate = Exercise("a gate for each column", Solution.Gate, difficulty=2, importance=4, minutes=10)
FIXED = "your module has no parameters: is the tensor an nn.Parameter?"
OPEN = "your new gate is not half open: where is the sigmoid?"
SINGLE = "your gate of 3 columns has {} weights: one for each column, please"


@Gate.case("the weights can learn")
def gate_learns(answer: type[nn.Module]) -> None:
    expect(len(list(answer(3).parameters())) > 0, FIXED)


@Gate.case("a new gate is half open")
def gate_is_half_open(answer: type[nn.Module]) -> None:
    expect_close(answer(3)(torch.ones(3)), torch.full((3,), 0.5), OPEN)


@Gate.case("each column has its own weight")
def gate_has_a_weight_for_each_column(answer: type[nn.Module]) -> None:
    count = sum(parameter.numel() for parameter in answer(3).parameters())
    expect(count == 3, SINGLE.format(count))


class GateFixed(nn.Module):
    def __init__(self, columns: int) -> None:
        super().__init__()
        self.raw = torch.zeros(columns)

    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(self.raw)


class GateOpen(Solution.Gate):
    def forward(self, values: Tensor) -> Tensor:
        return values * self.raw


class GateSingle(Solution.Gate):
    def __init__(self, columns: int) -> None:
        super().__init__(1)


Gate.mistakes = [(GateFixed, FIXED), (GateOpen, OPEN), (GateSingle, SINGLE.format(1))]
