"""A run on the disk: killed at any moment, on a full disk, in a folder that cannot be used, in another run's folder."""

from __future__ import annotations

import errno
import os
import pickle
import random
import shutil
import signal
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clcrkit import CLCR, Batch, DataError
from clcrkit.files import read_tensors, write_tensors
from clcrkit.objective import Losses
from clcrkit.training import TrainConfig, TrainingError, fit, load, run
from clcrkit.training import folder as run_folder
from tests.children import exit_code, start
from tests.training.killed import QUICK, STATE, fresh, run_dying_at, whole_run, write_too_much


@pytest.fixture(scope="module")
def parts(make_batch) -> tuple[Batch, Batch]:
    return make_batch(samples=20, seed=1), make_batch(samples=10, seed=2)


def same(a: CLCR, b: CLCR) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def results(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "model").read_bytes(), (folder / "traces").read_bytes()


def test_thirty_kills_at_random_moments_change_nothing(parts, tmp_path):
    data = pickle.dumps(parts)
    assert exit_code(start(whole_run, tmp_path / "calm", data, 0)) == 0
    draw, kills, runs = random.Random(0), 0, 0
    while kills < 30:
        folder = tmp_path / str(runs)
        while True:
            process = start(whole_run, folder, data, 0)
            if kills < 30:
                time.sleep(draw.uniform(0.01, 0.3))
                process.kill()
            code = exit_code(process)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            kills += 1
        assert results(folder) == results(tmp_path / "calm")
        runs += 1


def test_kills_inside_a_write_change_nothing(parts, tmp_path):
    """The process dies before, halfway through and after a write, and before and after the file gets its name."""
    calm, folder, data = tmp_path / "calm", tmp_path / "killed", pickle.dumps(parts)
    assert exit_code(start(whole_run, calm, data, 0)) == 0
    draw = random.Random(1)
    deaths = 0
    while True:
        code = exit_code(start(run_dying_at, draw.randint(1, 25), folder, data))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        deaths += 1
    assert deaths >= 5
    assert results(folder) == results(calm)
    assert not [path for path in folder.iterdir() if path.name.startswith(f".{STATE}")], "the dead left files behind"


def test_a_checkpoint_within_an_epoch_holds_the_place(parts, tmp_path):
    train, valid = parts
    places = []
    write = run_folder.write_state
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            run_folder, "write_state", lambda p, i, s: (places.append((s["epoch"], s["step"])), write(p, i, s))
        )
        fit(fresh(train), train, valid, replace(QUICK, epochs=1), tmp_path, progress=False, checkpoint_every=0.0)
    assert places == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_a_disk_that_fills_up_costs_a_warning_and_nothing_else(parts, tmp_path, monkeypatch):
    train, valid = parts
    calm, model, calls = fresh(train), fresh(train), []
    expected = fit(calm, train, valid, QUICK, progress=False)

    def filling(path, content, write=Path.write_bytes):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(Path, "write_bytes", filling)
    with pytest.warns(UserWarning, match=r"cannot be written .*No space left.*; the run goes on") as told:
        done = fit(model, train, valid, QUICK, tmp_path, progress=False)
    assert len([one for one in told if "cannot be written" in str(one.message)]) == 1
    assert same(calm, model)
    assert done.history.equals(expected.history)
    monkeypatch.undo()
    assert read_tensors(tmp_path / STATE)[1]["run"]["training samples"] == 20
    again = fresh(train)  # the first epoch is there, the others are trained again
    fit(again, train, valid, QUICK, tmp_path, progress=False)
    assert same(calm, again)


def test_a_folder_that_cannot_be_used_is_refused_before_training(parts, tmp_path, monkeypatch):
    train, valid = parts
    model = fresh(train)
    monkeypatch.setattr(model, "losses", lambda batch: pytest.fail("it trained"))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/state\.safetensors: cannot be written"):
        fit(model, train, valid, QUICK, tmp_path / "file", progress=False)
    assert exit_code(start(write_too_much, tmp_path / "full", pickle.dumps(parts))) == 0


def test_a_loss_that_breaks_later_keeps_the_last_good_state(parts, tmp_path, monkeypatch):
    train, valid = parts
    good, model = fresh(train), fresh(train)
    losses, calls = model.losses, []

    def breaking(batch):
        calls.append(1)
        made = losses(batch)
        return made._replace(total=made.total * (torch.nan if len(calls) == 5 else 1.0))  # in the second epoch

    monkeypatch.setattr(model, "losses", breaking)
    with pytest.raises(TrainingError, match=r"loss: nan in epoch 2; .* holds the weights of epoch 1$"):
        fit(model, train, valid, QUICK, tmp_path, progress=False, checkpoint_every=0.0)
    assert all(weight.isfinite().all() for weight in model.state_dict().values())
    tensors, _ = read_tensors(tmp_path / STATE)
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    fit(good, train, valid, QUICK, progress=False)
    again = fresh(train)
    fit(again, train, valid, QUICK, tmp_path, progress=False)
    assert same(good, again)


def test_states_of_other_runs_and_damaged_ones_are_refused_and_kept(parts, tmp_path):
    train, valid = parts
    fit(fresh(train), train, valid, QUICK, tmp_path, progress=False)
    state = tmp_path / STATE
    content = state.read_bytes()

    def refused(message: str, part: Batch = train, config: TrainConfig = QUICK, probe: Batch | None = None) -> None:
        with pytest.raises(DataError, match=message) as caught:
            fit(fresh(train), part, valid, config, tmp_path, probe, progress=False)
        assert "\n" not in str(caught.value)

    refused("learning_rate 0.003 instead of 0.0001 in its training; choose", config=replace(QUICK, learning_rate=1e-4))
    refused("20 instead of 12 in its training samples", part=train.select(slice(12)))
    refused("0 instead of 10 in its probe samples", probe=valid)
    refused("with other training data; begin with the same", part=valid.select([*range(10)] * 2))
    with pytest.raises(DataError, match="other validation data and initial weights; begin with the same data and seed"):
        fit(fresh(train, seed=1), train, valid.select(slice(9)), QUICK, tmp_path, progress=False)
    assert state.read_bytes() == content
    for size in (0, 7, 100, len(content) // 2, len(content) - 1):
        state.write_bytes(content[:size])
        refused("damaged")
        assert state.stat().st_size == size
    tensors, about = (state.write_bytes(content), *read_tensors(state))[1:]
    write_tensors(state, tensors, {**about, "version": 1})
    refused("holds no training state of this version")
    write_tensors(state, tensors, {**about, "shape": {"dict": [["epoch", {"value": 1}]]}})
    refused("of another version, or damaged")
    write_tensors(state, tensors, {**about, "shape": 3})
    refused("of another version, or damaged")


def test_a_folder_that_goes_during_training_is_written_whole_again(parts, tmp_path):
    train, valid = parts
    calm, folder = fresh(train), tmp_path / "run"
    expected = fit(calm, train, valid, QUICK, probe=valid, progress=False)

    def lose(history):
        if len(history) == 2:
            shutil.rmtree(folder)

    fit(fresh(train), train, valid, QUICK, folder, valid, progress=False, on_epoch=lose)
    again = fresh(train)
    done = fit(again, train, valid, QUICK, folder, valid, progress=False)
    assert same(again, calm)
    pairs = zip(done.traces, expected.traces, strict=True)
    assert all(torch.equal(mine.prediction, its.prediction) for mine, its in pairs)
    (folder / "trace-0002.safetensors").unlink()
    with pytest.raises(DataError, match=r"trace-0002.*: no such file; .* the traces of its 3 epochs: put it back, or"):
        fit(fresh(train), train, valid, QUICK, folder, valid, progress=False)
    assert same(load(folder), calm)


def test_a_finished_run_is_read_back_where_nothing_can_be_written(parts, tmp_path, monkeypatch):
    train, valid = parts
    model, again = fresh(train), fresh(train)
    done = fit(model, train, valid, QUICK, tmp_path, valid, progress=False)
    monkeypatch.setattr(run_folder, "write_state", lambda *_: pytest.fail("it wrote"))
    read = fit(again, train, valid, QUICK, tmp_path, valid, progress=False)
    assert same(again, model)
    assert read.history.equals(done.history)
    assert same(load(tmp_path), model)


def test_a_flipped_bit_in_the_state_is_noticed(parts, tmp_path):
    train, valid = parts
    fit(fresh(train), train, valid, QUICK, tmp_path, progress=False)
    content = bytearray((tmp_path / STATE).read_bytes())
    for place in (len(content) // 3, len(content) // 2, len(content) - 5):
        content[place] ^= 4
        (tmp_path / STATE).write_bytes(content)
        with pytest.raises(DataError, match="its digest is another one"):
            fit(fresh(train), train, valid, QUICK, tmp_path, progress=False)
        content[place] ^= 4


def test_the_compiler_may_be_missing(monkeypatch):
    def losses(batch: Batch) -> Losses:
        mean = batch.tokens["a"].mean()
        return Losses(mean, 2 * mean, {"other": 3 * mean})

    batch = Batch.from_arrays({"a": torch.ones(2, 3, 4)})
    compile, used = torch.compile, []

    def backend(graph, inputs):
        used.append(1)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda function: compile(function, backend=backend))
    assert run.compiled(losses)(batch) == losses(batch)
    assert used

    def missing(graph, inputs):
        raise RuntimeError("no compiler found")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", lambda function: compile(function, backend=missing))
    fallen = run.compiled(losses)
    with pytest.warns(UserWarning, match="compile: not possible here .*no compiler found.*; training goes on without"):
        assert fallen(batch) == losses(batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fallen(batch) == losses(batch)


def interrupting(model: CLCR, at: int, monkeypatch) -> None:
    """Ctrl-C in the middle of this step."""
    losses, calls = model.losses, []

    def pressed(batch):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGINT)
        return losses(batch)

    monkeypatch.setattr(model, "losses", pressed)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_ends_the_step_and_the_run_can_go_on(parts, tmp_path, monkeypatch):
    train, valid = parts
    whole, cut = fresh(train), fresh(train)
    fit(whole, train, valid, QUICK, progress=False)
    interrupting(cut, 5, monkeypatch)  # three steps each epoch
    done = fit(cut, train, valid, QUICK, tmp_path, progress=False)
    assert (done.stopped, done.best_epoch, len(done.history), cut.training) == ("interrupted", 1, 1, False)
    about = read_tensors(tmp_path / STATE)[1]
    place = {key: value["value"] for key, value in about["shape"]["dict"] if "value" in value}
    assert (place["epoch"], place["step"]) == (1, 2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = fresh(train)
    assert fit(again, train, valid, QUICK, tmp_path, progress=False).stopped == "finished"
    assert same(whole, again)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_in_the_first_epoch_keeps_what_was_learned(parts, monkeypatch):
    train, valid = parts
    model = fresh(train)
    interrupting(model, 2, monkeypatch)
    done = fit(model, train, valid, QUICK, progress=False)
    assert (done.stopped, done.best_epoch, len(done.history)) == ("interrupted", 0, 0)
    assert not same(model, fresh(train))


@pytest.mark.usefixtures("listening")
def test_a_second_ctrl_c_does_not_wait(parts, monkeypatch):
    train, valid = parts
    model = fresh(train)

    def twice(batch):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")

    monkeypatch.setattr(model, "losses", twice)
    assert fit(model, train, valid, QUICK, progress=False).stopped == "interrupted"


def test_history_so_far_after_every_epoch_also_when_resumed(parts, tmp_path):
    train, valid = parts
    seen: list[int] = []
    fit(fresh(train), train, valid, QUICK, progress=False, on_epoch=lambda history: seen.append(len(history)))
    assert seen == [1, 2, 3]

    class Cut(Exception):
        pass

    def cut(history):
        if len(history) == 2:
            raise Cut

    with pytest.raises(Cut):
        fit(fresh(train), train, valid, QUICK, tmp_path, progress=False, on_epoch=cut)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(fresh(train), train, valid, QUICK, tmp_path, progress=False, on_epoch=lambda h: seen.append(len(h)))
    assert seen == [1, 2, 3, 3]
