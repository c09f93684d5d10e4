"""The truth that asynchrony promises, checked by decoders that see tokens, masks and evidence only."""

from __future__ import annotations

import tracemalloc
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from sklearn.linear_model import LogisticRegression

from clcrkit.batch import Batch
from clcrkit.datasets.asynchrony import LENGTHS, LEVELS, MODALITIES, asynchrony, asynchrony_chunks
from clcrkit.errors import ConfigError

SHARED = {(m, level) for m in MODALITIES for level in LEVELS}
REFEREE = {("language", "deep"), ("vision", "shallow"), ("acoustic", "mid")}
MODES = ("complementary", "redundant")


@cache
def data(samples: int = 4000, **options: Any) -> Batch:
    return next(asynchrony_chunks(samples, chunk=samples, **options))


def same(one: Batch, other: Batch) -> bool:
    parts = ("tokens", "masks", "attributes", "evidence")
    pairs = [(getattr(one, p)[k], getattr(other, p)[k]) for p in parts for k in getattr(one, p)]
    return all(torch.equal(a, b) for a, b in [*pairs, (one.labels, other.labels), (one.ids, other.ids)])


def readings(batch: Batch, modality: str, level: str) -> list[tuple[int, ...]]:
    """What the evidence tokens of one level say, in time order: pattern numbers, of noise-free data."""
    marked = batch.evidence[modality][:, LEVELS.index(level)]
    values = batch.tokens[modality][marked].numpy().round(3)
    number = iter(np.unique(values, axis=0, return_inverse=True)[1].reshape(-1).tolist())
    return [tuple(next(number) for _ in range(count)) for count in marked.sum(1).tolist()]


def decoded(batch: Batch, level: str, modalities: tuple[str, ...]) -> float:
    """Test accuracy of the best table from readings to factor, learned on the first half."""
    keys = list(zip(*(readings(batch, m, level) for m in modalities), strict=True))
    factor = batch.attributes[level].tolist()
    half = len(keys) // 2
    seen: dict[Any, Counter[int]] = defaultdict(Counter)
    for key, value in zip(keys[:half], factor[:half], strict=True):
        seen[key][value] += 1
    hits = [
        seen[k].most_common(1)[0][0] == f if k in seen else f == 0
        for k, f in zip(keys[half:], factor[half:], strict=True)
    ]
    return float(np.mean(hits))


def probe(features: torch.Tensor, target: torch.Tensor) -> float:
    """Test accuracy of a linear probe trained on the first half."""
    half = len(target) // 2
    model = LogisticRegression(max_iter=500).fit(features[:half], target[:half])
    return float(model.score(features[half:], target[half:]))


def pooled(batch: Batch, modality: str, keep: torch.Tensor | None = None) -> torch.Tensor:
    mask = batch.masks[modality] if keep is None else keep
    return (batch.tokens[modality] * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


@pytest.mark.parametrize("relation", MODES)
def test_factors_are_balanced_and_independent(relation: str) -> None:
    attributes = {name: values.numpy() for name, values in data(relation=relation).attributes.items()}
    for name, values in attributes.items():
        counts = np.bincount(values)
        assert len(counts) == (4 if name.startswith("private") else 2)
        assert abs(counts / len(values) - 1 / len(counts)).max() < 0.035
    names = list(attributes)
    for i, one in enumerate(names):
        for other in names[:i]:
            table = np.zeros((4, 4))
            np.add.at(table, (attributes[one], attributes[other]), 1)
            table = table[table.any(1)][:, table.any(0)]
            assert chi2_contingency(table).pvalue > 1e-4, (one, other)


def test_labels_are_the_triple_of_shared_factors() -> None:
    split = asynchrony((200, 10, 10))
    truth = split.train.attributes
    assert split.train.labels is not None
    for label, s, m, d in zip(split.train.labels, truth["shallow"], truth["mid"], truth["deep"], strict=True):
        assert split.label_names[int(label)] == f"s{s} m{m} d{d}"
    assert len(set(split.label_names)) == 8


@pytest.mark.parametrize("level", LEVELS)
def test_redundant_evidence_is_whole_in_each_modality(level: str) -> None:
    batch = data(noise=0.0, relation="redundant")
    for modality in MODALITIES:
        assert decoded(batch, level, (modality,)) == 1.0


@pytest.mark.parametrize("lies", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("level", LEVELS)
def test_complementary_evidence_needs_both_witnesses_and_the_referee(level: str, lies: float) -> None:
    batch = data(noise=0.0, lies=lies)
    referee = next(m for m, of in REFEREE if of == level)
    witnesses = tuple(m for m in MODALITIES if m != referee)
    assert decoded(batch, level, MODALITIES) == 1.0
    assert decoded(batch, level, witnesses) == pytest.approx(1 - lies / 4, abs=0.025)
    assert decoded(batch, level, (referee,)) == pytest.approx(0.5, abs=0.04)
    for witness in witnesses:
        assert decoded(batch, level, (witness,)) == pytest.approx(0.75, abs=0.035)


@pytest.mark.parametrize("relation", MODES)
def test_what_is_not_marked_as_evidence_says_nothing(relation: str) -> None:
    clean = data(noise=0.0, relation=relation)
    for modality in MODALITIES:
        marked = clean.evidence[modality].any(1)
        rest = clean.masks[modality] & ~marked
        patterns = {row.tobytes() for row in clean.tokens[modality][marked].numpy()}
        assert not patterns & {row.tobytes() for row in clean.tokens[modality][rest].numpy()}
        features = pooled(clean, modality, rest)
        for level in LEVELS:
            assert probe(features, clean.attributes[level]) < 0.55


def test_evidence_is_sparse_and_never_shared_by_two_levels() -> None:
    batch = data()
    for modality in MODALITIES:
        marks = batch.evidence[modality]
        assert marks.sum(1).max() == 1
        assert not (marks.any(1) & ~batch.masks[modality]).any()
        assert marks.sum() / batch.masks[modality].sum() < 0.25


def test_modalities_are_asynchronous() -> None:
    batch = data(relation="redundant")
    for i in range(3):
        first = [batch.evidence[m][:, i].int().argmax(1).numpy() for m in MODALITIES]
        correlation = np.corrcoef(first)[np.triu_indices(3, 1)]
        assert abs(correlation).max() < 0.07


def test_a_bag_of_tokens_knows_the_shallow_factor_only() -> None:
    batch = data(6000, relation="redundant")
    features = torch.cat([pooled(batch, m) for m in MODALITIES], 1)
    assert probe(features, batch.attributes["shallow"]) > 0.8
    for level in ("mid", "deep"):
        assert probe(features, batch.attributes[level]) < 0.54
        # neither do patterns joined with their positions, averaged: no sum over single tokens is enough
        place = [torch.arange(batch.tokens[m].shape[1])[None, :, None] / 30 for m in MODALITIES]
        placed = [
            (batch.tokens[m] * p * batch.masks[m][..., None]).mean(1) for m, p in zip(MODALITIES, place, strict=True)
        ]
        if level == "deep":
            assert probe(torch.cat(placed, 1), batch.attributes[level]) < 0.54


def test_neighbours_and_markers_lie_as_promised() -> None:
    batch = data(relation="redundant")
    for modality in MODALITIES:
        for level, steps in (("mid", {1}), ("deep", {6})):
            rows, times = batch.evidence[modality][:, LEVELS.index(level)].nonzero().T
            inside = rows[1:] == rows[:-1]
            assert set((times[1:] - times[:-1])[inside].tolist()) == steps


@pytest.mark.parametrize("modality", MODALITIES)
def test_private_factor_is_plain_in_its_modality_and_nowhere_else(modality: str) -> None:
    batch = data()
    target = batch.attributes[f"private_{modality}"]
    assert probe(pooled(batch, modality), target) > 0.95
    others = torch.cat([pooled(batch, m) for m in MODALITIES if m != modality], 1)
    assert probe(others, target) < 0.3


@pytest.mark.parametrize("modality", MODALITIES)
def test_private_tokens_are_no_evidence_and_have_their_own_directions(modality: str) -> None:
    clean = data(noise=0.0)
    marked = clean.tokens[modality][clean.evidence[modality].any(1)]
    means = torch.stack(
        [pooled(clean, modality)[clean.attributes[f"private_{modality}"] == k].mean(0) for k in range(4)]
    )
    directions = means - means.mean(0)
    assert torch.linalg.svdvals(directions)[2] < 0.1 * torch.linalg.svdvals(directions)[1]
    plane = torch.linalg.svd(directions, full_matrices=False)[2][:2]
    assert (marked @ plane.T).norm(dim=1).mean() < 0.1 * marked.norm(dim=1).mean()


def test_lengths_and_padding() -> None:
    batch = data()
    for modality, (shortest, longest) in LENGTHS.items():
        mask = batch.masks[modality]
        lengths = mask.sum(1)
        assert {int(lengths.min()), int(lengths.max())} == {shortest, longest}
        assert torch.equal(mask, torch.arange(longest) < lengths[:, None])
        assert not batch.tokens[modality][~mask].any()


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 900), chunk=st.integers(1, 1000), seed=st.integers(0, 3))
def test_chunk_size_changes_nothing(samples: int, chunk: int, seed: int) -> None:
    parts = list(asynchrony_chunks(samples, chunk=chunk, seed=seed, missing=0.2, noisy=0.1))
    assert [len(p) for p in parts[:-1]] == [chunk] * (len(parts) - 1)
    assert torch.equal(torch.cat([p.ids for p in parts]), torch.arange(samples))
    whole = data(1000, seed=seed, missing=0.2, noisy=0.1)
    start = 0
    for part in parts:
        assert same(part, whole.select(slice(start, start + len(part))))
        start += len(part)


def test_a_split_is_the_stream_cut_in_three() -> None:
    split = asynchrony((300, 20, 40), seed=3)
    stream = data(360, seed=3)
    for part, where in ((split.train, slice(0, 300)), (split.valid, slice(300, 320)), (split.test, slice(320, 360))):
        assert same(part, stream.select(where))
    assert not same(asynchrony((300, 20, 40), seed=4).train, split.train)


def test_noise_changes_nothing_but_noise() -> None:
    clean, loud = data(noise=0.0), data(noise=1.0)
    for modality in MODALITIES:
        assert torch.equal(clean.evidence[modality], loud.evidence[modality])
        mask = clean.masks[modality]
        assert (loud.tokens[modality] - clean.tokens[modality])[mask].std() == pytest.approx(1, abs=0.01)
        assert clean.tokens[modality][mask].square().mean() == pytest.approx(1, abs=0.01)


def test_memory_of_chunks_is_flat() -> None:
    def peak(samples: int) -> int:
        tracemalloc.start()
        for batch in asynchrony_chunks(samples, chunk=300):
            assert len(batch) <= 300
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(300)
    assert peak(3000) < 1.3 * peak(900)


@pytest.mark.parametrize("missing", [0.3, 1.0])
def test_missing_modalities(missing: float) -> None:
    batch = data(missing=missing)
    present = torch.stack([batch.masks[m].any(1) for m in MODALITIES], 1)
    assert present.any(1).all()
    expected = 1 - missing + missing**3 / 3
    assert present.float().mean() == pytest.approx(expected, abs=0.02)
    for i, modality in enumerate(MODALITIES):
        assert not batch.evidence[modality][~present[:, i]].any()


def test_a_drowned_modality_says_nothing() -> None:
    batch = data(noisy=0.5, noise=0.0, relation="redundant")
    for modality in MODALITIES:
        power = pooled(batch, modality, batch.masks[modality]).square().mean(1)
        drowned = ~batch.evidence[modality].any((1, 2))
        assert drowned.float().mean() == pytest.approx(0.5, abs=0.03)
        assert power[drowned].mean() > 5 * power[~drowned].mean()
    lost = data(noisy=1.0, relation="redundant")
    assert probe(pooled(lost, "language"), lost.attributes["shallow"]) < 0.6


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"samples": (10, 0, 10)}, "samples"),
        ({"samples": (10, 10)}, "samples"),
        ({"seed": -1}, "seed: -1"),
        ({"relation": "both"}, "relation"),
        ({"lies": 1.5}, "lies: 1.5"),
        ({"noise": -0.1}, "noise: -0.1"),
        ({"noise": float("nan")}, "noise: nan"),
        ({"missing": 1.01}, "missing: 1.01"),
        ({"noisy": -1.0}, "noisy: -1.0"),
    ],
)
def test_settings_outside_their_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asynchrony(**setting)


def test_chunk_settings_are_checked_before_the_first_chunk() -> None:
    with pytest.raises(ConfigError, match="chunk: 0"):
        asynchrony_chunks(10, chunk=0)
