"""The acoustic model: what its encoder reads and gives, and the decoder of a recognizer."""

import pytest
import torch

from models.acoustic import AcousticEncoder, AttentionDecoder

SMALL = dict(cnn_channels=[4, 8], rnn_layers=1, rnn_neurons=8, dnn_neurons=8, dropout=0.0)


def test_taps_are_inner_outputs_and_nothing_is_computed_after_them(monkeypatch):
    encoder, features = AcousticEncoder(257, **SMALL, time_pooling=2).eval(), torch.rand(2, 20, 257)
    assert encoder.tap_names() == ["CNN.block_0", "CNN.block_1", "CNN", "encoder"]
    taps = encoder(features, taps=encoder.tap_names())
    assert taps["CNN.block_0"].shape == (2, 20, 128, 4)
    assert taps["CNN.block_1"].shape == (2, 20, 64, 8)
    assert torch.equal(taps["CNN"], taps["CNN.block_1"])
    assert torch.equal(taps["encoder"], encoder(features)) and taps["encoder"].shape == (2, 10, 8)
    monkeypatch.setattr(encoder.RNN, "forward", None)
    assert list(encoder(features, taps=("CNN.block_0",))) == ["CNN.block_0"]


def test_an_encoder_of_mel_bands_reads_their_means():
    torch.manual_seed(1)
    encoder = AcousticEncoder(257, mel_bands=16, **SMALL).eval()
    assert torch.allclose(encoder.bank.sum(dim=0), torch.ones(16), atol=1e-6)
    assert "bank" not in encoder.state_dict()
    features = torch.rand(2, 20, 257)
    assert encoder(features, taps=("CNN.block_0",))["CNN.block_0"].shape == (2, 20, 8, 4)
    unread = torch.linalg.qr(encoder.bank, mode="complete")[0][:, 16:]  # in no band
    same = features + torch.randn(2, 20, 241) @ unread.T
    torch.testing.assert_close(encoder(same), encoder(features), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_decoder_gives_log_posteriors_in_32_bit_and_ignores_padding(dtype):
    torch.manual_seed(0)
    decoder = AttentionDecoder(7, 6, hidden_size=12, attention_size=8).eval()
    encoded, lens = torch.randn(2, 10, 6), torch.tensor([1.0, 0.5])
    tokens = torch.tensor([[1, 3, 4], [1, 5, 6]])
    exact = decoder(encoded, lens, tokens)
    torch.testing.assert_close(exact.exp().sum(dim=-1), torch.ones(2, 3))
    other = encoded.clone()
    other[1, 5:] = 9.0
    torch.testing.assert_close(decoder(other, lens, tokens), exact)
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        assert torch.equal(decoder(encoded, lens, tokens), exact)
