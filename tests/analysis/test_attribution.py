"""Attributions against sums, closed forms and loops; removal curves against a loop."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import ShapleyValues
from scipy.stats import rankdata, spearmanr, ttest_1samp
from sklearn.metrics import auc, roc_auc_score

from clcrkit import Batch, ConfigError, DataError
from clcrkit.analysis.attribution import (
    METHODS,
    Attribution,
    CompletenessWarning,
    attribute_level_tokens,
    attribute_levels,
    attribute_modalities,
    attribute_tokens,
)
from clcrkit.analysis.faithfulness import agreement, curve_areas, removal_curves
from clcrkit.analysis.probes import level_weighted
from clcrkit.baselines import EarlyFusion, LateFusion
from tests.padding import lengthened


def explain_all(model: Any, batch: Batch) -> dict[str, Attribution]:
    found = {method: attribute_tokens(model, batch, method, steps=12) for method in METHODS}
    found["level tokens"] = attribute_level_tokens(model, batch, steps=12)
    return found | {"modalities": attribute_modalities(model, batch), "levels": attribute_levels(model, batch)}


class Additive(torch.nn.Module):
    """Each token adds w . x (token ids: a number of their own) where its mask is True: every method must find that."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.config = type("Config", (), {"outputs": 2, "task": "classification"})
        self.encoders: Any = torch.nn.ModuleDict()
        for m, t in batch.tokens.items():
            embed = torch.nn.Linear(t.shape[2], 2, bias=False) if t.ndim == 3 else torch.nn.Embedding(9, 2)
            self.encoders[m] = torch.nn.ModuleDict({"stages": torch.nn.ModuleDict({"embed": embed})})

    def ready(self, batch: Batch) -> Batch:
        return batch

    def parts(self, batch: Batch) -> dict[str, torch.Tensor]:
        return {m: e["stages"]["embed"](batch.tokens[m]) * batch.masks[m][..., None] for m, e in self.encoders.items()}

    def forward(self, batch: Batch) -> torch.Tensor:
        return torch.stack([part.sum(1) for part in self.parts(batch).values()]).sum(0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_what_an_additive_model_adds(batch, method):
    model = Additive(batch)
    target = torch.tensor([0, 1, 0, 1, 1, 0])
    found = attribute_tokens(model, batch, method, target=target, steps=3)
    assert float(found.gap.abs().max()) < 1e-4
    for m, part in model.parts(batch).items():
        expected = part.detach()[torch.arange(6), :, target]
        torch.testing.assert_close(found.scores[m], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["clcr", "no hierarchy", "early", "late"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_scores_add_up_and_padding_gets_exactly_nothing(make_batch, make_model, kind, task):
    batch = make_batch(task=task)
    model = make_model(batch, hierarchy=kind != "no hierarchy")
    if kind in ("early", "late"):
        model = (EarlyFusion if kind == "early" else LateFusion)(model.config)
    model.train()
    steps = 600  # on the way from nothing to the input tokens lose and gain shares, each time with a kink
    level_tokens = attribute_level_tokens(model, batch, steps=steps)
    tokens = {
        method: attribute_tokens(model, batch, method, steps=steps if method == METHODS[0] else 3) for method in METHODS
    }
    assert model.training
    model.eval()
    output = model(batch).detach()
    for name, found in {**tokens, "level tokens": level_tokens}.items():
        torch.testing.assert_close(found.output, output.max(1).values)
        if name != "ablation":
            effect = (found.output - found.empty).abs().mean()
            assert float(found.gap.abs().max()) < (1e-5 if name == "shapley sampling" else 0.03 * effect)
        for m, score in found.scores.items():
            real = batch.masks[m] if score.ndim == 2 else batch.masks[m][:, None].expand_as(score)
            assert score.shape[:: score.ndim - 1] == batch.masks[m].shape
            assert (score[~real] == 0).all()
            assert score.abs().sum() > 0
    if kind == "no hierarchy":
        assert all((score[:, :2] == 0).all() for score in level_tokens.scores.values())
        assert all((score[:, 2] != 0).any() for score in level_tokens.scores.values())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.filterwarnings("ignore::clcrkit.analysis.attribution.CompletenessWarning")
def test_more_padding_changes_nothing(model, batch):
    long = explain_all(model, lengthened(batch, torch.nan))
    for name, found in explain_all(model, batch).items():
        torch.testing.assert_close(found.output, long[name].output, atol=1e-5, rtol=1e-4)
        for part, score in found.scores.items():
            length = score.shape[-1] if score.ndim > 1 else len(score)
            assert (long[name].scores[part][..., length:] == 0).all()
            if name != "shapley sampling":  # captum draws its orders over all positions
                torch.testing.assert_close(score, long[name].scores[part][..., :length], atol=1e-4, rtol=1e-3)


def test_ablation_is_the_fall_by_loops(model, batch):
    found = attribute_tokens(model, batch, "ablation")
    with torch.no_grad():
        whole = model(batch)
        for m, mask in batch.masks.items():
            for t in range(mask.shape[1]):
                without = {**batch.masks, m: mask.clone()}
                without[m][:, t] = False
                fall = (whole - model(replace(batch, masks=without)))[torch.arange(len(batch)), found.target]
                torch.testing.assert_close(found.scores[m][:, t], fall, atol=1e-5, rtol=1e-4)


def test_modalities_are_captums_exact_shapley_values(model, batch):
    found = attribute_modalities(model, batch)

    def with_presence(presence: torch.Tensor) -> torch.Tensor:
        masks = {m: mask & (presence[:, i : i + 1] > 0.5) for i, (m, mask) in enumerate(batch.masks.items())}
        return model(replace(batch, masks=masks))

    with torch.no_grad():
        expected = ShapleyValues(with_presence).attribute(torch.ones(len(batch), 3), target=found.target)
    torch.testing.assert_close(torch.stack(list(found.scores.values()), 1), expected, atol=1e-5, rtol=1e-4)
    for m, mask in batch.masks.items():
        assert (found.scores[m][~mask.any(1)] == 0).all()
    assert found.gap.abs().max() < 1e-5


def test_levels_are_the_mean_over_orders_of_opening(model, batch):
    """By loops over all orders; a level is closed by handing the rest of the model a blank input's tokens."""
    found = attribute_levels(model, batch)
    masks = batch.masks
    with torch.no_grad():
        own = {m: e(batch.tokens[m], masks[m]) for m, e in model.encoders.items()}
        text = model.encoders["text"].stages
        kept, text.embed = text.embed, torch.nn.Embedding.from_pretrained(torch.zeros(9, 16))
        blank = {m: e(torch.zeros_like(batch.tokens[m]), masks[m]) for m, e in model.encoders.items()}
        text.embed = kept

        def output(opened: set[int]) -> torch.Tensor:
            levels = torch.tensor([level in opened for level in range(3)])[:, None, None]
            exchanged = model.intraced({m: torch.where(levels, own[m], blank[m]) for m in own}, masks)
            shares = {m: a.allocation for m, a in exchanged.allocations.items()}
            codes = model.intercad(exchanged.exchanged, exchanged.private, shares, masks)
            logits = model.head(torch.cat([3 * codes.level_codes.flatten(1), codes.private_code], -1))
            return logits[torch.arange(len(batch)), found.target]

        for level in range(3):
            gains = []
            for order in itertools.permutations(range(3)):
                before = set(order[: order.index(level)])
                gains.append(output(before | {level}) - output(before))
            expected = torch.stack(gains).mean(0)
            torch.testing.assert_close(found.scores[f"level {level + 1}"], expected, atol=1e-5, rtol=1e-4)


def test_a_closed_level_that_nobody_reads_gives_nothing(make_batch, make_model):
    batch = make_batch()
    found = attribute_levels(make_model(batch, hierarchy=False), batch)
    assert (found.scores["level 1"] == 0).all()
    assert (found.scores["level 3"] != 0).all()


def test_target_chooses_the_column(model, batch):
    target = torch.tensor([2, 0, 1, 0, 2, 1])
    found = attribute_modalities(model, batch, target=target)
    torch.testing.assert_close(found.output, model(batch).detach()[torch.arange(6), target])
    default = attribute_modalities(model, batch)
    assert torch.equal(default.target, model(batch).argmax(1))


@pytest.mark.filterwarnings("ignore::clcrkit.analysis.attribution.CompletenessWarning")
def test_samples_do_not_see_each_other(model, batch):
    together = explain_all(model, batch)
    alone = explain_all(model, batch.select([4]))
    for name in set(together) - {"shapley sampling"}:  # with the batch's padding, captum draws other orders
        for part, score in alone[name].scores.items():
            torch.testing.assert_close(score[0], together[name].scores[part][4], atol=1e-5, rtol=1e-3)


def test_warns_where_the_scores_do_not_add_up(model, batch):
    with pytest.warns(CompletenessWarning, match="take more steps"):
        attribute_tokens(model, batch, steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CompletenessWarning)
        attribute_tokens(model, batch, steps=100)
        attribute_tokens(model, batch, "ablation")


def test_table_has_a_row_for_each_real_token(model, batch):
    tokens = attribute_tokens(model, batch, "ablation")
    table = tokens.table()
    assert list(table.columns) == ["id", "part", "token", "score"]
    assert len(table) == sum(int(mask.sum()) for mask in batch.masks.values())
    for row in table.itertuples():
        i = batch.ids.tolist().index(row.id)
        assert batch.masks[row.part][i, row.token]
        assert row.score == float(tokens.scores[row.part][i, row.token])
    levels = attribute_level_tokens(model, batch, steps=100)
    by_level = levels.table()
    assert list(by_level.columns) == ["id", "part", "level", "token", "score"]
    assert len(by_level) == 3 * len(table)
    one = by_level.iloc[-1]
    assert one["score"] == float(
        levels.scores[one["part"]][list(batch.ids).index(one["id"]), one["level"], one["token"]]
    )
    assert attribute_modalities(model, batch).table().groupby("part").size().to_dict() == dict.fromkeys(batch.tokens, 6)


def test_agreement_is_scipys_and_scikit_learns(make_batch, make_model):
    batch = make_batch(samples=9)
    model = make_model(batch)
    trace = model.trace(batch)
    for found in (attribute_level_tokens(model, batch, steps=100), attribute_tokens(model, batch, "ablation")):
        table = agreement(trace, found).set_index(["modality", "level"])
        for (m, level), row in table.iterrows():
            pairs = []
            for i, real in enumerate(batch.masks[m]):
                share = (level_weighted(trace, m)[i] if level == "all" else trace.allocation[m][i, int(level) - 1])[
                    real
                ]
                score = (found.scores[m][i] if level == "all" else found.scores[m][i, int(level) - 1])[real].abs()
                if len(share) > 1 and len(share.unique()) > 1 and len(score.unique()) > 1:
                    top = rankdata(-score, method="ordinal") <= np.ceil(len(score) / 4)
                    pairs.append((spearmanr(share, score).statistic, roc_auc_score(top, share)))
            assert row["samples"] == len(pairs)
            np.testing.assert_allclose(row[["spearman", "auroc"]].astype(float), np.mean(pairs, 0))
    itself = replace(found, scores={m: level_weighted(trace, m) for m in trace.modalities})
    assert agreement(trace, itself)["spearman"].tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(DataError, match="different samples"):
        agreement(trace, replace(found, ids=found.ids + 1))
    with pytest.raises(DataError, match="one for each token is needed"):
        agreement(trace, attribute_modalities(model, batch))


def test_curves_by_loops(make_batch, make_model):
    batch = make_batch(samples=5)
    model = make_model(batch)
    rng = np.random.default_rng(0)
    scores = {
        m: torch.from_numpy(rng.permutation(mask.numel()).reshape(mask.shape)).double()
        for m, mask in batch.masks.items()
    }
    scores["text"] = scores["text"] + 0.5
    scores["sound"] = scores["sound"] + 0.25
    found = removal_curves(model, batch, {"mine": scores}, random_orders=2, points=5).set_index(
        ["curve", "order", "repeat", "share", "id"]
    )["value"]
    assert len(found) == 2 * 3 * 5 * 5
    target = model(batch).argmax(1)
    for i, ident in enumerate(batch.ids.tolist()):
        one = batch.select([i])
        places = [(m, t) for m, mask in one.masks.items() for t in range(mask.shape[1]) if mask[0, t]]
        places.sort(key=lambda place: -float(scores[place[0]][i, place[1]]))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            first = set(places[: int(torch.tensor(share * len(places)).round())])
            for curve in ("deletion", "insertion"):
                kept = {m: torch.zeros_like(mask) for m, mask in one.masks.items()}
                for m, t in places:
                    kept[m][0, t] = ((m, t) in first) == (curve == "insertion")
                with torch.no_grad():
                    value = model(replace(one, masks=kept)).softmax(1)[0, target[i]]
                assert found[curve, "mine", 0, share, ident] == pytest.approx(float(value), abs=1e-5)
    assert (
        not found.xs("random", level="order")
        .xs(0, level="repeat")
        .equals(found.xs("random", level="order").xs(1, level="repeat"))
    )


def test_equal_scores_are_ordered_at_random_and_blind_to_padding(model, batch):
    flat = {m: torch.zeros(mask.shape) for m, mask in batch.masks.items()}
    longer = lengthened(batch, torch.nan)
    short = removal_curves(model, batch, {"flat": flat}, points=4, random_orders=1)
    more = removal_curves(
        model,
        longer,
        {"flat": {m: torch.zeros(mask.shape) for m, mask in longer.masks.items()}},
        points=4,
        random_orders=1,
    )
    np.testing.assert_allclose(short["value"], more["value"], atol=1e-5)


def test_areas_by_hand():
    share = np.tile([0.0, 0.5, 1.0], 8)
    curves = {
        "curve": ["deletion"] * 24,
        "order": np.repeat(["mine", "random", "random", "mine"], 6),
        "repeat": np.repeat([0, 0, 1, 0], 6),
        "share": share,
        "id": np.repeat([1, 2, 1, 2, 1, 2, 3, 4], 3),
        "value": np.random.default_rng(0).random(24),
    }
    table = pd.DataFrame(curves)
    table = table[table["id"] < 3]
    area = {(o, r, i): auc(g["share"], g["value"]) for (o, r, i), g in table.groupby(["order", "repeat", "id"])}
    mine = np.array([area["mine", 0, i] for i in (1, 2)])
    random = np.array([(area["random", 0, i] + area["random", 1, i]) / 2 for i in (1, 2)])
    found = curve_areas(table).set_index("order")
    assert found.loc["mine", "area"] == pytest.approx(mine.mean())
    interval = ttest_1samp(random - mine, 0).confidence_interval(0.95)
    np.testing.assert_allclose(
        found.loc["mine", ["gain", "gain_low", "gain_high"]].astype(float),
        [(random - mine).mean(), interval.low, interval.high],
    )
    assert found.loc["random", "gain"] == 0


class Wrapped(torch.nn.Module):
    """The same, with its embedding out of sight."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return self.inner(*given)


def test_refusals(model, batch):
    with pytest.raises(ConfigError, match="method: 'saliency'"):
        attribute_tokens(model, batch, "saliency")
    with pytest.raises(ConfigError, match="steps: 0"):
        attribute_tokens(model, batch, steps=0)
    with pytest.raises(ConfigError, match="steps: -1"):
        attribute_level_tokens(model, batch, steps=-1)
    with pytest.raises(DataError, match="6 columns below 3"):
        attribute_tokens(model, batch, target=torch.tensor([3] * 6))
    with pytest.raises(ConfigError, match="points, random_orders: 1, 5"):
        removal_curves(model, batch, {}, points=1)
    model.encoders["text"].stages = Wrapped(model.encoders["text"].stages)
    with pytest.raises(ConfigError, match="text: token ids without an embedding"):
        attribute_tokens(model, batch)
