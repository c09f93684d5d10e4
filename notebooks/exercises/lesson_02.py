"""Exercises of lesson 2: a dilated convolution, a residual step, a receptive field, the level tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exercises import Exercise, expect, expect_close

Convolve = Callable[[Tensor, Tensor, int], Tensor]
Encode = Callable[[Tensor], Tensor]
Field = Callable[[Encode, Tensor, int, int], Tensor]
Step = Callable[[Tensor, nn.Module, Tensor], Tensor]
Levels = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


SEQUENCE = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])


@partial(Exercise, "a dilated convolution", difficulty=2, importance=4, minutes=10)
def dilated(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    """out[t] = kernel[0] x[t - dilation] + kernel[1] x[t] + kernel[2] x[t + dilation].

    x has shape (token,), kernel (3,), the result (token,). Beyond both ends, x counts as 0.
    """
    nothing = torch.zeros(dilation)
    longer = torch.cat([nothing, x, nothing])
    out = torch.zeros_like(x)
    for t in range(len(x)):
        out[t] = kernel[0] * longer[t] + kernel[1] * longer[t + dilation] + kernel[2] * longer[t + 2 * dilation]
    return out


_DILATED_SHIFTED = "with the kernel [0, 1, 0] each token should stay as it is: does kernel[1] meet x[t]?"
_DILATED_MIRRORED = "kernel[0] met the right neighbour: your kernel is mirrored"
_DILATED_NARROW = "with dilation 2, kernel[0] should meet the token two steps to the left: is `dilation` used?"
_DILATED_ROUND = (
    "a token at one end met a token of the other end: beyond the ends x counts as 0 (an index below 0 wraps)"
)


@dilated.case("the kernel's middle weight is for the token itself")
def _middle_weight(answer: Convolve) -> None:
    expect_close(answer(SEQUENCE.clone(), torch.tensor([0.0, 1.0, 0.0]), 1), SEQUENCE, _DILATED_SHIFTED)


@dilated.case("the kernel's first weight is for the left neighbour")
def _left_is_left(answer: Convolve) -> None:
    expect_close(answer(SEQUENCE.clone(), torch.tensor([1.0, 0.0, 0.0]), 1)[1:-1], SEQUENCE[:-2], _DILATED_MIRRORED)


@dilated.case("a dilation of 2 skips one token")
def _dilation_is_used(answer: Convolve) -> None:
    expect_close(answer(SEQUENCE.clone(), torch.tensor([1.0, 0.0, 0.0]), 2)[2:-2], SEQUENCE[:-4], _DILATED_NARROW)


@dilated.case("nothing comes from beyond the ends")
def _ends_are_zero(answer: Convolve) -> None:
    result = answer(SEQUENCE.clone(), torch.tensor([1.0, 100.0, 1.0]), 2)
    expected = torch.tensor([4.0, 8.0, 17.0, 34.0, 68.0, 8.0, 16.0])
    expect_close(result, expected + 100 * SEQUENCE, _DILATED_ROUND)


def _dilated_shifted(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    longer = torch.cat([x, torch.zeros(2 * dilation)])
    return sum((kernel[k] * longer[k * dilation :][: len(x)] for k in range(3)), torch.zeros(len(x)))


def _dilated_round(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    return kernel[0] * x.roll(dilation) + kernel[1] * x + kernel[2] * x.roll(-dilation)


dilated.mistakes = [
    (_dilated_shifted, _DILATED_SHIFTED),
    (lambda x, kernel, dilation: dilated.solution(x, kernel.flip(0), dilation), _DILATED_MIRRORED),
    (lambda x, kernel, dilation: dilated.solution(x, kernel, 1), _DILATED_NARROW),
    (_dilated_round, _DILATED_ROUND),
]


ALL = torch.ones(1, 1, 4)
LARGE = torch.full((1, 1, 4), 9.0)
STEP_INPUT = torch.tensor([[[1.0, -2.0, 0.5, 3.0]]])


def _gain(factor: float) -> nn.Conv1d:
    """A convolution that multiplies each token by `factor` and looks at no neighbour."""
    convolution = nn.Conv1d(1, 1, 3, padding=1)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[[0.0, factor, 0.0]]]))
        convolution.bias.zero_()  # type: ignore[union-attr]
    return convolution


@partial(Exercise, "a residual step that keeps padding at zero", difficulty=1, importance=5, minutes=5)
def residual_step(x: Tensor, convolution: nn.Module, real: Tensor) -> Tensor:
    """Add GELU(convolution(x)) to x, and keep padded tokens at 0.

    x has shape (batch, width, token) and is 0 where padded; real has shape (batch, 1, token), 1 or 0.
    """
    return (x + F.gelu(convolution(x))) * real


_STEP_WITHOUT_RESIDUAL = (
    "where the convolution gives 0, x should come out unchanged: is x added, and is `real` 1 for a real token?"
)
_STEP_GELU_OF_SUM = "GELU belongs around the convolution's output, and x is added after it, untouched"
_STEP_WITHOUT_MASK = "a padded token came out different from 0: the convolution's bias fills it, so mask after the sum"


@residual_step.case("a convolution that gives 0 leaves x as it is")
def _input_is_carried(answer: Step) -> None:
    with torch.no_grad():
        result = answer(LARGE.clone(), _gain(0.0), ALL)
    # at +9 GELU is the identity, so a GELU around the sum is left to the next check
    expect_close(result, LARGE, _STEP_WITHOUT_RESIDUAL)


@residual_step.case("GELU acts on the convolution alone")
def _gelu_around_the_convolution(answer: Step) -> None:
    with torch.no_grad():
        result = answer(STEP_INPUT.clone(), _gain(2.0), ALL)
    expect_close(result - STEP_INPUT, F.gelu(2 * STEP_INPUT), _STEP_GELU_OF_SUM)


@residual_step.case("a padded token stays at 0")
def _padding_stays_zero(answer: Step) -> None:
    convolution, real = _gain(0.0), torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    with torch.no_grad():
        convolution.bias.fill_(1.0)  # type: ignore[union-attr]
        result = answer(STEP_INPUT * real, convolution, real)
    expect_close(result[..., 2:], torch.zeros(1, 1, 2), _STEP_WITHOUT_MASK)


residual_step.mistakes = [
    (lambda x, convolution, real: F.gelu(convolution(x)) * real, _STEP_WITHOUT_RESIDUAL),
    (lambda x, convolution, real: F.gelu(x + convolution(x)) * real, _STEP_GELU_OF_SUM),
    (lambda x, convolution, real: x + F.gelu(convolution(x)), _STEP_WITHOUT_MASK),
]


@partial(Exercise, "a receptive field, by gradient", difficulty=3, importance=5, minutes=15)
def receptive_field(encode: nn.Module, tokens: Tensor, level: int, at: int) -> Tensor:
    """Which input tokens can move output token `at` of `level`? True or False for each, shape (token,).

    tokens has shape (1, token, feature); encode(tokens) gives (1, level, token, width).
    """
    inputs = tokens.detach().clone().requires_grad_()
    output = encode(inputs)[0, level, at]
    weights = torch.linspace(1, 2, len(output))
    (gradient,) = torch.autograd.grad((weights * output).sum(), inputs)
    return gradient[0].abs().sum(-1) > 0


_FIELD_ALL_OUTPUTS = "too many inputs: you looked at all output tokens; take only the one at `at`"
_FIELD_FIRST_LEVEL = "this is the field of another level: is `level` the index of axis 1?"
_FIELD_SIGNED = "an input with a negative slope was missed: take the absolute value of the gradient"
_FIELD_SUMMED = "slopes +1 and -1 at two features of one token cancelled: absolute value first, then the sum"
_FIELD_PLAIN_SUM = (
    "the channels of this output always sum to 0, so their plain sum has no slope: "
    "give each channel a weight of its own before you sum"
)


def _field_input() -> Tensor:
    return torch.randn(1, 9, 3)


def _within(at: int, reach: int) -> Tensor:
    return ((torch.arange(9) - at).abs() <= reach).float()


class _Encoder(nn.Module):
    """A function of the tokens as the module that the exercise promises."""

    def __init__(self, function: Encode) -> None:
        super().__init__()
        self.function = function

    def forward(self, tokens: Tensor) -> Tensor:
        return self.function(tokens)


@_Encoder
def _two_levels(tokens: Tensor) -> Tensor:
    """Level 0 copies the token; level 1 adds both neighbours."""
    around = F.pad(tokens, (0, 0, 1, 1))
    return torch.stack([tokens, tokens + around[:, :-2] + around[:, 2:]], dim=1)


@receptive_field.case("only the output token asked for counts")
def _one_output_token(answer: Field) -> None:
    expect_close(answer(_two_levels, _field_input(), 0, 2).float(), _within(2, 0), _FIELD_ALL_OUTPUTS)


@receptive_field.case("only the level asked for counts")
def _one_level(answer: Field) -> None:
    result = answer(_two_levels, _field_input(), 1, 4).float()
    expect_close(result, _within(4, 1), _FIELD_FIRST_LEVEL)


@receptive_field.case("a negative slope moves the output as well")
def _negative_counts(answer: Field) -> None:
    expect_close(answer(_Encoder(lambda x: -x[:, None]), _field_input(), 0, 4).float(), _within(4, 0), _FIELD_SIGNED)


@receptive_field.case("slopes of +1 and -1 at two features do not cancel")
def _features_do_not_cancel(answer: Field) -> None:
    difference = _Encoder(lambda x: (x[..., :1] - x[..., 1:2])[:, None])
    result = answer(difference, _field_input(), 0, 4).float()
    expect_close(result, _within(4, 0), _FIELD_SUMMED)


@receptive_field.case("channels that always sum to 0 are seen")
def _channels_do_not_cancel(answer: Field) -> None:
    # y and -y, so that the sum is 0 exactly; a LayerNorm does the same to all its channels together
    opposites = _Encoder(lambda x: torch.cat([x, -x.flip(-1)], -1)[:, None])
    result = answer(opposites, _field_input(), 0, 4)
    expect_close(result.float(), _within(4, 0), _FIELD_PLAIN_SUM)


def _slopes(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    inputs = tokens.detach().clone().requires_grad_()
    output = encode(inputs)[0, level, at]
    (gradient,) = torch.autograd.grad((torch.linspace(1, 2, len(output)) * output).sum(), inputs)
    return gradient[0]


def _field_all_outputs(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    inputs = tokens.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(encode(inputs)[0, level].sum(), inputs)
    return gradient[0].abs().sum(-1) > 0


def _field_plain_sum(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    inputs = tokens.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(encode(inputs)[0, level, at].sum(), inputs)
    return gradient[0].abs().sum(-1) > 0


receptive_field.mistakes = [
    (_field_all_outputs, _FIELD_ALL_OUTPUTS),
    (lambda encode, tokens, level, at: _slopes(encode, tokens, 0, at).abs().sum(-1) > 0, _FIELD_FIRST_LEVEL),
    (lambda encode, tokens, level, at: (_slopes(encode, tokens, level, at) > 0).any(-1), _FIELD_SIGNED),
    (lambda encode, tokens, level, at: _slopes(encode, tokens, level, at).sum(-1).abs() > 1e-6, _FIELD_SUMMED),
    (_field_plain_sum, _FIELD_PLAIN_SUM),
]


@partial(Exercise, "the tokens of all levels", difficulty=2, importance=4, minutes=10)
def level_tokens(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    """H = GELU(LayerNorm(Z W + P)), each token less its mean, for all levels at once; 0 where the mask is False.

    stages Z: (batch, level, token, width); project W: (level, width, width); place P: (level, token, width);
    mask: (batch, token). H has the shape of Z.
    """
    h = F.gelu(F.layer_norm(stages @ project + place, (stages.shape[-1],)))
    h = h - h.mean(-1, keepdim=True)
    return h * mask[:, None, :, None]


_LEVELS_OVER_ALL = "a large token changed its neighbours: normalise over the width only"
_LEVELS_CENTRED_OVER_TOKENS = (
    "you took the mean over tokens away, and with it content: each token's own mean is over `dim=-1`"
)
_LEVELS_UNCENTRED = "a token's numbers do not have mean 0: after the GELU, take the mean over the width away"
_LEVELS_GELU_FIRST = "LayerNorm first, GELU after it: your result is not GELU(LayerNorm(Z)) less its mean"
_LEVELS_ONE_MAP = "level 1 went through the map of level 0: `stages @ project` picks the right one by broadcasting"
_LEVELS_PLACE_AFTER = "P belongs inside: add it before the LayerNorm"
_LEVELS_UNMASKED = "a padded token is not 0: LayerNorm of P alone is not 0, so multiply by the mask at the end"


def _level_case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Z, W = the identity at both levels, P = 0, nothing masked."""
    return torch.randn(2, 2, 5, 4), torch.eye(4).repeat(2, 1, 1), torch.zeros(2, 5, 4), torch.ones(2, 5).bool()


def _normal(values: Tensor) -> Tensor:
    centred = _centred(values)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(-1, keepdim=True)


@level_tokens.case("each token is normalised by itself")
def _each_token_by_itself(answer: Levels) -> None:
    stages, project, place, mask = _level_case()
    scale = torch.tensor([1.0, 10.0, 1.0, 1.0, 1.0])[:, None]
    result = answer(stages * scale, project, place, mask)
    expect_close(result[:, :, 0], answer(stages, project, place, mask)[:, :, 0], _LEVELS_OVER_ALL)


@level_tokens.case("each token's numbers have mean 0")
def _no_constant_is_left(answer: Levels) -> None:
    result = answer(*_level_case())
    expect(result.mean(-2).abs().max() > 1e-4, _LEVELS_CENTRED_OVER_TOKENS)
    expect_close(result.mean(-1), torch.zeros(2, 2, 5), _LEVELS_UNCENTRED)


@level_tokens.case("GELU comes after the LayerNorm")
def _gelu_comes_last(answer: Levels) -> None:
    stages, project, place, mask = _level_case()
    expect_close(answer(stages, project, place, mask), _centred(F.gelu(_normal(stages))), _LEVELS_GELU_FIRST)


@level_tokens.case("each level has a map of its own")
def _a_map_for_each_level(answer: Levels) -> None:
    stages, project, place, mask = _level_case()
    project[1] = torch.eye(4).roll(1, 0)  # moves each number one place to the left
    expected = _centred(F.gelu(_normal(stages[:, 1].roll(-1, -1))))
    expect_close(answer(stages, project, place, mask)[:, 1], expected, _LEVELS_ONE_MAP)


@level_tokens.case("P is added before the LayerNorm")
def _place_is_inside(answer: Levels) -> None:
    stages, project, place, mask = _level_case()
    place = place + 3 * torch.randn(2, 5, 4)
    expected = _centred(F.gelu(_normal(stages + place)))
    expect_close(answer(stages, project, place, mask), expected, _LEVELS_PLACE_AFTER)


@level_tokens.case("a padded token is 0")
def _masked_is_zero(answer: Levels) -> None:
    stages, project, place, mask = _level_case()
    mask[1, 3:] = False
    place = place + torch.randn(2, 5, 4)
    result = answer(stages * mask[:, None, :, None], project, place, mask)
    expect_close(result[1, :, 3:], torch.zeros(2, 2, 4), _LEVELS_UNMASKED)


def _levels_over_all(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    h = F.gelu(F.layer_norm(stages @ project + place, tuple(stages.shape[-2:])))
    return _centred(h) * mask[:, None, :, None]


def _levels_uncentred(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return F.gelu(F.layer_norm(stages @ project + place, (stages.shape[-1],))) * mask[:, None, :, None]


def _levels_centred_over_tokens(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    h = F.gelu(F.layer_norm(stages @ project + place, (stages.shape[-1],)))
    return (h - h.mean(-2, keepdim=True)) * mask[:, None, :, None]


def _levels_gelu_first(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return F.layer_norm(F.gelu(stages @ project + place), (stages.shape[-1],)) * mask[:, None, :, None]


def _levels_place_after(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return _centred(F.gelu(F.layer_norm(stages @ project, (stages.shape[-1],)) + place)) * mask[:, None, :, None]


def _levels_unmasked(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return level_tokens.solution(stages, project, place, torch.ones_like(mask))


level_tokens.mistakes = [
    (_levels_over_all, _LEVELS_OVER_ALL),
    (_levels_uncentred, _LEVELS_UNCENTRED),
    (_levels_centred_over_tokens, _LEVELS_CENTRED_OVER_TOKENS),
    (_levels_gelu_first, _LEVELS_GELU_FIRST),
    (lambda stages, project, place, mask: level_tokens.solution(stages, project[:1], place, mask), _LEVELS_ONE_MAP),
    (_levels_place_after, _LEVELS_PLACE_AFTER),
    (_levels_unmasked, _LEVELS_UNMASKED),
]
