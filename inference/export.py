"""A trained model as a folder that SpeechBrain's inference classes load without this repository.

``hyperparams.yaml`` is a head of numbers and a body out of ``templates/``, which names classes of SpeechBrain and torch
only. The enhancer loads with ``WaveformEnhancement``, a recognizer with ``EncoderASR`` or ``EncoderDecoderASR``; where the
recognizer hears enhanced speech the enhancer stands in front of it, and the same folder loads as either.
"""

import io
import logging
import shutil
from pathlib import Path

import ruamel.yaml
import torch

from inference.card import model_card
from inference.tokenizers import save_tokenizer

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"
SPECTRUM = ["sample_rate", "n_fft", "win_length", "hop_length"]
ENHANCER = ["enhance_channels", "enhance_dense"]
ACOUSTIC = ["cnn_channels", "time_pooling", "rnn_layers", "rnn_neurons", "dnn_neurons"]
ACOUSTIC += ["feature_size", "asr_hop_length", "n_mels", "output_neurons"]
ATTENTION = ["decoder_neurons", "attention_channels", "attention_kernel"]
BEAM = ["beam_size", "beam_eos_threshold", "beam_max_attn_shift", "beam_temperature"]
SCORERS = {
    "ctc": "    - !new:speechbrain.decoders.CTCScorer\n        ctc_fc: !ref <ctc_output>\n"
    "        blank_index: 0\n        eos_index: 2\n",
    "coverage": "    - !new:speechbrain.decoders.CoverageScorer\n        vocab_size: !ref <output_neurons>\n",
}


def export_model(modules, hparams, tokens, folder):
    """Write the model folder, whole or not at all; returns its path, or None where no module can be used alone.

    Arguments
    ---------
    modules : dict
        The trained modules by name, DDP wrappers allowed.
    hparams : dict
        The stage's settings.
    tokens : SymbolTokens or PieceTokens
        The recognizer's targets.
    folder : path
        Replaced when it exists.
    """
    names = exported_names(modules, hparams)
    if not names:
        return None
    folder = Path(folder)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in names:
        state = {
            key: value.cpu()
            for key, value in getattr(modules[name], "module", modules[name]).state_dict().items()
        }
        torch.save(state, aside / f"{FILES.get(name, name)}.ckpt")
    recognizes = "src_embedding" in names
    if recognizes and hparams.get("mel_bands"):
        encoder = getattr(modules["src_embedding"], "module", modules["src_embedding"])
        torch.save({"w.weight": encoder.bank.T.contiguous().cpu()}, aside / "mel_bands.ckpt")
    if recognizes:
        save_tokenizer(tokens, hparams["output_neurons"], aside / "tokenizer.ckpt")
    (aside / "hyperparams.yaml").write_text(settings_text(names, hparams, tokens), encoding="utf-8")
    (aside / "README.md").write_text(model_card(names, hparams), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    logger.info("Exported %s to %s (see its README.md)", ", ".join(names), folder)
    return folder


FILES = {"enhance_model": "enhancer"}  # module -> name of the object in the exported settings


def exported_names(modules, hparams):
    """The modules of the model folder: a recognizer with its front, or an enhancer alone; [] when neither is there."""
    outputs = [name for name in ("ctc_output", "attention_decoder") if name in modules]
    front = (
        ["enhance_model"]
        if "enhance_model" in modules and hparams["input_signal"] == "enhanced"
        else []
    )
    if not outputs:
        return front
    if hparams["decoding"].kind.startswith("attention") and hparams["targets"] != "pieces":
        outputs = [
            name for name in outputs if name == "ctc_output"
        ]  # EncoderDecoderASR reads pieces only
    return front + ["src_embedding", *outputs] if outputs else front


def settings_text(names, hparams, tokens):
    """The text of the exported ``hyperparams.yaml``."""
    body, head = [], {key: hparams[key] for key in SPECTRUM}
    steps, exposed = [], {}
    if "enhance_model" in names:
        head |= {key: hparams[key] for key in ENHANCER} | mask_settings(hparams)
        body.append(template("enhancer"))
        steps.append("enhance_model")
        exposed["enhance_model"] = "enhance_model"
    if "src_embedding" in names:
        recognizer_head, recognizer_body, more_steps = recognizer(names, hparams, tokens)
        head, body, steps = head | recognizer_head, body + recognizer_body, steps + more_steps
        body.append(sequence("encoder", steps))
        exposed["encoder"] = "encoder"
        exposed |= (
            {"decoder": "decoder"} if search_kind(names, hparams).startswith("attention") else {}
        )
    body.append(closing([*names, *(["mel_bands"] if "mel_bands" in steps else [])], exposed))
    return (
        "# Made by the recipe; loads with SpeechBrain alone. README.md tells how.\n"
        + as_yaml(head)
        + "".join(body)
    )


def mask_settings(hparams):
    """The mask's weight, and how the synthesis keeps the samples behind the last whole hop.

    Mixing a share of the noisy signal back is the same as a smaller weight: the synthesis is linear.
    """
    window, n_fft = hparams["win_length"] * hparams["sample_rate"] / 1000, hparams["n_fft"]
    whole = window == n_fft  # only then do the frames reach their first and last sample
    weight = 0.99 * (1 - hparams.get("observation_share", 0.0))
    return {"mask_weight": weight, "centered": not whole, "cut": [-(n_fft // 2) if whole else 0, 0]}


def recognizer(names, hparams, tokens):
    """(head, body, steps of the encoder) of a recognizer."""
    keys = ACOUSTIC + (ATTENTION if "attention_decoder" in names else []) + BEAM
    head = {key: hparams[key] for key in keys}
    kind = search_kind(names, hparams)
    steps, body = input_steps(hparams, head)
    body.append(template("acoustic"))
    body += [template(name) for name in ("ctc_output", "attention_decoder") if name in names]
    body.append(tokenizer_text(tokens, hparams))
    if kind == "attention_beam":
        body.append(scorer_text(hparams["decoding"].weights, names))
    body.append("\n# From outputs to tokens\n" + template(f"search_{kind}"))
    return (
        head,
        body,
        steps
        + ["src_embedding"]
        + ([] if kind.startswith("attention") else ["ctc_output", "log_softmax"]),
    )


def input_steps(hparams, head):
    """(steps from waveform to the acoustic network's input, their texts); ``head`` gets the numbers that they want."""
    steps, body = ["compute_features"], [template(f"features_{hparams['features']}")]
    if hparams["normalization"] != "none":
        head["normalize_variance"] = hparams["normalization"] == "mean_variance"
        steps.append("normalize")
        body.append(template("normalize"))
    if hparams.get("mel_bands"):
        head |= {"spectrum_size": head["feature_size"], "feature_size": hparams["mel_bands"]}
        steps.append("mel_bands")
        body.append(template("mel_bands"))
    return steps, body


def search_kind(names, hparams):
    """The stage's decoding, or greedy CTC where SpeechBrain's class cannot do it with these targets."""
    kind = hparams["decoding"].kind
    pieces = hparams["targets"] == "pieces"
    possible = {
        "ctc_beam": hparams["targets"] != "phones",
        "attention_greedy": pieces,
        "attention_beam": pieces,
    }
    return kind if possible.get(kind, True) else "ctc_greedy"


def tokenizer_text(tokens, hparams):
    """The tokenizer's object, filled from ``tokenizer.ckpt``."""
    if hparams["targets"] == "pieces":
        return "\ntokenizer: !new:sentencepiece.SentencePieceProcessor\n"
    return (
        "\ntokenizer: !new:speechbrain.dataio.encoder.CTCTextEncoder\n"
        "__length: !apply:speechbrain.dataio.encoder.CTCTextEncoder.expect_len [!ref <tokenizer>, !ref <output_neurons>]\n"
    )


def scorer_text(weights, names):
    """The scorers of a beam search with their shares; ``scorer: null`` for none."""
    weights = {name: weight for name, weight in weights.items() if weight and name in SCORERS}
    if "ctc_output" not in names:
        weights.pop("ctc", None)
    if not weights:
        return "\nscorer: null\n"
    lists = "".join(SCORERS[name] for name in weights)
    return f"\nscorers:\n{lists}scorer: !new:speechbrain.decoders.ScorerBuilder\n    full_scorers: !ref <scorers>\n    weights: {weights}\n"


def sequence(name, steps):
    """A SpeechBrain container that hands the lengths to the steps that want them."""
    lines = "".join(f"    {step}: !ref <{step}>\n" for step in steps)
    return f"\n# Waveform [batch, samples] -> what the search reads\n{name}: !new:speechbrain.nnet.containers.LengthsCapableSequential\n{lines}"


def closing(names, exposed):
    """Modules, loader of parameters, and what SpeechBrain does to the sound files it reads."""
    loadables = [FILES.get(name, name) for name in names] + ["tokenizer"] * (
        "src_embedding" in names
    )
    modules = "".join(f"    {key}: !ref <{name}>\n" for key, name in exposed.items())
    loads = "".join(f"        {name}: !ref <{name}>\n" for name in loadables)
    return (
        f"\nmodules:\n{modules}"
        f"pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer\n    loadables:\n{loads}"
        "audio_normalizer: !new:speechbrain.dataio.preprocess.AudioNormalizer\n    sample_rate: !ref <sample_rate>\n"
    )


def template(name):
    """A part of the settings, from its file."""
    return (TEMPLATES / f"{name}.yaml").read_text(encoding="utf-8")


def as_yaml(values):
    """A dict of plain values as YAML text."""
    stream = io.StringIO()
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = None, False
    yaml.dump(plain(values), stream)
    return stream.getvalue()


def plain(value):
    """Lists and dicts of ruamel or numpy as Python's own."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
