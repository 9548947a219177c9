"""Small models with random parameters, exported as a stage exports them."""

import json

import torch
from speechbrain.nnet.linear import Linear

from inference.export import export_model
from models.acoustic import AcousticEncoder, AttentionDecoder
from models.wide_resnet import WideResnet
from training.recognizer import recognizer_from
from training.tokens import build_tokens

TEXTS = {"a": "ABBA SAW A SAD BEAD", "b": "BEADS AS BAD"}
PHONES = {"a": "AE B AH", "b": "B"}
BEAM = {"size": 3, "ctc_weight": 0.3, "coverage": 1.5, "temperature": 1.0}  # the rest is usual
SETTINGS = {
    "input_signal": "enhanced",
    "features": "fbank",
    "n_mels": 20,
    "asr_hop_length": 10,
    "normalization": "mean_variance",
    "targets": "characters",
    "output_neurons": 10,
    "decoding_by": "ctc_greedy",
    "beam": BEAM,
    "preset": "mini",
    "data_folder": "mini_corpus",
    "seed": 1,
    "number_of_epochs": 1,
}
PIECES = {"targets": "pieces", "output_neurons": 14, "input_signal": "noisy"}
ATTENTION = {**PIECES, "decoding_by": "attention_beam"}


def lived_in(module):
    """Evaluation mode, with buffers as after a training."""
    saved = module.state_dict()
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point() and name in saved:
            buffer.uniform_(0.5, 1.5)
    return module.eval().requires_grad_(False)


def enhancer(folder, kind=WideResnet, sizes=None, **settings):
    """A run's folder with an exported enhancer; returns the network."""
    torch.manual_seed(0)
    network = lived_in(kind(**(sizes or {"channels": [2, 3], "dense": 4})))
    hparams = {**SETTINGS, "output_folder": str(folder), **settings}
    export_model({"enhance_model": network}, hparams, None, folder / "model")
    return network


def recognizer(folder, mel_bands=None, source=None, **settings):
    """A run's folder with an exported recognizer, whose encoder may be that of a ``source``;
    returns (modules, tokens)."""
    torch.manual_seed(0)
    hparams = {**SETTINGS, "output_folder": str(folder), **settings}
    sounds = {"noisy_wav": "a.wav", "clean_wav": "a.wav", "length": 1.0}
    entries = {key: {**sounds, "words": TEXTS[key], "phones": PHONES[key]} for key in TEXTS}
    (folder / "train.json").write_text(json.dumps(entries))
    outputs = hparams["output_neurons"]
    tokens = build_tokens(hparams["targets"], folder, str(folder / "train.json"), outputs)
    size = hparams["n_mels"] if hparams["features"] == "fbank" else 257
    sizes = {"cnn_channels": [2, 3], "rnn_layers": 1, "rnn_neurons": 6, "dnn_neurons": 7}
    modules = {
        "encoder": AcousticEncoder(size, mel_bands, time_pooling=2, **sizes),
        "ctc_output": Linear(input_size=7, n_neurons=outputs),
    }
    if hparams["input_signal"] == "enhanced":
        modules["enhance_model"] = WideResnet(channels=[2, 3], dense=4)
    if hparams["decoding_by"].startswith("attention"):
        modules["attention_decoder"] = AttentionDecoder(outputs, 7, 5, 8, 8, 4, 4)
    hparams["modules"] = modules
    if source:
        recognizer_from(source)(hparams)
    modules = {name: lived_in(module) for name, module in modules.items()}
    export_model(modules, hparams, tokens, folder / "model")
    return modules, tokens
