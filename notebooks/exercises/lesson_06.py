"""Exercises of lesson 6: weighted summaries, level gates, modality gates and the private code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from exercises import Exercise, expect, expect_close

Mean = Callable[[Tensor, Tensor], Tensor]
LevelGate = Callable[[Tensor, Tensor, nn.Module], Tensor]
ModalityGate = Callable[[Tensor, Tensor, nn.Module, nn.Module], Tensor]
PrivateCode = Callable[[Tensor, Tensor, nn.Module], Tensor]


@partial(Exercise, "the weighted mean", difficulty=1, importance=4, minutes=5)
def mean_by_weight(x: Tensor, weight: Tensor) -> Tensor:
    """Mean over tokens with weights >= 0: (level, rank); zeros where all weights are 0.

    x (level, token, rank), weight (level, token).
    """
    total = weight.sum(dim=-1, keepdim=True)
    return (weight[..., None] * x).sum(dim=-2) / total.clamp(min=1e-6)


_OVER_LEVELS = "the levels were mixed: average over tokens"
_UNWEIGHTED = "tokens of weight 0 take part: multiply each token by its own weight"
_BY_COUNT = "you divided by the number of tokens; divide by the sum of the weights"
_SOFTMAXED = "a weight of 0 still counts: a softmax of the weights is never 0; use them as they are"
_NAN_WHERE_EMPTY = "0 / 0 is nan: keep the divisor above 0"
_AT_LEAST_ONE = "small weights are pulled towards 0: the guard of the divisor is too large; clamp it at 1e-6"
TOKENS = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [9.0, 9.0]], [[1.0, 1.0], [3.0, 5.0], [9.0, 9.0]]])


@mean_by_weight.case("tokens are averaged, levels are not")
def _one_vector_for_each_level(answer: Mean) -> None:
    expect_close(answer(torch.ones(4, 3, 2), torch.ones(4, 3)).shape[0], 4, _OVER_LEVELS)


@mean_by_weight.case("a token of weight 0 has no effect")
def _weights_weigh(answer: Mean) -> None:
    result = answer(TOKENS, torch.tensor([[2.0, 2.0, 0.0]] * 2))
    expect_close(result, torch.tensor([[1.0, 1.0], [2.0, 3.0]]), _SOFTMAXED)


@mean_by_weight.case("no weight at all")
def _all_zero(answer: Mean) -> None:
    result = answer(TOKENS.clone(), torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]))
    expect(result.isfinite().all(), _NAN_WHERE_EMPTY)
    expect_close(result, torch.tensor([[0.0, 0.0], [1.0, 1.0]]), _AT_LEAST_ONE)


def _at_least_one(x: Tensor, weight: Tensor) -> Tensor:
    return (weight[..., None] * x).sum(dim=-2) / weight.sum(dim=-1, keepdim=True).clamp(min=1)


mean_by_weight.mistakes = [
    (lambda x, weight: (weight[..., None] * x).sum(dim=0) / weight.sum(dim=0)[..., None], _OVER_LEVELS),
    (lambda x, weight: x.mean(dim=-2), _UNWEIGHTED),
    (lambda x, weight: (weight[..., None] * x).mean(dim=-2), _BY_COUNT),
    (lambda x, weight: (weight.softmax(dim=-1)[..., None] * x).sum(dim=-2), _SOFTMAXED),
    (lambda x, weight: (weight[..., None] * x).sum(dim=-2) / weight.sum(dim=-1, keepdim=True), _NAN_WHERE_EMPTY),
    (_at_least_one, _AT_LEAST_ONE),
]


@partial(Exercise, "the level gates", difficulty=2, importance=5, minutes=10)
def level_gate(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    """omega: (batch, level), each row sums to 1.

    context (batch, level, rank), anchors (level, rank).
    `mlp` takes (..., 2 rank), context first, then anchor, and gives (..., 1).
    """
    joined = torch.cat([context, anchors.expand_as(context)], dim=-1)
    return mlp(joined).squeeze(-1).softmax(dim=-1)


_ANCHORLESS = "`mlp` got {} numbers for each level; context and anchor make 4"
_KEEPS_LAST_AXIS = "your result has shape {}; (batch, level) is (2, 3): squeeze the last axis"
_OVER_THE_BATCH = "the samples of the batch compete: softmax over levels"
_SIGMOIDS = "the gates of a sample do not sum to 1: softmax instead of sigmoid"
_ANCHOR_FIRST = "context and anchor are swapped: the context comes first"
_WRONG_ANCHOR = "a level meets another level's anchor: anchor l belongs to level l, in every sample"


class _Dot(nn.Module):
    """In place of an MLP: a fixed weight for each of the 2 rank inputs."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        expect(width == len(self.weights), _ANCHORLESS.format(width))
        return (x * self.weights).sum(-1, keepdim=True)


CONTEXT = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]], [[0.5, 0.5], [1.0, -1.0], [0.0, 3.0]]])
ANCHORS = torch.tensor([[0.0, 1.0], [2.0, 0.0], [-1.0, 1.0]])


@level_gate.case("one number for each sample and level")
def _a_number_for_each_level(answer: LevelGate) -> None:
    result = answer(CONTEXT, ANCHORS, _Dot(0.0, 0.0, 0.0, 0.0))
    expect(result.shape == (2, 3), _KEEPS_LAST_AXIS.format(tuple(result.shape)))


@level_gate.case("the levels of a sample share 1")
def _levels_compete(answer: LevelGate) -> None:
    result = answer(CONTEXT, ANCHORS, _Dot(1.0, 0.0, 0.0, 0.0))
    expect(not torch.allclose(result.sum(0), torch.ones(3)), _OVER_THE_BATCH)
    expect_close(result.sum(1), torch.ones(2), _SIGMOIDS)


@level_gate.case("the context comes first")
def _context_counts(answer: LevelGate) -> None:
    expected = CONTEXT[..., 0].softmax(-1)
    expect_close(answer(CONTEXT, ANCHORS, _Dot(1.0, 0.0, 0.0, 0.0)), expected, _ANCHOR_FIRST)


@level_gate.case("each level meets its own anchor")
def _anchors_count(answer: LevelGate) -> None:
    expected = ANCHORS[:, 0].softmax(-1).expand(2, 3)
    expect_close(answer(CONTEXT, ANCHORS, _Dot(0.0, 0.0, 1.0, 0.0)), expected, _WRONG_ANCHOR)


def _keeps_last_axis(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([context, anchors.expand_as(context)], dim=-1)).softmax(dim=1)


def _over_the_batch(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([context, anchors.expand_as(context)], dim=-1)).squeeze(-1).softmax(dim=0)


def _sigmoids(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([context, anchors.expand_as(context)], dim=-1)).squeeze(-1).sigmoid()


def _anchor_first(context: Tensor, anchors: Tensor, mlp: nn.Module) -> Tensor:
    return mlp(torch.cat([anchors.expand_as(context), context], dim=-1)).squeeze(-1).softmax(dim=-1)


level_gate.mistakes = [
    (lambda context, anchors, mlp: mlp(context).squeeze(-1).softmax(dim=-1), _ANCHORLESS.format(2)),
    (_keeps_last_axis, _KEEPS_LAST_AXIS.format((2, 3, 1))),
    (_over_the_batch, _OVER_THE_BATCH),
    (_sigmoids, _SIGMOIDS),
    (_anchor_first, _ANCHOR_FIRST),
    (lambda context, anchors, mlp: level_gate.solution(context, anchors.flip(0), mlp), _WRONG_ANCHOR),
]


@partial(Exercise, "the modality gates", difficulty=3, importance=4, minutes=15)
def modality_gate(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    """What each modality gives to the shared code: (batch, modality), rows sum to 1.

    s_bar (batch, modality, rank) is zero for missing modalities; their gate is 0.
    present (batch, modality) is True or False. `query` and `key` take and give (..., rank).
    """
    mean = s_bar.sum(dim=1) / present.sum(dim=1, keepdim=True)
    scores = (key(s_bar) @ query(mean)[..., None]).squeeze(-1) / s_bar.shape[-1] ** 0.5
    return scores.masked_fill(~present, -torch.inf).softmax(dim=-1)


_NO_COMPETITION = "the gates do not sum to 1: a softmax over modalities is needed"
_SHARP = "the gates are too sharp: divide the scores by the root of the rank, 2"
_ASKS_ITSELF = "each modality has its own query: the query is the mean over modalities"
_MISSING_COUNTS = "a missing modality got a share: a score of 0 is not a weight of 0; mask with -inf"
_DILUTED = "the missing modality dilutes the mean: divide by the number of modalities that are present"
_ONLY_MISSING = "only missing modalities are left: `present` is True for those that are there, so mask with ~present"
_SWAPPED = "`query` and `key` are swapped: the mean goes through `query`, each modality through `key`"
SAME = nn.Identity()


class _Roll(nn.Module):
    """Moves each number one place to the right: a map that is not symmetric."""

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(1, -1)


BARS = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]]])
ALL = torch.tensor([[True, True, True]])


@modality_gate.case("the modalities of a sample share 1")
def _modalities_compete(answer: ModalityGate) -> None:
    result = answer(BARS, ALL, SAME, SAME)
    expect(result.shape == (1, 3), f"your result has shape {tuple(result.shape)}; (batch, modality) is (1, 3)")
    expect_close(result.sum(1), torch.ones(1), _NO_COMPETITION)


@modality_gate.case("the mean is the query, each modality is a key")
def _mean_asks(answer: ModalityGate) -> None:
    mean = BARS.mean(1)
    scores = (BARS @ mean[..., None]).squeeze(-1)
    result = answer(BARS, ALL, SAME, SAME)
    expect(not torch.allclose(result, scores.softmax(-1)), _SHARP)
    own = (BARS.square().sum(-1) / 2).softmax(-1)
    expect(not torch.allclose(result, own), _ASKS_ITSELF)
    expect_close(
        result, (scores / 2).softmax(-1), "the scores are not the dot products of `query(mean)` and `key(s_bar)`"
    )
    turned = (BARS @ mean.roll(1, -1)[..., None]).squeeze(-1) / 2
    expect_close(answer(BARS, ALL, _Roll(), SAME), turned.softmax(-1), _SWAPPED)


@modality_gate.case("a missing modality gets 0")
def _missing_is_silent(answer: ModalityGate) -> None:
    present = torch.tensor([[True, True, False]])
    summaries = BARS * present[..., None]
    result = answer(summaries, present, SAME, SAME)
    expect(result[0, 2] == 0, _MISSING_COUNTS)
    lean = torch.tensor([[[3.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    scores = (lean @ (lean.sum(1) / 2)[..., None]).squeeze(-1)[:, :2] / 2
    expect_close(answer(lean, present, SAME, SAME)[:, :2], scores.softmax(-1), _DILUTED)


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
    return modality_gate.solution(s_bar, torch.ones_like(present), query, key)


def _diluted(s_bar: Tensor, present: Tensor, query: nn.Module, key: nn.Module) -> Tensor:
    scores = (key(s_bar) @ query(s_bar.mean(dim=1))[..., None]).squeeze(-1) / s_bar.shape[-1] ** 0.5
    return scores.masked_fill(~present, -torch.inf).softmax(dim=-1)


modality_gate.mistakes = [
    (_no_competition, _NO_COMPETITION),
    (_sharp, _SHARP),
    (_asks_itself, _ASKS_ITSELF),
    (lambda s_bar, present, query, key: modality_gate.solution(s_bar, present, key, query), _SWAPPED),
    (_missing_counts, _MISSING_COUNTS),
    (lambda s_bar, present, query, key: modality_gate.solution(s_bar, present, query, key) * torch.nan, _ONLY_MISSING),
    (_diluted, _DILUTED),
]


@partial(Exercise, "the private code", difficulty=2, importance=3, minutes=10)
def private_code(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    """The mean of the modalities' private summaries, weighted by their private gates: (batch, rank).

    p_bar (batch, modality, rank), present (batch, modality) True or False.
    `score` takes (..., rank) and gives (..., 1).
    """
    eta = score(p_bar).squeeze(-1).sigmoid() * present
    return (eta[..., None] * p_bar).sum(dim=1) / eta.sum(dim=1, keepdim=True)


_SUMMED = "three equal gates must give the plain mean: divide by the sum of the gates"
_COMPETING = "the gates compete: a sigmoid opens each by itself, a softmax does not"
_MISSING_TAKES_PART = "a missing modality takes part: sigmoid(0) is 0.5, so close its gate with `present`"
PRIVATE = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 4.0]]])
TWO = torch.tensor([[True, True, False]])


@private_code.case("equal gates give the plain mean")
def _equal_gates_mean(answer: PrivateCode) -> None:
    result = answer(PRIVATE, ALL, _Dot(0.0, 0.0))
    expect_close(result, PRIVATE.mean(1), _SUMMED)


@private_code.case("each gate is a sigmoid")
def _gates_are_sigmoids(answer: PrivateCode) -> None:
    eta = PRIVATE[..., 0].sigmoid()
    expected = (eta[..., None] * PRIVATE).sum(1) / eta.sum(1, keepdim=True)
    expect_close(answer(PRIVATE, ALL, _Dot(1.0, 0.0)), expected, _COMPETING)


@private_code.case("a missing modality has no effect")
def _missing_has_no_gate(answer: PrivateCode) -> None:
    result = answer(PRIVATE * TWO[..., None], TWO, _Dot(0.0, 0.0))
    expect_close(result, torch.tensor([[0.5, 0.5]]), _MISSING_TAKES_PART)


def _summed(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    eta = score(p_bar).squeeze(-1).sigmoid() * present
    return (eta[..., None] * p_bar).sum(dim=1)


def _competing(p_bar: Tensor, present: Tensor, score: nn.Module) -> Tensor:
    eta = score(p_bar).squeeze(-1).masked_fill(~present, -torch.inf).softmax(dim=-1)
    return (eta[..., None] * p_bar).sum(dim=1)


private_code.mistakes = [
    (_summed, _SUMMED),
    (_competing, _COMPETING),
    (lambda p_bar, present, score: private_code.solution(p_bar, torch.ones_like(present), score), _MISSING_TAKES_PART),
]
