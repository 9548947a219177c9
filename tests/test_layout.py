"""The copy-free layers give what SpeechBrain's own give."""

import copy

import pytest
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet
from speechbrain.nnet.RNN import LSTM

from models.borders import Bordered, bordered
from models.halving import Halving
from models.layout import WIDE, convolution, is_wide, without_copies
from models.winograd import Winograd


@pytest.mark.parametrize("bins", [257, 40])
def test_acoustic_network_is_unchanged(bins):
    theirs = CRDNN(
        input_size=bins,
        cnn_channels=[4, 8],
        rnn_class=LSTM,
        rnn_layers=1,
        rnn_neurons=8,
        dnn_neurons=8,
    ).eval()
    ours = without_copies(copy.deepcopy(theirs))
    x = torch.rand(2, 31, bins)
    assert type(ours.CNN.block_0.conv_1) is not type(theirs.CNN.block_0.conv_1)
    outputs = [network(x) for network in (theirs, ours)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    slopes = [slope_of(y.square().mean(), network) for y, network in zip(outputs, (theirs, ours))]
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-4 * slopes[0].abs().max().item())
    assert ours.CNN.block_0.act_1.inplace and not theirs.CNN.block_0.act_1.inplace


def slope_of(loss, network):
    """The gradient at all parameters, in one vector."""
    return torch.cat(
        [slope.flatten() for slope in torch.autograd.grad(loss, list(network.parameters()))]
    )


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


@pytest.mark.parametrize("time, freq", [(1, 1), (2, 1), (0, 3), (3, 0), (4, 2), (6, 4)])
def test_gradient_of_a_border_is_that_of_reflection_and_has_no_gaps_in_memory(time, freq):
    x = torch.rand(2, 7, 5, 3, dtype=torch.double, requires_grad=True)
    reflected = torch.nn.functional.pad(
        x.permute(0, 3, 1, 2), (freq, freq, time, time), mode="reflect"
    ).permute(0, 2, 3, 1)
    ours = Bordered.apply(x, time, freq)
    torch.testing.assert_close(ours, reflected)
    weights = torch.rand_like(ours)
    slopes = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (reflected, ours)]
    torch.testing.assert_close(*slopes)
    assert slopes[1].is_contiguous()
    roomy = bordered(x.detach(), time, freq, room=(2, 1))
    assert roomy.shape[1:3] == (ours.shape[1] + 2, ours.shape[2] + 1)
    torch.testing.assert_close(roomy[:, :-2, :-1], ours.detach())
    assert not roomy[:, -2:].any() and not roomy[:, :, -1:].any()


@pytest.mark.parametrize("wanted", [(True, True, True), (False, True, True), (True, False, False)])
@pytest.mark.parametrize("stride, way", [((1, 1), Winograd), ((1, 2), Halving)])
def test_gradients_of_a_wide_convolution_are_those_of_any(wanted, stride, way):
    torch.manual_seed(1)
    leaves = [
        torch.randn(2, 23, 9, WIDE),
        torch.randn(WIDE, WIDE, 3, 3) / WIDE**0.5,
        torch.randn(WIDE),
    ]
    for leaf, needed in zip(leaves, wanted):
        leaf.requires_grad_(needed)
    ours, plain = convolution(*leaves, stride), plainly(*leaves, stride)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    assert way.__name__ in str([ours.grad_fn, *ours.grad_fn.next_functions])
    slopes = [
        torch.autograd.grad(y.sin().sum(), [leaf for leaf in leaves if leaf.requires_grad])
        for y in (ours, plain)
    ]
    for found, expected in zip(*slopes):
        torch.testing.assert_close(
            found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item()
        )


def plainly(x, weight, bias, stride):
    """``conv2d`` of x [batch, time, freq, in] in its reflected border."""
    image = torch.nn.functional.pad(x.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="reflect")
    return torch.nn.functional.conv2d(image, weight, bias, stride=stride).permute(0, 2, 3, 1)


@pytest.mark.parametrize("time, freq", [(2, 2), (4, 8), (6, 3), (41, 70)])
@pytest.mark.parametrize("stride, way", [((1, 1), Winograd), ((1, 2), Halving)])
def test_fewer_multiplications_give_the_last_digits_of_64_bit(stride, way, time, freq):
    torch.manual_seed(1)
    x, weight = torch.randn(2, time, freq, 3).double(), torch.randn(5, 3, 3, 3).double()
    x, weight, bias = (leaf.requires_grad_() for leaf in (x, weight, torch.randn(5).double()))
    ours, plain = way.apply(x, weight, bias), plainly(x, weight, bias, stride)
    torch.testing.assert_close(ours, plain)
    for found, expected in zip(
        *(torch.autograd.grad(y.sin().sum(), (x, weight, bias)) for y in (ours, plain))
    ):
        torch.testing.assert_close(found, expected)


def test_no_convolution_is_wide_under_autocast_or_in_an_exported_graph():
    x, weight = torch.randn(2, 9, 7, WIDE), torch.randn(WIDE, WIDE, 3, 3)
    assert is_wide(x, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_wide(x, weight)
    theirs = EnhanceResnet(channel_counts=[WIDE], dense_nodes=8).eval()
    exported = torch.export.export(without_copies(theirs).CNN, (torch.rand(1, 12, 257),))
    assert sum("conv2d" in str(node.target) for node in exported.graph.nodes) == 3
