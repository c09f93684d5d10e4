"""Exercises of lesson 6: weighted summaries, level gates, modality gates and the private code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from exercises import Exercise, expect, expect_close

Mean = Callable[[Tensor, Tensor], Tensor]
LevelGate = Callable[[Tensor, Tensor, nn.Module], Tensor]
ModalityGate = Callable[[Tensor, Tensor, nn.Module, nn.Module], Tensor]
PrivateCode = Callable[[Tensor, Tensor, nn.Module], Tensor]


# --- mean_by_weight ----------------------------------------------------------------------------------------------


def mean_by_weight_stub(x: Tensor, weight: Tensor) -> Tensor:
    """Mean over tokens with weights >= 0: (level, rank); zeros where all weights are 0.

    x (level, token, rank), weight (level, token).
    """
    raise NotImplementedError


def mean_by_weight_solution(x: Tensor, weight: Tensor) -> Tensor:
    """Mean over tokens with weights >= 0: (level, rank); zeros where all weights are 0.

    x (level, token, rank), weight (level, token).
    """
    total = weight.sum(dim=-1, keepdim=True)
    return (weight[..., None] * x).sum(dim=-2) / total.clamp(min=1e-6)


TOKENS = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [9.0, 9.0]], [[1.0, 1.0], [3.0, 5.0], [9.0, 9.0]]])


def _one_vector_for_each_level(mean_by_weight: Mean) -> None:
    """tokens are averaged, levels are not"""
    expect_close(
        mean_by_weight(torch.ones(4, 3, 2), torch.ones(4, 3)).shape[0], 4, "the levels were mixed: average over tokens"
    )


def _weights_weigh(mean_by_weight: Mean) -> None:
    """a token of weight 0 has no say"""
    got = mean_by_weight(TOKENS.clone(), torch.tensor([[1.0, 1.0, 0.0]] * 2))
    message = "tokens of weight 0 take part: multiply each token by its own weight"
    expect(not torch.allclose(got, TOKENS.mean(1)), message)
    message = "you divided by the number of tokens; divide by the sum of the weights"
    expect(not torch.allclose(got, torch.tensor([[2 / 3, 2 / 3], [4 / 3, 2.0]])), message)
    message = "a weight of 0 still counts: a softmax of the weights is never 0; use them as they are"
    expect_close(got, torch.tensor([[1.0, 1.0], [2.0, 3.0]]), message)


def _all_zero(mean_by_weight: Mean) -> None:
    """no weight at all"""
    got = mean_by_weight(TOKENS.clone(), torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]))
    expect(got.isfinite().all(), "0 / 0 is nan: keep the divisor above 0")
    message = "small weights are pulled towards 0: the guard of the divisor is too large; clamp it at 1e-6"
    expect_close(got, torch.tensor([[0.0, 0.0], [1.0, 1.0]]), message)


def _over_levels(x: Tensor, weight: Tensor) -> Tensor:
    return (weight[..., None] * x).sum(dim=0) / weight.sum(dim=0)[..., None]


def _unweighted(x: Tensor, weight: Tensor) -> Tensor:
    return x.mean(dim=-2)


def _by_count(x: Tensor, weight: Tensor) -> Tensor:
    return (weight[..., None] * x).mean(dim=-2)


def _softmaxed(x: Tensor, weight: Tensor) -> Tensor:
    return (weight.softmax(dim=-1)[..., None] * x).sum(dim=-2)


def _nan_where_empty(x: Tensor, weight: Tensor) -> Tensor:
    return (weight[..., None] * x).sum(dim=-2) / weight.sum(dim=-1, keepdim=True)


def _at_least_one(x: Tensor, weight: Tensor) -> Tensor:
    return (weight[..., None] * x).sum(dim=-2) / weight.sum(dim=-1, keepdim=True).clamp(min=1)


mean_by_weight = Exercise(
    title="the weighted mean",
    difficulty=1,
    importance=4,
    minutes=5,
    stub=mean_by_weight_stub,
    solution=mean_by_weight_solution,
    checks=[_one_vector_for_each_level, _weights_weigh, _all_zero],
    mistakes=[
        (_over_levels, "the levels were mixed: average over tokens"),
        (_unweighted, "tokens of weight 0 take part: multiply each token by its own weight"),
        (_by_count, "you divided by the number of tokens; divide by the sum of the weights"),
        (_softmaxed, "a weight of 0 still counts: a softmax of the weights is never 0; use them as they are"),
        (_nan_where_empty, "0 / 0 is nan: keep the divisor above 0"),
        (_at_least_one, "small weights are pulled towards 0: the guard of the divisor is too large; clamp it at 1e-6"),
    ],
)


# --- level_gate -------------------------------------------------------------------------------------------------


def level_gate_stub(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    """omega: (batch, level), each row sums to 1.

    context (batch, level, rank), anchors (level, rank).
    `mlp` takes (..., 2 rank), context first, then anchor, and gives (..., 1).
    """
    raise NotImplementedError


def level_gate_solution(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    """omega: (batch, level), each row sums to 1.

    context (batch, level, rank), anchors (level, rank).
    `mlp` takes (..., 2 rank), context first, then anchor, and gives (..., 1).
    """
    joined = torch.cat([context, anchors.expand_as(context)], dim=-1)
    return mlp(joined).squeeze(-1).softmax(dim=-1)


class _Dot(nn.Module):
    """In place of an MLP: a fixed weight for each of the 2 rank inputs."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        expect(width == len(self.weights), f"`mlp` got {width} numbers for each level; context and anchor make 4")
        return (x * self.weights).sum(-1, keepdim=True)


CONTEXT = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]], [[0.5, 0.5], [1.0, -1.0], [0.0, 3.0]]])
ANCHORS = torch.tensor([[0.0, 1.0], [2.0, 0.0], [-1.0, 1.0]])


def _a_number_for_each_level(level_gate: LevelGate) -> None:
    """one number for each sample and level"""
    got = level_gate(CONTEXT, ANCHORS, _Dot(0.0, 0.0, 0.0, 0.0))
    expect(got.shape == (2, 3), f"your result has shape {tuple(got.shape)}; (batch, level) is (2, 3): squeeze the last")


def _levels_compete(level_gate: LevelGate) -> None:
    """the levels of a sample share 1"""
    got = level_gate(CONTEXT, ANCHORS, _Dot(1.0, 0.0, 0.0, 0.0))
    expect(not torch.allclose(got.sum(0), torch.ones(3)), "the samples of the batch compete: softmax over levels")
    expect_close(got.sum(1), torch.ones(2), "the gates of a sample do not sum to 1: softmax instead of sigmoid")


def _context_counts(level_gate: LevelGate) -> None:
    """the context comes first"""
    wanted = CONTEXT[..., 0].softmax(-1)
    message = "context and anchor are swapped: the context comes first"
    expect_close(level_gate(CONTEXT, ANCHORS, _Dot(1.0, 0.0, 0.0, 0.0)), wanted, message)


def _anchors_count(level_gate: LevelGate) -> None:
    """each level meets its own anchor"""
    wanted = ANCHORS[:, 0].softmax(-1).expand(2, 3)
    message = "a level meets another level's anchor: anchor l belongs to level l, in every sample"
    expect_close(level_gate(CONTEXT, ANCHORS, _Dot(0.0, 0.0, 1.0, 0.0)), wanted, message)


def _keeps_last_axis(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([context, anchors.expand_as(context)], dim=-1)).softmax(dim=1)


def _over_the_batch(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([context, anchors.expand_as(context)], dim=-1)).squeeze(-1).softmax(dim=0)


def _sigmoids(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([context, anchors.expand_as(context)], dim=-1)).squeeze(-1).sigmoid()


def _anchor_first(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([anchors.expand_as(context), context], dim=-1)).squeeze(-1).softmax(dim=-1)


def _wrong_anchor(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return level_gate_solution(context, anchors.flip(0), mlp)


def _anchorless(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(context).squeeze(-1).softmax(dim=-1)


level_gate = Exercise(
    title="the level gates",
    difficulty=2,
    importance=5,
    minutes=10,
    stub=level_gate_stub,
    solution=level_gate_solution,
    checks=[_a_number_for_each_level, _levels_compete, _context_counts, _anchors_count],
    mistakes=[
        (_anchorless, "`mlp` got 2 numbers for each level; context and anchor make 4"),
        (_keeps_last_axis, "your result has shape (2, 3, 1); (batch, level) is (2, 3): squeeze the last"),
        (_over_the_batch, "the samples of the batch compete: softmax over levels"),
        (_sigmoids, "the gates of a sample do not sum to 1: softmax instead of sigmoid"),
        (_anchor_first, "context and anchor are swapped: the context comes first"),
        (_wrong_anchor, "a level meets another level's anchor: anchor l belongs to level l, in every sample"),
    ],
)


# --- modality_gate ----------------------------------------------------------------------------------------------


def modality_gate_stub(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    """What each modality gives to the shared code: (batch, modality), rows sum to 1.

    s_bar (batch, modality, rank) is zero for missing modalities; their gate is 0.
    present (batch, modality) is True or False. `query` and `key` take and give (..., rank).
    """
    raise NotImplementedError


def modality_gate_solution(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    """What each modality gives to the shared code: (batch, modality), rows sum to 1.

    s_bar (batch, modality, rank) is zero for missing modalities; their gate is 0.
    present (batch, modality) is True or False. `query` and `key` take and give (..., rank).
    """
    mean = s_bar.sum(dim=1) / present.sum(dim=1, keepdim=True)
    scores = (key(s_bar) @ query(mean)[..., None]).squeeze(-1) / s_bar.shape[-1] ** 0.5
    return scores.masked_fill(~present, -torch.inf).softmax(dim=-1)


SAME = nn.Identity()
BARS = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]])
ALL = torch.tensor([[True, True, True]])


def _modalities_compete(modality_gate: ModalityGate) -> None:
    """the modalities of a sample share 1"""
    got = modality_gate(BARS, ALL, SAME, SAME)
    expect(got.shape == (1, 3), f"your result has shape {tuple(got.shape)}; (batch, modality) is (1, 3)")
    expect_close(got.sum(1), torch.ones(1), "the gates do not sum to 1: a softmax over modalities is needed")


def _mean_asks(modality_gate: ModalityGate) -> None:
    """the mean asks, each modality answers"""
    mean = BARS.mean(1)
    scores = (BARS @ mean[..., None]).squeeze(-1)
    got = modality_gate(BARS, ALL, SAME, SAME)
    message = "the gates are too sharp: divide the scores by the root of the rank, 2"
    expect(not torch.allclose(got, scores.softmax(-1)), message)
    message = "each modality asks for itself: the query is the mean over modalities"
    own = (BARS.square().sum(-1) / 2).softmax(-1)
    expect(not torch.allclose(got, own), message)
    expect_close(got, (scores / 2).softmax(-1), "the scores are not the dot products of `query(mean)` and `key(s_bar)`")


def _missing_is_silent(modality_gate: ModalityGate) -> None:
    """a missing modality gets 0"""
    present = torch.tensor([[True, True, False]])
    given = BARS * present[..., None]
    got = modality_gate(given, present, SAME, SAME)
    expect(got[0, 2] == 0, "a missing modality got a share: a score of 0 is not a weight of 0; mask with -inf")
    lean = torch.tensor([[[3.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    scores = (lean @ (lean.sum(1) / 2)[..., None]).squeeze(-1)[:, :2] / 2
    message = "the missing modality dilutes the mean: divide by the number of modalities that are present"
    expect_close(modality_gate(lean, present, SAME, SAME)[:, :2], scores.softmax(-1), message)


def _no_competition(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    mean = s_bar.sum(dim=1) / present.sum(dim=1, keepdim=True)
    return ((key(s_bar) @ query(mean)[..., None]).squeeze(-1) / s_bar.shape[-1] ** 0.5).sigmoid() * present


def _sharp(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    mean = s_bar.sum(dim=1) / present.sum(dim=1, keepdim=True)
    return (key(s_bar) @ query(mean)[..., None]).squeeze(-1).masked_fill(~present, -torch.inf).softmax(dim=-1)


def _asks_itself(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    scores = (key(s_bar) * query(s_bar)).sum(-1) / s_bar.shape[-1] ** 0.5
    return scores.masked_fill(~present, -torch.inf).softmax(dim=-1)


def _missing_counts(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    return modality_gate_solution(s_bar, torch.ones_like(present), query, key)


def _diluted(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    scores = (key(s_bar) @ query(s_bar.mean(dim=1))[..., None]).squeeze(-1) / s_bar.shape[-1] ** 0.5
    return scores.masked_fill(~present, -torch.inf).softmax(dim=-1)


modality_gate = Exercise(
    title="the modality gates",
    difficulty=3,
    importance=4,
    minutes=15,
    stub=modality_gate_stub,
    solution=modality_gate_solution,
    checks=[_modalities_compete, _mean_asks, _missing_is_silent],
    mistakes=[
        (_no_competition, "the gates do not sum to 1: a softmax over modalities is needed"),
        (_sharp, "the gates are too sharp: divide the scores by the root of the rank, 2"),
        (_asks_itself, "each modality asks for itself: the query is the mean over modalities"),
        (_missing_counts, "a missing modality got a share: a score of 0 is not a weight of 0; mask with -inf"),
        (_diluted, "the missing modality dilutes the mean: divide by the number of modalities that are present"),
    ],
)


# --- private_code -----------------------------------------------------------------------------------------------


def private_code_stub(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    """The mean of the modalities' private summaries, weighted by their private gates: (batch, rank).

    p_bar (batch, modality, rank), present (batch, modality) True or False.
    `score` takes (..., rank) and gives (..., 1).
    """
    raise NotImplementedError


def private_code_solution(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    """The mean of the modalities' private summaries, weighted by their private gates: (batch, rank).

    p_bar (batch, modality, rank), present (batch, modality) True or False.
    `score` takes (..., rank) and gives (..., 1).
    """
    eta = score(p_bar).squeeze(-1).sigmoid() * present
    return (eta[..., None] * p_bar).sum(dim=1) / eta.sum(dim=1, keepdim=True)


PRIVATE = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 4.0]]])
TWO = torch.tensor([[True, True, False]])


def _equal_gates_mean(private_code: PrivateCode) -> None:
    """equal gates give the plain mean"""
    got = private_code(PRIVATE, ALL, _Dot(0.0, 0.0))
    expect_close(got, PRIVATE.mean(1), "three equal gates must give the plain mean: divide by the sum of the gates")


def _gates_are_sigmoids(private_code: PrivateCode) -> None:
    """each gate is a sigmoid"""
    eta = PRIVATE[..., 0].sigmoid()
    wanted = (eta[..., None] * PRIVATE).sum(1) / eta.sum(1, keepdim=True)
    message = "the gates compete: a sigmoid opens each by itself, a softmax does not"
    expect_close(private_code(PRIVATE, ALL, _Dot(1.0, 0.0)), wanted, message)


def _missing_has_no_gate(private_code: PrivateCode) -> None:
    """a missing modality has no say"""
    got = private_code(PRIVATE * TWO[..., None], TWO, _Dot(0.0, 0.0))
    message = "a missing modality takes part: sigmoid(0) is 0.5, so close its gate with `present`"
    expect_close(got, torch.tensor([[0.5, 0.5]]), message)


def _summed(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    eta = score(p_bar).squeeze(-1).sigmoid() * present
    return (eta[..., None] * p_bar).sum(dim=1)


def _competing(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    eta = score(p_bar).squeeze(-1).masked_fill(~present, -torch.inf).softmax(dim=-1)
    return (eta[..., None] * p_bar).sum(dim=1)


def _missing_takes_part(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    return private_code_solution(p_bar, torch.ones_like(present), score)


private_code = Exercise(
    title="the private code",
    difficulty=2,
    importance=3,
    minutes=10,
    stub=private_code_stub,
    solution=private_code_solution,
    checks=[_equal_gates_mean, _gates_are_sigmoids, _missing_has_no_gate],
    mistakes=[
        (_summed, "three equal gates must give the plain mean: divide by the sum of the gates"),
        (_competing, "the gates compete: a sigmoid opens each by itself, a softmax does not"),
        (_missing_takes_part, "a missing modality takes part: sigmoid(0) is 0.5, so close its gate with `present`"),
    ],
)
