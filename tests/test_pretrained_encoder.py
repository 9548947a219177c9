"""A model of transformers as the recognizer's encoder: loaded, exported, trained, handed over."""

import shutil
import sys

import numpy as np
import pytest
import torch
from small_models import SETTINGS, recognizer
from tiny import JOINT, run
from transformers import MoonshineConfig, MoonshineModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model
from transformers_models import speech_model

from errors import RecipeError
from inference.loading import load_recognizer
from inference.transcribe import transcribe_piece
from models.acoustic import AttentionDecoder
from models.features import Features, normalization
from models.pretrained import PretrainedEncoder, pretrained_encoder
from training.handover import hand_over
from training.recognizer import install_encoder, install_speechbrain, recognizer_from

SIZES = dict(hidden_size=16, intermediate_size=24)
for part in ("encoder", "decoder"):
    SIZES |= {f"{part}_num_hidden_layers": 2, f"{part}_num_attention_heads": 2}
    SIZES |= {f"{part}_num_key_value_heads": 2}
LENS = torch.tensor([1.0, 0.5])


@pytest.fixture(scope="module")
def moonshine(tmp_path_factory):
    """A folder with a small Moonshine, which is an encoder and a decoder."""
    folder = tmp_path_factory.mktemp("moonshine")
    torch.manual_seed(0)
    MoonshineModel(MoonshineConfig(**SIZES)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    """A folder with a small wav2vec 2.0 that leaves out layers and masks in training."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    return speech_model(folder, layerdrop=0.5, mask_time_prob=0.5)


@torch.inference_mode()
def test_each_utterance_is_encoded_as_the_package_does_it_alone(wav2vec2):
    hparams = {"modules": {}, "output_folder": "nowhere"}
    recognizer_from(wav2vec2)(hparams)
    wavs = torch.randn(2, 8000) + 1
    features = hparams["normalize"](hparams["compute_features"](wavs), LENS)
    encoded = hparams["modules"]["encoder"].eval()(features, lengths=LENS)
    front, model = Wav2Vec2FeatureExtractor(), Wav2Vec2Model.from_pretrained(wav2vec2).eval()
    for one, length, found in zip(wavs, (8000, 4000), encoded, strict=True):
        given = front(one[:length].numpy(), sampling_rate=16000, return_tensors="pt")
        expected = model(given.input_values).last_hidden_state[0]
        torch.testing.assert_close(found[: len(expected)], expected, atol=1e-3, rtol=1e-3)


def test_training_leaves_no_layer_out_and_reaches_all_parameters(wav2vec2):
    encoder, wavs = pretrained_encoder(wav2vec2, "key").train(), torch.randn(2, 8000, 1)
    encoder(wavs, lengths=LENS).square().mean().backward()
    assert all(p.grad is not None for p in encoder.parameters())  # else DDP would stop


def test_a_copy_needs_the_sizes_and_parameters_alone(moonshine):
    first = pretrained_encoder(moonshine, "key").eval()
    copy = PretrainedEncoder(**first.sizes).eval()
    copy.load_state_dict(first.state_dict())
    wavs = torch.randn(2, 8000, 1)
    assert torch.equal(copy(wavs, lengths=LENS), first(wavs, lengths=LENS))


def test_an_attention_decoder_gets_the_width_of_the_encoder(moonshine):
    modules = {"attention_decoder": AttentionDecoder(8, encoder_size=5, hidden_size=7)}
    recognizer_from(moonshine)({"modules": modules, "output_folder": "nowhere"})
    decoder, tokens = modules["attention_decoder"], torch.ones(2, 3, dtype=torch.long)
    assert decoder.sizes["hidden_size"] == 7
    assert decoder(torch.randn(2, 9, 16), LENS, tokens).shape == (2, 3, 8)


@torch.inference_mode()
@pytest.mark.parametrize("kind, norm", [("moonshine", "none"), ("wav2vec2", "mean_variance")])
def test_an_exported_recognizer_computes_the_same(request, tmp_path, kind, norm):
    modules, _ = recognizer(tmp_path, source=request.getfixturevalue(kind))
    wavs = 0.1 * torch.randn(2, 16000)
    features = Features("wav")(modules["enhance_model"](wavs)[0])
    encoded = modules["encoder"](normalization(norm)(features, LENS), lengths=LENS)
    expected = modules["ctc_output"](encoded).log_softmax(-1)
    found = load_recognizer(tmp_path).encode_batch(wavs, LENS)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert "pip install transformers" in (tmp_path / "model/README.md").read_text()


def test_a_later_run_takes_the_output_layer_that_was_trained_alone(tmp_path, moonshine):
    modules, _ = recognizer(tmp_path, source=moonshine)
    hand_over(modules, tmp_path)
    (tmp_path / "tokens").mkdir()
    (tmp_path / "characters.txt").rename(tmp_path / "tokens/characters.txt")
    theirs = {"encoder": torch.nn.Identity(), "ctc_output": torch.nn.Identity()}
    hparams = {**SETTINGS, "output_folder": str(tmp_path / "later"), "modules": theirs}
    recognizer_from(str(tmp_path))(hparams)
    for name, module in theirs.items():
        for key, value in modules[name].state_dict().items():
            assert torch.equal(module.state_dict()[key], value)


def test_what_a_name_on_the_hub_means():
    assert recognizer_from("facebook/wav2vec2-base").func is install_encoder
    assert recognizer_from("speechbrain/asr-crdnn").func is install_speechbrain


def test_a_missing_package_is_told(moonshine, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RecipeError, match="pretrained_asr_path: .*pip install transformers"):
        recognizer_from(moonshine)({})


@pytest.mark.slow
def test_stage_3_keeps_or_trains_it_and_the_next_run_needs_no_source(place, moonshine):
    shutil.copytree(moonshine, "hub")
    before = pretrained_encoder("hub", "key").state_dict()
    lists = ["--frozen_models=[enhance_model, perceptual_model, encoder]", "--export=True"]
    first = [*lists, "--pretrained_asr_path=hub", "--output_folder=first"]
    for epochs in (1, 2):  # the second goes on
        assert run("robust_asr", *first, f"--number_of_epochs={epochs}") == 0
    shutil.rmtree("hub")
    options = [*JOINT, "--pretrained_asr_path=first", "--output_folder=joint"]
    assert run("robust_asr", *options, "--number_of_epochs=1") == 0
    frozen, trained = (
        torch.load(f"{name}/encoder.ckpt", weights_only=True) for name in ("first", "joint")
    )
    assert all(torch.equal(frozen[key], before[key]) for key in before)
    assert any(not torch.equal(trained[key], before[key]) for key in before)
    assert isinstance(transcribe_piece(load_recognizer("first"), np.zeros(16000, "f"))[0], str)
