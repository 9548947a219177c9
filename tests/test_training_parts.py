"""The parts of the training loop, each alone."""

import os
import random
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speechbrain.utils import checkpoints as speechbrain_checkpoints
from torch.amp import GradScaler

from errors import RecipeError
from train import MimicBrain
from training.checkpoints import WholeCheckpointer, average
from training.freezing import Freezing
from training.muon import Muon, grouped
from training.objectives import Objective, total_loss
from training.run_state import RunState, seed_generators
from training.schedules import Schedule
from training.setup import alone_in
from training.step_guard import StepGuard
from training.stopping import Stopped, Stopper

FINITE, NOT = torch.tensor(1.0), torch.tensor(torch.nan)


# Freezing


@pytest.mark.parametrize(
    "frozen, unfrozen, from_epoch, by_epoch",
    [
        (["a"], [], 1, [True, True, True]),
        (["a"], ["a"], 1, [False, False, False]),
        (["a"], ["a"], 3, [True, True, False]),
        ([], [], 1, [False, False, False]),
        (["b"], ["a"], 1, [False, False, False]),
    ],
)
def test_when_a_module_is_frozen(frozen, unfrozen, from_epoch, by_epoch):
    freezing = Freezing(frozen, unfrozen, from_epoch)
    assert [freezing.is_frozen("a", epoch) for epoch in (1, 2, 3)] == by_epoch


def test_a_frozen_module_stands_still_after_train_and_wakes_with_its_dropout():
    modules = torch.nn.ModuleDict(
        {"a": torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.LSTM(3, 3, 2, dropout=0.5))}
    )
    freezing, x = Freezing(["a"], ["a"], 2), torch.randn(1, 4, 3)
    for _ in range(2):
        modules.train()  # as Brain.fit does
        freezing.apply(modules, epoch=1)
        assert torch.equal(modules["a"](x)[0], modules["a"](x)[0])
        assert not any(p.requires_grad for p in modules.parameters())
    freezing.apply(modules, epoch=2)
    assert not torch.equal(modules["a"](x)[0], modules["a"](x)[0])
    assert all(p.requires_grad for p in modules.parameters()) and modules["a"][1].dropout == 0.5


# Learning rate


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("step", [1, 1, 1, 0.7, 0.7]),
        ("linear", [1, 0.7625, 0.525, 0.2875, 0.05]),
    ],
)
def test_learning_rates(kind, expected):
    schedule = Schedule(kind, 1.0, number_of_epochs=5)
    assert [schedule.of_epoch(epoch) for epoch in range(1, 6)] == pytest.approx(expected)


def test_newbob_drops_on_a_plateau_also_after_a_resumption(tmp_path):
    schedule = Schedule("newbob", 1.0, 10, factor=0.8)
    rates = []
    for epoch, loss in enumerate([1.0, 0.9, 0.8999, 0.5], start=1):
        rates.append(schedule.of_epoch(epoch))
        schedule.see(loss)
        schedule.save(tmp_path / "lr")
        schedule = Schedule("newbob", 1.0, 10, factor=0.8)
        schedule.load(tmp_path / "lr", end_of_epoch=True)
    assert [*rates, schedule.of_epoch(5)] == pytest.approx([1, 1, 1, 0.8, 0.8])


# Losses


def test_ctc_trains_below_its_epoch_as_published():
    loss = Objective(lambda x: x.sum(), ["x"], 1.0, until_epoch=5)
    assert [loss.trains(epoch) for epoch in (1, 4, 5, 6)] == [True, True, False, False]
    assert not Objective(max, [], 1.0, until_epoch=0).trains(1)
    assert not Objective(max, [], 0.0).trains(1) and not Objective(max, [], None).listed


def test_a_gradient_ratio_holds_whatever_the_scale_of_the_loss():
    x = torch.randn(5, requires_grad=True)
    p, state = {"x": x, "lens": torch.ones(1)}, RunState()
    losses = {
        "anchor": Objective(lambda x: x.square().mean(), ["x"], 2.0),
        "other": Objective(lambda x: 1e-6 * x.abs().mean(), ["x"], 1.0, 3.0, "anchor", "x"),
    }
    total_loss(losses, p, 1, state).backward()
    both = x.grad.clone()
    (anchor,) = torch.autograd.grad(2 * x.square().mean(), x)
    assert (both - anchor).norm() == pytest.approx(3 * anchor.norm().item(), rel=1e-4)
    with torch.no_grad():  # validation reports with the weight that training found last
        value = total_loss(losses, p, 1, state)
    expected = 2 * x.square().mean() + state.balance["other"] * 1e-6 * x.abs().mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


# Steps that are not finite


def step(guard, network, norm, loss=FINITE, scale=None):
    guard.begin(["u1", "u2"])
    network(torch.full((2, 2), float(norm)))
    guard.see_loss(loss)
    scaler = GradScaler("cpu", enabled=scale is not None, init_scale=scale or 1.0)
    if scale:
        scaler.scale(torch.ones(1))
    return guard.allows(norm, scaler)


@pytest.fixture
def network():
    return torch.nn.BatchNorm1d(2)


def test_buffers_are_put_back(network):
    guard = StepGuard(network, patience=3)
    assert step(guard, network, FINITE) and network.num_batches_tracked == 1
    before = network.running_mean.clone()
    assert not step(guard, network, NOT)
    assert torch.equal(network.running_mean, before) and network.num_batches_tracked == 1


def test_a_loss_that_is_not_finite_counts_though_the_gradient_is(network):
    assert not step(StepGuard(network, 3), network, FINITE, loss=torch.tensor(torch.inf))


def test_only_steps_in_a_row_end_the_patience(network):
    guard = StepGuard(network, patience=1)
    for norm in (NOT, FINITE, NOT, FINITE, NOT):
        step(guard, network, norm)
    with pytest.raises(RecipeError, match="2 steps in a row.*nonfinite_patience: 1.*u1, u2"):
        step(guard, network, NOT)


def test_a_scaler_that_looks_for_its_scale_is_not_counted(network):
    guard = StepGuard(network, patience=0)
    assert not any(step(guard, network, NOT, scale=2.0**16) for _ in range(5))


def test_a_step_of_fp16_that_overflowed_changes_nothing():
    module = torch.nn.Linear(3, 3)
    optimizer = Muon(grouped({"m": module}, ["m"]), lr=0.1, fused=True)
    scaler = GradScaler("cpu", init_scale=2.0)
    brain = SimpleNamespace(
        optimizer=optimizer,
        scaler=scaler,
        guard=StepGuard(torch.nn.ModuleDict({"m": module}), 3),
        state=RunState(),
        max_grad_norm=5.0,
        optimizer_step=0,
    )
    before = [p.clone() for p in module.parameters()]
    scaler.scale(module(torch.ones(2, 3)).sum() * torch.inf).backward()
    MimicBrain.optimizers_step(brain)
    assert all(torch.equal(*pair) for pair in zip(before, module.parameters(), strict=True))
    scaler.scale(module(torch.ones(2, 3)).sum()).backward()
    MimicBrain.optimizers_step(brain)
    assert not torch.equal(before[0], module.weight)


def test_two_uses_of_a_steps_random_numbers_are_independent():
    brain = SimpleNamespace(hparams=SimpleNamespace(seed=1), epoch=1, step=1)
    drawn = [MimicBrain.draw(brain, use).random() for use in ("remix", "noisy_share", "remix")]
    assert drawn[0] == drawn[2] != drawn[1]


# What checkpoints keep


def saved(path, **attributes):
    state = RunState()
    state.begin(True)
    for name, value in attributes.items():
        setattr(state, name, value)
    state.save(path)
    return path


def test_inside_an_epoch_all_comes_back(tmp_path):
    terms = {"loss": [torch.tensor(1.0), torch.tensor(2.0)]}
    path = saved(tmp_path / "state", terms=terms, balance={"m": torch.tensor(0.1)})
    state = RunState()
    state.load(path, end_of_epoch=False)
    state.begin(True)
    assert state.terms["loss"] == [1.0, 2.0]
    assert state.balance["m"] == pytest.approx(0.1)


def test_the_statistics_of_one_pass_do_not_reach_the_next(tmp_path):
    state = RunState()
    state.load(saved(tmp_path / "state", terms={"loss": [FINITE]}), end_of_epoch=False)
    state.begin(True)
    state.begin(False)
    assert state.terms == {} and not state.counts


def test_a_place_has_its_own_random_numbers():
    draws = []
    for place in ("1 2 3", "1 2 4", "1 2 3"):
        seed_generators(place)
        draws.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert draws[0] == draws[2]
    assert all(one != other for one, other in zip(draws[0], draws[1], strict=True))


def test_the_clock_of_a_running_pass_is_saved(tmp_path, monkeypatch):
    seconds = iter([100.0, 107.0])
    monkeypatch.setattr("training.run_state.time.monotonic", lambda: next(seconds))
    path = saved(tmp_path / "state")
    state = RunState()
    state.load(path, end_of_epoch=False)
    assert state.training_seconds == 7.0


def test_a_save_that_is_cut_short_leaves_the_old_checkpoint_the_newest(tmp_path, monkeypatch):
    module = torch.nn.Linear(2, 2)
    saver = WholeCheckpointer(tmp_path, {"module": module})
    saver.save_checkpoint(meta={"epoch": 1})

    def cut_short(obj, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(speechbrain_checkpoints.DEFAULT_SAVE_HOOKS, torch.nn.Module, cut_short)
    with pytest.raises(KeyboardInterrupt):
        saver.save_checkpoint(meta={"epoch": 2})
    monkeypatch.undo()
    again = WholeCheckpointer(tmp_path, {"module": module})
    assert again.recover_if_possible().meta["epoch"] == 1
    again.save_checkpoint(meta={"epoch": 3})
    assert not list(tmp_path.glob("SAVING*"))


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("file write failed")])
def test_a_full_disk_is_told_and_leaves_what_was_whole(tmp_path, monkeypatch, error):
    module = torch.nn.Linear(2, 2)
    saver = WholeCheckpointer(tmp_path, {"module": module})
    saver.save_checkpoint(meta={"epoch": 1})

    def full(obj, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setitem(speechbrain_checkpoints.DEFAULT_SAVE_HOOKS, torch.nn.Module, full)
    with pytest.raises(RecipeError, match="Make room"):
        saver.save_checkpoint(meta={"epoch": 2})
    assert [path.name[:5] for path in tmp_path.iterdir()] == ["CKPT+"]


def test_mean_of_checkpoints_keeps_integer_buffers(tmp_path):
    module = torch.nn.BatchNorm1d(3)
    saver = WholeCheckpointer(tmp_path, {"m": module})
    for value in (1.0, 3.0):
        torch.nn.init.constant_(module.weight, value)
        module.num_batches_tracked.fill_(int(value))
        saver.save_checkpoint(meta={"epoch": value})
    mean = average(saver.find_checkpoints(max_num_checkpoints=2), "m")
    assert mean["weight"].tolist() == [2.0] * 3
    assert mean["num_batches_tracked"].dtype == torch.int64 and mean["num_batches_tracked"] == 3


# Signals and the folder's lock


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_at_once(number, code):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, Stopper().installed():
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert stopped.value.exit_code == code and signal.getsignal(number) is before


def test_a_signal_is_put_off_and_a_second_one_is_not():
    stopper = Stopper()
    with stopper.installed():
        with stopper.held():
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            stopper.leave_if_asked()
        with pytest.raises(Stopped), stopper.held():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)


def test_one_run_in_a_folder_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("training.setup.PATIENCE", 0.1)
    refused = pytest.raises(RecipeError, match="another run is at work")
    with alone_in(tmp_path), refused, alone_in(tmp_path):
        pass
    with alone_in(tmp_path):
        pass
