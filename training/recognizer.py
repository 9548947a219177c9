"""A recognizer to start from: a stage 3 run, one of SpeechBrain's, an encoder of transformers.

SpeechBrain's folders, such as ``speechbrain/asr-crdnn-rnnlm-librispeech``, hold ``asr.ckpt``
(encoder, embedding, decoder, CTC output and decoder's output, in this order), ``normalizer.ckpt``
(mean and deviation of the features), ``tokenizer.ckpt`` (sentencepiece), perhaps ``lm.ckpt`` (an
RNN language model) and ``hyperparams.yaml``, of which only plain values are read.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ruamel.yaml
import sentencepiece
import torch
from speechbrain.lobes.models.RNNLM import RNNLM
from speechbrain.nnet.linear import Linear
from speechbrain.processing.features import InputNormalization

from corpus.files import read_text, whole
from errors import RecipeError
from models.acoustic import AttentionDecoder
from models.features import Features, normalization
from models.pretrained import PretrainedEncoder, pretrained_encoder
from models.saved import build_from
from training.handover import Source, fetched, is_hub_name, put, read_state
from training.tokens import PieceTokens, tokens_file

KEY = "pretrained_asr_path"
PARTS = ("encoder", "ctc_output", "attention_decoder")
PLACES = {  # beginning of a name in asr.ckpt -> module, beginning of the name there
    "0.": ("encoder", ""),
    "1.": ("attention_decoder", "embedding."),
    "2.": ("attention_decoder", "decoder."),
    "3.": ("ctc_output", ""),
    "4.": ("attention_decoder", "linear."),
}
FRAMES = {"n_fft": 400, "win_length": 25, "hop_length": 10, "n_mels": 40}  # SpeechBrain's defaults
SPECIALS = {"blank_index": 0, "bos_index": 0, "eos_index": 0}


def recognizer_from(path: str | None) -> Callable[[dict], PieceTokens | None] | None:
    """A function that puts what a path or a hub name (owner/name) holds into a stage's hparams.

    On the hub SpeechBrain's recognizers are those of the owner ``speechbrain``. It returns the
    tokens, if not those of the run's folder. RecipeError for anything else.
    """
    if path is None:
        return None
    place, alone, on_hub = Path(path), str(path).endswith(".ckpt"), is_hub_name(path)
    if alone and (on_hub or place.is_file()) or (place / "encoder.ckpt").is_file():
        return partial(install_own, path)
    if (place / "asr.ckpt").is_file() or on_hub and place.parts[0] == "speechbrain":
        return partial(install_speechbrain, path)
    if on_hub or (place / "config.json").is_file():
        return partial(install_encoder, path)
    raise RecipeError(
        f"{KEY}: {path} is neither the folder of a stage 3 run (with encoder.ckpt) or of a "
        "recognizer of SpeechBrain's (with asr.ckpt) or a model of transformers (with config.json),"
        " nor a file .ckpt of an encoder, nor a repository on the hub such as "
        "speechbrain/asr-crdnn-rnnlm-librispeech or facebook/wav2vec2-base."
    )


def install_own(path: str, hparams: dict) -> None:
    """Load the networks of a run that the stage uses, and copy its tokens to the run's folder.

    Of the file of an encoder alone, parameters of another shape are left out.
    """
    alone = str(path).endswith(".ckpt")
    if not alone:
        kind = hparams["targets"]
        theirs = tokens_file(kind, Path(path) / "tokens")
        if not theirs.is_file():
            raise RecipeError(f"{KEY}: {theirs} does not exist. Give --targets as in that run.")
        with whole(tokens_file(kind, Path(hparams["output_folder"]) / "tokens")) as aside:
            shutil.copyfile(theirs, aside)
    encoder = build_from("encoder", path, torch.nn.Identity)
    if isinstance(encoder, PretrainedEncoder):
        put_encoder(hparams, encoder)
    source = Source(path, "python train.py hparams/robust_asr.yaml", partly=alone)
    for name in ("encoder",) if alone else PARTS:
        if name in hparams["modules"]:
            source.check(name)
            source.load(name, hparams["modules"][name])


def install_encoder(source: str, hparams: dict) -> None:
    """Take the encoder of a model of transformers: a folder, or a name on the hub."""
    put_encoder(hparams, pretrained_encoder(str(source), KEY))


def put_encoder(hparams: dict, encoder: PretrainedEncoder) -> None:
    """Make it the stage's encoder, which reads waveforms; outputs of its width are new."""
    kind, width = "mean_variance" if encoder.normalize else "none", encoder.output_size
    hparams.update(features="wav", compute_features=Features("wav"))
    hparams.update(normalization=kind, normalize=normalization(kind))
    modules = hparams["modules"]
    modules["encoder"] = encoder
    if "ctc_output" in modules:
        modules["ctc_output"] = Linear(input_size=width, n_neurons=hparams["output_neurons"])
    if "attention_decoder" in modules:
        sizes = modules["attention_decoder"].sizes | {"encoder_size": width}
        modules["attention_decoder"] = AttentionDecoder(**sizes)


def install_speechbrain(source: str, hparams: dict) -> PieceTokens:
    """Load the networks that the stage uses from a recognizer in SpeechBrain's form.

    Features, their normalization and the language model in ``hparams`` are replaced.
    """
    file, said = partial(fetched, KEY, str(source)), FRAMES | SPECIALS

    def has(name):  # a repository is taken to
        return not Path(source).is_dir() or (Path(source) / name).is_file()

    if has("hyperparams.yaml"):  # nothing in it is executed
        theirs = ruamel.yaml.YAML().load(read_text(file("hyperparams.yaml")))
        said |= {k: theirs[k] for k in said if isinstance(theirs.get(k), (int, float))}
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(file("tokenizer.ckpt")))
    if pieces.vocab_size() != hparams["output_neurons"]:
        told = f"the pretrained recognizer has {pieces.vocab_size()}"
        raise RecipeError(f"{told}. Give --output_neurons={pieces.vocab_size()}.")
    states = {name: {} for name in PARTS}
    for key, value in read_state(KEY, file("asr.ckpt")).items():
        if key[:2] in PLACES:
            name, prefix = PLACES[key[:2]]
            states[name][prefix + key[2:]] = value
    for name in set(PARTS) & set(hparams["modules"]):
        put(name, hparams["modules"][name], states[name], f"{source}/asr.ckpt")
    normalize = InputNormalization(norm_type="global")
    normalize._load(file("normalizer.ckpt"))
    hparams["normalize"] = normalize.eval()  # as much a part of the network as its weights
    hparams["compute_features"] = Features("fbank", **{key: said[key] for key in FRAMES})
    hparams["decoding"].lm = language_model(file("lm.ckpt")) if has("lm.ckpt") else None
    return PieceTokens(pieces, [said[key] for key in SPECIALS])


def language_model(path: Path) -> RNNLM:
    """SpeechBrain's RNNLM, its sizes taken from the parameters, in evaluation mode."""
    state = read_state(KEY, path)
    try:
        outputs, width = state["embedding.Embedding.weight"].shape
        layers = [v for key, v in state.items() if key.startswith("rnn.rnn.weight_hh_l")]
        blocks = [v for k, v in state.items() if k.startswith("dnn.linear") and v.dim() == 2]
        sizes = dict(rnn_layers=len(layers), rnn_neurons=layers[0].shape[1])
        sizes |= dict(dnn_blocks=len(blocks), dnn_neurons=blocks[0].shape[0])
        model = RNNLM(outputs, width, dropout=0.0, return_hidden=True, **sizes)
        model.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        told = f"{KEY}: lm.ckpt is not an RNNLM of SpeechBrain's: {str(error)[:300]}"
        raise RecipeError(told) from error
    return model.eval().requires_grad_(False)
