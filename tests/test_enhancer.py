"""The enhancer's mask: open at the start, clamped, and never out of training's reach."""

import torch

from models.enhancer import Enhancer, Returning


def test_clamp_keeps_the_gradient_that_leads_back_and_no_other():
    x = torch.tensor([-0.5, -0.5, 0.3, 0.3, 1.5, 1.5], requires_grad=True)
    slope = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    y = Returning.apply(x)
    y.backward(slope)
    assert y.tolist() == x.detach().clamp(0, 1).tolist()
    assert x.grad.tolist() == [-1.0, 0.0, -1.0, 1.0, 0.0, 1.0]


def test_a_closed_mask_learns_to_open():
    enhancer = Enhancer(channel_counts=[4, 8], dense_nodes=16, dropout=0.0)
    torch.nn.init.constant_(enhancer.output_layer().bias, -3.0)
    noisy = torch.randn(2, 8000)
    _, features, mask = enhancer(noisy, synthesize=False)
    assert not mask.any()
    (features - features.detach() - 1).square().mean().backward()
    assert enhancer.output_layer().bias.grad.min() < 0


def test_an_untrained_mask_lets_most_through():
    torch.manual_seed(0)
    _, _, mask = Enhancer(channel_counts=[4, 8], dense_nodes=16)(torch.randn(2, 8000))
    assert mask.mean() > 0.6
