"""The mimic loss: zero at identity, indifferent to a channel's scale, balanced by gradient length."""

import re
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from speechbrain.nnet.RNN import LSTM
from tiny import run

from errors import RecipeError
from models.acoustic import AcousticEncoder
from models.judges import FilterBankJudge
from models.losses import masked_mean, spectral_distance
from models.mimic import FORMS, UnitDistance, balanced, mimic_distance
from train import MimicBrain
from training.checks import check_taps
from training.freezing import freeze, hold_still, is_frozen, release
from training.objectives import Objective

TAPS = ("CNN.block_0", "CNN.block_1", "encoder")


def judge(dropout=0.3):
    """A small judge with dropout and BatchNorm, in training mode as ``Brain.fit`` leaves it."""
    sizes = dict(cnn_channels=[4, 8], rnn_class=LSTM, rnn_layers=2, rnn_neurons=8, dnn_neurons=8)
    return AcousticEncoder(input_size=65, dropout=dropout, **sizes).train()


def test_frozen_judge_hears_no_difference_between_clean_and_clean():
    network, clean, lens = judge(), torch.rand(3, 40, 65), torch.tensor([1.0, 0.8, 0.5])
    assert (
        mimic_distance(network(clean, taps=TAPS), network(clean, taps=TAPS), lens) > 0
    )  # dropout is on
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    freeze(network)
    for form in ("standardised", "raw", "unit_norm"):
        assert (
            mimic_distance(network(clean, taps=TAPS), network(clean, taps=TAPS), lens, form=form)
            == 0
        )
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in network.named_buffers())
    assert not any(p.requires_grad for p in network.parameters())


def test_freezing_survives_train_of_the_parent_and_can_be_taken_back():
    network = judge()
    freeze(network)
    network.train()
    hold_still(network)
    assert [m.training for m in network.modules() if isinstance(m, torch.nn.Dropout)] == [False] * 2
    assert (
        network.RNN.rnn.dropout == 0 and network.RNN.rnn.training
    )  # cuDNN wants training mode for a gradient
    release(network)
    assert (
        network.RNN.rnn.dropout == 0.3
        and network.training
        and all(p.requires_grad for p in network.parameters())
    )


def test_unit_norm_counts_quiet_frames_as_much_as_loud_ones():
    clean, enhanced = torch.rand(2, 6, 5, 4), torch.rand(2, 6, 5, 4)
    level = torch.logspace(-3, 3, 6).view(1, 6, 1, 1)
    for form, same in (("unit_norm", True), ("raw", False)):
        pairs = (enhanced, clean), (enhanced * level, clean * level)
        plain, scaled = (
            mimic_distance({"CNN": e}, {"CNN": c}, torch.ones(2), form=form) for e, c in pairs
        )
        assert torch.isclose(plain, scaled, rtol=1e-4) == same


def test_standardised_form_does_not_see_a_channels_scale_and_raw_does():
    clean, enhanced, lens = torch.randn(2, 20, 5), torch.randn(2, 20, 5), torch.ones(2)
    scale = torch.tensor([1.0, 10.0, 0.1, 3.0, 1.0])
    pairs = ({"CNN": enhanced}, {"CNN": clean}), ({"CNN": enhanced * scale}, {"CNN": clean * scale})
    plain, scaled = (mimic_distance(*pair, lens, form="standardised") for pair in pairs)
    torch.testing.assert_close(plain, scaled)
    assert mimic_distance(*pairs[1], lens, form="raw") > 2 * mimic_distance(
        *pairs[0], lens, form="raw"
    )


def test_unit_norm_is_the_cosine_distance_and_taps_are_weighted():
    clean, enhanced, lens = torch.randn(2, 8, 5), torch.randn(2, 8, 5), torch.ones(2)
    expected = (
        2 / 5 * (1 - torch.nn.functional.cosine_similarity(clean, enhanced, dim=-1)).mean()
    )  # a mean over 5 channels
    pair = {"CNN": enhanced, "encoder": clean}, {"CNN": clean, "encoder": clean}
    for weights, weight in ((None, 1), ([3, 1], 3), ([1, 3], 1)):
        torch.testing.assert_close(mimic_distance(*pair, lens, weights=weights), weight * expected)


def test_distance_of_directions_is_that_of_vectors_of_length_1():
    x, y = (
        torch.randn(2, 3, 7, dtype=torch.double, requires_grad=True),
        torch.randn(2, 3, 7, dtype=torch.double),
    )
    plain = (
        (torch.nn.functional.normalize(x, dim=-1) - torch.nn.functional.normalize(y, dim=-1))
        .square()
        .mean(dim=-1, keepdim=True)
    )
    ours = UnitDistance.apply(x, y)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*(torch.autograd.grad(d.sin().sum(), x)[0] for d in (ours, plain)))
    loud, soft = torch.randn(9, 100) * 1e4, torch.randn(9, 100) * 1e-6
    assert not UnitDistance.apply(loud, loud).any() and not UnitDistance.apply(soft, soft).any()
    nothing = torch.zeros_like(y)
    assert not UnitDistance.apply(nothing, nothing).any()
    nothing.requires_grad_()
    distance = UnitDistance.apply(nothing, y)
    torch.testing.assert_close(distance, torch.full((2, 3, 1), 1 / 7, dtype=torch.double))
    assert not torch.autograd.grad(distance.sum(), nothing)[0].any()


@pytest.mark.parametrize(
    "taps, weights, words",
    [
        (
            ["CNN.block_7"],
            [1],
            "'CNN.block_7' is not one of CNN.block_0, CNN.block_1, CNN, encoder",
        ),
        (["encoder"], [1, 4, 9], "[1, 4, 9] for the 1 mimic_taps encoder"),
        (["encoder"], "much", "'much' for the 1"),
        ([], None, "one layer or more"),
    ],
)
def test_taps_that_cannot_be_meant_are_refused(taps, weights, words):
    hparams = {
        "modules": {"judge": judge()},
        "judge_name": "judge",
        "losses": {"mimic": Objective(None, [])},
    }
    check_taps({**hparams, "mimic_taps": ["CNN"], "mimic_tap_weights": None})
    with pytest.raises(RecipeError, match=re.escape(words)):
        check_taps({**hparams, "mimic_taps": taps, "mimic_tap_weights": weights})


def test_balanced_gradient_has_the_wanted_length_and_direction():
    features = torch.randn(2, 6, 4, requires_grad=True)
    anchor, loss = (features - 1).square().mean(), features.pow(4).sum()
    term, weight = balanced(loss, anchor, features, ratio=4.0)
    (slope,) = torch.autograd.grad(term, features, retain_graph=True)
    (anchor_slope,) = torch.autograd.grad(anchor, features)
    assert slope.norm().item() == pytest.approx(4 * anchor_slope.norm().item(), rel=1e-4)
    torch.testing.assert_close(slope, weight * 4 * features.detach().pow(3))
    torch.testing.assert_close(term.detach(), (weight * loss).detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["mse", "l1"])
@pytest.mark.parametrize("form", FORMS)
def test_the_distance_is_computed_in_32_bit(form, kind, dtype):
    clean = 300 * torch.randn(2, 9, 4, 50)
    pair = {"CNN": clean + 0.02 * torch.randn_like(clean)}, {"CNN": clean}
    with torch.autocast("cpu", dtype):
        short = mimic_distance(*pair, torch.ones(2), kind, form)
    torch.testing.assert_close(
        short, mimic_distance(*pair, torch.ones(2), kind, form), rtol=0, atol=0
    )


def test_a_gradient_that_fp16_cannot_hold_passes_the_judge_scaled():
    torch.manual_seed(0)
    network, clean = judge(), torch.rand(3, 40, 65)
    freeze(network)
    features = (clean + 0.1 * torch.rand_like(clean)).requires_grad_()

    def term(short, scale):
        with torch.autocast("cpu", torch.float16, enabled=short):
            heard = [network(x, taps=("CNN.block_0",)) for x in (features, clean)]
        loss = 1e-5 * mimic_distance(*heard, torch.ones(3))
        return torch.autograd.grad(
            balanced(loss, features.square().mean(), features, 1.0, scale)[0], features
        )[0].flatten()

    exact, scaled, lost = term(False, 1.0), term(True, 2.0**16), term(True, 1.0)
    assert torch.cosine_similarity(scaled, exact, dim=0) > 0.99
    assert not torch.cosine_similarity(lost, exact, dim=0) > 0.9  # what the scale is for


@pytest.mark.parametrize(
    "weight, factor", [(10.0, 10), (0.0, 1)]
)  # 0: the spectral loss is reported alone
def test_the_ratio_is_to_the_weighted_spectral_gradient(weight, factor):
    features = torch.randn(2, 6, 4, requires_grad=True)
    values = {"spectral": (features - 1).square().mean(), "mimic": features.pow(4).mean()}
    mimic = Objective(None, [], balance_against="spectral", gradient_ratio=2.0, at="features")
    losses = {"spectral": Objective(None, [], weight=weight), "mimic": mimic}
    brain = SimpleNamespace(
        losses=losses,
        state=SimpleNamespace(balance={}, terms={}),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
    )
    term = MimicBrain.weighted(brain, "mimic", values, {"features": features}, sb.Stage.TRAIN)
    slopes = [
        torch.autograd.grad(loss, features, retain_graph=True)[0].norm().item()
        for loss in (term, values["spectral"])
    ]
    assert slopes[0] == pytest.approx(2 * factor * slopes[1], rel=1e-4)


def test_padding_does_not_count():
    x, lens = torch.rand(2, 10, 3), torch.tensor([1.0, 0.5])
    noise = x.clone()
    noise[1, 5:] = 99.0
    torch.testing.assert_close(masked_mean(x, lens), masked_mean(noise, lens))
    assert spectral_distance(x, noise, lens, kind="l1") == 0
    with pytest.raises(RecipeError, match="mse, l1"):
        spectral_distance(x, noise, lens, kind="huber")


def test_a_judge_of_mel_bands_hears_their_means():
    judge = AcousticEncoder(
        input_size=257,
        mel_bands=16,
        cnn_channels=[4, 8],
        rnn_layers=1,
        rnn_neurons=8,
        dnn_neurons=8,
    ).eval()
    assert (
        torch.allclose(judge.bank.sum(dim=0), torch.ones(16), atol=1e-6)
        and "bank" not in judge.state_dict()
    )
    features = torch.rand(2, 20, 257)
    taps = judge(features, taps=("CNN.block_0", "encoder"))
    assert taps["CNN.block_0"].shape == (2, 20, 8, 4)
    within = torch.linalg.qr(judge.bank, mode="complete")[0][:, 16:]  # what no band hears
    unheard = features + torch.randn(2, 20, 241) @ within.T
    torch.testing.assert_close(judge(unheard), judge(features), rtol=1e-3, atol=1e-4)


def test_filter_bank_takes_any_tap():
    assert FilterBankJudge()(torch.rand(2, 7, 257), taps=("CNN",))["CNN"].shape == (2, 7, 40)


@pytest.mark.parametrize(
    "frozen, unfrozen, epoch, expected",
    [([], [], 1, False), (["a"], [], 9, True), (["a"], ["a"], 2, True), (["a"], ["a"], 3, False)],
)
def test_frozen_until_released(frozen, unfrozen, epoch, expected):
    assert is_frozen("a", frozen, unfrozen, unfreeze_epoch=3, epoch=epoch) is expected


def test_it_is_reported_for_a_frozen_enhancer_too(place):
    """Whose waveforms are remembered where nothing else of it is read."""
    nothing = [
        f"--{key}=null"
        for key in (
            "enhance_weight",
            "mimic_ratio",
            "pretrained_enhance_path",
            "pretrain_perceptual_path",
            "pretrained_asr_path",
        )
    ]
    options = [*nothing, "--unfrozen_models=[]", "--mimic_weight=0", "--number_of_epochs=1"]
    assert run("robust_asr", "--output_folder=out", *options) == 0
    assert "train mimic: " in (place / "out/train_log.txt").read_text()
