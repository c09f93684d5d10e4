"""IntraCED against plain loops, against leaks of private channels, and with nobody to listen to."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clcrkit.config import BUDGETED
from clcrkit.exchange import Exchange, IntraCED

NAMES = ("a", "b", "c")
LENGTHS = {"a": 5, "b": 3, "c": 4}
SAMPLES, LEVELS, WIDTH, RANK, PRIVATE, HEADS = 4, 2, 12, 4, 6, 2


@pytest.fixture
def masks() -> dict[str, Tensor]:
    real = {"a": [5, 2, 3, 0], "b": [3, 1, 0, 0], "c": [2, 4, 0, 4]}  # sample 2: only a speaks; sample 3: only c
    return {m: torch.arange(LENGTHS[m]) < torch.tensor(real[m])[:, None] for m in NAMES}


@pytest.fixture
def tokens(masks) -> dict[str, Tensor]:
    return {m: torch.randn(SAMPLES, LEVELS, LENGTHS[m], WIDTH) * masks[m][:, None, :, None] for m in NAMES}


@pytest.fixture
def intraced() -> IntraCED:
    return IntraCED(NAMES, LEVELS, WIDTH, RANK, PRIVATE, HEADS)


def loop_exchange(exchange: Exchange, shared, masks, allocation) -> tuple[dict, dict]:
    """What Exchange computes, one query, one head and one key at a time, in float64 numpy."""
    query, key, value, out = (
        w.detach().double().numpy() for w in (exchange.query, exchange.key, exchange.value, exchange.out)
    )
    x = {m: t.detach().double().numpy() for m, t in shared.items()}
    real = {m: t.numpy() for m, t in masks.items()}
    size = RANK // HEADS
    received = {m: np.zeros_like(x[m]) for m in x}
    others = {m: [n for n in x if n != m] for m in x}
    attention = {m: np.zeros((SAMPLES, LEVELS, HEADS, x[m].shape[2], sum(x[n].shape[2] for n in others[m]))) for m in x}
    for b in range(SAMPLES):
        for level in range(LEVELS):
            for m in x:
                for t in range(x[m].shape[2]):
                    if not real[m][b, t]:
                        continue
                    joined = []
                    for head in range(HEADS):
                        part = slice(head * size, (head + 1) * size)
                        q = (x[m][b, level, t] @ query[level])[part]
                        column, logits, spoken, places, shares = 0, [], [], [], []
                        for n in others[m]:
                            for u in range(x[n].shape[2]):
                                key_share = float(allocation[n][b, level, u]) if exchange.budgeted != "listeners" else 1
                                if real[n][b, u] and key_share > 0:
                                    shares.append(key_share)
                                    logits.append(q @ (x[n][b, level, u] @ key[level])[part] / np.sqrt(size))
                                    spoken.append((x[n][b, level, u] @ value[level])[part])
                                    places.append(column)
                                column += 1
                        mixed = np.zeros(size)
                        if logits:
                            weights = np.exp(np.array(logits) - max(logits)) * shares
                            weights /= weights.sum()
                            attention[m][b, level, head, t, places] = weights
                            mixed = weights @ np.array(spoken)
                        joined.append(mixed)
                    share = float(allocation[m][b, level, t]) if exchange.budgeted != "speakers" else 1
                    received[m][b, level, t] = share * (np.concatenate(joined) @ out[level])
    return received, attention


@pytest.mark.parametrize("budgeted", BUDGETED)
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("short", [100, 0])
def test_the_exchange_equals_its_loops(masks, short, padded, budgeted, monkeypatch):
    monkeypatch.setattr("clcrkit.exchange.SHORT", short)
    if not padded:  # where nothing is masked, no mask is given to the fused attention
        masks = {m: torch.ones_like(mask) for m, mask in masks.items()}
    exchange = Exchange(LEVELS, RANK, HEADS, budgeted)
    shared = {m: torch.randn(SAMPLES, LEVELS, LENGTHS[m], RANK) * masks[m][:, None, :, None] for m in NAMES}
    allocation = {m: torch.rand(SAMPLES, LEVELS, LENGTHS[m]) * masks[m][:, None, :] for m in NAMES}
    allocation = {m: a * (a > 0.4) for m, a in allocation.items()}  # about half are not funded
    allocation["b"][1] = 0  # and here nobody of a modality is
    expected, expected_attention = loop_exchange(exchange, shared, masks, allocation)
    fused, nothing = exchange(shared, masks, allocation)
    kept, attention = exchange(shared, masks, allocation, keep_attention=True)
    assert nothing == {}
    for m in NAMES:
        np.testing.assert_allclose(fused[m].detach().numpy(), expected[m], atol=1e-6)
        np.testing.assert_allclose(kept[m].detach().numpy(), expected[m], atol=1e-6)
        np.testing.assert_allclose(attention[m].detach().numpy(), expected_attention[m], atol=1e-6)
        assert np.abs(expected[m]).max() > 0.1


def test_attention_rows_sum_to_one_where_someone_speaks_and_to_zero_elsewhere(intraced, tokens, masks):
    attention = intraced(tokens, masks, keep_attention=True).attention
    for m in NAMES:
        anyone = torch.cat([masks[n] for n in NAMES if n != m], dim=1).any(1)
        wanted = (masks[m] & anyone[:, None])[:, None, None, :].float().expand(attention[m].shape[:-1])
        torch.testing.assert_close(attention[m].sum(-1), wanted)


def test_fused_and_kept_attention_give_the_same_gradients(intraced, tokens, masks):
    def gradients(keep: bool) -> list[Tensor]:
        done = intraced(tokens, masks, keep_attention=keep)
        loss = sum(x.square().sum() for x in done.exchanged.values())
        return list(torch.autograd.grad(loss, list(intraced.exchange.parameters())))

    torch.testing.assert_close(gradients(True), gradients(False), rtol=1e-4, atol=1e-5)


def test_fused_attention_makes_nothing_as_large_as_the_weights(intraced, tokens, masks, monkeypatch):
    """The mask is one row for each sample and level, not one for each head and query."""
    fused, sizes = F.scaled_dot_product_attention, []

    def watched(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor) -> Tensor:
        sizes.append(attn_mask.untyped_storage().nbytes() <= SAMPLES * LEVELS * key.shape[-2])
        return fused(query, key, value, attn_mask=attn_mask)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    intraced(tokens, masks)
    assert sizes == [True] * len(NAMES)


def test_levels_do_not_hear_each_other(intraced, tokens, masks):
    moved = {m: x.clone() for m, x in tokens.items()}
    moved["b"][:, 1] += masks["b"][:, :, None].float()
    before, after = intraced(tokens, masks).exchanged, intraced(moved, masks).exchanged
    assert torch.equal(before["a"][:, 0], after["a"][:, 0])
    assert (before["a"][:2, 1] - after["a"][:2, 1]).abs().max() > 1e-3


def test_an_unfunded_token_receives_nothing(intraced, tokens, masks):
    done = intraced(tokens, masks, gamma=0.3)
    poor = {m: a.allocation == 0 for m, a in done.allocations.items()}
    assert any((poor[m] & masks[m][:, None, :]).any() for m in NAMES)
    for m in NAMES:
        assert torch.equal(done.exchanged[m][poor[m]], done.shared[m][poor[m]])


@pytest.mark.parametrize("short", [100, 0])
def test_only_funded_queries_are_computed(masks, short, monkeypatch):
    """Of short rows as many as the fullest one funds, of long ones as many as each funds, but one at least; values and
    gradients are those of all queries."""
    monkeypatch.setattr("clcrkit.exchange.SHORT", short)
    made = Exchange(LEVELS, RANK, HEADS)
    shared = {m: torch.randn(SAMPLES, LEVELS, LENGTHS[m], RANK, requires_grad=True) for m in NAMES}
    funds = {"a": 2, "b": 0, "c": 4}  # of 5, 3 and 4 tokens
    allocation = {}
    for m in NAMES:
        place = torch.rand(SAMPLES, LEVELS, LENGTHS[m]).argsort(-1)
        allocation[m] = torch.rand(SAMPLES, LEVELS, LENGTHS[m]) * (place < funds[m]) * masks[m][:, None]
    fused, asked = F.scaled_dot_product_attention, []

    def watched(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor) -> Tensor:
        asked.append((len(query), query.shape[-2]))
        return fused(query, key, value, attn_mask=attn_mask)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)

    def run() -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        received, _ = made(shared, masks, allocation)
        loss = sum(x.square().sum() for x in received.values())
        return received, torch.autograd.grad(loss, [*made.parameters(), *shared.values()])

    few = run()
    monkeypatch.setattr("clcrkit.exchange.on_host", lambda _: False)
    torch.testing.assert_close(few, run(), atol=1e-6, rtol=1e-5)
    rows, every = SAMPLES * LEVELS, [5, 3, 4]
    if short:
        assert asked == [(rows, count) for count in [2, 1, 4, *every]]
    else:
        someone = {m: torch.cat([masks[n] for n in NAMES if n != m], dim=1).any(1)[:, None, None] for m in NAMES}
        counts = [((allocation[m] * someone[m]) > 0).sum(-1).clamp(min=1).T.flatten().tolist() for m in NAMES]
        runs = [(len(list(run)), count) for row in counts for count, run in groupby(row)]
        assert asked == [*runs, *((rows, count) for count in every)]
    assert few[0]["a"].abs().max() > 0.1


# ---- no private channel reaches another modality


def test_exchanged_tokens_do_not_depend_on_any_private_coordinate(intraced, tokens, masks):
    """Structural: in the graph of the exchanged tokens there is no private coordinate at all, of anybody."""
    for x in tokens.values():
        x.requires_grad_()
    done = intraced(tokens, masks)
    for m in NAMES:
        gradients = torch.autograd.grad(
            done.exchanged[m].square().sum(), list(done.private.values()), allow_unused=True, retain_graph=True
        )
        assert gradients == (None,) * len(NAMES)
        others = torch.autograd.grad(
            done.exchanged[m].square().sum(), [tokens[n] for n in NAMES], retain_graph=True
        )  # and the control: the tokens themselves are in the graph
        assert all(g.abs().max() > 0 for g in others)


def exchange_of_whole_tokens(intraced: IntraCED, tokens, masks):
    """The mutant: tokens are cut to the rank as they are, not split by the frames."""
    assert intraced.exchange is not None
    return intraced.exchange({m: x[..., :RANK] for m, x in tokens.items()}, masks, shares(intraced, tokens, masks))[0]


def exchange_of_private_coordinates(intraced: IntraCED, tokens, masks):
    """Another mutant: what is exchanged holds private coordinates as well."""
    assert intraced.exchange is not None
    done = intraced(tokens, masks)
    mixed = {m: done.shared[m] + done.private[m][..., :RANK] for m in NAMES}
    return intraced.exchange(mixed, masks, shares(intraced, tokens, masks))[0]


def shares(intraced: IntraCED, tokens, masks) -> dict[str, Tensor]:
    return {m: a.allocation for m, a in intraced(tokens, masks).allocations.items()}


def largest_leak(exchange_by, intraced: IntraCED, tokens, masks) -> float:
    """The largest derivative of any modality's exchanged tokens by another's private coordinates.

    Tokens are moved along U_pr; three random sums of all exchanged entries are derived, in which any entry of the
    Jacobian would show.
    """
    assert intraced.subspaces is not None
    _, frames = intraced.subspaces.frames()
    worst = 0.0
    for n in NAMES:
        still = torch.zeros(*tokens[n].shape[:3], PRIVATE, dtype=tokens[n].dtype, requires_grad=True)
        moved = {**tokens, n: tokens[n] + still @ frames[n].mT.detach() * masks[n][:, None, :, None]}
        done = exchange_by(intraced, moved, masks)
        for _ in range(3):
            total = sum((done[m] * torch.randn_like(done[m])).sum() for m in NAMES if m != n)
            (leak,) = torch.autograd.grad(total, still, retain_graph=True)
            worst = max(worst, float(leak.abs().max()))
    return worst


def test_moving_tokens_along_the_private_frame_moves_no_other_modality(intraced, tokens, masks):
    tokens = {m: x.double() for m, x in tokens.items()}
    intraced = intraced.double()
    assert largest_leak(lambda i, t, k: i(t, k).exchanged, intraced, tokens, masks) < 1e-12


@pytest.mark.parametrize("mutant", [exchange_of_whole_tokens, exchange_of_private_coordinates])
def test_without_the_split_private_channels_leak(mutant, intraced, tokens, masks):
    tokens = {m: x.double() for m, x in tokens.items()}
    assert largest_leak(mutant, intraced.double(), tokens, masks) > 1e-3


def test_far_along_the_private_frame_in_float32(intraced, tokens, masks):
    assert intraced.subspaces is not None
    _, frames = intraced.subspaces.frames()
    step = 100 * torch.randn(SAMPLES, LEVELS, LENGTHS["b"], PRIVATE) @ frames["b"].mT * masks["b"][:, None, :, None]
    before = intraced(tokens, masks)
    after = intraced({**tokens, "b": tokens["b"] + step}, masks)
    assert (before.private["b"] - after.private["b"]).abs().max() > 50
    for m in ("a", "c"):
        torch.testing.assert_close(before.exchanged[m], after.exchanged[m], atol=1e-4, rtol=0)


# ---- nobody to listen to


def test_where_nobody_else_speaks_all_is_finite_and_nothing_is_received(intraced, tokens, masks):
    leaves = {m: x.clone().requires_grad_() for m, x in tokens.items()}
    for keep in (True, False):
        done = intraced(leaves, masks, keep_attention=keep)
        for m, alone in (("a", 2), ("c", 3)):
            torch.testing.assert_close(done.exchanged[m][alone], done.shared[m][alone], atol=0, rtol=0)
        assert (done.exchanged["b"][2] == 0).all()
        loss = sum(x.square().sum() for x in done.exchanged.values())
        gradients = torch.autograd.grad(loss, [*leaves.values(), *intraced.parameters()], allow_unused=True)
        assert all(g is None or g.isfinite().all() for g in gradients)


def test_dense_exchange_funds_every_real_token(tokens, masks):
    dense = IntraCED(NAMES, LEVELS, WIDTH, RANK, PRIVATE, HEADS, sparse=False)
    done = dense(tokens, masks)
    expected, _ = loop_exchange(
        dense.exchange, done.shared, masks, {m: masks[m][:, None].expand(-1, LEVELS, -1) for m in NAMES}
    )
    for m in NAMES:
        assert torch.equal(done.allocations[m].allocation, masks[m][:, None, :].float().expand(-1, LEVELS, -1))
        torch.testing.assert_close(done.allocations[m].budget, masks[m].sum(1)[:, None].float().expand(-1, LEVELS))
        np.testing.assert_allclose((done.exchanged[m] - done.shared[m]).detach().numpy(), expected[m], atol=1e-6)


@pytest.mark.parametrize("choice", [{"sparse": True}, {"sparse": False}])
def test_muted_tokens_receive_nothing(choice, tokens, masks):
    intraced = IntraCED(NAMES, LEVELS, WIDTH, RANK, PRIVATE, HEADS, **choice)
    mute = {"a": torch.zeros(SAMPLES, LEVELS, LENGTHS["a"], dtype=torch.bool)}
    mute["a"][:, :, 0] = True
    done = intraced(tokens, masks, mute=mute)
    assert (done.allocations["a"].allocation[:, :, 0] == 0).all()
    assert torch.equal(done.exchanged["a"][:, :, 0], done.shared["a"][:, :, 0])


def test_without_intraced_tokens_stay_as_they_are(tokens, masks):
    done = IntraCED(NAMES, LEVELS, WIDTH, RANK, PRIVATE, HEADS, exchange=False)(tokens, masks, keep_attention=True)
    for m in NAMES:
        assert torch.equal(done.exchanged[m], done.shared[m])
    assert done.attention == {}
