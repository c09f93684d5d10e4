"""Baselines: same door as CLCR, padding never matters, and each computes what its name says."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clcrkit import Batch, ConfigError, DataError
from clcrkit.baselines import BASELINES, MISA, RIVALS, Baseline, EarlyFusion, LateFusion, MulT, TensorFusion
from clcrkit.baselines.misa import _difference, _moment_discrepancy
from clcrkit.batch import pad_axis


def moved(baseline: Baseline) -> Any:
    """In evaluation mode, every parameter off its starting value."""
    with torch.no_grad():
        for parameter in baseline.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return baseline.eval()


@pytest.fixture(params=RIVALS)
def baseline(request, model):
    torch.manual_seed(3)
    return moved(RIVALS[request.param](model.config))


def test_padding_never_matters(baseline, batch):
    tokens: dict[str, Tensor] = {}
    for m, x in batch.tokens.items():
        longer = pad_axis(x, 1, x.shape[1] + 5).clone()
        longer[~pad_axis(batch.masks[m], 1, x.shape[1] + 5)] = 3
        tokens[m] = longer
    masks = {m: pad_axis(x, 1, x.shape[1] + 5) for m, x in batch.masks.items()}
    longer_batch = Batch(tokens, masks, batch.labels, batch.ids)
    torch.testing.assert_close(baseline(longer_batch), baseline(batch), atol=1e-6, rtol=0)
    for mine, theirs in zip(baseline.losses(longer_batch), baseline.losses(batch), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_samples_do_not_meet_in_a_prediction(baseline, batch):
    """Also where one of them lacks a modality: a sample alone gets what it got among others."""
    together = baseline(batch)
    for i in range(len(batch)):
        torch.testing.assert_close(baseline(batch.select([i])), together[i : i + 1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("task", ["classification", "regression", "multilabel"])
def test_every_task_trains_every_parameter(task, make_batch, make_model):
    """Losses and gradients are finite although samples lack modalities, and no parameter is left out."""
    batch = make_batch(task=task)
    config = make_model(batch).config
    for name, make in BASELINES.items():
        baseline = make(config)
        losses = baseline.losses(batch)
        losses.total.backward()
        assert losses.total.isfinite(), name
        # the encoders make shallow levels that no baseline reads
        for parameter, tensor in baseline.named_parameters():
            if not parameter.startswith("encoders."):
                assert tensor.grad is not None, (name, parameter)
                assert tensor.grad.isfinite().all(), (name, parameter)


def test_late_fusion_is_pooled_encoders_and_a_head(model, batch):
    late = LateFusion(model.config).eval()
    rows = []
    for i in range(len(batch)):
        parts = []
        for m in late.modalities:
            deep = late.encoders[m](batch.tokens[m][i : i + 1], batch.masks[m][i : i + 1])[0, -1]
            real = [deep[t] for t in range(len(deep)) if batch.masks[m][i, t]]
            parts.append(sum(real) / len(real) if real else torch.zeros(deep.shape[-1]))
        rows.append(late.head(torch.cat(parts)))
    torch.testing.assert_close(late(batch), torch.stack(rows), atol=1e-5, rtol=0)


def test_one_modality_alone_sees_no_other(model, batch):
    alone = LateFusion(model.config, ("vision",)).eval()
    changed = Batch(
        {m: x if m == "vision" else torch.zeros_like(x) for m, x in batch.tokens.items()},
        batch.masks,
        batch.labels,
        batch.ids,
    )
    assert torch.equal(alone(changed), alone(batch))
    assert list(alone.ready(batch).tokens) == ["vision"]


def test_early_fusion_lets_tokens_meet(model, batch):
    """Gradient from the prediction of a sample flows to the tokens of every modality it has, and to no padding."""
    early = EarlyFusion(model.config).eval()
    tokens = {m: x.clone().requires_grad_() if x.is_floating_point() else x for m, x in batch.tokens.items()}
    early(Batch(tokens, batch.masks, batch.labels, batch.ids)).square().sum().backward()
    for m, x in tokens.items():
        if x.is_floating_point():
            moved = x.grad.abs().sum(-1) > 0
            assert torch.equal(moved, batch.masks[m])


def test_low_rank_fusion_is_a_linear_map_of_the_outer_product(model, batch):
    """The full weight tensor, made from the factors, applied to the full outer product of the extended vectors."""
    fusion = moved(TensorFusion(model.config, rank=3)).double()
    doubled = Batch(
        {m: x.double() if x.is_floating_point() else x for m, x in batch.tokens.items()},
        batch.masks,
        batch.labels,
        batch.ids,
    )
    a, b, c = (torch.cat([x, x.new_ones(len(x), 1)], 1) for x in fusion.pooled(doubled).values())
    factors = [fusion.factors[m] for m in fusion.modalities]
    weight = torch.zeros(a.shape[1], b.shape[1], c.shape[1], model.config.width, dtype=torch.float64)
    for r in range(3):
        for out in range(model.config.width):
            columns = [factor[r, :, out] for factor in factors]
            weight[..., out] += columns[0][:, None, None] * columns[1][None, :, None] * columns[2][None, None, :]
    outer = a[:, :, None, None] * b[:, None, :, None] * c[:, None, None, :]
    expected = fusion.head(torch.einsum("bijk,ijko->bo", outer, weight))
    torch.testing.assert_close(fusion(doubled), expected, atol=1e-10, rtol=0)


def norm(x: Tensor, layer: Any) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (
        x.var(-1, keepdim=True, unbiased=False) + layer.eps
    ).sqrt() * layer.weight + (layer.bias)


def attend(block: Any, x: Tensor, source: Tensor, heads: int) -> Tensor:
    """One block for one sample whose tokens are all real, head by head and query by query."""
    width = x.shape[-1]
    size = width // heads
    wq, wk, wv = block.attention.in_proj_weight.split(width)
    bq, bk, bv = block.attention.in_proj_bias.split(width)
    q, k, v = (
        norm(x, block.norm) @ wq.T + bq,
        norm(source, block.norm) @ wk.T + bk,
        norm(source, block.norm) @ wv.T + bv,
    )
    mixed = torch.zeros_like(x)
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        for t in range(len(x)):
            weights = torch.stack([(q[t, part] * k[s, part]).sum() / size**0.5 for s in range(len(source))]).softmax(0)
            mixed[t, part] = sum(weights[s] * v[s, part] for s in range(len(source)))
    x = x + block.attention.out_proj(mixed)
    first, last = block.feed[1], block.feed[4]
    return x + (norm(x, block.feed[0]) @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias


def test_mult_is_pairwise_attention_then_self_attention(model, batch):
    """Against loops over samples, pairs, layers, heads and queries, on the real tokens alone."""
    mult = moved(MulT(model.config, width=12, heads=3, layers=2))
    deepest, rows = mult.deepest(batch), []
    for i in range(len(batch)):
        tokens = {m: mult.narrow[m](x[i][batch.masks[m][i]]) for m, x in deepest.items()}
        pooled = []
        for listener in mult.modalities:
            heard = []
            for speaker in mult.modalities:
                if speaker == listener or not len(tokens[listener]):
                    continue
                stack, x = mult.pairs[listener][speaker], tokens[listener]
                for block in stack.blocks:
                    x = attend(block, x, tokens[speaker], heads=3) if len(tokens[speaker]) else x + block.feed(x)
                heard.append(norm(x, stack.norm))
            if not len(tokens[listener]):
                pooled.append(torch.zeros(2 * 12))
                continue
            x = torch.cat(heard, dim=-1)
            for block in mult.memory[listener].blocks:
                x = attend(block, x, x, heads=3)
            x = norm(x, mult.memory[listener].norm)
            pooled.append(x.mean(0))
        rows.append(mult.head(torch.cat(pooled)))
    torch.testing.assert_close(mult(batch), torch.stack(rows), atol=1e-5, rtol=0)


def test_mult_has_the_size_of_the_published_one(model):
    """Its defaults on three modalities: 3 x 2 stacks of 5 blocks of width 30, and 3 of width 60."""
    mult = MulT(model.config, width=30, heads=5, layers=5)

    def block(d):
        return 2 * 2 * d + (4 * d * d + 4 * d) + (8 * d * d + 5 * d)

    expected = 6 * (5 * block(30) + 60) + 3 * (5 * block(60) + 120)
    assert sum(p.numel() for part in (mult.pairs, mult.memory) for p in part.parameters()) == expected


def test_mult_refuses_what_it_cannot_be(model):
    with pytest.raises(ConfigError, match="vision alone, but MulT needs 2"):
        MulT(model.config, ("vision",))
    with pytest.raises(ConfigError, match="width: 30, but a multiple of 4 heads"):
        MulT(model.config, width=30, heads=4)


def test_difference_loss_on_known_vectors():
    """Orthogonal directions over samples cost nothing; the same vectors cost the mean square of their Gram matrix."""
    everyone = torch.ones(4, dtype=torch.bool)
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    torch.testing.assert_close(_difference(x, x, everyone), torch.tensor(2.0))  # gram = diag(2, 2): (4 + 4) / 4
    signs = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    independent = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert _difference(signs, independent, everyone) == 0


def test_moment_discrepancy_against_scipy():
    from scipy.stats import moment

    rng = np.random.default_rng(0)
    a, b = rng.random((40, 3)), rng.random((40, 3)) ** 2
    a_here, b_here = np.arange(40) % 5 > 0, np.arange(40) % 3 > 0
    expected = np.linalg.norm(a[a_here].mean(0) - b[b_here].mean(0))
    for order in range(2, 6):
        expected += np.linalg.norm(moment(a[a_here], order, axis=0) - moment(b[b_here], order, axis=0))
    found = _moment_discrepancy(*map(torch.from_numpy, (a, b, a_here, b_here)))
    assert math.isclose(float(found), float(expected), rel_tol=1e-6)


def test_misa_joins_its_losses(model, batch):
    """Each term from its parts, in numpy, over the samples that have the modalities."""
    misa = moved(MISA(model.config)).requires_grad_(False)
    losses = misa.losses(batch)
    here = {m: batch.masks[m].any(1) for m in misa.modalities}
    whole = {m: misa.project[m](x) for m, x in misa.pooled(batch).items()}
    private = {m: misa.private[m](x) for m, x in whole.items()}
    shared = {m: misa.shared(x) for m, x in whole.items()}

    def overlap(a: Tensor, b: Tensor, both: Tensor) -> float:
        columns = [x[both].detach().numpy() for x in (a, b)]
        centred = [x - x.mean(0) for x in columns]
        p, q = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in centred)
        return float(((p.T @ q) ** 2).mean())

    pairs = list(combinations(misa.modalities, 2))
    difference = sum(overlap(private[m], shared[m], here[m]) for m in misa.modalities)
    difference += sum(overlap(private[m], private[n], here[m] & here[n]) for m, n in pairs)
    similarity = sum(float(_moment_discrepancy(shared[m], shared[n], here[m], here[n])) for m, n in pairs) / len(pairs)
    errors = [((misa.reconstruct[m](private[m] + shared[m]) - whole[m])[here[m]] ** 2).mean() for m in misa.modalities]
    reconstruction = float(sum(errors)) / len(errors)
    assert math.isclose(float(losses.terms["difference"]), difference, rel_tol=1e-4)
    assert math.isclose(float(losses.terms["similarity"]), similarity, rel_tol=1e-4)
    assert math.isclose(float(losses.terms["reconstruction"]), reconstruction, rel_tol=1e-4)
    assert list(losses.terms) == ["difference", "similarity", "reconstruction"]
    task = torch.nn.functional.cross_entropy(misa(batch), batch.labels)
    weights = {"difference": 0.02, "similarity": 0.1, "reconstruction": 0.1}
    weighted = sum(weight * losses.terms[term] for term, weight in weights.items())
    torch.testing.assert_close(losses.total, task + weighted)


def test_a_missing_modality_says_nothing(baseline, batch):
    """What stands in the tokens of a missing modality reaches no prediction, and one that is there does."""
    here = torch.stack([batch.masks[m].any(1) for m in batch.modalities]).all(0)
    whole = batch.select(here)
    for m in batch.modalities:
        hidden = Batch(whole.tokens, {**whole.masks, m: torch.zeros_like(whole.masks[m])}, whole.labels, whole.ids)
        other = Batch({**hidden.tokens, m: torch.zeros_like(hidden.tokens[m])}, hidden.masks, whole.labels, whole.ids)
        assert torch.equal(baseline(hidden), baseline(other))
        assert not torch.allclose(baseline(hidden), baseline(whole))


def test_losses_are_the_task_and_the_regularisers(baseline, batch):
    losses = baseline.losses(batch)
    torch.testing.assert_close(losses.task, torch.nn.functional.cross_entropy(baseline(batch), batch.labels))
    if not isinstance(baseline, MISA):
        assert losses.total == losses.task
        assert losses.terms == {}
    with pytest.raises(DataError, match="labels"):
        baseline.losses(Batch(batch.tokens, batch.masks, None, batch.ids))


def test_unknown_modality_is_refused(model):
    with pytest.raises(ConfigError, match="smell asked for"):
        LateFusion(model.config, ("smell",))
