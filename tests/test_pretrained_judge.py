"""A pretrained model as the judge: what its layers give, its gradient, and a stage that trains by it."""

import sys

import pytest
import torch
from pretrained import speech_model
from tiny import run
from transformers import (
    HubertModel,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)

from errors import RecipeError
from models.mimic import mimic_distance
from models.pretrained_judge import PretrainedJudge

TAPS = ("layer_0", "layer_2")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a small wav2vec 2.0 of three layers."""
    return speech_model(tmp_path_factory.mktemp("wav2vec2"))


def test_a_tap_is_the_network_s_hidden_state_and_deeper_layers_are_dropped(model):
    whole, part = (
        PretrainedJudge(model, ["layer_3"]).eval(),
        PretrainedJudge(model, ["layer_1"]).eval(),
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
def test_its_kin_give_the_same_whether_layers_are_dropped_or_not(tmp_path, kind, stable):
    model, wav = (
        speech_model(tmp_path, kind=kind, do_stable_layer_norm=stable),
        torch.randn(2, 3200),
    )
    whole, part = (
        PretrainedJudge(model, [deepest]).eval()(wav, TAPS) for deepest in ("layer_3", "layer_2")
    )
    assert all(torch.equal(whole[tap], part[tap]) for tap in TAPS)


def test_gradients_pass_and_there_is_no_distance_to_itself(model):
    judge, clean = PretrainedJudge(model, TAPS).eval().requires_grad_(False), torch.randn(2, 3200)
    enhanced = (clean + 0.1 * torch.randn(2, 3200)).requires_grad_()
    distance = mimic_distance(judge(enhanced, TAPS), judge(clean, TAPS), torch.ones(2))
    distance.backward()
    assert (
        distance > 0
        and enhanced.grad.norm() > 0
        and not any(p.grad is not None for p in judge.parameters())
    )
    assert mimic_distance(judge(clean, TAPS), judge(clean, TAPS), torch.ones(2)) == 0


@pytest.mark.parametrize("normalize", [True, False])
def test_loudness_is_taken_away_where_the_model_was_trained_so(tmp_path, normalize):
    judge, wav = (
        PretrainedJudge(speech_model(tmp_path, normalize), ["layer_0"]).eval(),
        torch.randn(1, 3200),
    )
    soft, loud = (judge(gain * wav, ["layer_0"])["layer_0"] for gain in (0.1, 1.0))
    assert torch.allclose(soft, loud, atol=1e-4) == normalize


def test_the_control_has_the_same_shape_and_other_parameters(model):
    judge, control = (PretrainedJudge(model, TAPS, random=random) for random in (False, True))
    pairs = list(zip(judge.parameters(), control.parameters(), strict=True))
    assert all(a.shape == b.shape for a, b in pairs) and not all(
        torch.equal(a, b) for a, b in pairs
    )


def test_stage_2_trains_by_it_and_leaves_it_as_it_was(model, place):
    options = [
        "--judge=transformers",
        f"--pretrain_perceptual_path={model}",
        "--mimic_taps=[layer_0, layer_2]",
    ]
    assert run("enhance_mimic", "--output_folder=out", "--number_of_epochs=1", *options) == 0
    first = (place / "out/train_log.txt").read_text()
    assert "train mimic_weight" in first and "train mimic: 0.0000" not in first
    before, after = (
        PretrainedJudge(model, TAPS).state_dict(),
        torch.load(place / "out/src_embedding.ckpt", weights_only=True),
    )
    assert before.keys() == after.keys() and all(
        torch.equal(before[key], after[key]) for key in before
    )
    assert run("enhance_mimic", "--output_folder=out", "--number_of_epochs=2", *options) == 0
    assert (place / "out/train_log.txt").read_text().startswith(first.splitlines()[0])


def test_joint_training_takes_it_too(model, place):
    options = [
        "--judge=transformers",
        f"--pretrain_perceptual_path={model}",
        "--mimic_taps=[layer_1]",
        "--number_of_epochs=1",
    ]
    assert (
        run(
            "robust_asr",
            "--output_folder=out",
            *options,
            "--pretrained_enhance_path=null",
            "--pretrained_asr_path=null",
        )
        == 0
    )
    assert "train mimic_weight" in (place / "out/train_log.txt").read_text()


def test_errors_name_the_remedy(model, place, capsys):
    for options, words in (
        (
            [f"--pretrain_perceptual_path={model}"],
            "mimic_taps: 'CNN.block_0' is not one of layer_0, layer_1",
        ),
        ([], "is no pretrained model"),
        ([f"--pretrain_perceptual_path={place}"], "cannot be loaded by transformers"),
    ):
        assert run("enhance_mimic", "--output_folder=out", "--judge=transformers", *options) == 2
        assert words in capsys.readouterr().err
    assert run("enhance_mimic", "--output_folder=out", "--judge=wavlm") == 2
    assert (
        "judge: 'wavlm' is not one of encoder, filter_bank, transformers" in capsys.readouterr().err
    )


def test_what_hears_something_else_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="hears 8000 Hz, but sample_rate is 16000"):
        PretrainedJudge(speech_model(tmp_path / "slow", rate=8000), TAPS)
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
    with pytest.raises(RecipeError, match="hears input_features, not waveforms"):
        PretrainedJudge(str(tmp_path / "mel"), TAPS)


def test_a_missing_package_is_told(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RecipeError, match="pip install transformers"):
        PretrainedJudge(model, TAPS)
