"""Muon: what its steps are, and that it can be stopped."""

import copy

import pytest
import torch

from training.muon import Muon, grouped, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (8, 72), (72, 8), (5, 1)])
def test_singular_values_come_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-4
    values = torch.linalg.svdvals(orthogonalised(matrix))
    # the smallest of a square random matrix may be too small for five iterations
    assert values.max() < 1.25 and values.median() > 0.65


def test_directions_are_those_of_the_gradient():
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.mT @ orthogonalised(matrix) @ right.mT
    assert torch.allclose(found, torch.diag_embed(found.diagonal()), atol=1e-4)


def test_no_gradient_is_no_step_and_no_nan():
    assert torch.equal(orthogonalised(torch.zeros(4, 4)), torch.zeros(4, 4))


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 8, 3, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 3),
    )


def muon_of(net, muon_models=("net",), **settings):
    return Muon(grouped({"net": net}, muon_models), **settings)


def steps(net, optimizer, number):
    generator = torch.Generator().manual_seed(3)
    for _ in range(number):
        optimizer.zero_grad()
        net(torch.randn(5, 2, 4, 4, generator=generator)).square().mean().backward()
        optimizer.step()


def test_a_matrix_takes_steps_of_the_length_of_adamws_and_a_bias_takes_adamws():
    net = network()
    before, twin = copy.deepcopy(net.state_dict()), copy.deepcopy(net)
    steps(net, muon_of(net, lr=0.01, weight_decay=0.0), 1)
    steps(twin, torch.optim.AdamW(twin.parameters(), lr=0.01, weight_decay=0.0), 1)
    assert torch.equal(net[3].bias, twin[3].bias) and torch.equal(net[1].weight, twin[1].weight)
    for key in ("0.weight", "3.weight"):
        moved = (net.state_dict()[key] - before[key]).square().mean().sqrt()
        assert 0.7 * 0.2 * 0.01 < moved < 1.2 * 0.2 * 0.01


@pytest.mark.parametrize("muon_models", [[], ["net"]])
def test_a_saved_optimizer_goes_on_as_if_never_stopped(muon_models):
    through, stopped = network(), network()
    whole = muon_of(through, muon_models, lr=0.01, weight_decay=0.1)
    steps(through, whole, 3)
    steps(through, whole, 3)
    first = muon_of(stopped, muon_models, lr=0.01, weight_decay=0.1)
    steps(stopped, first, 3)
    second = muon_of(stopped, muon_models, lr=0.01, weight_decay=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(stopped, second, 3)
    for one, other in zip(through.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_its_modules_it_is_adamw():
    net, twin = network(), network()
    optimizer, adamw = (
        muon_of(net, ["another"], lr=0.01),
        torch.optim.AdamW(twin.parameters(), lr=0.01),
    )
    steps(net, optimizer, 3)
    steps(twin, adamw, 3)
    pairs = zip(net.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    torch.optim.AdamW(twin.parameters()).load_state_dict(optimizer.state_dict())


def test_a_parameter_without_gradient_stays():
    net = network()
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    steps(net, muon_of(net, lr=0.01, weight_decay=0.1), 2)
    assert torch.equal(net[0].weight, before)


def test_memory_order_of_a_kernel_does_not_matter():
    plain, last = network(), network().to(memory_format=torch.channels_last)
    for net in (plain, last):
        steps(net, muon_of(net, lr=0.01), 3)
    for one, other in zip(plain.parameters(), last.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
