"""The decoder that knows all tokens gives what SpeechBrain's loop gives, and learns the same from it."""

import pytest
import torch
from speechbrain.nnet.RNN import AttentionalRNNDecoder

from models import recurrence
from models.recurrence import Decoder

SIZES = dict(
    rnn_type="gru",
    attn_type="location",
    hidden_size=12,
    attn_dim=8,
    num_layers=1,
    enc_dim=6,
    input_size=5,
)
LENS = torch.tensor([1.0, 0.7, 0.3])


def pair(dropout):
    """SpeechBrain's decoder, and ours with its weights."""
    torch.manual_seed(0)
    theirs = AttentionalRNNDecoder(**SIZES, channels=3, kernel_size=4, dropout=dropout)
    ours = Decoder(**SIZES, channels=3, kernel_size=4, dropout=dropout)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def learned(decoder, frames=19, tokens=7, dtype=None):
    """Outputs, attention, and the gradients of inputs and weights, with the same random numbers for all."""
    torch.manual_seed(1)
    inputs, encoded = (
        torch.randn(3, tokens, 5, requires_grad=True),
        torch.randn(3, frames, 6, requires_grad=True),
    )
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        outputs, attention = decoder(inputs, encoded, LENS)
    slope = torch.randn(outputs.shape)
    slopes = torch.autograd.grad(
        (outputs.float() * slope).sum(), [inputs, encoded, *decoder.parameters()]
    )
    return outputs.detach(), attention.detach(), *slopes


@pytest.mark.parametrize("tokens", [1, 7])
@pytest.mark.parametrize("training, dropout", [(True, 0.4), (True, 0.0), (False, 0.4)])
def test_it_computes_and_learns_the_same(training, dropout, tokens):
    theirs, ours = (learned(decoder.train(training), tokens=tokens) for decoder in pair(dropout))
    for given, expected in zip(ours, theirs):
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
    assert theirs[-1].any() and ours[1][1, :, -1].eq(0).all()  # nothing is heard in padding


def test_the_same_random_numbers_follow():
    following = []
    for decoder in pair(0.4):
        learned(decoder.train())
        following.append(torch.rand(1))
    assert following[0] == following[1]


def test_without_a_gradient_it_computes_the_same_in_the_memory_of_one_token(monkeypatch):
    _, ours = pair(0.0)
    kept = []
    monkeypatch.setattr(
        recurrence,
        "gru",
        lambda *args, gru=recurrence.gru, **out: (
            kept.append(args[4].data_ptr()),
            gru(*args, **out),
        ),
    )
    with torch.no_grad():
        given = ours(torch.ones(3, 7, 5), torch.ones(3, 19, 6), LENS)
    assert len(kept) == 7 and len(set(kept)) == 1
    expected = ours(torch.ones(3, 7, 5), torch.ones(3, 19, 6), LENS)
    for without, with_gradient in zip(given, expected):
        assert torch.equal(without, with_gradient) and not without.requires_grad


def test_in_16_bit_the_loop_stays_in_32():
    theirs, ours = pair(0.0)
    exact, short, ours_short = (
        learned(theirs),
        learned(theirs, dtype=torch.bfloat16),
        learned(ours, dtype=torch.bfloat16),
    )
    assert (ours_short[1] - exact[1]).abs().max() < (short[1] - exact[1]).abs().max() < 0.1
    assert ours_short[0].dtype == short[0].dtype


def test_part_of_it_may_be_frozen():
    theirs, ours = pair(0.0)
    for decoder in (theirs, ours):
        decoder.attn.requires_grad_(False)
    slopes = []
    for decoder in (theirs, ours):
        encoded = torch.ones(3, 19, 6, requires_grad=True)
        decoder(torch.ones(3, 7, 5), encoded, LENS)[0].square().sum().backward()
        slopes.append(encoded.grad)
        assert (
            decoder.attn.mlp_attn.weight.grad is None
            and decoder.rnn.rnn_cells[0].weight_ih.grad.any()
        )
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-5)
