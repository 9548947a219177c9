"""Steps that are not finite are left out, in buffers too, and patience counts those in a row."""

import pytest
import torch

from errors import RecipeError
from training.step_guard import StepGuard

FINITE, NOT = torch.tensor(1.0), torch.tensor(torch.nan)


@pytest.fixture
def network():
    return torch.nn.BatchNorm1d(2)


def step(guard, network, norm, loss=FINITE, patient=False):
    guard.begin(["u1", "u2"], network)
    network(torch.full((2, 2), float(norm)))
    guard.see_loss(loss)
    return guard.allows(guard.read(norm), patient)


def test_buffers_are_put_back(network):
    guard = StepGuard(patience=3)
    assert step(guard, network, FINITE) and network.num_batches_tracked == 1
    before = network.running_mean.clone()
    assert not step(guard, network, NOT)
    assert torch.equal(network.running_mean, before) and network.num_batches_tracked == 1


def test_a_loss_that_is_not_finite_counts_though_the_gradient_is(network):
    assert not step(StepGuard(patience=3), network, FINITE, loss=torch.tensor(torch.inf))


def test_only_steps_in_a_row_end_the_patience(network):
    guard = StepGuard(patience=1)
    for norm in (NOT, FINITE, NOT, FINITE, NOT):
        step(guard, network, norm)
    with pytest.raises(RecipeError, match="2 steps in a row.*nonfinite_patience: 1.*u1, u2"):
        step(guard, network, NOT)


def test_a_scaler_that_looks_for_its_scale_is_not_counted(network):
    guard = StepGuard(patience=0)
    assert not any(step(guard, network, NOT, patient=True) for _ in range(20))


def test_a_step_of_several_batches_names_and_restores_all(network):
    guard = StepGuard(patience=0)
    guard.begin(["u1"], network)
    network(torch.ones(2, 2) * torch.nan)
    guard.begin(["u2"], network)
    network(torch.ones(2, 2))
    with pytest.raises(RecipeError, match="u1, u2"):
        guard.allows(guard.read(NOT))
    assert network.running_mean.isfinite().all() and network.num_batches_tracked == 0
