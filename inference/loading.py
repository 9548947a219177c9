"""Exported models, found and loaded for the command line."""

import hashlib
import logging
import warnings
from pathlib import Path

import speechbrain.inference
from speechbrain.inference import WaveformEnhancement

from errors import RecipeError
from models.layout import without_copies


def model_folder(given):
    """The model folder of a run's folder, or the folder itself; RecipeError where there is none."""
    for folder in (Path(given) / "model", Path(given)):
        if (folder / "hyperparams.yaml").is_file() and (folder / "README.md").is_file():
            return folder
    raise RecipeError(
        f"--model {given}: no exported model there. Give a run's folder such as results/enhance_mimic/1, after the stage "
        "has ended (with --export=True), or the model folder itself."
    )


def fingerprint(folder):
    """A short name of the parameters in a model folder."""
    parts = [path.read_bytes() for path in sorted(Path(folder).glob("*.ckpt"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def load_enhancer(given, device="cpu"):
    """(SpeechBrain's WaveformEnhancement, the folder it came from)."""
    folder = model_folder(given)
    if not (folder / "enhancer.ckpt").is_file():
        raise RecipeError(
            f"--model {given}: this model has no enhancer. Give that of a stage which trains one."
        )
    return load(WaveformEnhancement, folder, device), folder


def load_recognizer(given, device="cpu"):
    """(SpeechBrain's EncoderASR or EncoderDecoderASR, as the model wants, the folder it came from)."""
    folder = model_folder(given)
    for interface in ("EncoderDecoderASR", "EncoderASR"):
        if f"interface: {interface}\n" in (folder / "hyperparams.yaml").read_text(encoding="utf-8"):
            return load(getattr(speechbrain.inference, interface), folder, device), folder
    raise RecipeError(
        f"--model {given}: this model has no recognizer. Give that of a stage which trains one."
    )


def load(interface, folder, device):
    """One of SpeechBrain's classes on a device, quietly, computing in the recipe's faster layout."""
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="dropout option adds dropout")
    model = interface.from_hparams(source=str(folder), run_opts={"device": device})
    without_copies(model)
    return model
