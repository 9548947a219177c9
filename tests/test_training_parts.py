"""The parts of the training loop, each alone."""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speechbrain import Stage
from speechbrain.utils import checkpoints as speechbrain_checkpoints
from torch.amp import GradScaler

from corpus.files import alone_in
from errors import RecipeError
from models.wide_resnet import WideResnet
from train import MimicBrain
from training.augmentation import build_augmentation
from training.checkpoints import WholeCheckpointer, average
from training.freezing import Freezing
from training.muon import Muon, grouped
from training.objectives import Objective, total_loss
from training.run_state import RunState, seed_generators
from training.schedules import Schedule
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
        schedule(loss)
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


@pytest.mark.parametrize("weight, counted", [(2.0, 2.0), (0.0, 1.0)])  # 0: reported only
def test_a_gradient_ratio_holds_whatever_the_scale_of_the_loss(weight, counted):
    x = torch.randn(5, requires_grad=True)
    y = x * torch.logspace(-2, 2, 5)  # what the losses read; the ratio holds at x
    p, state = {"x": x, "y": y, "lens": torch.ones(1)}, RunState()
    losses = {
        "anchor": Objective(lambda y: y.square().mean(), ["y"], weight),
        "other": Objective(lambda y: 1e-6 * y.abs().mean(), ["y"], 1.0, 3.0, "anchor", "x"),
    }
    (both,) = torch.autograd.grad(total_loss(losses, p, 1, state), x, retain_graph=True)
    (anchor,) = torch.autograd.grad(y.square().mean(), x)
    length = (both - weight * anchor).norm().item()
    assert length == pytest.approx(3 * counted * anchor.norm().item(), rel=1e-4)
    with torch.no_grad():  # validation reports with the weight that training found last
        value = total_loss(losses, p, 1, state)
    expected = weight * y.square().mean() + state.balance["other"] * 1e-6 * y.abs().mean()
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
    brain = brain_at(epoch=1, step=1)
    drawn = [MimicBrain.draw(brain, use).random() for use in ("remix", "noisy_share", "remix")]
    assert drawn[0] == drawn[2] != drawn[1]


def brain_at(epoch=1, step=1, seed=1, **settings):
    """What the parts of a MimicBrain read that are called with it."""
    brain = SimpleNamespace(hparams=SimpleNamespace(seed=seed, **settings), epoch=epoch, step=step)
    brain.modules = torch.nn.ModuleDict()
    brain.freezing, brain.guard = Freezing([], [], 1), StepGuard(brain.modules, 3)
    brain.draw = partial(MimicBrain.draw, brain)
    return brain


def test_each_step_has_its_own_random_numbers(monkeypatch):
    drawn = []
    places = [{}, {"step": 2}, {"epoch": 2}, {"seed": 2}]
    for rank, place in [*((0, place) for place in places), (1, {}), (0, {})]:
        monkeypatch.setattr("train.ranks.own_rank", lambda rank=rank: rank)
        brain = brain_at(**place)
        MimicBrain.on_fit_batch_start(brain, SimpleNamespace(id=["a"]), True)
        drawn.append((torch.rand(()).item(), brain.draw("remix").random()))
    of_rank_0 = drawn[:4]
    for numbers in zip(*of_rank_0, strict=True):
        assert len(set(numbers)) == 4
    assert drawn[5] == drawn[0]
    # Dropout differs between ranks, and what a whole batch does is common to them.
    assert drawn[4][0] != drawn[0][0] and drawn[4][1] == drawn[0][1]


def test_what_is_recognized_in_training_and_after_it():
    def chosen(epoch, stage, noisy_share=0.0):
        signals = {name: name for name in ("clean_wav", "noisy_wav", "enhanced_wav")}
        settings = dict(clean_epochs=2, noisy_share=noisy_share, input_signal="enhanced")
        return MimicBrain.choose_signal(brain_at(epoch, **settings), signals, stage)

    in_training = [chosen(epoch, Stage.TRAIN) for epoch in (1, 2, 3)]
    assert in_training == ["clean_wav", "clean_wav", "enhanced_wav"]
    assert chosen(3, Stage.TRAIN, noisy_share=1.0) == "noisy_wav"
    assert chosen(1, Stage.VALID, noisy_share=1.0) == "enhanced_wav"


def test_ctc_gets_the_blank_of_the_tokens_and_each_copy_its_targets():
    needs = SimpleNamespace(ctc=False, seq=False, hypotheses=False)
    same, copies = (lambda x, *_, **__: x), build_augmentation(["drop_chunk"])
    settings = dict(augmentation=copies, compute_features=same, normalize=same)
    brain = brain_at(**settings)
    brain.needs, brain.tokens = {Stage.TRAIN: needs}, SimpleNamespace(blank=7)
    brain.network = lambda name: same
    batch = SimpleNamespace(tokens=2 * [torch.tensor([[3], [4]])], tokens_eos=2 * [torch.ones(2)])
    p = MimicBrain.recognize(brain, torch.ones(2, 8000), torch.ones(2), batch, Stage.TRAIN)
    assert p["blank"] == 7 and len(p["encoded"]) == len(p["input_lens"]) == 4
    assert p["tokens"].tolist() == p["token_lens"].tolist() == [[3], [4], [3], [4]]
    assert len(p["tokens_eos"]) == len(p["token_eos_lens"]) == 4


def enhanced(stage, network, wav, lens, **settings):
    """The waveforms of a brain that has no cache."""
    brain = brain_at(**settings)
    brain.needs = {stage: SimpleNamespace(enhanced_features=False, mask=False, enhanced_wav=True)}
    brain.network, brain.cache = lambda name: network, None
    brain.never_trains = lambda name: settings["remix"] is not None
    return MimicBrain.enhance(brain, wav, lens, ["a", "b"], stage)["enhanced_wav"]


def test_remixed_speech_does_not_come_from_the_cache():
    def network(wav, synthesize):
        return 2 * wav, None, None

    found = enhanced(Stage.TRAIN, network, torch.ones(2, 8), torch.ones(2), remix=3.0)
    assert torch.equal(found, 2 * torch.ones(2, 8))


@pytest.mark.parametrize("stage", [Stage.VALID, Stage.TEST])
def test_in_evaluation_an_utterance_is_enhanced_as_it_is_used_alone(stage):
    torch.manual_seed(0)
    network, lens = WideResnet([2, 4], 8).eval(), torch.tensor([1.0, 0.5])
    wav = torch.randn(2, 8000)
    wav[1, 4000:] = 0
    found = enhanced(stage, network, wav, lens, remix=None)
    assert torch.equal(found[1, :4000], network(wav[1:, :4000])[0][0])


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
    balance, counts = {"m": torch.tensor(0.1)}, Counter(skipped_steps=2)
    path = saved(tmp_path / "state", terms=terms, balance=balance, counts=counts)
    state = RunState()
    state.load(path, end_of_epoch=False)
    state.begin(True)
    assert state.terms["loss"] == [1.0, 2.0] and state.counts["skipped_steps"] == 2
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


@pytest.mark.parametrize(
    "change, same",
    [
        ({"noisy_wav": "/elsewhere/a.wav"}, True),  # a corpus that moved
        ({"length": 2.5}, False),
        ({"words": "TWO"}, False),
        ({"noise": "rain"}, False),
    ],
)
def test_a_run_goes_on_with_its_own_data_alone(tmp_path, change, same):
    entry = {"noisy_wav": "a.wav", "clean_wav": "b.wav", "length": 1.5, "words": "ONE"}
    manifests = tmp_path / "old.json", tmp_path / "new.json"
    manifests[0].write_text(json.dumps({"a": entry, "b": entry}))
    manifests[1].write_text(json.dumps({"a": entry | change}))  # b has gone bad
    saver = WholeCheckpointer(tmp_path / "save", {"module": torch.nn.Linear(2, 2)})
    for manifest in (*reversed(manifests), manifests[0]):  # nothing has been learned: any will do
        saver.check_data(manifest)
    saver.save_checkpoint(meta={"epoch": 1})
    saver.check_data(manifests[0])
    with nullcontext() if same else pytest.raises(RecipeError, match="another --output_folder"):
        saver.check_data(manifests[1])


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
    monkeypatch.setattr("corpus.files.PATIENCE", 0.1)
    refused = pytest.raises(RecipeError, match="another run is at work")
    with alone_in(tmp_path), refused, alone_in(tmp_path):
        pass
    with alone_in(tmp_path):
        pass
