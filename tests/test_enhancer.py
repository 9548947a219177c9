"""The enhancers: their contract, the use of the mask, sizes and parameter names as published."""

import pytest
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet
from speechbrain.lobes.models.transformer.TransformerSE import CNNTransformerSE
from speechbrain.processing.features import STFT

from errors import RecipeError
from models.cnn_transformer import CNNTransformer, convolutions
from models.crdnn_enhancer import CRDNNEnhancer
from models.enhancer import Enhancer, enhance_alone, resynthesize
from models.features import istft, log_magnitude, stft
from models.wide_resnet import ReturningClamp, WideResnet

WAV = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)) / 10
SMALL = {
    WideResnet: dict(channels=[4, 8], dense=16),
    CNNTransformer: dict(channels=[16, 8], layers=1, heads=2, feed_forward=8),
    CRDNNEnhancer: dict(cnn_channels=[2, 2], rnn_layers=1, rnn_neurons=8, dnn_neurons=8),
}


class Constant(Enhancer):
    """An enhancer of a user's own: one number as the mask."""

    def __init__(self, value=0.5, **mask):
        super().__init__(**mask)
        self.value = value

    def mask(self, noisy_features):
        """[batch, time, freq] -> the same shape."""
        return torch.full_like(noisy_features, self.value)


@pytest.mark.parametrize("kind", SMALL)
def test_the_contract_of_every_enhancer(kind):
    torch.manual_seed(0)
    enhancer = kind(**SMALL[kind])
    wav, features, mask = enhancer(WAV)
    assert wav.shape == WAV.shape and features.shape == mask.shape == (2, 32, 257)
    assert mask.min() >= 0 and features.min() >= 0
    (wav.square().mean() + features.square().mean()).backward()
    assert all(p.grad.isfinite().all() for p in enhancer.parameters())
    assert enhancer(WAV, synthesize=False)[0] is None
    assert kind(**enhancer.sizes).sizes == enhancer.sizes


@pytest.mark.parametrize("kind, millions", [(WideResnet, 22.3), (CNNTransformer, 7.24)])
def test_published_sizes(kind, millions):
    with torch.device("meta"):  # shapes alone
        parameters = sum(p.numel() for p in kind().parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.05 if millions > 9 else 0.005)


@pytest.mark.parametrize("causal", [False, True])
def test_checkpoints_of_the_cnn_transformer_load_and_give_its_mask(causal):
    torch.manual_seed(1)
    ours = CNNTransformer([16, 8], 2, 2, 8, causal=causal).eval()
    embedding = convolutions([16, 8], causal)
    sizes = dict(d_model=8, output_size=257, nhead=2, num_layers=2, d_ffn=8, causal=causal)
    theirs = CNNTransformerSE(custom_emb_module=embedding, **sizes).eval()
    ours.load_state_dict(theirs.state_dict())
    features = torch.rand(2, 20, 257)
    torch.testing.assert_close(ours.mask(features), theirs(features))
    assert "custom_emb_module.conv2.conv.weight" in ours.state_dict()


def test_a_causal_mask_does_not_depend_on_the_future():
    torch.manual_seed(1)
    network, features = CNNTransformer([16, 8], 1, 2, 8, causal=True).eval(), torch.rand(1, 20, 257)
    later = features.clone()
    later[:, 12:] += 1
    torch.testing.assert_close(network.mask(features)[:, :12], network.mask(later)[:, :12])


def test_checkpoints_of_the_wide_resnet_load_and_give_its_features():
    torch.manual_seed(1)
    theirs = EnhanceResnet(channel_counts=[4, 8], dense_nodes=16, dropout=0.0)
    ours = WideResnet([4, 8], 16, 0.0)
    ours.load_state_dict(theirs.state_dict())
    outputs = [theirs(WAV)[1], ours(WAV)[1]]
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4)
    for network in (theirs, ours):
        network.eval()
    torch.testing.assert_close(ours(WAV)[1], theirs(WAV)[1], rtol=1e-4, atol=1e-5)


def test_checkpoints_of_the_crdnn_load():
    sizes = dict(cnn_channels=[2, 2], rnn_layers=1, rnn_neurons=8, dnn_neurons=8)
    lobe = CRDNN(input_size=257, **sizes)
    CRDNNEnhancer(**sizes).model.load_state_dict(lobe.state_dict())


def test_the_mask_multiplies_the_spectrum():
    wav, features, mask = Constant(0.25, mask_weight=0.8)(WAV)
    gain = 0.8 * 0.25 + 0.2
    torch.testing.assert_close(wav, gain * WAV, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features, log_magnitude(gain * stft(WAV)))


def test_the_mask_multiplies_the_features_and_the_noisy_phase_is_kept():
    wav, features, _ = Constant(0.25, mask_domain="features", mask_weight=0.8)(WAV)
    noisy = stft(WAV)
    torch.testing.assert_close(features, 0.4 * log_magnitude(noisy))
    spectrum = torch.polar(torch.expm1(features), noisy.angle())
    torch.testing.assert_close(wav, istft(spectrum, 8000), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        Constant(1.0, mask_domain="features")(WAV)[0], WAV, atol=1e-5, rtol=0
    )


def test_an_unknown_mask_domain_is_refused():
    with pytest.raises(RecipeError, match="'wav' is not one of spectrum, features"):
        Constant(mask_domain="wav")


@pytest.mark.parametrize("domain", ["spectrum", "features"])
def test_silence_has_a_finite_gradient(domain):
    enhancer = WideResnet([4, 8], 16, mask_domain=domain)
    wav, features, _ = enhancer(torch.zeros(1, 4000))
    (wav.sum() + features.square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in enhancer.parameters())


@pytest.mark.parametrize("domain", ["spectrum", "features"])
def test_autocast_changes_nothing_outside_of_the_network(domain):
    exact = Constant(mask_domain=domain)(WAV)
    with torch.autocast("cpu", torch.bfloat16):
        short = Constant(mask_domain=domain)(WAV)
    assert all(torch.equal(*pair) for pair in zip(exact, short, strict=True))


def test_padding_does_not_reach_an_utterance_that_is_enhanced_alone():
    torch.manual_seed(0)
    enhancer, lens = WideResnet([4, 8], 16).eval(), torch.tensor([1.0, 0.5])
    padded = WAV.clone()
    padded[1, 4000:] = 0
    wav, features, mask = enhance_alone(enhancer, padded, lens)
    assert wav.shape == WAV.shape and features.shape == mask.shape == (2, 32, 257)
    alone = enhancer(WAV[1:, :4000])
    for found, expected in zip((wav, features, mask), alone, strict=True):
        assert torch.equal(found[1, : expected.shape[1]], expected[0])
        assert not found[1, expected.shape[1] :].any()
    batched = enhancer(padded)[2][1, :16]
    assert (batched - mask[1, :16]).abs().max() > 1e-4  # what the padding does
    assert enhance_alone(enhancer, padded, lens, synthesize=False)[0] is None


def test_magnitudes_of_one_signal_with_the_phases_of_another():
    torch.testing.assert_close(resynthesize(WAV, WAV), WAV, atol=1e-5, rtol=0)
    found = stft(resynthesize(0.5 * WAV, WAV))
    torch.testing.assert_close(found, stft(0.5 * WAV), atol=1e-4, rtol=1e-3)


def test_spectra_are_those_of_speechbrain():
    theirs = STFT(sample_rate=16000, win_length=32, hop_length=16, n_fft=512)(WAV)
    assert torch.equal(torch.view_as_real(stft(WAV)), theirs)


def test_clamp_keeps_the_gradient_that_leads_back_and_no_other():
    x = torch.tensor([-0.5, -0.5, 0.3, 0.3, 1.5, 1.5], requires_grad=True)
    gradient = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0], requires_grad=True)
    y = ReturningClamp.apply(x)
    assert y.tolist() == x.detach().clamp(0, 1).tolist()
    (found,) = torch.autograd.grad(y, x, gradient, create_graph=True)
    assert found.tolist() == [-1.0, 0.0, -1.0, 1.0, 0.0, 1.0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        found.sum().backward()


def test_a_closed_mask_learns_to_open():
    enhancer = WideResnet(channels=[4, 8], dense=16, dropout=0.0)
    bias = list(enhancer.DNN.values())[-1].w.bias
    torch.nn.init.constant_(bias, -3.0)
    _, features, mask = enhancer(WAV, synthesize=False)
    assert not mask.any()
    (features - features.detach() - 1).square().mean().backward()
    assert bias.grad.min() < 0


def test_an_untrained_mask_lets_most_through():
    torch.manual_seed(0)
    assert WideResnet(channels=[4, 8], dense=16)(WAV)[2].mean() > 0.6
