"""A whole recognizer to start from: a stage 3 run, or one that SpeechBrain has published.

SpeechBrain's folders, such as ``speechbrain/asr-crdnn-rnnlm-librispeech``, hold ``asr.ckpt``
(encoder, embedding, decoder, CTC output and decoder's output, in this order), ``normalizer.ckpt``
(mean and deviation of the features), ``tokenizer.ckpt`` (sentencepiece), perhaps ``lm.ckpt`` (an
RNN language model) and ``hyperparams.yaml``, of which only plain values are read.
"""

import logging
import shutil
from pathlib import Path

import ruamel.yaml
import sentencepiece
import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.RNNLM import RNNLM
from speechbrain.processing.features import InputNormalization

from corpus.files import read_text, whole
from corpus.layout import SAMPLE_RATE
from errors import RecipeError
from training.handover import fetched, find, is_hub_name, put, read_state
from training.tokens import PieceTokens, Tokens, load_tokens, tokens_file

logger = logging.getLogger(__name__)

KEY = "pretrained_asr_path"
PARTS = ("encoder", "ctc_output", "attention_decoder")
PLACES = {  # beginning of a key in asr.ckpt -> module, beginning of its key there
    "0.": ("encoder", ""),
    "1.": ("attention_decoder", "embedding."),
    "2.": ("attention_decoder", "decoder."),
    "3.": ("ctc_output", ""),
    "4.": ("attention_decoder", "linear."),
}
FRAMES = {"n_fft": 400, "win_length": 25, "hop_length": 10, "n_mels": 40}  # SpeechBrain's defaults
SPECIALS = {"blank_index": 0, "bos_index": 0, "eos_index": 0}


def encoder_file(path: str | None) -> str | None:
    """The path where it names the parameters of an encoder alone, else None."""
    return path if path is not None and str(path).endswith(".ckpt") else None


def recognizer_from(path: str | None) -> "RunFolder | SpeechBrainFolder | None":
    """The recognizer of a folder or of a repository on the hub; None for a file."""
    if path is None or encoder_file(path):
        return None
    return RunFolder(path) if (Path(path) / "encoder.ckpt").is_file() else SpeechBrainFolder(path)


class RunFolder:
    """The recognizer that a stage 3 run of this recipe has left, with its tokens."""

    def __init__(self, source: str):
        self.source = source

    def check(self) -> None:
        """Nothing: the folder has an encoder."""

    def install(self, hparams: dict) -> Tokens:
        """Load the networks that the stage uses; returns the tokens, which the run keeps."""
        for name in [name for name in PARTS if name in hparams["modules"]]:
            file = find(name, self.source)
            if not file.is_file():
                raise RecipeError(
                    f"{KEY}: {file} does not exist. Give the folder of a stage 3 run."
                )
            put(name, hparams["modules"][name], read_state(name, file), file)
        kind = hparams["targets"]
        theirs = tokens_file(kind, Path(self.source) / "tokens")
        if not theirs.is_file():
            raise RecipeError(f"{KEY}: {theirs} does not exist. Give the --targets of that run.")
        own = tokens_file(kind, Path(hparams["output_folder"]) / "tokens")
        with whole(own) as aside:
            shutil.copyfile(theirs, aside)
        return load_tokens(kind, own, hparams["output_neurons"])


class SpeechBrainFolder:
    """A recognizer in SpeechBrain's form: a folder, or a repository on the hub (owner/name)."""

    def __init__(self, source: str):
        self.source = str(source)

    def check(self) -> None:
        """RecipeError where the path cannot be meant."""
        if not Path(self.source).is_dir() and not is_hub_name(self.source):
            raise RecipeError(
                f"{KEY}: {self.source} is neither a folder (a stage 3 run, or asr.ckpt, "
                "normalizer.ckpt and tokenizer.ckpt), nor a file .ckpt of an encoder, nor a "
                "repository on the hub such as speechbrain/asr-crdnn-rnnlm-librispeech."
            )

    def install(self, hparams: dict) -> Tokens:
        """Load the networks that the stage uses; returns the tokens.

        Features, their normalization and the language model of ``hparams`` are replaced.
        """
        said = self.settings()
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(self.file("tokenizer.ckpt")))
        accepted = {
            "output_neurons": pieces.vocab_size(),
            "n_mels": said["n_mels"],
            "features": "fbank",
        }
        for key, value in accepted.items():
            if hparams[key] != value:
                raise RecipeError(
                    f"{key}: {hparams[key]}, but the pretrained recognizer has {value}. "
                    f"Give --{key}={value}."
                )
        states = {name: {} for name in PARTS}
        for key, value in read_state(KEY, self.file("asr.ckpt")).items():
            if key[:2] in PLACES:
                name, prefix = PLACES[key[:2]]
                states[name][prefix + key[2:]] = value
        for name in [name for name in PARTS if name in hparams["modules"]]:
            put(name, hparams["modules"][name], states[name], f"{self.source}/asr.ckpt")
        normalize = InputNormalization(norm_type="global")
        normalize._load(self.file("normalizer.ckpt"), end_of_epoch=False)
        hparams["normalize"] = normalize.eval()  # its statistics stay as they are
        hparams["compute_features"] = Fbank(
            sample_rate=SAMPLE_RATE, **{key: said[key] for key in FRAMES}
        )
        hparams["decoding"].lm = None
        if self.has("lm.ckpt"):
            hparams["decoding"].lm = language_model(read_state(KEY, self.file("lm.ckpt")))
        return PieceTokens(pieces, [said[key] for key in SPECIALS])

    def settings(self) -> dict[str, float]:
        """Frames and specials; nothing in ``hyperparams.yaml`` is executed."""
        said, usual = {}, FRAMES | SPECIALS
        if self.has("hyperparams.yaml"):
            said = ruamel.yaml.YAML().load(read_text(self.file("hyperparams.yaml")))
        plain = {key: said[key] for key in usual if isinstance(said.get(key), (int, float))}
        return usual | plain

    def has(self, name: str) -> bool:
        """Whether the folder has a file; a repository is taken to."""
        return not Path(self.source).is_dir() or (Path(self.source) / name).is_file()

    def file(self, name: str) -> Path:
        """A file of the folder or repository."""
        return fetched(KEY, self.source, name)


def language_model(state: dict[str, torch.Tensor]) -> RNNLM:
    """SpeechBrain's RNNLM with the sizes and parameters of a state dict, in evaluation mode."""
    try:
        outputs, width = state["embedding.Embedding.weight"].shape
        layers = [value for key, value in state.items() if key.startswith("rnn.rnn.weight_hh_l")]
        blocks = [v for key, v in state.items() if key.startswith("dnn.linear") and v.dim() == 2]
        model = RNNLM(
            output_neurons=outputs,
            embedding_dim=width,
            dropout=0.0,
            rnn_layers=len(layers),
            rnn_neurons=layers[0].shape[1],
            dnn_blocks=len(blocks),
            dnn_neurons=blocks[0].shape[0],
            return_hidden=True,
        )
        model.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        raise RecipeError(
            f"{KEY}: lm.ckpt is not an RNNLM of SpeechBrain's: {str(error)[:300]}"
        ) from error
    return model.eval().requires_grad_(False)
