"""The channels-last layers give what SpeechBrain's own give."""

import pytest
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.EnhanceResnet import ConvBlock
from speechbrain.nnet.normalization import BatchNorm2d
from speechbrain.nnet.RNN import LSTM

from models.acoustic import AcousticEncoder
from models.wide_resnet import ResnetBlock


def gradients(network, y):
    """The gradient of all parameters, in one vector."""
    found = torch.autograd.grad(y.square().mean(), list(network.parameters()))
    return torch.cat([gradient.flatten() for gradient in found])


def check_equal(theirs, ours, x):
    """Outputs and gradients."""
    outputs = theirs(x), ours(x)
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4)
    expected, found = gradients(theirs, outputs[0]), gradients(ours, outputs[1])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("bins, pooling", [(257, 1), (40, 3)])
def test_the_acoustic_encoder_is_a_crdnn(bins, pooling):
    torch.manual_seed(1)
    sizes = dict(input_size=bins, cnn_channels=[4, 8], rnn_layers=1, rnn_neurons=8, dnn_neurons=8)
    pooled = dict(time_pooling=pooling > 1, time_pooling_size=pooling)
    theirs = CRDNN(**sizes, **pooled, rnn_class=LSTM).eval()
    ours = AcousticEncoder(**sizes, time_pooling=pooling).eval()
    ours.load_state_dict(theirs.state_dict())
    check_equal(theirs, ours, torch.rand(2, 31, bins))


@pytest.mark.parametrize("channels", [1, 4])
def test_a_block_of_the_resnet(channels):
    torch.manual_seed(1)
    x = torch.rand(2, 31, 65, channels)
    sizes = dict(channels=6, normalization=BatchNorm2d, dropout=0.0)
    theirs, ours = (kind(x.shape, **sizes) for kind in (ConvBlock, ResnetBlock))
    ours.load_state_dict(theirs.state_dict())
    check_equal(theirs, ours, x)
