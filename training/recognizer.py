"""A whole recognizer to start from, as SpeechBrain publishes it: ``speechbrain/asr-crdnn-rnnlm-librispeech``.

Its folder holds ``asr.ckpt`` (encoder, embedding, decoder, CTC output and decoder's output, in this order),
``normalizer.ckpt`` (mean and deviation of the features), ``tokenizer.ckpt`` (sentencepiece), ``lm.ckpt`` (an RNN language
model on the same pieces; may be missing) and ``hyperparams.yaml`` (only its plain values are read).
"""

import logging
from pathlib import Path

import ruamel.yaml
import sentencepiece
from speechbrain.lobes.models.RNNLM import RNNLM
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.parameter_transfer import Pretrainer

from errors import RecipeError
from models.features import Features
from training.handover import fetched, is_hub_name, read_state
from training.tokens import FolderPieces

logger = logging.getLogger(__name__)

# What a folder means that does not say otherwise: SpeechBrain's filter bank, and one token for begin, end and blank.
USUAL = {
    "n_fft": 400,
    "win_length": 25,
    "hop_length": 10,
    "n_mels": 40,
    "bos_index": 0,
    "eos_index": 0,
    "blank_index": 0,
}
PARTS = ("src_embedding", "ctc_output", "attention_decoder")


def encoder_file(path):
    """The path where it names the parameters of an encoder alone, else None."""
    return path if path is not None and str(path).endswith(".ckpt") else None


def recognizer_from(path):
    """A PretrainedRecognizer where the path names a folder or hub repository, else None."""
    return None if path is None or encoder_file(path) else PretrainedRecognizer(str(path))


class PretrainedRecognizer:
    """Fetches the folder's files, and puts what they hold into a stage's objects.

    Arguments
    ---------
    source : str
        Folder, or name of a repository on the hub (owner/name).
    """

    def __init__(self, source):
        self.source = source

    def check(self):
        """RecipeError where the folder cannot be meant."""
        if Path(self.source).is_dir() or is_hub_name(self.source):
            return
        raise RecipeError(
            f"pretrained_asr_path: {self.source} is neither a folder with asr.ckpt, normalizer.ckpt and tokenizer.ckpt, nor "
            "a file .ckpt, nor the name of a repository such as speechbrain/asr-crdnn-rnnlm-librispeech."
        )

    def install(self, hparams):
        """Load the networks; replace features, normalisation and language model of ``hparams``. Returns the tokens."""
        said = self.settings()
        pieces, normalize = (
            sentencepiece.SentencePieceProcessor(),
            InputNormalization(norm_type="global"),
        )
        self.load_small_parts({"tokenizer": pieces, "normalizer": normalize})
        check_sizes(hparams, pieces.vocab_size(), said["n_mels"])
        self.load_networks(hparams["modules"])
        hparams["normalize"] = (
            normalize.eval()
        )  # its statistics are as much a part of the network as the weights
        frames = {key: said[key] for key in ("n_fft", "win_length", "hop_length", "n_mels")}
        hparams["compute_features"] = Features("fbank", hparams["sample_rate"], **frames)
        hparams["decoding"].lm = self.language_model()
        return FolderPieces(pieces, said["blank_index"], said["bos_index"], said["eos_index"])

    def settings(self):
        """The plain values of ``hyperparams.yaml`` that matter here; nothing in it is executed."""
        if not self.has("hyperparams.yaml"):
            return dict(USUAL)
        text = fetched("pretrained_asr_path", self.source, "hyperparams.yaml").read_text(
            encoding="utf-8"
        )
        said = ruamel.yaml.YAML().load(text)
        return {
            key: said[key] if isinstance(said.get(key), (int, float)) else usual
            for key, usual in USUAL.items()
        }

    def has(self, file):
        """Whether the folder has a file; a repository on the hub is taken to."""
        return not Path(self.source).is_dir() or (Path(self.source) / file).is_file()

    def load_small_parts(self, loadables):
        """Tokenizer and statistics, each by SpeechBrain's own hook for it."""
        paths = {
            name: str(fetched("pretrained_asr_path", self.source, f"{name}.ckpt"))
            for name in loadables
        }
        pretrainer = Pretrainer(loadables=loadables, paths=paths)
        pretrainer.collect_files()
        pretrainer.load_collected()

    def load_networks(self, modules):
        """Put ``asr.ckpt`` into the modules of these names that the stage uses."""
        file = fetched("pretrained_asr_path", self.source, "asr.ckpt")
        states = split_by_part(read_state("pretrained_asr_path", file))
        for name in PARTS:
            if name not in modules:
                continue
            try:
                modules[name].load_state_dict(states[name])
            except (RuntimeError, KeyError) as error:
                raise RecipeError(
                    f"{name}: {self.source}/asr.ckpt holds another network than this one:\n{str(error)[:600]}\n"
                    "Give the sizes that it was trained with (cnn_channels, rnn_neurons, decoder_neurons, ...)."
                ) from error
        logger.info("Recognizer loaded from %s", self.source)

    def language_model(self):
        """The RNN language model of the folder, or None where it has none."""
        if not self.has("lm.ckpt"):
            return None
        return language_model_of(
            read_state(
                "pretrained_asr_path", fetched("pretrained_asr_path", self.source, "lm.ckpt")
            )
        )


def split_by_part(state):
    """``asr.ckpt``'s tensors -> state dicts of the three modules; its parts are numbered."""
    places = {
        "0.": ("src_embedding", ""),
        "1.": ("attention_decoder", "embedding."),
        "2.": ("attention_decoder", "decoder."),
        "3.": ("ctc_output", ""),
        "4.": ("attention_decoder", "linear."),
    }
    states = {name: {} for name in PARTS}
    for key, value in state.items():
        if key[:2] in places:
            name, prefix = places[key[:2]]
            states[name][prefix + key[2:]] = value
    return states


def language_model_of(state):
    """SpeechBrain's RNNLM with the sizes and parameters of a state dict, in evaluation mode."""
    try:
        outputs, width = state["embedding.Embedding.weight"].shape
        layers = [key for key in state if key.startswith("rnn.rnn.weight_hh_l")]
        blocks = [
            value.shape[0]
            for key, value in state.items()
            if key.startswith("dnn.linear") and value.dim() == 2
        ]
        model = RNNLM(
            output_neurons=outputs,
            embedding_dim=width,
            dropout=0.0,
            rnn_layers=len(layers),
            rnn_neurons=state[layers[0]].shape[1],
            dnn_blocks=len(blocks),
            dnn_neurons=blocks[0],
            return_hidden=True,
        )
        model.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        raise RecipeError(
            f"pretrained_asr_path: lm.ckpt is not an RNNLM of SpeechBrain's: {str(error)[:300]}"
        ) from error
    return model.eval().requires_grad_(False)


def check_sizes(hparams, pieces, n_mels):
    """RecipeError where the outputs or features of the stage are others than those of the folder."""
    for key, wanted in (("output_neurons", pieces), ("n_mels", n_mels)):
        if hparams[key] != wanted:
            raise RecipeError(
                f"{key}: {hparams[key]}, but the pretrained recognizer has {wanted}. Give --{key}={wanted}."
            )
    if hparams["features"] != "fbank":
        raise RecipeError(
            f"features: {hparams['features']}, but the pretrained recognizer hears fbank. Give --features=fbank."
        )
