"""Exercises of lesson 5: attention with masks, heads, the exchange, and unfunded queries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Received = dict[str, Tensor]
Exchanging = Callable[[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], Attend], Received]
Skipping = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]


@partial(Exercise, "attention with a mask", difficulty=2, importance=5, minutes=10)
def attend(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    """What each query receives: (query, width); zeros if no token may be listened to.

    query (query, width), key and value (other, width), key_mask (other,) True or False.
    """
    if not key_mask.any():
        return torch.zeros(len(query), value.shape[-1])
    logits = query @ key.T / query.shape[-1] ** 0.5
    weights = logits.masked_fill(~key_mask, -torch.inf).softmax(dim=-1)
    return weights @ value


_NO_SOFTMAX = "with one token to listen to, its value must come back as it is: is there a softmax?"
_SOFTMAX_OVER_QUERIES = "the weights of one query do not sum to 1: the softmax runs over the other tokens, `dim=-1`"
_UNSCALED = "the weights are too sharp or too flat: divide the scores by the root of the width, 4"
_UNMASKED = "a token that may not be listened to changes the result: use `key_mask`"
_MASKED_AFTER = "the weights of the other tokens no longer sum to 1: mask the scores before the softmax"
_INVERTED = "the mask was taken the wrong way round: `key_mask` is True where a token may be listened to"
_NAN_FOR_NOBODY = "a softmax over -inf alone is nan: treat the case without any token to listen to apart"
_LARGE_NEGATIVE = "no token may be listened to, yet something is received: equally low scores are equal weights"


@attend.case("a single key gets all the weight")
def _one_voice(answer: Attend) -> None:
    value = torch.tensor([[3.0, -1.0]])
    result = answer(torch.tensor([[2.0, 0.5]]), torch.tensor([[1.0, 1.0]]), value, torch.tensor([True]))
    expect_close(result, value, _NO_SOFTMAX)


@attend.case("two equal keys share each query's weight in halves")
def _rows_sum_to_one(answer: Attend) -> None:
    query, value = torch.tensor([[1.0, 0.0], [3.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    result = answer(query, torch.ones(2, 2), value, torch.tensor([True, True]))
    expect_close(result, torch.tensor([[1.0, 2.0], [1.0, 2.0]]), _SOFTMAX_OVER_QUERIES)


@attend.case("scores are divided by the root of the width")
def _scaled(answer: Attend) -> None:
    query, key = torch.tensor([[2.0, 0.0, 0.0, 0.0]]), torch.eye(4)[:2]
    result = answer(query, key, torch.eye(4)[:2], torch.tensor([True, True]))
    share = torch.tensor(1.0).sigmoid()  # softmax of 2 / sqrt(4) and 0
    expected = torch.stack([share, 1 - share, torch.tensor(0.0), torch.tensor(0.0)])[None]
    expect_close(result, expected, _UNSCALED)


@attend.case("what lies under the mask does not matter")
def _unheard_is_silent(answer: Attend) -> None:
    query, key_mask = torch.tensor([[1.0, 0.0]]), torch.tensor([True, False, True])
    key = torch.tensor([[1.0, 0.0], [5.0, 0.0], [0.0, 1.0]])
    value = torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]])
    wild = torch.tensor([[1.0, 0.0], [-30.0, 30.0], [0.0, 1.0]])
    first = answer(query, key, value, key_mask)
    expect_close(answer(query, key, wild, key_mask), first, _UNMASKED)
    expect_close(first.sum(), 1.0, _MASKED_AFTER)


@attend.case("without a token to listen to, nothing is received")
def _nobody_speaks(answer: Attend) -> None:
    result = answer(torch.ones(2, 2), torch.ones(3, 2), torch.ones(3, 2), torch.zeros(3, dtype=torch.bool))
    expect(torch.as_tensor(result).isfinite().all(), _NAN_FOR_NOBODY)
    expect_close(result, torch.zeros(2, 2), _LARGE_NEGATIVE)


def _softmax_over_queries(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    logits = query @ key.T / query.shape[-1] ** 0.5
    return logits.masked_fill(~key_mask, -torch.inf).softmax(dim=0) @ value


def _unscaled(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    return (query @ key.T).masked_fill(~key_mask, -torch.inf).softmax(dim=-1) @ value


def _masked_after(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    return ((query @ key.T / query.shape[-1] ** 0.5).softmax(dim=-1) * key_mask) @ value


def _nan_for_nobody(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    logits = query @ key.T / query.shape[-1] ** 0.5
    return logits.masked_fill(~key_mask, -torch.inf).softmax(dim=-1) @ value


def _inverted(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    logits = query @ key.T / query.shape[-1] ** 0.5
    return logits.masked_fill(key_mask, -torch.inf).softmax(dim=-1) @ value


def _large_negative(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
    logits = query @ key.T / query.shape[-1] ** 0.5
    return logits.masked_fill(~key_mask, -1e9).softmax(dim=-1) @ value


attend.mistakes = [
    (lambda query, key, value, key_mask: (query @ key.T / query.shape[-1] ** 0.5 * key_mask) @ value, _NO_SOFTMAX),
    (_softmax_over_queries, _SOFTMAX_OVER_QUERIES),
    (_unscaled, _UNSCALED),
    (lambda query, key, value, key_mask: (query @ key.T / query.shape[-1] ** 0.5).softmax(dim=-1) @ value, _UNMASKED),
    (_masked_after, _MASKED_AFTER),
    (_inverted, _INVERTED),
    (_nan_for_nobody, _NAN_FOR_NOBODY),
    (_large_negative, _LARGE_NEGATIVE),
]


@partial(Exercise, "cut the coordinates into heads", difficulty=2, importance=3, minutes=5)
def split_heads(x: Tensor, heads: int) -> Tensor:
    """Cut the coordinates into heads. In: (token, rank). Out: (head, token, rank / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(0, 1)


_NO_TRANSPOSE = "your axes are {}; head first, then token: (3, 2, 2). Is a `transpose` missing?"
_RESHAPED = "a head holds one token twice and another never: cut the last axis first, then move it"
_STRIDED = "the first head has every third coordinate instead of the first two: unflatten to (heads, -1)"
SIX = torch.arange(12.0).reshape(2, 6)


@split_heads.case("the axes are head, token, coordinate")
def _head_is_first(answer: Callable[[Tensor, int], Tensor]) -> None:
    result = answer(SIX, 3)
    expect(result.ndim == 3, f"your result has {result.ndim} axes; (head, token, rank / heads) has 3")
    expect(result.shape == (3, 2, 2), _NO_TRANSPOSE.format(tuple(result.shape)))


@split_heads.case("each head sees every token")
def _tokens_stay_whole(answer: Callable[[Tensor, int], Tensor]) -> None:
    result = answer(SIX, 3)
    expect((result[:, 0] < 6).all() and (result[:, 1] >= 6).all(), _RESHAPED)


@split_heads.case("the first head has the first coordinates")
def _neighbours_stay_together(answer: Callable[[Tensor, int], Tensor]) -> None:
    expect_close(answer(SIX, 3)[0], torch.tensor([[0.0, 1.0], [6.0, 7.0]]), _STRIDED)


split_heads.mistakes = [
    (lambda x, heads: x.unflatten(-1, (heads, -1)), _NO_TRANSPOSE.format((2, 3, 2))),
    (lambda x, heads: x.reshape(heads, x.shape[0], -1), _RESHAPED),
    (lambda x, heads: x.unflatten(-1, (-1, heads)).permute(2, 0, 1), _STRIDED),
]


@partial(Exercise, "the exchange between modalities", difficulty=3, importance=5, minutes=15)
def exchange(
    shared: dict[str, Tensor],
    masks: dict[str, Tensor],
    allocation: dict[str, Tensor],
    attend: Callable[..., Tensor],
) -> dict[str, Tensor]:
    """What each modality's tokens receive from the others: by modality, (token, rank).

    shared (token, rank), masks (token,) and allocation (token,) are by modality.
    `attend(query, key, value, key_mask)` is the function of the first exercise.
    """
    received = {}
    for m, query in shared.items():
        others = [n for n in shared if n != m]
        voices = torch.cat([shared[n] for n in others])
        key_mask = torch.cat([masks[n] for n in others])
        received[m] = allocation[m][:, None] * attend(query, voices, voices, key_mask)
    return received


_HEARS_ITSELF = "with one token each, a must receive b's token and nothing else: leave out the modality's own tokens"
_SOFTMAX_EACH = "each of the others got a softmax of its own: join their tokens first, and attend once"
_MASKLESS = "a padded token is listened to: pass the others' masks on"
_SHARELESS = "the allocation has no effect: multiply by it"
_SPEAKER_PAYS = "the speaker's share scales what is received; the share belongs to the token that listens"


def _everyone(shared: dict[str, Tensor], share: float = 1.0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    masks = {m: torch.ones(len(x), dtype=torch.bool) for m, x in shared.items()}
    return masks, {m: torch.full((len(x),), share) for m, x in shared.items()}


@exchange.case("nobody listens to itself")
def _nobody_hears_itself(answer: Exchanging) -> None:
    shared = {"a": torch.tensor([[1.0, 0.0]]), "b": torch.tensor([[0.0, 2.0]])}
    result = answer(shared, *_everyone(shared), attend.solution)
    expect_close(result["a"], shared["b"], _HEARS_ITSELF)


@exchange.case("the others' tokens compete in one softmax")
def _voices_compete(answer: Exchanging) -> None:
    shared = {"a": torch.zeros(1, 2), "b": torch.tensor([[3.0, 0.0]]), "c": torch.tensor([[0.0, 3.0]] * 2)}
    result = answer(shared, *_everyone(shared), attend.solution)["a"]
    expect_close(result, torch.tensor([[1.0, 2.0]]), _SOFTMAX_EACH)


@exchange.case("padded tokens of the others are not listened to")
def _padding_is_silent(answer: Exchanging) -> None:
    shared = {"a": torch.zeros(1, 2), "b": torch.tensor([[1.0, 0.0], [0.0, 8.0]])}
    masks, allocation = _everyone(shared)
    masks["b"] = torch.tensor([True, False])
    result = answer(shared, masks, allocation, attend.solution)["a"]
    expect_close(result, torch.tensor([[1.0, 0.0]]), _MASKLESS)


@exchange.case("the allocation scales what its own token receives")
def _listener_pays(answer: Exchanging) -> None:
    shared = {"a": torch.zeros(2, 2), "b": torch.tensor([[2.0, 4.0]])}
    masks, allocation = _everyone(shared)
    allocation = {"a": torch.tensor([0.5, 0.0]), "b": torch.tensor([0.25])}
    result = answer(shared, masks, allocation, attend.solution)["a"]
    expect(not torch.allclose(result, shared["b"].expand(2, 2)), _SHARELESS)
    expect_close(result, torch.tensor([[1.0, 2.0], [0.0, 0.0]]), _SPEAKER_PAYS)


def _hears_itself(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    voices, key_mask = torch.cat([*shared.values()]), torch.cat([*masks.values()])
    return {m: allocation[m][:, None] * attend(x, voices, voices, key_mask) for m, x in shared.items()}


def _softmax_each(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    def from_all(m: str) -> Tensor:
        return torch.stack([attend(shared[m], shared[n], shared[n], masks[n]) for n in shared if n != m]).sum(0)

    return {m: allocation[m][:, None] * from_all(m) for m in shared}


def _maskless(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    return exchange.solution(shared, {m: torch.ones_like(mask) for m, mask in masks.items()}, allocation, attend)


def _shareless(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    return exchange.solution(shared, masks, {m: torch.ones_like(a) for m, a in allocation.items()}, attend)


def _speaker_pays(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    received = {}
    for m, query in shared.items():
        others = [n for n in shared if n != m]
        key = torch.cat([shared[n] for n in others])
        value = torch.cat([allocation[n][:, None] * shared[n] for n in others])
        received[m] = attend(query, key, value, torch.cat([masks[n] for n in others]))
    return received


exchange.mistakes = [
    (_hears_itself, _HEARS_ITSELF),
    (_softmax_each, _SOFTMAX_EACH),
    (_maskless, _MASKLESS),
    (_shareless, _SHARELESS),
    (_speaker_pays, _SPEAKER_PAYS),
]


@partial(Exercise, "compute the funded queries only", difficulty=3, importance=3, minutes=10)
def funded_only(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    """The same as allocation[:, None] * listen(query), from the funded queries alone.

    query (token, rank), allocation (token,). `listen` takes and gives (any number, rank).
    """
    funded = allocation > 0
    received = torch.zeros_like(query)
    received[funded] = allocation[funded, None] * listen(query[funded])
    return received


_ROWS_LOST = "4 tokens went in and {} came out: an unfunded token receives zeros, it does not vanish"
_NOT_SCALED = "the funded rows are not scaled: multiply what a token receives by its share"
_ABOVE_A_HALF = "a token with a small share got nothing: every share above 0 is funded"
_COMPUTES_ALL = "the result is right, but nothing is saved: `listen` was called with {} queries, and 2 are funded"
SHARES = torch.tensor([0.3, 0.0, 1.0, 0.0])
QUERIES = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


def _plus_one(x: Tensor) -> Tensor:
    return x + 1


@funded_only.case("every token keeps its row")
def _every_token_has_a_row(answer: Skipping) -> None:
    rows = len(answer(QUERIES, SHARES, _plus_one))
    expect(rows == 4, _ROWS_LOST.format(rows))


@funded_only.case("the result is the same as without skipping")
def _same_numbers(answer: Skipping) -> None:
    result = answer(QUERIES, SHARES, _plus_one)
    expect(not torch.allclose(result[0], QUERIES[0] + 1), _NOT_SCALED)
    expect(result[0].abs().sum() > 0, _ABOVE_A_HALF)
    expect_close(result, SHARES[:, None] * (QUERIES + 1), "the result differs from the one without skipping")


@funded_only.case("`listen` sees the funded queries only")
def _saves_work(answer: Skipping) -> None:
    seen: list[int] = []

    def listen(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x + 1

    answer(QUERIES, SHARES, listen)
    expect(sum(seen) == 2, _COMPUTES_ALL.format(sum(seen)))


def _rows_lost(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    funded = allocation > 0
    return allocation[funded, None] * listen(query[funded])


def _not_scaled(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    received = torch.zeros_like(query)
    received[allocation > 0] = listen(query[allocation > 0])
    return received


def _above_a_half(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    return funded_only.solution(query, allocation * (allocation > 0.5), listen)


funded_only.mistakes = [
    (_rows_lost, _ROWS_LOST.format(2)),
    (_not_scaled, _NOT_SCALED),
    (_above_a_half, _ABOVE_A_HALF),
    (lambda query, allocation, listen: allocation[:, None] * listen(query), _COMPUTES_ALL.format(4)),
]
