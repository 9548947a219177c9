"""The copy-free layers give what SpeechBrain's own give."""

import copy

import pytest
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet
from speechbrain.nnet.RNN import LSTM

from models.layout import WIDE, Bordered, WideConvolution, convolution, without_copies


@pytest.mark.parametrize("bins", [257, 40])
def test_acoustic_network_is_unchanged(bins):
    theirs = CRDNN(input_size=bins, cnn_channels=[4, 8], rnn_class=LSTM, rnn_layers=1, rnn_neurons=8, dnn_neurons=8).eval()
    ours = without_copies(copy.deepcopy(theirs))
    x = torch.rand(2, 31, bins)
    assert type(ours.CNN.block_0.conv_1) is not type(theirs.CNN.block_0.conv_1)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def slope_of(loss, network):
    """The gradient at all parameters, in one vector."""
    return torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, list(network.parameters()))])


def test_enhancer_is_unchanged_in_training_and_evaluation():
    torch.manual_seed(1)
    theirs = EnhanceResnet(channel_counts=[4, 8], dense_nodes=16, dropout=0.0)
    ours = without_copies(copy.deepcopy(theirs))
    x = torch.rand(2, 8000)
    for network in (theirs, ours):
        network.train()
    features = [network(x)[1] for network in (theirs, ours)]
    torch.testing.assert_close(*features, rtol=1e-4, atol=1e-5)
    slopes = [slope_of(f.square().mean(), network) for f, network in zip(features, (theirs, ours))]
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-4 * slopes[0].abs().max().item())
    for network in (theirs, ours):
        network.eval()
    torch.testing.assert_close(ours(x)[1], theirs(x)[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("time, freq", [(1, 1), (2, 1), (0, 3), (3, 0)])
def test_gradient_of_a_border_is_that_of_reflection_and_has_no_gaps_in_memory(time, freq):
    x = torch.rand(2, 7, 5, 3, dtype=torch.double, requires_grad=True)
    reflected = torch.nn.functional.pad(x.permute(0, 3, 1, 2), (freq, freq, time, time), mode="reflect").permute(0, 2, 3, 1)
    ours = Bordered.apply(x, time, freq)
    torch.testing.assert_close(ours, reflected)
    weights = torch.rand_like(ours)
    slopes = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (reflected, ours)]
    torch.testing.assert_close(*slopes)
    assert slopes[1].is_contiguous()


@pytest.mark.parametrize("wanted", [(True, True, True), (False, True, True), (True, False, False)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1)])
def test_gradients_of_a_wide_convolution_are_those_of_any(wanted, stride):
    torch.manual_seed(1)
    x = torch.randn(2, WIDE, 9, 7).contiguous(memory_format=torch.channels_last)
    leaves = [x, torch.randn(WIDE, WIDE, 3, 3), torch.randn(WIDE)]
    for leaf, needed in zip(leaves, wanted):
        leaf.requires_grad_(needed)
    ours, plain = convolution(*leaves, stride), torch.nn.functional.conv2d(*leaves, stride=stride)
    assert type(ours.grad_fn).__name__ == f"{WideConvolution.__name__}Backward"
    slopes = [torch.autograd.grad(y.sin().sum(), [leaf for leaf in leaves if leaf.requires_grad]) for y in (ours, plain)]
    for found, expected in zip(*slopes):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_no_convolution_is_wide_under_autocast():
    x, weight = torch.randn(2, WIDE, 9, 7, requires_grad=True), torch.randn(WIDE, WIDE, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert type(convolution(x, weight, None, (1, 1)).grad_fn).__name__ != f"{WideConvolution.__name__}Backward"
