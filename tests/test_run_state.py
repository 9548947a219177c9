"""What checkpoints keep besides parameters comes back, and in the right place."""

import random

import numpy as np
import torch

from training.run_state import RunState, seed_generators


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def saved(path, **attributes):
    state = RunState()
    state.begin("cpu")
    for name, value in attributes.items():
        setattr(state, name, value)
    state.save(path)
    return path


def test_inside_an_epoch_all_comes_back(tmp_path):
    seed_generators(7)
    path = saved(
        tmp_path / "state.ckpt",
        terms={"loss": [torch.tensor(1.0), torch.tensor(2.0)]},
        balance={"m": torch.tensor(0.1)},
    )
    expected = draws()
    state = RunState()
    state.load(path, end_of_epoch=False)
    state.begin("cpu")
    state.restore_generators()
    assert draws() == expected and [float(v) for v in state.terms["loss"]] == [1.0, 2.0]
    assert torch.tensor(state.balance["m"]) == torch.tensor(0.1)


def test_at_the_end_of_an_epoch_only_the_balance_does(tmp_path):
    path = saved(
        tmp_path / "state.ckpt",
        terms={"loss": [torch.tensor(1.0)]},
        balance={"m": 0.5},
        train_stats={"loss": 1.0},
    )
    state = RunState()
    state.load(path, end_of_epoch=True)
    state.begin("cpu")
    before = torch.get_rng_state()
    state.restore_generators()
    assert state.balance == {"m": 0.5} and not state.terms and state.train_stats is None
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_of_an_epoch_without_a_further_batch_are_not_put_back_later(tmp_path):
    state = RunState()
    state.load(saved(tmp_path / "state.ckpt"), end_of_epoch=False)
    state.begin("cpu")  # training: nothing left
    state.begin("cpu")  # validation
    seed_generators(3)
    expected = draws()
    seed_generators(3)
    state.restore_generators()
    assert draws() == expected
