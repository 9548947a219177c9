"""The copy-free layers give what SpeechBrain's own give."""

import copy

import pytest
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet
from speechbrain.nnet.RNN import LSTM

from models.layout import without_copies


@pytest.mark.parametrize("bins", [257, 40])
def test_acoustic_network_is_unchanged(bins):
    theirs = CRDNN(input_size=bins, cnn_channels=[4, 8], rnn_class=LSTM, rnn_layers=1, rnn_neurons=8, dnn_neurons=8).eval()
    ours = without_copies(copy.deepcopy(theirs))
    x = torch.rand(2, 31, bins)
    assert type(ours.CNN.block_0.conv_1) is not type(theirs.CNN.block_0.conv_1)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_enhancer_is_unchanged_in_training_and_evaluation():
    theirs = EnhanceResnet(channel_counts=[4, 8], dense_nodes=16, dropout=0.0)
    ours = without_copies(copy.deepcopy(theirs))
    x = torch.rand(2, 8000)
    for network in (theirs, ours):
        network.train()
    torch.testing.assert_close(ours(x)[1], theirs(x)[1], rtol=1e-4, atol=1e-5)
    for network in (theirs, ours):
        network.eval()
    torch.testing.assert_close(ours(x)[1], theirs(x)[1], rtol=1e-4, atol=1e-5)
