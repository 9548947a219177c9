"""Perceptual models by name: the encoder, controls, and what the stages ask about them."""

from inspect import signature

import pytest
import torch

from errors import RecipeError
from models.acoustic import AcousticEncoder
from models.perceptual import KINDS, build_perceptual, compared_at, parameters_of, reads


def test_the_filter_bank_takes_any_tap_and_learns_nothing():
    model, features = build_perceptual("filter_bank"), torch.rand(2, 7, 257, requires_grad=True)
    bands = model(features, taps=("CNN",))["CNN"]
    assert bands.shape == (2, 7, 40) and not list(model.parameters())
    assert torch.autograd.grad(bands.sum(), features)[0].any()


def test_without_a_path_the_encoder_has_the_published_sizes(monkeypatch):
    sizes = {k: p.default for k, p in signature(AcousticEncoder).parameters.items()}
    assert sizes["cnn_channels"] == (100, 200) and sizes["rnn_layers"] == 4
    assert sizes["rnn_neurons"] == sizes["dnn_neurons"] == 512 and sizes["time_pooling"] == 1
    monkeypatch.setattr("models.perceptual.AcousticEncoder", lambda: "published")
    assert build_perceptual("encoder") == build_perceptual("random") == "published"


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_stage_asks_about_a_kind(kind):
    pretrained = kind.startswith("transformers")
    assert reads(kind) == ("wav" if pretrained else "features")
    assert compared_at(kind) == ("mask" if pretrained else "enhanced_features")
    assert parameters_of(kind, "x.ckpt") == ("x.ckpt" if kind == "encoder" else None)


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(RecipeError, match="'wavlm' is not one of encoder, random, filter_bank"):
        build_perceptual("wavlm")
