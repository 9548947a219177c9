"""The mimic loss: zero at identity, the same for any scale of a channel, balanced by gradients."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from errors import RecipeError
from models.acoustic import AcousticEncoder
from models.losses import masked_mean, spectral_distance
from models.mimic import FORMS, balanced, mimic_distance, unit

TAPS = ("CNN.block_0", "CNN.block_1", "encoder")
LENS = torch.tensor([1.0, 0.8, 0.5])


def frozen_encoder():
    """A small perceptual model with dropout and BatchNorm, frozen."""
    sizes = dict(cnn_channels=[4, 8], rnn_layers=2, rnn_neurons=8, dnn_neurons=8)
    return AcousticEncoder(65, dropout=0.3, **sizes).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["mse", "l1"])
@pytest.mark.parametrize("form", FORMS)
def test_it_is_exactly_0_for_clean_against_clean(form, kind):
    network, clean = frozen_encoder(), torch.rand(3, 40, 65)
    pair = network(clean, taps=TAPS), network(clean, taps=TAPS)
    assert mimic_distance(*pair, LENS, kind, form) == 0
    other = network(clean + 0.1 * torch.rand_like(clean), taps=TAPS)
    assert mimic_distance(other, pair[1], LENS, kind, form) > 0
    network.train()  # dropout is on
    assert mimic_distance(network(clean, taps=TAPS), pair[1], LENS, kind, form) > 0


def test_unit_norm_counts_quiet_frames_as_much_as_loud_ones():
    clean, enhanced = torch.rand(2, 6, 5, 4), torch.rand(2, 6, 5, 4)
    level = torch.logspace(-3, 3, 6).view(1, 6, 1, 1)
    for form, same in (("unit_norm", True), ("raw", False)):
        pairs = (enhanced, clean), (enhanced * level, clean * level)
        plain, scaled = (
            mimic_distance({"CNN": e}, {"CNN": c}, torch.ones(2), form=form) for e, c in pairs
        )
        assert torch.isclose(plain, scaled, rtol=1e-4) == same


def test_a_channels_scale_counts_in_the_raw_form_and_not_in_the_standardised_one():
    clean, enhanced, lens = torch.randn(2, 20, 5), torch.randn(2, 20, 5), torch.ones(2)
    scale = torch.tensor([1.0, 10.0, 0.1, 3.0, 1.0])
    pairs = ({"CNN": enhanced}, {"CNN": clean}), ({"CNN": enhanced * scale}, {"CNN": clean * scale})
    plain, scaled = (mimic_distance(*pair, lens, form="standardised") for pair in pairs)
    torch.testing.assert_close(plain, scaled)
    plain, scaled = (mimic_distance(*pair, lens, form="raw") for pair in pairs)
    assert scaled > 2 * plain


def test_unit_norm_is_the_cosine_distance_and_taps_are_added():
    clean, enhanced, lens = torch.randn(2, 8, 5), torch.randn(2, 8, 5), torch.ones(2)
    cosine = 2 / 5 * (1 - cosine_similarity(clean, enhanced, dim=-1)).mean()
    for enhanced_too, expected in ((clean, cosine), (enhanced, 2 * cosine)):
        pair = {"CNN": enhanced, "encoder": enhanced_too}, {"CNN": clean, "encoder": clean}
        torch.testing.assert_close(mimic_distance(*pair, lens), expected)


def test_vectors_of_length_1_and_their_gradient():
    x = torch.randn(2, 3, 7, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(unit(x), normalize(x, dim=-1))
    ours, plain = (
        torch.autograd.grad(y.sin().sum(), x)[0] for y in (unit(x), normalize(x, dim=-1))
    )
    torch.testing.assert_close(ours, plain)
    nothing = torch.zeros(2, 7, requires_grad=True)
    assert not unit(nothing).any()
    assert not torch.autograd.grad(unit(nothing).sum(), nothing)[0].any()


def test_balanced_gradient_has_the_wanted_length_and_direction():
    features = torch.randn(2, 6, 4, requires_grad=True)
    anchor, loss = (features - 1).square().mean(), features.pow(4).sum()
    term, weight = balanced(loss, anchor, features, ratio=4.0)
    (gradient,) = torch.autograd.grad(term, features, retain_graph=True)
    (anchor_gradient,) = torch.autograd.grad(anchor, features)
    assert gradient.norm().item() == pytest.approx(4 * anchor_gradient.norm().item(), rel=1e-4)
    torch.testing.assert_close(gradient, weight * 4 * features.detach().pow(3))
    torch.testing.assert_close(term.detach(), (weight * loss).detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["mse", "l1"])
@pytest.mark.parametrize("form", FORMS)
def test_the_distance_is_computed_in_32_bit(form, kind, dtype):
    clean = torch.randn(2, 9, 4, 50).to(dtype)
    enhanced = (clean + 0.02 * torch.randn_like(clean)).to(dtype)
    exact = mimic_distance({"CNN": enhanced.float()}, {"CNN": clean.float()}, LENS[:2], kind, form)
    with torch.autocast("cpu", dtype):
        short = mimic_distance({"CNN": enhanced}, {"CNN": clean}, LENS[:2], kind, form)
    assert short.dtype == torch.float32 and torch.equal(short, exact)


def test_a_gradient_that_fp16_cannot_hold_passes_the_perceptual_model_scaled():
    torch.manual_seed(0)
    network, clean = frozen_encoder(), torch.rand(3, 40, 65)
    features = (clean + 0.1 * torch.rand_like(clean)).requires_grad_()

    def term(short, scale):
        with torch.autocast("cpu", torch.float16, enabled=short):
            outputs = [network(x, taps=("CNN.block_0",)) for x in (features, clean)]
        loss = 1e-5 * mimic_distance(*outputs, torch.ones(3))
        found, _ = balanced(loss, features.square().mean(), features, 1.0, scale)
        return torch.autograd.grad(found, features)[0].flatten()

    exact, scaled, lost = term(False, 1.0), term(True, 2.0**16), term(True, 1.0)
    assert torch.cosine_similarity(scaled, exact, dim=0) > 0.99
    assert not torch.cosine_similarity(lost, exact, dim=0) > 0.9  # what the scale is for


def test_padding_does_not_count():
    x, lens = torch.rand(2, 10, 3), torch.tensor([1.0, 0.5])
    noise = x.clone()
    noise[1, 5:] = 99.0
    torch.testing.assert_close(masked_mean(x, lens), masked_mean(noise, lens))
    assert spectral_distance(x, noise, lens, kind="l1") == 0
    for form in FORMS:
        assert mimic_distance({"CNN": noise}, {"CNN": x}, lens, form=form) == 0
        assert mimic_distance({"CNN": x}, {"CNN": noise}, lens, form=form) == 0
    with pytest.raises(RecipeError, match="raw, standardised, unit_norm"):
        mimic_distance({"CNN": x}, {"CNN": x}, lens, form="unitnorm")
    with pytest.raises(RecipeError, match="mse, l1"):
        spectral_distance(x, noise, lens, kind="huber")
