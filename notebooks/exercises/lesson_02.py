"""Exercises of lesson 2: a dilated convolution, a residual step, a receptive field, the level tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exercises import Exercise, expect_close

Convolve = Callable[[Tensor, Tensor, int], Tensor]
Encode = Callable[[Tensor], Tensor]
Field = Callable[[Encode, Tensor, int, int], Tensor]
Step = Callable[[Tensor, nn.Module, Tensor], Tensor]
Levels = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


# --- dilated ----------------------------------------------------------------------------------------------------

SEQUENCE = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])


def dilated_stub(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    """out[t] = kernel[0] x[t - dilation] + kernel[1] x[t] + kernel[2] x[t + dilation].

    x has shape (token,), kernel (3,), the result (token,). Beyond both ends, x counts as 0.
    """
    raise NotImplementedError


def dilated_solution(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    """out[t] = kernel[0] x[t - dilation] + kernel[1] x[t] + kernel[2] x[t + dilation].

    x has shape (token,), kernel (3,), the result (token,). Beyond both ends, x counts as 0.
    """
    nothing = torch.zeros(dilation)
    longer = torch.cat([nothing, x, nothing])
    out = torch.zeros_like(x)
    for t in range(len(x)):
        out[t] = kernel[0] * longer[t] + kernel[1] * longer[t + dilation] + kernel[2] * longer[t + 2 * dilation]
    return out


def _middle_weight(dilated: Convolve) -> None:
    """the kernel's middle weight is for the token itself"""
    message = "with the kernel [0, 1, 0] each token should stay as it is: does kernel[1] meet x[t]?"
    expect_close(dilated(SEQUENCE.clone(), torch.tensor([0.0, 1.0, 0.0]), 1), SEQUENCE, message)


def _left_is_left(dilated: Convolve) -> None:
    """the kernel's first weight is for the left neighbour"""
    message = "kernel[0] met the right neighbour: your kernel is mirrored"
    expect_close(dilated(SEQUENCE.clone(), torch.tensor([1.0, 0.0, 0.0]), 1)[1:-1], SEQUENCE[:-2], message)


def _dilation_is_used(dilated: Convolve) -> None:
    """a dilation of 2 skips one token"""
    message = "with dilation 2, kernel[0] should meet the token two steps to the left: is `dilation` used?"
    expect_close(dilated(SEQUENCE.clone(), torch.tensor([1.0, 0.0, 0.0]), 2)[2:-2], SEQUENCE[:-4], message)


def _ends_are_zero(dilated: Convolve) -> None:
    """nothing comes from beyond the ends"""
    message = "a token at one end met a token of the other end: beyond the ends x counts as 0 (an index below 0 wraps)"
    found = dilated(SEQUENCE.clone(), torch.tensor([1.0, 0.0, 1.0]), 2)
    expected = torch.tensor([4.0, 8.0, 17.0, 34.0, 68.0, 8.0, 16.0])
    expect_close(found, expected, message)


def _dilated_shifted(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    longer = torch.cat([x, torch.zeros(2 * dilation)])
    return sum((kernel[k] * longer[k * dilation :][: len(x)] for k in range(3)), torch.zeros(len(x)))


def _dilated_mirrored(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    return dilated_solution(x, kernel.flip(0), dilation)


def _dilated_narrow(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    return dilated_solution(x, kernel, 1)


def _dilated_round(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    return kernel[0] * x.roll(dilation) + kernel[1] * x + kernel[2] * x.roll(-dilation)


dilated = Exercise(
    title="a dilated convolution",
    difficulty=2,
    importance=4,
    minutes=10,
    stub=dilated_stub,
    solution=dilated_solution,
    checks=[_middle_weight, _left_is_left, _dilation_is_used, _ends_are_zero],
    mistakes=[
        (_dilated_shifted, "with the kernel [0, 1, 0] each token should stay as it is: does kernel[1] meet x[t]?"),
        (_dilated_mirrored, "kernel[0] met the right neighbour: your kernel is mirrored"),
        (
            _dilated_narrow,
            "with dilation 2, kernel[0] should meet the token two steps to the left: is `dilation` used?",
        ),
        (
            _dilated_round,
            "a token at one end met a token of the other end: beyond the ends x counts as 0 (an index below 0 wraps)",
        ),
    ],
)


# --- residual_step ----------------------------------------------------------------------------------------------

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


def residual_step_stub(x: Tensor, convolution: nn.Module, real: Tensor) -> Tensor:
    """Add GELU(convolution(x)) to x, and keep padded tokens at 0.

    x has shape (batch, width, token) and is 0 where padded; real has shape (batch, 1, token), 1 or 0.
    """
    raise NotImplementedError


def residual_step_solution(x: Tensor, convolution: nn.Module, real: Tensor) -> Tensor:
    """Add GELU(convolution(x)) to x, and keep padded tokens at 0.

    x has shape (batch, width, token) and is 0 where padded; real has shape (batch, 1, token), 1 or 0.
    """
    return (x + F.gelu(convolution(x))) * real


def _input_is_carried(residual_step: Step) -> None:
    """a convolution that says nothing leaves x as it is"""
    with torch.no_grad():
        found = residual_step(LARGE.clone(), _gain(0.0), ALL)
    # at +9 GELU is the identity, so a GELU around the sum is left to the next check
    expect_close(found, LARGE, "where the convolution gives 0, x should come out unchanged: is x added?")


def _gelu_around_the_convolution(residual_step: Step) -> None:
    """GELU acts on the convolution alone"""
    with torch.no_grad():
        found = residual_step(STEP_INPUT.clone(), _gain(2.0), ALL)
    message = "GELU belongs around the convolution's output, and x is added after it, untouched"
    expect_close(found - STEP_INPUT, F.gelu(2 * STEP_INPUT), message)


def _padding_stays_zero(residual_step: Step) -> None:
    """a padded token stays at 0"""
    convolution, real = _gain(0.0), torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    with torch.no_grad():
        convolution.bias.fill_(1.0)  # type: ignore[union-attr]
        found = residual_step(STEP_INPUT * real, convolution, real)
    message = "a padded token came out different from 0: the convolution's bias fills it, so mask after the sum"
    expect_close(found[..., 2:], torch.zeros(1, 1, 2), message)


def _step_without_residual(x: Tensor, convolution: nn.Module, real: Tensor) -> Tensor:
    return F.gelu(convolution(x)) * real


def _step_gelu_of_sum(x: Tensor, convolution: nn.Module, real: Tensor) -> Tensor:
    return F.gelu(x + convolution(x)) * real


def _step_without_mask(x: Tensor, convolution: nn.Module, real: Tensor) -> Tensor:
    return x + F.gelu(convolution(x))


residual_step = Exercise(
    title="a residual step that keeps padding at zero",
    difficulty=1,
    importance=5,
    minutes=5,
    stub=residual_step_stub,
    solution=residual_step_solution,
    checks=[_input_is_carried, _gelu_around_the_convolution, _padding_stays_zero],
    mistakes=[
        (_step_without_residual, "where the convolution gives 0, x should come out unchanged: is x added?"),
        (_step_gelu_of_sum, "GELU belongs around the convolution's output, and x is added after it, untouched"),
        (
            _step_without_mask,
            "a padded token came out different from 0: the convolution's bias fills it, so mask after the sum",
        ),
    ],
)


# --- receptive_field --------------------------------------------------------------------------------------------


def receptive_field_stub(encode: nn.Module, tokens: Tensor, level: int, at: int) -> Tensor:
    """Which input tokens can move output token `at` of `level`? True or False for each, shape (token,).

    tokens has shape (1, token, feature); encode(tokens) gives (1, level, token, width).
    """
    raise NotImplementedError


def receptive_field_solution(encode: nn.Module, tokens: Tensor, level: int, at: int) -> Tensor:
    """Which input tokens can move output token `at` of `level`? True or False for each, shape (token,).

    tokens has shape (1, token, feature); encode(tokens) gives (1, level, token, width).
    """
    inputs = tokens.detach().clone().requires_grad_()
    output = encode(inputs)[0, level, at]
    weights = torch.linspace(1, 2, len(output))
    (gradient,) = torch.autograd.grad((weights * output).sum(), inputs)
    return gradient[0].abs().sum(-1) > 0


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


def _one_output_token(receptive_field: Field) -> None:
    """only the output token asked for counts"""
    message = "too many inputs: you looked at all output tokens; take only the one at `at`"
    expect_close(receptive_field(_two_levels, _field_input(), 0, 2).float(), _within(2, 0), message)


def _one_level(receptive_field: Field) -> None:
    """only the level asked for counts"""
    message = "this is the field of another level: is `level` the index of axis 1?"
    found = receptive_field(_two_levels, _field_input(), 1, 4).float()
    expect_close(found, _within(4, 1), message)


def _negative_counts(receptive_field: Field) -> None:
    """a negative slope moves the output as well"""
    message = "an input with a negative slope was missed: take the absolute value of the gradient"
    expect_close(receptive_field(_Encoder(lambda x: -x[:, None]), _field_input(), 0, 4).float(), _within(4, 0), message)


def _features_do_not_cancel(receptive_field: Field) -> None:
    """slopes of +1 and -1 at two features do not cancel"""
    message = "slopes +1 and -1 at two features of one token cancelled: absolute value first, then the sum"
    difference = _Encoder(lambda x: (x[..., :1] - x[..., 1:2])[:, None])
    found = receptive_field(difference, _field_input(), 0, 4).float()
    expect_close(found, _within(4, 0), message)


def _channels_do_not_cancel(receptive_field: Field) -> None:
    """channels that always sum to 0 are seen"""
    message = (
        "the channels of this output always sum to 0, so their plain sum has no slope: "
        "give each channel a weight of its own before you sum"
    )
    # y and -y, so that the sum is 0 exactly; a LayerNorm does the same to all its channels together
    opposites = _Encoder(lambda x: torch.cat([x, -x.flip(-1)], -1)[:, None])
    found = receptive_field(opposites, _field_input(), 0, 4)
    expect_close(found.float(), _within(4, 0), message)


def _slopes(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    inputs = tokens.detach().clone().requires_grad_()
    output = encode(inputs)[0, level, at]
    (gradient,) = torch.autograd.grad((torch.linspace(1, 2, len(output)) * output).sum(), inputs)
    return gradient[0]


def _field_all_outputs(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    inputs = tokens.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(encode(inputs)[0, level].sum(), inputs)
    return gradient[0].abs().sum(-1) > 0


def _field_first_level(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    return _slopes(encode, tokens, 0, at).abs().sum(-1) > 0


def _field_signed(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    return (_slopes(encode, tokens, level, at) > 0).any(-1)


def _field_summed(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    return _slopes(encode, tokens, level, at).sum(-1).abs() > 1e-6


def _field_plain_sum(encode: Encode, tokens: Tensor, level: int, at: int) -> Tensor:
    inputs = tokens.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(encode(inputs)[0, level, at].sum(), inputs)
    return gradient[0].abs().sum(-1) > 0


receptive_field = Exercise(
    title="a receptive field, by gradient",
    difficulty=3,
    importance=5,
    minutes=15,
    stub=receptive_field_stub,
    solution=receptive_field_solution,
    checks=[_one_output_token, _one_level, _negative_counts, _features_do_not_cancel, _channels_do_not_cancel],
    mistakes=[
        (_field_all_outputs, "too many inputs: you looked at all output tokens; take only the one at `at`"),
        (_field_first_level, "this is the field of another level: is `level` the index of axis 1?"),
        (_field_signed, "an input with a negative slope was missed: take the absolute value of the gradient"),
        (
            _field_summed,
            "slopes +1 and -1 at two features of one token cancelled: absolute value first, then the sum",
        ),
        (
            _field_plain_sum,
            "the channels of this output always sum to 0, so their plain sum has no slope: "
            "give each channel a weight of its own before you sum",
        ),
    ],
)


# --- level_tokens -----------------------------------------------------------------------------------------------


def level_tokens_stub(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    """H = GELU(LayerNorm(Z W + P)) for all levels at once, 0 where the mask is False.

    stages Z: (batch, level, token, width); project W: (level, width, width); place P: (level, token, width);
    mask: (batch, token). H has the shape of Z.
    """
    raise NotImplementedError


def level_tokens_solution(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    """H = GELU(LayerNorm(Z W + P)) for all levels at once, 0 where the mask is False.

    stages Z: (batch, level, token, width); project W: (level, width, width); place P: (level, token, width);
    mask: (batch, token). H has the shape of Z.
    """
    h = F.layer_norm(stages @ project + place, (stages.shape[-1],))
    return F.gelu(h) * mask[:, None, :, None]


def _level_case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Z, W = the identity at both levels, P = 0, nothing masked."""
    return torch.randn(2, 2, 5, 4), torch.eye(4).repeat(2, 1, 1), torch.zeros(2, 5, 4), torch.ones(2, 5).bool()


def _normal(values: Tensor) -> Tensor:
    centered = values - values.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def _each_token_by_itself(level_tokens: Levels) -> None:
    """each token is normalised by itself"""
    stages, project, place, mask = _level_case()
    scale = torch.tensor([1.0, 10.0, 1.0, 1.0, 1.0])[:, None]
    message = "a large token changed its neighbours: normalise over the width only"
    found = level_tokens(stages * scale, project, place, mask)
    expect_close(found[:, :, 0], level_tokens(stages, project, place, mask)[:, :, 0], message)


def _gelu_comes_last(level_tokens: Levels) -> None:
    """GELU comes after the LayerNorm"""
    stages, project, place, mask = _level_case()
    message = "LayerNorm first, GELU after it: your result is not GELU(LayerNorm(Z))"
    expect_close(level_tokens(stages, project, place, mask), F.gelu(_normal(stages)), message)


def _a_map_for_each_level(level_tokens: Levels) -> None:
    """each level has a map of its own"""
    stages, project, place, mask = _level_case()
    project[1] = torch.eye(4).flip(0)
    message = "level 1 went through the map of level 0: `stages @ project` picks the right one by broadcasting"
    expected = F.gelu(_normal(stages[:, 1].flip(-1)))
    expect_close(level_tokens(stages, project, place, mask)[:, 1], expected, message)


def _place_is_inside(level_tokens: Levels) -> None:
    """P is added before the LayerNorm"""
    stages, project, place, mask = _level_case()
    place = place + 3 * torch.randn(2, 5, 4)
    message = "P belongs inside: add it before the LayerNorm"
    expect_close(level_tokens(stages, project, place, mask), F.gelu(_normal(stages + place)), message)


def _masked_is_zero(level_tokens: Levels) -> None:
    """a padded token is 0"""
    stages, project, place, mask = _level_case()
    mask[1, 3:] = False
    message = "a padded token is not 0: LayerNorm of P alone is not 0, so multiply by the mask at the end"
    place = place + torch.randn(2, 5, 4)
    found = level_tokens(stages * mask[:, None, :, None], project, place, mask)
    expect_close(found[1, :, 3:], torch.zeros(2, 2, 4), message)


def _levels_over_all(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return F.gelu(F.layer_norm(stages @ project + place, tuple(stages.shape[-2:]))) * mask[:, None, :, None]


def _levels_gelu_first(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return F.layer_norm(F.gelu(stages @ project + place), (stages.shape[-1],)) * mask[:, None, :, None]


def _levels_one_map(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return level_tokens_solution(stages, project[:1], place, mask)


def _levels_place_after(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return F.gelu(F.layer_norm(stages @ project, (stages.shape[-1],)) + place) * mask[:, None, :, None]


def _levels_unmasked(stages: Tensor, project: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    return level_tokens_solution(stages, project, place, torch.ones_like(mask))


level_tokens = Exercise(
    title="the tokens of all levels",
    difficulty=2,
    importance=4,
    minutes=10,
    stub=level_tokens_stub,
    solution=level_tokens_solution,
    checks=[_each_token_by_itself, _gelu_comes_last, _a_map_for_each_level, _place_is_inside, _masked_is_zero],
    mistakes=[
        (_levels_over_all, "a large token changed its neighbours: normalise over the width only"),
        (_levels_gelu_first, "LayerNorm first, GELU after it: your result is not GELU(LayerNorm(Z))"),
        (
            _levels_one_map,
            "level 1 went through the map of level 0: `stages @ project` picks the right one by broadcasting",
        ),
        (_levels_place_after, "P belongs inside: add it before the LayerNorm"),
        (
            _levels_unmasked,
            "a padded token is not 0: LayerNorm of P alone is not 0, so multiply by the mask at the end",
        ),
    ],
)
