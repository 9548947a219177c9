"""Long signals in pieces: the same as in one."""

import numpy as np
import pytest
import torch
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet
from torchaudio.functional import resample

from corpus.resampling import KAISER
from errors import RecipeError
from inference.pieces import PiecewiseEnhancer, network_of
from inference.resampling import StreamResampler
from models.enhancer import Enhancer


@pytest.fixture(scope="module")
def network():
    """A small enhancer whose gates differ much from channel to channel."""
    torch.manual_seed(0)
    made = Enhancer(channel_counts=[4, 6, 8], dense_nodes=16).eval()
    for block in made.CNN.values():
        block.se_block.linear2.w.weight.data.normal_(0, 3)
        block.se_block.linear1.w.weight.data.normal_(0, 3)
    plain = EnhanceResnet(channel_counts=[4, 6, 8], dense_nodes=16).eval()
    plain.load_state_dict(made.state_dict())
    plain.istft = WholeFrames(plain.istft)
    return made, plain


class WholeFrames(torch.nn.Module):
    """Synthesis as an exported enhancer has it: all samples of all frames, from the signal's first one on."""

    def __init__(self, istft):
        super().__init__()
        self.istft = istft
        istft.center = False

    def forward(self, spectrum):
        """[batch, time, freq, 2] -> [batch, samples]"""
        return self.istft(spectrum)[:, 256:]


def decibels(error, signal):
    return 10 * np.log10(np.square(error).sum() / np.square(signal).sum())


def noisy(seconds, seed=0):
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0, 0.3, int(seconds * 4) + 1), 4000)[: int(seconds * 16000)]
    return (rng.standard_normal(len(loudness)) * loudness).astype(np.float32)


@pytest.mark.parametrize("kept", [0, 600_000, 1e9])  # recompute all, some, nothing
@pytest.mark.parametrize("samples", [40000, 40192, 63999])
def test_pieces_agree_with_the_whole_to_100_decibels(network, samples, kept):
    _, made = network
    signal = noisy(4)[:samples]
    with torch.inference_mode():
        whole = network[0](torch.from_numpy(signal)[None])[0][0].numpy()
    pieces = list(PiecewiseEnhancer(made, seconds=0.8, kept=kept).stream(signal))
    assert len(pieces) > 2 and len(np.concatenate(pieces)) == samples
    assert decibels(np.concatenate(pieces) - whole, whole) < -100
    with torch.inference_mode():
        alone = np.concatenate(
            [PiecewiseEnhancer(made).at_once(part) for part in np.split(signal, [20224])]
        )
    assert (
        decibels(alone - whole, whole) > -40
    )  # without the means of the whole this would not hold


def test_progress_adds_up_and_the_network_is_left_as_it_was(network):
    made = network[0]
    shares = []
    before = [block.se_block for block in made.CNN.values()]
    list(PiecewiseEnhancer(made, seconds=0.8, advance=shares.append).stream(noisy(4)))
    assert abs(sum(shares) - 1) < 1e-9 and [block.se_block for block in made.CNN.values()] == before


@pytest.mark.parametrize("samples", [0, 1, 200, 1600, 16001])
def test_short_signals_keep_their_length(network, samples):
    enhanced = np.concatenate(
        list(PiecewiseEnhancer(network_of(network[1])).stream(noisy(2)[:samples]))
    )
    assert enhanced.shape == (samples,) and np.isfinite(enhanced).all()


@pytest.mark.parametrize(
    "rate, new_rate",
    [(48000, 16000), (44100, 16000), (16000, 44100), (8000, 16000), (16000, 16000)],
)
@pytest.mark.parametrize("samples", [1, 100, 4410, 50001])
def test_resampling_a_stream_is_resampling_the_whole(rate, new_rate, samples):
    signal = noisy(4)[:samples]
    resampler = StreamResampler(rate, new_rate)
    found = np.concatenate(list(resampler.stream(np.array_split(signal, 7))))
    whole = resample(
        torch.from_numpy(signal), rate, new_rate, **KAISER
    ).numpy()  # its filters are in 32 bit, ours in 64
    assert (
        len(found) == resampler.length(samples) == len(whole) and np.abs(found - whole).max() < 2e-5
    )


def test_a_rate_without_common_divisor_is_refused_in_words():
    with pytest.raises(RecipeError, match="usual rate"):
        StreamResampler(44101, 16000)
