"""A recognizer to start from: a stage 3 run, one of SpeechBrain's, an encoder of transformers.

SpeechBrain's folders, such as ``speechbrain/asr-crdnn-rnnlm-librispeech``, hold ``asr.ckpt``
(encoder, embedding, decoder, CTC output and decoder's output, in this order), ``normalizer.ckpt``
(mean and deviation of the features), ``tokenizer.ckpt`` (sentencepiece), perhaps ``lm.ckpt`` (an
RNN language model) and ``hyperparams.yaml``, of which only plain values are read.
"""

import shutil
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


def recognizer_from(path: str | None) -> "Recognizer | None":
    """What a path or a repository on the hub (owner/name) holds; RecipeError for anything else.

    On the hub SpeechBrain's recognizers are those of the owner ``speechbrain``.
    """
    if path is None:
        return None
    place, alone, on_hub = Path(path), str(path).endswith(".ckpt"), is_hub_name(path)
    if alone and (on_hub or place.is_file()) or (place / "encoder.ckpt").is_file():
        return OwnRecognizer(path)
    if (place / "asr.ckpt").is_file() or on_hub and place.parts[0] == "speechbrain":
        return SpeechBrainRecognizer(path)
    if on_hub or (place / "config.json").is_file():
        return TransformersRecognizer(path)
    raise RecipeError(
        f"{KEY}: {path} is neither the folder of a stage 3 run (with encoder.ckpt) or of a "
        "recognizer of SpeechBrain's (with asr.ckpt) or a model of transformers (with config.json),"
        " nor a file .ckpt of an encoder, nor a repository on the hub such as "
        "speechbrain/asr-crdnn-rnnlm-librispeech or facebook/wav2vec2-base."
    )


class OwnRecognizer:
    """What a run of this recipe has left: a folder with tokens, or the file of an encoder alone."""

    def __init__(self, path: str):
        self.path, self.alone = path, str(path).endswith(".ckpt")

    def install(self, hparams: dict) -> None:
        """Load the networks that the stage uses, and copy the tokens to the run's folder.

        Of an encoder alone, parameters of another shape are left out.
        """
        if not self.alone:
            kind = hparams["targets"]
            theirs = tokens_file(kind, Path(self.path) / "tokens")
            if not theirs.is_file():
                raise RecipeError(f"{KEY}: {theirs} does not exist. Give --targets as in that run.")
            with whole(tokens_file(kind, Path(hparams["output_folder"]) / "tokens")) as aside:
                shutil.copyfile(theirs, aside)
        encoder = build_from("encoder", self.path, torch.nn.Identity)
        if isinstance(encoder, PretrainedEncoder):
            put_encoder(hparams, encoder)
        source = Source(self.path, "python train.py hparams/robust_asr.yaml", partly=self.alone)
        for name in ("encoder",) if self.alone else PARTS:
            if name in hparams["modules"]:
                source.check(name)
                source.load(name, hparams["modules"][name])


class TransformersRecognizer:
    """The encoder of a model of transformers: a folder, or a name on the hub (owner/name)."""

    def __init__(self, source: str):
        self.source = str(source)

    def install(self, hparams: dict) -> None:
        """Replace the encoder, the features and what reads the encoder."""
        put_encoder(hparams, pretrained_encoder(self.source, KEY))


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


class SpeechBrainRecognizer:
    """A recognizer in SpeechBrain's form: a folder, or a repository on the hub (owner/name)."""

    def __init__(self, source: str):
        self.source = str(source)

    def install(self, hparams: dict) -> PieceTokens:
        """Load the networks that the stage uses; returns the tokens.

        Features, their normalization and the language model in ``hparams`` are replaced.
        """
        said = FRAMES | SPECIALS
        if self.has("hyperparams.yaml"):  # nothing in it is executed
            theirs = ruamel.yaml.YAML().load(read_text(self.file("hyperparams.yaml")))
            said |= {k: theirs[k] for k in said if isinstance(theirs.get(k), (int, float))}
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(self.file("tokenizer.ckpt")))
        if pieces.vocab_size() != hparams["output_neurons"]:
            has = f"the pretrained recognizer has {pieces.vocab_size()}"
            raise RecipeError(f"{has}. Give --output_neurons={pieces.vocab_size()}.")
        states = {name: {} for name in PARTS}
        for key, value in read_state(KEY, self.file("asr.ckpt")).items():
            if key[:2] in PLACES:
                name, prefix = PLACES[key[:2]]
                states[name][prefix + key[2:]] = value
        for name in set(PARTS) & set(hparams["modules"]):
            put(name, hparams["modules"][name], states[name], f"{self.source}/asr.ckpt")
        normalize = InputNormalization(norm_type="global")
        normalize._load(self.file("normalizer.ckpt"))
        hparams["normalize"] = normalize.eval()  # as much a part of the network as its weights
        hparams["compute_features"] = Features("fbank", **{key: said[key] for key in FRAMES})
        hparams["decoding"].lm = self.language_model() if self.has("lm.ckpt") else None
        return PieceTokens(pieces, [said[key] for key in SPECIALS])

    def has(self, name: str) -> bool:
        """Whether the folder has a file; a repository is taken to."""
        return not Path(self.source).is_dir() or (Path(self.source) / name).is_file()

    def file(self, name: str) -> Path:
        """A file of the folder or repository."""
        return fetched(KEY, self.source, name)

    def language_model(self) -> RNNLM:
        """SpeechBrain's RNNLM, its sizes taken from the parameters, in evaluation mode."""
        state = read_state(KEY, self.file("lm.ckpt"))
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


Recognizer = OwnRecognizer | TransformersRecognizer | SpeechBrainRecognizer
