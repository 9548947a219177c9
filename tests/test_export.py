"""Exported folders, loaded by SpeechBrain in a process that knows nothing of this repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from speechbrain import Stage
from speechbrain.dataio.batch import PaddedBatch

from inference.export import export_model
from train import MimicBrain, modules_in_use
from training.settings import build, keys_of
from training.tokens import build_tokens

ROOT = Path(__file__).parent.parent
TINY = {
    "preset": "mini", "data_folder": "none", "enhance_channels": [3, 4], "enhance_dense": 8, "cnn_channels": [2, 3],
    "rnn_layers": 1, "rnn_neurons": 6, "dnn_neurons": 7, "output_neurons": 14, "num_workers": 0,
}  # fmt: skip
RECOGNIZER = {
    "time_pooling": 2,
    "decoder_neurons": 8,
    "beam_size": 3,
    "attention_kernel": 20,
    "beam_ctc_weight": 0.3,
}
MANIFEST = '{"a": {"words": "ABBA SAW A SAD BEAD", "phones": "AE B AH"}, "b": {"words": "BEADS AS BAD", "phones": "B"}}'

CTC = {"decoding_by": "ctc_greedy", "seq_weight": None, "time_pooling": 2}
HEARD = {
    **RECOGNIZER,
    **CTC,
    "targets": "characters",
    "output_neurons": 10,
    "test_metrics": ["wer", "pesq"],
}
ATTENTION = {"targets": "pieces", "decoding_by": "attention_beam", "input_signal": "noisy"}
WORDS_ONLY = {"test_metrics": ["wer"], "valid_metrics": ["wer"]}
CASES = {  # name -> stage, overrides, SpeechBrain's class
    "enhancer": ("enhance_mimic", {}, "WaveformEnhancement"),
    "spectrum": ("robust_asr", {**HEARD, "features": "log_spectrum"}, "EncoderASR"),
    "fbank, a share of noisy": (
        "robust_asr",
        {**HEARD, "features": "fbank", "observation_share": 0.25},
        "EncoderASR",
    ),
    "attention": ("robust_asr", {**RECOGNIZER, **ATTENTION, **WORDS_ONLY}, "EncoderDecoderASR"),
    "phones": ("pretrain_perceptual", {**CTC, "output_neurons": 6}, "EncoderASR"),
    "mel bands": (
        "pretrain_perceptual",
        {**CTC, "output_neurons": 6, "mel_bands": 20, "normalization": "mean"},
        "EncoderASR",
    ),
}
OWN = {  # name -> predictions of the recipe to compare
    "enhancer": ["enhanced_wav"],
    "spectrum": ["ctc_log_probs", "hypotheses", "signal"],
    "fbank, a share of noisy": ["ctc_log_probs", "hypotheses", "signal"],
    "attention": ["encoded", "hypotheses"],
    "phones": ["ctc_log_probs", "hypotheses"],
    "mel bands": ["ctc_log_probs", "hypotheses"],
}

LOAD = """
import sys, torch
import speechbrain.inference
outputs = {}
for name, interface, wavs, lens in torch.load("cases.pt"):
    model = getattr(speechbrain.inference, interface).from_hparams(source=name + "/model")
    if "encoder" in model.mods:
        outputs[name] = [model.encode_batch(wavs, lens), model.transcribe_batch(wavs, lens)[0]]
        outputs[name] += [model.mods.enhance_model(wavs)[0]] if "enhance_model" in model.mods else []
    else:
        outputs[name] = [model.enhance_batch(wavs)]
torch.save(outputs, "outputs.pt")
assert not {"train", "models", "inference", "training", "errors"} & set(sys.modules)
"""


def trained(folder, stage, overrides):
    """(brain, hparams, tokens) of a stage with random parameters and lived-in buffers, exported to folder/model."""
    torch.manual_seed(0)
    (folder / "train.json").write_text(MANIFEST)
    file = str(ROOT / f"hparams/{stage}.yaml")
    settings = {
        "output_folder": str(folder),
        "train_annotation": str(folder / "train.json"),
        **TINY,
        **overrides,
    }
    hparams = build(file, {key: value for key, value in settings.items() if key in keys_of(file)})
    hparams["modules"] = modules_in_use(hparams)
    for module in hparams["modules"].values():
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    tokens = build_tokens(
        hparams["targets"], folder, hparams["train_annotation"], hparams["output_neurons"]
    )
    brain = MimicBrain(
        hparams["modules"], hparams["opt_class"], hparams, {"device": "cpu"}, None, tokens=tokens
    )
    brain.remembers = False  # enhance whole batches, padding and all, as SpeechBrain's classes do
    brain.modules.eval()
    export_model(brain.modules, hparams, tokens, folder / "model")
    return brain


def own_output(brain, wavs, names):
    """(noisy batch with lengths, what the recipe makes of it)."""
    common = {"tokens": torch.tensor([3]), "words": "A", "phones": "A"}
    batch = PaddedBatch(
        [{"id": str(i), "noisy_sig": w, "clean_sig": w, **common} for i, w in enumerate(wavs)]
    )
    with torch.no_grad():
        return batch.noisy_sig, brain.compute_forward(batch, Stage.TEST).take(names)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Name of a case -> (the recipe's outputs, those of SpeechBrain in another process and folder)."""
    root = tmp_path_factory.mktemp("exported")
    torch.manual_seed(1)
    wavs = [0.1 * torch.randn(16000), 0.1 * torch.randn(11111)]
    own, cases = {}, []
    for name, (stage, overrides, interface) in CASES.items():
        (root / name).mkdir()
        (noisy, lens), own[name] = own_output(
            trained(root / name, stage, overrides), wavs, OWN[name]
        )
        cases.append((name, interface, noisy, lens))
    torch.save(cases, root / "cases.pt")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "OMP_NUM_THREADS": "1"
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = torch.load(root / "outputs.pt", weights_only=False)
    return {name: (own[name], loaded[name]) for name in CASES}


def without_ends(text):
    """The random networks of these tests emit begin and end signs, which the recipe leaves out."""
    return text.replace("<bos>", "").replace("<eos>", "").strip()


@pytest.mark.parametrize("name", CASES)
def test_speechbrain_alone_computes_the_same(outputs, name):
    own, loaded = outputs[name]
    assert len(own) == len(loaded)
    for mine, theirs in zip(own, loaded):
        if isinstance(mine, list):
            assert [without_ends(text) for text in theirs] == mine
        else:
            assert (
                theirs.shape == mine.shape and (theirs - mine).abs().max() < 1e-4 < mine.abs().max()
            )


def test_the_card_names_data_seed_figures_and_licence(tmp_path):
    (tmp_path / "test_stats.txt").write_text("pesq: 2.5\n\n4 utterances\npesq 2.500 [2.4, 2.6]\n")
    trained(tmp_path, "enhance_mimic", {"seed": 7})
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"README.md", "enhancer.ckpt", "hyperparams.yaml"}
    card = (tmp_path / "model/README.md").read_text()
    assert all(
        words in card
        for words in ("mini corpus", "seed: 7", "pesq 2.500", "Licence", "WaveformEnhancement")
    )
