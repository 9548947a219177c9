"""Exported folders, loaded by SpeechBrain in a process that knows nothing of this repository."""

import os
import subprocess
import sys

import pytest
import torch
from small_models import ATTENTION, PIECES, SETTINGS, enhancer, recognizer
from speechbrain.decoders import ctc_greedy_decode

from inference.export import export_model
from inference.loading import load_enhancer
from models.cnn_transformer import CNNTransformer
from models.enhancer import Enhancer
from models.features import Features, normalization

PHONES = {"targets": "phones", "output_neurons": 6, "input_signal": "clean"}
PHONES |= {"features": "log_spectrum"}
CASES = {  # name -> overrides, SpeechBrain's class
    "enhancer": (None, "WaveformEnhancement"),
    "front": ({}, "EncoderASR"),
    "spectrum": ({"features": "log_spectrum"}, "EncoderASR"),
    "phones": ({**PHONES, "decoding_by": "ctc_beam"}, "EncoderASR"),
    "bands": ({**PHONES, "mel_bands": 20, "normalization": "mean"}, "EncoderASR"),
    "plain": ({"normalization": "none", "decoding_by": "ctc_beam"}, "EncoderASR"),
    "beam": (ATTENTION, "EncoderDecoderASR"),
    "greedy": ({**PIECES, "decoding_by": "attention_greedy"}, "EncoderDecoderASR"),
}
LOAD = """
import sys, torch
import speechbrain.inference
found, cases = {}, torch.load("cases.pt")
for name, (interface, wavs, lens) in cases.items():
    model = getattr(speechbrain.inference, interface).from_hparams(source=name + "/model")
    if interface == "WaveformEnhancement":
        found[name] = {"enhanced": model.enhance_batch(wavs)}
        continue
    found[name] = {"encoded": model.encode_batch(wavs, lens)}
    found[name]["words"] = model.transcribe_batch(wavs, lens)[0]
    if "enhance_model" in model.mods:
        found[name]["enhanced"] = model.mods.enhance_model(wavs)[0]
    if "decoder" in model.mods:
        search, tokens = model.mods.decoder, torch.tensor([[1, 5, 4], [1, 3, 7]])
        hidden, _ = search.dec(search.emb(tokens), found[name]["encoded"], lens)
        found[name]["decoded"] = search.fc(hidden).log_softmax(dim=-1)
torch.save(found, "outputs.pt")
assert not {"train", "models", "inference", "training", "errors"} & set(sys.modules)
"""


def own_outputs(overrides, modules, tokens, wavs, lens):
    """What the recipe's modules make of a batch."""
    found = {}
    if "enhance_model" in modules:
        wavs = found["enhanced"] = modules["enhance_model"](wavs)[0]
    kind, n_mels = overrides.get("features", "fbank"), 20
    hop = {"hop_length": 10, "n_mels": n_mels}
    features = normalization(overrides.get("normalization", "mean_variance"))(
        Features(kind, **hop)(wavs), lens
    )
    found["encoded"] = modules["encoder"](features)
    if "attention_decoder" in modules:
        bos = torch.tensor([[1, 5, 4], [1, 3, 7]])
        found["decoded"] = modules["attention_decoder"](found["encoded"], lens, bos)
        return found
    found["encoded"] = modules["ctc_output"](found["encoded"]).log_softmax(dim=-1)
    if overrides.get("decoding_by") != "ctc_beam" or overrides.get("targets") == "phones":
        best = ctc_greedy_decode(found["encoded"], lens, blank_id=0)
        found["words"] = [tokens.decode(indices) for indices in best]
    return found


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Name of a case -> (the recipe's outputs, those of SpeechBrain in another process)."""
    root = tmp_path_factory.mktemp("exported")
    torch.manual_seed(1)
    wavs, lens = 0.1 * torch.randn(2, 16011), torch.tensor([1.0, 0.7])
    own, cases = {}, {}
    for name, (overrides, interface) in CASES.items():
        (root / name).mkdir()
        if overrides is None:
            own[name] = {"enhanced": enhancer(root / name)(wavs)[0]}
        else:
            modules, tokens = recognizer(root / name, **overrides)
            own[name] = own_outputs(overrides, modules, tokens, wavs, lens)
        cases[name] = interface, wavs, lens
    torch.save(cases, root / "cases.pt")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = dict(cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    done = subprocess.run([sys.executable, "-c", LOAD], **command)
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = torch.load(root / "outputs.pt", weights_only=False)
    return {name: (own[name], loaded[name]) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_speechbrain_alone_computes_the_same(outputs, name):
    own, loaded = outputs[name]
    for key, mine in own.items():
        if key == "words":  # SpeechBrain writes the specials that the recipe leaves out
            texts = [text.replace("<bos>", "").replace("<eos>", "") for text in loaded[key]]
            assert [text.strip() for text in texts] == mine
        else:
            assert loaded[key].shape == mine.shape
            assert (loaded[key] - mine).abs().max() < 1e-4 < mine.abs().max()
    assert all(isinstance(text, str) for text in loaded.get("words", []))


def test_an_enhancer_of_any_class_is_exported_with_its_sizes(tmp_path):
    sizes = {"channels": [8, 16], "layers": 1, "heads": 2, "feed_forward": 8}
    network = enhancer(tmp_path, CNNTransformer, sizes)
    wav = 0.1 * torch.randn(16011)
    enhanced = torch.from_numpy(load_enhancer(tmp_path)[0](wav.numpy()))
    assert enhanced.shape == wav.shape
    assert (enhanced - network(wav[None])[0][0]).abs().max() < 1e-6
    assert "models.cnn_transformer.CNNTransformer" in (tmp_path / "model/README.md").read_text()


def test_a_module_that_nothing_tells_how_to_build_is_told(tmp_path, caplog):
    class Mine(Enhancer):
        """An enhancer that does not keep its constructor's arguments."""

    enhancer(tmp_path, lambda **_: Mine())
    assert "how to build enhancer" in caplog.text and not (tmp_path / "model").exists()


def test_a_run_that_began_from_a_recognizer_of_speechbrains_leaves_no_folder(tmp_path, caplog):
    modules, tokens = recognizer(tmp_path, **ATTENTION)
    tokens.end = 0
    settings = {**SETTINGS, **ATTENTION, "output_folder": str(tmp_path)}
    assert export_model(modules, settings, tokens, tmp_path / "other") is None
    assert "SpeechBrain's is not known" in caplog.text and not (tmp_path / "other").exists()


def test_the_card_names_data_seed_figures_and_licence(tmp_path):
    (tmp_path / "test_stats.txt").write_text("pesq: 2.5 [2.4, 2.6]\n\nSNR (dB)  pesq\n5  2.4\n")
    enhancer(tmp_path, seed=7)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"README.md", "enhancer.ckpt", "enhancer.json", "hyperparams.yaml"}
    card = (tmp_path / "model/README.md").read_text()
    wanted = ("mini corpus", "seed: 7", "pesq: 2.5 [", "Licence", "WaveformEnhancement")
    assert all(words in card for words in wanted) and "SNR (dB)" not in card
