"""fit: reproducible, resumable, honest about its best epoch, and clear when it cannot go on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError
from clcrkit.baselines import EarlyFusion, LateFusion
from clcrkit.datasets import Split
from clcrkit.tasks import TASKS
from clcrkit.training import TrainConfig, TrainingError, evaluate, fit, predict, predict_proba
from clcrkit.training import folder as run_folder
from clcrkit.training.config import default_device, make_optimizer, schedule

QUICK = TrainConfig(epochs=3, batch_size=8, device="cpu")


def same(a: CLCR, b: CLCR) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture
def parts(make_batch):
    return make_batch(samples=20, seed=1), make_batch(samples=10, seed=2)


def fresh(make_model, batch, **choices):
    return make_model(batch, **{"dropout": 0.2, **choices})


def test_learns_what_there_is_to_learn():
    """A label that is the sign of one feature, in two modalities of one token, is learned on held-out samples."""
    rng = np.random.default_rng(0)
    sign = rng.integers(0, 2, 240)

    def part(rows: slice) -> Batch:
        n = len(sign[rows])
        a, b = rng.normal(size=(n, 3, 4)), rng.normal(size=(n, 2, 3))
        a[:, 1, 0] += 4 * (2 * sign[rows] - 1)
        return Batch.from_arrays({"a": a, "b": b}, labels=sign[rows])

    train, valid, test = part(slice(0, 160)), part(slice(160, 200)), part(slice(200, 240))
    torch.manual_seed(0)
    config = CLCRConfig.of(train, width=16, rank=4, private_rank=4, heads=2)
    for kind in (CLCR, LateFusion, EarlyFusion):
        model = kind(config)
        fit(model, train, valid, TrainConfig(epochs=10, batch_size=16, device="cpu"), progress=False)
        assert evaluate(model, test)["score"] >= 0.9
    blind = LateFusion(config, ("b",))
    fit(blind, train, valid, TrainConfig(epochs=10, batch_size=16, device="cpu"), progress=False)
    assert evaluate(blind, test)["score"] <= 0.75  # the control: the modality that knows nothing


def test_same_seed_same_run_and_the_callers_randomness_is_left_alone(make_model, parts):
    train, valid = parts
    runs = []
    for _ in range(2):
        model = fresh(make_model, train)
        torch.manual_seed(123)
        history = fit(model, train, valid, QUICK, progress=False).history
        runs.append((model, history, torch.rand(3)))
    assert same(runs[0][0], runs[1][0])
    assert runs[0][1].equals(runs[1][1])
    torch.manual_seed(123)
    assert torch.equal(runs[0][2], torch.rand(3))
    other = fresh(make_model, train)
    fit(other, train, valid, replace(QUICK, seed=1), progress=False)
    assert not same(runs[0][0], other)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_run_cut_off_after_an_epoch_resumes_to_the_same_weights(make_model, parts, tmp_path, optimizer, monkeypatch):
    train, valid = parts
    config = replace(QUICK, epochs=4, optimizer=optimizer)
    whole = fresh(make_model, train)
    expected = fit(whole, train, valid, config, progress=False)

    class Cut(Exception):
        pass

    write, written = run_folder.write_state, []

    def write_then_die(*arguments):
        write(*arguments)
        written.append(1)
        if len(written) == 3:  # the beginning, and two epochs
            raise Cut

    monkeypatch.setattr(run_folder, "write_state", write_then_die)
    with pytest.raises(Cut):
        fit(fresh(make_model, train), train, valid, config, folder=tmp_path, progress=False)
    monkeypatch.undo()
    again = fresh(make_model, train)
    got = fit(again, train, valid, config, folder=tmp_path, progress=False)
    assert same(whole, again)
    assert got.history.equals(expected.history)
    assert (got.best_epoch, got.score) == (expected.best_epoch, expected.score)


def test_best_weights_are_those_of_the_best_epoch(make_model, parts):
    train, valid = parts
    model = fresh(make_model, train)
    done = fit(model, train, valid, replace(QUICK, epochs=6), progress=False)
    scores = done.history["valid_score"]
    assert done.score == scores.max() == evaluate(model, valid)["score"]
    assert scores[done.best_epoch - 1] == scores.max()
    assert not model.training


def test_early_stopping_waits_for_its_patience(make_model, parts):
    train, valid = parts
    done = fit(fresh(make_model, train), train, valid, replace(QUICK, epochs=30, patience=2), progress=False)
    assert done.stopped == "early"
    assert len(done.history) == done.best_epoch + 2


def test_interrupt_leaves_a_usable_model(make_model, parts, monkeypatch):
    train, valid = parts
    model = fresh(make_model, train)
    losses, calls = model.losses, []

    def interrupted(batch):
        calls.append(1)
        if len(calls) == 5:  # in the second epoch
            raise KeyboardInterrupt
        return losses(batch)

    monkeypatch.setattr(model, "losses", interrupted)
    done = fit(model, train, valid, QUICK, progress=False)
    assert done.stopped == "interrupted"
    assert len(done.history) == done.best_epoch == 1
    assert evaluate(model, valid)["score"] == done.score


def test_a_loss_that_is_not_finite_stops_with_one_sentence(make_model, parts, monkeypatch):
    train, valid = parts
    model = fresh(make_model, train)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = model.losses
    monkeypatch.setattr(model, "losses", lambda b: losses(b)._replace(total=losses(b).total * float("nan")))
    with pytest.raises(TrainingError, match=r"loss: nan in epoch 1; .* holds the weights of epoch 0"):
        fit(model, train, valid, QUICK, progress=False)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_probe_traces_one_for_each_epoch(make_model, parts):
    train, valid = parts
    done = fit(fresh(make_model, train), train, valid, QUICK, probe=valid.select([0, 1, 2]), progress=False)
    assert len(done.traces) == 3
    assert all(len(trace) == 3 for trace in done.traces)
    assert not torch.equal(done.traces[0].prediction, done.traces[2].prediction)
    with pytest.raises(ConfigError, match="LateFusion has no trace"):
        fit(LateFusion(fresh(make_model, train).config), train, valid, QUICK, probe=valid, progress=False)


@pytest.mark.parametrize("task", ["classification", "regression", "multilabel"])
def test_scores_are_what_they_say(make_batch, make_model, task):
    batch = make_batch(samples=8, task=task)
    model = make_model(batch)
    prediction, labels = predict(model, batch).numpy(), batch.labels.numpy()
    expected = {
        "classification": lambda: np.mean([p.argmax() == y for p, y in zip(prediction, labels, strict=True)]),
        "regression": lambda: -np.mean([abs(p[0] - y) for p, y in zip(prediction, labels, strict=True)]),
        "multilabel": lambda: np.mean([(p > 0) == (y == 1) for p, y in zip(prediction, labels, strict=True)]),
    }[task]()
    assert evaluate(model, batch)["score"] == pytest.approx(expected, abs=1e-6)


def test_bfloat16_trains(make_model, parts):
    train, valid = parts
    done = fit(fresh(make_model, train), train, valid, replace(QUICK, precision="bfloat16"), progress=False)
    assert np.isfinite(done.history.to_numpy()).all()


def test_schedule_rises_to_one_and_falls_to_zero():
    rates = np.array([schedule("onecycle", step, 100) for step in range(101)])
    assert rates[0] == pytest.approx(0.04)
    assert rates.argmax() == 30
    assert rates[30] == 1
    assert rates[100] == pytest.approx(0)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()
    assert schedule("constant", 7, 10) == 1


def test_paper_recipe_decays_all_weights_and_clips_nothing(model):
    paper = TrainConfig.paper()
    assert paper.clip == 0
    assert {g["weight_decay"] for g in make_optimizer(model, paper).param_groups} == {1e-4}


def test_gates_move_at_their_own_rate_and_nothing_else_does(make_model, parts):
    train, valid = parts
    once = TrainConfig(1, len(train), "sgd", 0.01, weight_decay=0.0, momentum=0.0, schedule="constant", clip=0.0)
    before, moved = dict(fresh(make_model, train).named_parameters()), {}
    for rate in (1.0, 5.0):
        model = fresh(make_model, train)
        fit(model, train, valid, replace(once, gate_rate=rate), progress=False)
        moved[rate] = {name: p.detach() - before[name].detach() for name, p in model.named_parameters()}
    gates = ("anchors", "level_mlp", "modality_", "private_mlp")
    told = {name for name in before if name.startswith(tuple(f"intercad.{gate}" for gate in gates))}
    assert len(told) == 12
    for name, step in moved[1.0].items():
        torch.testing.assert_close(moved[5.0][name], step * (5 if name in told else 1), atol=1e-6, rtol=1e-3)
    assert max(float(moved[1.0][name].abs().max()) for name in told) > 1e-4


def test_stated_recipe_and_decay_only_on_matrices(model):
    paper = TrainConfig.paper(decay_all=False)
    stated = (paper.optimizer, paper.momentum, paper.learning_rate, paper.weight_decay, paper.batch_size, paper.epochs)
    assert stated == ("sgd", 0.9, 1e-3, 1e-4, 64, 100)
    groups = make_optimizer(model, paper).param_groups
    assert [g["weight_decay"] for g in groups] == [1e-4, 0.0]
    assert all(p.ndim >= 2 for p in groups[0]["params"])
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ({"epochs": 0}, "1 or more"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"gate_rate": 0.0}, "above 0"),
        ({"optimizer": "adam"}, "adamw or sgd"),
        ({"schedule": "linear"}, "onecycle or constant"),
        ({"precision": "float16"}, "float32 or bfloat16"),
        ({"momentum": 1.0}, "not including"),
    ],
)
def test_settings_are_checked(setting, allowed):
    with pytest.raises(ConfigError, match=allowed):
        TrainConfig(**setting)


def test_unlabelled_parts_are_refused(make_model, parts):
    train, valid = parts
    with pytest.raises(DataError, match="the valid part has none"):
        fit(fresh(make_model, train), train, replace(valid, labels=None), QUICK, progress=False)


def test_classes_the_model_does_not_know_are_refused(make_model, parts):
    train, valid = parts
    strange = replace(valid, labels=valid.labels + 5)
    with pytest.raises(DataError, match="the valid part holds class 7, but classes must be below 3"):
        fit(fresh(make_model, train), train, strange, QUICK, progress=False)


def test_a_model_of_float64_stays_off_a_device_without_it(model, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert default_device(model) == "mps"
    assert default_device(model.double()) == "cpu"


@pytest.mark.usefixtures("unchecked")
def test_settings_become_plain_values():
    given = {"epochs": np.int64(3), "learning_rate": "1e-3", "clip": np.float32(1), "compile": np.bool_(False)}
    config = TrainConfig(**given, seed=torch.tensor(7), batch_size="32", device=torch.device("cpu"))
    assert config == TrainConfig(epochs=3, learning_rate=1e-3, batch_size=32, seed=7, device="cpu")
    assert json.loads(json.dumps(asdict(config))) == asdict(config)
    for name, values in {
        "epochs": (2.5, None, "many", True, [3]),
        "learning_rate": (None, "fast", float("inf"), np.ones(2)),
        "clip": (float("inf"), None),
        "compile": ("no", None),
        "optimizer": (None, torch.optim.SGD),
        "device": ("gpu", 0, 1.5),
        "seed": (-1, 2**40, None, 0.5),
    }.items():
        for value in values:
            with pytest.raises(ConfigError, match=f"^{name}: "):
                TrainConfig(**{name: value})


def test_a_split_is_trained_on_measured_and_traced_part_by_part(make_model, make_batch):
    train, valid, test = make_batch(samples=20, seed=1), make_batch(samples=10, seed=2), make_batch(samples=8, seed=3)
    split = Split(train, valid, test)
    by_split, by_parts = fresh(make_model, train), fresh(make_model, train)
    first = fit(by_split, split, config=QUICK, progress=False)
    second = fit(by_parts, train, valid, QUICK, progress=False)
    assert same(by_split, by_parts)
    assert first.history.equals(second.history)
    assert evaluate(by_split, split) == evaluate(by_split, test)
    assert torch.equal(predict(by_split, split), predict(by_split, test))
    assert predict_proba(by_split, split).sum(1).numpy() == pytest.approx(1)
    assert torch.equal(by_split.trace(split).prediction, by_split.trace(test).prediction)
    assert torch.equal(by_split.trace(split).batch.ids, test.ids)


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_data_is_named(make_model, parts):
    train, valid = parts
    model = fresh(make_model, train)
    for arguments, message in (
        ((train,), "valid: "),
        ((train, QUICK), "valid: a TrainConfig"),
        ((train.tokens, valid), "train: a dict, but a Batch, Shards or a Split"),
        ((train, 5), "valid: an int, but"),
    ):
        with pytest.raises((ConfigError, DataError), match=f"^{message}"):
            fit(model, *arguments, progress=False)
    with pytest.raises(DataError, match="test: a list, but"):
        evaluate(model, [1])


def test_classes_of_other_names_are_refused(make_model):
    def part(labels: list[str]) -> Batch:
        x = np.random.default_rng(0).normal(size=(len(labels), 3, 4))
        return Batch.from_arrays({"a": x, "b": x}, labels)

    train, other = part(list("abcabc")), part(list("acacac"))
    model = make_model(train)
    assert model.config.label_names == ("a", "b", "c")
    with pytest.raises(DataError, match=r"the valid part calls its classes a, c and the model a, b, c; pass the same"):
        fit(model, train, other, QUICK, progress=False)
    with pytest.raises(DataError, match="the test part calls"):
        evaluate(model, other)


MONITORED = [
    ("classification", "f1_macro"),
    ("classification", "calibration_error"),
    ("regression", "correlation"),
    ("multilabel", "f1_weighted"),
]


@pytest.mark.parametrize(("task", "monitor"), MONITORED)
def test_the_monitored_figure_picks_the_epoch(make_model, make_batch, task, monitor):
    train, valid = make_batch(samples=20, task=task, seed=1), make_batch(samples=10, task=task, seed=2)
    model = fresh(make_model, train)
    done = fit(model, train, valid, replace(QUICK, monitor=monitor, epochs=5), progress=False)
    column = done.history[f"valid_{monitor}"]
    assert done.score == column.max() == column[done.best_epoch - 1]
    figure = TASKS[task].metrics(predict(model, valid), valid.labels)[monitor]
    assert abs(figure) == pytest.approx(abs(done.score), abs=1e-6)
    with pytest.raises(ConfigError, match=f"^monitor: 'auc', but {task} has score, "):
        fit(model, train, valid, replace(QUICK, monitor="auc"), progress=False)


def test_warmup_moves_the_peak():
    for warmup in (0.0, 0.1, 0.5):
        rates = np.array([schedule("onecycle", step, 100, warmup) for step in range(101)])
        assert rates.argmax() == 100 * warmup
        assert rates[100] == pytest.approx(0)
    with pytest.raises(ConfigError, match="warmup"):
        TrainConfig(warmup=1.0)


def test_a_fit_draws_its_history(make_model, parts):
    done = fit(fresh(make_model, parts[0]), *parts, QUICK, progress=False)
    figure = done.plot()
    assert {line.name for line in figure.data} == {"task", "valid_task", "valid_score"}
    np.testing.assert_allclose(figure.data[0].y, done.history["task"], atol=1e-4)
