"""What is frozen holds still at every step; what is released trains again."""

from types import SimpleNamespace

import torch

from train import MimicBrain


def test_a_module_is_frozen_for_some_epochs_and_then_trains():
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5))
    run = SimpleNamespace(modules=torch.nn.ModuleDict({"net": net}), frozen=["net"], held=set())
    before = {key: value.clone() for key, value in net.state_dict().items()}
    for _ in range(3):
        run.modules.train()  # as Brain.fit does after on_stage_start
        MimicBrain.apply_freezing(run)
        x = torch.randn(8, 4)
        assert torch.equal(net(x), net(x))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    run.frozen = []
    run.modules.train()
    MimicBrain.apply_freezing(run)
    net(torch.randn(8, 4)).sum().backward()
    assert net[0].weight.grad is not None and net.training
    assert not torch.equal(net[1].running_mean, before["1.running_mean"])
