"""Exercises of lesson 5: attention with masks, heads, the exchange, and unfunded queries."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Received = dict[str, Tensor]
Exchanging = Callable[[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], Attend], Received]
Skipping = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]


# --- attend -----------------------------------------------------------------------------------------------------


def attend_stub(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    """What each query receives: (query, width); all zeros where nobody is heard.

    query (query, width), key and value (other, width), heard (other,) True or False.
    """
    raise NotImplementedError


def attend_solution(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    """What each query receives: (query, width); all zeros where nobody is heard.

    query (query, width), key and value (other, width), heard (other,) True or False.
    """
    if not heard.any():
        return torch.zeros(len(query), value.shape[-1])
    logits = query @ key.T / query.shape[-1] ** 0.5
    weights = logits.masked_fill(~heard, -torch.inf).softmax(dim=-1)
    return weights @ value


def _one_voice(attend: Attend) -> None:
    """a single voice is heard in full"""
    value = torch.tensor([[3.0, -1.0]])
    got = attend(torch.tensor([[2.0, 0.5]]), torch.tensor([[1.0, 1.0]]), value, torch.tensor([True]))
    expect_close(got, value, "with one token to listen to, its value must come back as it is: is there a softmax?")


def _rows_sum_to_one(attend: Attend) -> None:
    """two equal keys share each query's weight in halves"""
    query, value = torch.tensor([[1.0, 0.0], [3.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    got = attend(query, torch.ones(2, 2), value, torch.tensor([True, True]))
    message = "the weights of one query do not sum to 1: the softmax runs over the other tokens, `dim=-1`"
    expect_close(got, torch.tensor([[1.0, 2.0], [1.0, 2.0]]), message)


def _scaled(attend: Attend) -> None:
    """scores are divided by the root of the width"""
    query, key = torch.tensor([[2.0, 0.0, 0.0, 0.0]]), torch.eye(4)[:2]
    got = attend(query, key, torch.eye(4)[:2], torch.tensor([True, True]))
    share = torch.tensor(1.0).sigmoid()  # softmax of 2 / sqrt(4) and 0
    wanted = torch.stack([share, 1 - share, torch.tensor(0.0), torch.tensor(0.0)])[None]
    expect_close(got, wanted, "the weights are too sharp or too flat: divide the scores by the root of the width, 4")


def _unheard_is_silent(attend: Attend) -> None:
    """what lies under the mask does not matter"""
    query, heard = torch.tensor([[1.0, 0.0]]), torch.tensor([True, False, True])
    key = torch.tensor([[1.0, 0.0], [5.0, 0.0], [0.0, 1.0]])
    value = torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]])
    wild = torch.tensor([[1.0, 0.0], [-30.0, 30.0], [0.0, 1.0]])
    first = attend(query, key, value, heard)
    message = "a token that is not heard changes the result: use `heard`"
    expect_close(attend(query, key, wild, heard), first, message)
    message = "the weights of the heard tokens no longer sum to 1: mask the scores before the softmax"
    expect_close(first.sum(), 1.0, message)


def _nobody_speaks(attend: Attend) -> None:
    """nobody is heard: nothing is received"""
    got = attend(torch.ones(2, 2), torch.ones(3, 2), torch.ones(3, 2), torch.zeros(3, dtype=torch.bool))
    expect(torch.as_tensor(got).isfinite().all(), "a softmax over nothing but -inf is nan: treat 'nobody speaks' apart")
    message = "nobody speaks, yet something is received: all scores equally low means that all are let in"
    expect_close(got, torch.zeros(2, 2), message)


def _no_softmax(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    return (query @ key.T / query.shape[-1] ** 0.5 * heard) @ value


def _softmax_over_queries(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    logits = query @ key.T / query.shape[-1] ** 0.5
    return logits.masked_fill(~heard, -torch.inf).softmax(dim=0) @ value


def _unscaled(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    return (query @ key.T).masked_fill(~heard, -torch.inf).softmax(dim=-1) @ value


def _unmasked(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    return (query @ key.T / query.shape[-1] ** 0.5).softmax(dim=-1) @ value


def _masked_after(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    return ((query @ key.T / query.shape[-1] ** 0.5).softmax(dim=-1) * heard) @ value


def _nan_for_nobody(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    logits = query @ key.T / query.shape[-1] ** 0.5
    return logits.masked_fill(~heard, -torch.inf).softmax(dim=-1) @ value


def _large_negative(query: Tensor, key: Tensor, value: Tensor, heard: Tensor) -> Tensor:
    logits = query @ key.T / query.shape[-1] ** 0.5
    return logits.masked_fill(~heard, -1e9).softmax(dim=-1) @ value


attend = Exercise(
    title="attention with a mask",
    difficulty=2,
    importance=5,
    minutes=10,
    stub=attend_stub,
    solution=attend_solution,
    checks=[_one_voice, _rows_sum_to_one, _scaled, _unheard_is_silent, _nobody_speaks],
    mistakes=[
        (_no_softmax, "with one token to listen to, its value must come back as it is: is there a softmax?"),
        (
            _softmax_over_queries,
            "the weights of one query do not sum to 1: the softmax runs over the other tokens, `dim=-1`",
        ),
        (_unscaled, "the weights are too sharp or too flat: divide the scores by the root of the width, 4"),
        (_unmasked, "a token that is not heard changes the result: use `heard`"),
        (_masked_after, "the weights of the heard tokens no longer sum to 1: mask the scores before the softmax"),
        (_nan_for_nobody, "a softmax over nothing but -inf is nan: treat 'nobody speaks' apart"),
        (_large_negative, "nobody speaks, yet something is received: all scores equally low means that all are let in"),
    ],
)


# --- split_heads ------------------------------------------------------------------------------------------------


def split_heads_stub(x: Tensor, heads: int) -> Tensor:
    """Cut the coordinates into heads. In: (token, rank). Out: (head, token, rank / heads)."""
    raise NotImplementedError


def split_heads_solution(x: Tensor, heads: int) -> Tensor:
    """Cut the coordinates into heads. In: (token, rank). Out: (head, token, rank / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(0, 1)


SIX = torch.arange(12.0).reshape(2, 6)


def _head_is_first(split_heads: Callable[[Tensor, int], Tensor]) -> None:
    """the axes are head, token, coordinate"""
    got = split_heads(SIX, 3)
    expect(got.ndim == 3, f"your result has {got.ndim} axes; (head, token, rank / heads) has 3")
    message = f"your axes are {tuple(got.shape)}; head first, then token: (3, 2, 2). Is a `transpose` missing?"
    expect(got.shape == (3, 2, 2), message)


def _tokens_stay_whole(split_heads: Callable[[Tensor, int], Tensor]) -> None:
    """each head sees every token"""
    got = split_heads(SIX, 3)
    message = "a head holds one token twice and another never: cut the last axis first, then move it"
    expect((got[:, 0] < 6).all() and (got[:, 1] >= 6).all(), message)


def _neighbours_stay_together(split_heads: Callable[[Tensor, int], Tensor]) -> None:
    """the first head has the first coordinates"""
    message = "the first head has every third coordinate instead of the first two: unflatten to (heads, -1)"
    expect_close(split_heads(SIX, 3)[0], torch.tensor([[0.0, 1.0], [6.0, 7.0]]), message)


def _no_transpose(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1))


def _reshaped(x: Tensor, heads: int) -> Tensor:
    return x.reshape(heads, x.shape[0], -1)


def _strided(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (-1, heads)).permute(2, 0, 1)


split_heads = Exercise(
    title="cut the coordinates into heads",
    difficulty=2,
    importance=3,
    minutes=5,
    stub=split_heads_stub,
    solution=split_heads_solution,
    checks=[_head_is_first, _tokens_stay_whole, _neighbours_stay_together],
    mistakes=[
        (
            _no_transpose,
            "your axes are (2, 3, 2); head first, then token: (3, 2, 2). Is a `transpose` missing?",
        ),
        (_reshaped, "a head holds one token twice and another never: cut the last axis first, then move it"),
        (
            _strided,
            "the first head has every third coordinate instead of the first two: unflatten to (heads, -1)",
        ),
    ],
)


# --- exchange ---------------------------------------------------------------------------------------------------


def exchange_stub(
    shared: dict[str, Tensor],
    masks: dict[str, Tensor],
    allocation: dict[str, Tensor],
    attend: Callable[..., Tensor],
) -> dict[str, Tensor]:
    """What each modality's tokens receive from the others: by modality, (token, rank).

    shared (token, rank), masks (token,) and allocation (token,) are by modality.
    `attend(query, key, value, heard)` is the function of the first exercise.
    """
    raise NotImplementedError


def exchange_solution(
    shared: dict[str, Tensor],
    masks: dict[str, Tensor],
    allocation: dict[str, Tensor],
    attend: Callable[..., Tensor],
) -> dict[str, Tensor]:
    """What each modality's tokens receive from the others: by modality, (token, rank).

    shared (token, rank), masks (token,) and allocation (token,) are by modality.
    `attend(query, key, value, heard)` is the function of the first exercise.
    """
    received = {}
    for m, query in shared.items():
        others = [n for n in shared if n != m]
        voices = torch.cat([shared[n] for n in others])
        heard = torch.cat([masks[n] for n in others])
        received[m] = allocation[m][:, None] * attend(query, voices, voices, heard)
    return received


def _everyone(shared: dict[str, Tensor], share: float = 1.0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    masks = {m: torch.ones(len(x), dtype=torch.bool) for m, x in shared.items()}
    return masks, {m: torch.full((len(x),), share) for m, x in shared.items()}


def _nobody_hears_itself(exchange: Exchanging) -> None:
    """nobody listens to itself"""
    shared = {"a": torch.tensor([[1.0, 0.0]]), "b": torch.tensor([[0.0, 2.0]])}
    got = exchange(shared, *_everyone(shared), attend_solution)
    message = "with one token each, a must receive b's token and nothing else: leave out the modality's own tokens"
    expect_close(got["a"], shared["b"], message)


def _voices_compete(exchange: Exchanging) -> None:
    """the others' tokens compete in one softmax"""
    shared = {"a": torch.zeros(1, 2), "b": torch.tensor([[3.0, 0.0]]), "c": torch.tensor([[0.0, 3.0]] * 2)}
    got = exchange(shared, *_everyone(shared), attend_solution)["a"]
    message = "each of the others got a softmax of its own: join their tokens first, and attend once"
    expect_close(got, torch.tensor([[1.0, 2.0]]), message)


def _padding_is_silent(exchange: Exchanging) -> None:
    """padded tokens of the others are not heard"""
    shared = {"a": torch.zeros(1, 2), "b": torch.tensor([[1.0, 0.0], [0.0, 8.0]])}
    masks, allocation = _everyone(shared)
    masks["b"] = torch.tensor([True, False])
    got = exchange(shared, masks, allocation, attend_solution)["a"]
    expect_close(got, torch.tensor([[1.0, 0.0]]), "a padded token is heard: hand the others' masks on")


def _listener_pays(exchange: Exchanging) -> None:
    """the allocation scales what its own token receives"""
    shared = {"a": torch.zeros(2, 2), "b": torch.tensor([[2.0, 4.0]])}
    masks, allocation = _everyone(shared)
    allocation = {"a": torch.tensor([0.5, 0.0]), "b": torch.tensor([0.25])}
    got = exchange(shared, masks, allocation, attend_solution)["a"]
    expect(not torch.allclose(got, shared["b"].expand(2, 2)), "the allocation has no effect: multiply with it")
    message = "the speaker's share scales what is heard; the share belongs to the token that listens"
    expect_close(got, torch.tensor([[1.0, 2.0], [0.0, 0.0]]), message)


def _hears_itself(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    voices, heard = torch.cat([*shared.values()]), torch.cat([*masks.values()])
    return {m: allocation[m][:, None] * attend(x, voices, voices, heard) for m, x in shared.items()}


def _softmax_each(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    def from_all(m: str) -> Tensor:
        return torch.stack([attend(shared[m], shared[n], shared[n], masks[n]) for n in shared if n != m]).sum(0)

    return {m: allocation[m][:, None] * from_all(m) for m in shared}


def _maskless(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    return exchange_solution(shared, {m: torch.ones_like(mask) for m, mask in masks.items()}, allocation, attend)


def _shareless(
    shared: dict[str, Tensor], masks: dict[str, Tensor], allocation: dict[str, Tensor], attend: Attend
) -> Received:
    return exchange_solution(shared, masks, {m: torch.ones_like(a) for m, a in allocation.items()}, attend)


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


exchange = Exercise(
    title="the exchange between modalities",
    difficulty=3,
    importance=5,
    minutes=15,
    stub=exchange_stub,
    solution=exchange_solution,
    checks=[_nobody_hears_itself, _voices_compete, _padding_is_silent, _listener_pays],
    mistakes=[
        (
            _hears_itself,
            "with one token each, a must receive b's token and nothing else: leave out the modality's own tokens",
        ),
        (_softmax_each, "each of the others got a softmax of its own: join their tokens first, and attend once"),
        (_maskless, "a padded token is heard: hand the others' masks on"),
        (_shareless, "the allocation has no effect: multiply with it"),
        (_speaker_pays, "the speaker's share scales what is heard; the share belongs to the token that listens"),
    ],
)


# --- funded_only ------------------------------------------------------------------------------------------------


def funded_only_stub(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    """The same as allocation[:, None] * listen(query), from the funded queries alone.

    query (token, rank), allocation (token,). `listen` takes and gives (any number, rank).
    """
    raise NotImplementedError


def funded_only_solution(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    """The same as allocation[:, None] * listen(query), from the funded queries alone.

    query (token, rank), allocation (token,). `listen` takes and gives (any number, rank).
    """
    funded = allocation > 0
    received = torch.zeros_like(query)
    received[funded] = allocation[funded, None] * listen(query[funded])
    return received


SHARES = torch.tensor([0.3, 0.0, 1.0, 0.0])
QUERIES = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


def _plus_one(x: Tensor) -> Tensor:
    return x + 1


def _every_token_has_a_row(funded_only: Skipping) -> None:
    """every token keeps its row"""
    rows = len(funded_only(QUERIES, SHARES, _plus_one))
    expect(rows == 4, f"4 tokens went in and {rows} came out: an unfunded token receives zeros, it does not vanish")


def _same_numbers(funded_only: Skipping) -> None:
    """the result is the same as without skipping"""
    got = funded_only(QUERIES, SHARES, _plus_one)
    message = "the funded rows are not scaled: multiply what a token receives by its share"
    expect(not torch.allclose(got[0], QUERIES[0] + 1), message)
    message = "a token with a small share got nothing: every share above 0 is funded"
    expect(got[0].abs().sum() > 0, message)
    expect_close(got, SHARES[:, None] * (QUERIES + 1), "the result differs from the one without skipping")


def _saves_work(funded_only: Skipping) -> None:
    """`listen` sees the funded queries only"""
    seen: list[int] = []

    def listen(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x + 1

    funded_only(QUERIES, SHARES, listen)
    message = f"right, but nothing is saved: `listen` was called with {sum(seen)} queries, and 2 are funded"
    expect(sum(seen) == 2, message)


def _rows_lost(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    funded = allocation > 0
    return allocation[funded, None] * listen(query[funded])


def _not_scaled(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    received = torch.zeros_like(query)
    received[allocation > 0] = listen(query[allocation > 0])
    return received


def _above_a_half(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    return funded_only_solution(query, allocation * (allocation > 0.5), listen)


def _computes_all(query: Tensor, allocation: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
    return allocation[:, None] * listen(query)


funded_only = Exercise(
    title="compute the funded queries only",
    difficulty=3,
    importance=3,
    minutes=10,
    stub=funded_only_stub,
    solution=funded_only_solution,
    checks=[_every_token_has_a_row, _same_numbers, _saves_work],
    mistakes=[
        (_rows_lost, "4 tokens went in and 2 came out: an unfunded token receives zeros, it does not vanish"),
        (_not_scaled, "the funded rows are not scaled: multiply what a token receives by its share"),
        (_above_a_half, "a token with a small share got nothing: every share above 0 is funded"),
        (_computes_all, "right, but nothing is saved: `listen` was called with 4 queries, and 2 are funded"),
    ],
)
