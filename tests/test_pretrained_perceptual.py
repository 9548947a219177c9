"""A pretrained model as the perceptual model: what its layers give, its gradient, its errors."""

import sys

import pytest
import torch
from transformers import (
    HubertModel,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)
from transformers_models import speech_model

from errors import RecipeError
from models.mimic import mimic_distance
from models.perceptual import PretrainedPerceptual

TAPS = ("layer_0", "layer_2")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a small wav2vec 2.0 of three layers."""
    return speech_model(tmp_path_factory.mktemp("wav2vec2"))


def test_a_tap_is_the_hidden_state_of_the_network_and_deeper_layers_are_dropped(model):
    whole, part = (
        PretrainedPerceptual(model, ["layer_3"]).eval(),
        PretrainedPerceptual(model, ["layer_1"]).eval(),
    )
    assert whole.tap_names() == part.tap_names() == ["layer_0", "layer_1", "layer_2", "layer_3"]
    assert len(part.network.encoder.layers) == 2
    wav = torch.randn(2, 3200)
    plain = Wav2Vec2Model.from_pretrained(
        model
    ).eval()  # takes what its feature extractor gives: mean 0, variance 1
    states = plain(
        torch.nn.functional.layer_norm(wav, [3200], eps=1e-7), output_hidden_states=True
    ).hidden_states
    assert torch.equal(whole(wav, TAPS)["layer_2"], states[2])
    assert torch.equal(whole(wav, ["layer_1"])["layer_1"], part(wav, ["layer_1"])["layer_1"])


@pytest.mark.parametrize("kind", [HubertModel, WavLMModel, Wav2Vec2Model])
@pytest.mark.parametrize("stable", [False, True])
def test_similar_models_give_the_same_whether_layers_are_dropped_or_not(tmp_path, kind, stable):
    model, wav = (
        speech_model(tmp_path, kind=kind, do_stable_layer_norm=stable),
        torch.randn(2, 3200),
    )
    whole, part = (
        PretrainedPerceptual(model, [deepest]).eval()(wav, TAPS)
        for deepest in ("layer_3", "layer_2")
    )
    assert all(torch.equal(whole[tap], part[tap]) for tap in TAPS)


def test_gradients_pass_and_there_is_no_distance_to_itself(model):
    network, clean = (
        PretrainedPerceptual(model, TAPS).eval().requires_grad_(False),
        torch.randn(2, 3200),
    )
    enhanced = (clean + 0.1 * torch.randn(2, 3200)).requires_grad_()
    distance = mimic_distance(network(enhanced, TAPS), network(clean, TAPS), torch.ones(2))
    distance.backward()
    assert (
        distance > 0
        and enhanced.grad.norm() > 0
        and not any(p.grad is not None for p in network.parameters())
    )
    assert mimic_distance(network(clean, TAPS), network(clean, TAPS), torch.ones(2)) == 0


@pytest.mark.parametrize("normalize", [True, False])
def test_loudness_is_removed_where_the_model_was_trained_so(tmp_path, normalize):
    network, wav = (
        PretrainedPerceptual(speech_model(tmp_path, normalize), ["layer_0"]).eval(),
        torch.randn(1, 3200),
    )
    soft, loud = (network(gain * wav, ["layer_0"])["layer_0"] for gain in (0.1, 1.0))
    assert torch.allclose(soft, loud, atol=1e-4) == normalize


def test_the_control_has_the_same_shape_and_other_parameters(model):
    network, control = (
        PretrainedPerceptual(model, TAPS, random=random) for random in (False, True)
    )
    pairs = list(zip(network.parameters(), control.parameters(), strict=True))
    assert all(a.shape == b.shape for a, b in pairs) and not all(
        torch.equal(a, b) for a, b in pairs
    )


def test_a_model_of_another_rate_or_input_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="reads 8000 Hz, and the recipe has 16000"):
        PretrainedPerceptual(speech_model(tmp_path / "slow", rate=8000), TAPS)
    sizes = dict(
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
    )
    WhisperModel(WhisperConfig(**sizes, encoder_ffn_dim=8, decoder_ffn_dim=8)).save_pretrained(
        tmp_path / "mel"
    )
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "mel")
    with pytest.raises(RecipeError, match="reads input_features, and the enhancer gives waveforms"):
        PretrainedPerceptual(str(tmp_path / "mel"), TAPS)


def test_a_missing_package_is_told(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RecipeError, match="pip install transformers"):
        PretrainedPerceptual(model, TAPS)


def test_what_is_no_pretrained_model_is_told(tmp_path):
    for source in (None, "results/pretrain_perceptual/1/encoder.ckpt"):
        with pytest.raises(RecipeError, match="is no pretrained model"):
            PretrainedPerceptual(source, TAPS)
    with pytest.raises(RecipeError, match="cannot be loaded by transformers"):
        PretrainedPerceptual(str(tmp_path), TAPS)
