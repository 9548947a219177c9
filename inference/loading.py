"""Exported models, found and loaded for the command line; recognizers of other people."""

import hashlib
import logging
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import ruamel.yaml
import speechbrain.inference
import torch

from corpus.layout import SAMPLE_RATE as RATE
from corpus.spelling import as_words, words_of
from errors import RecipeError
from models.pretrained import package
from training.handover import is_hub_name

PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"  # the ready-made enhancer
SHORTEST = RATE // 10  # samples that the networks need
DAMAGES = (EOFError, RuntimeError, ValueError, pickle.UnpicklingError, ruamel.yaml.YAMLError)
TOKENS_A_SECOND = 8  # more is no speech: a decoder that repeats itself is stopped


def model_folder(given: str | Path) -> Path:
    """The model folder of a run's folder, or the folder itself; RecipeError where there is none."""
    for folder in (Path(given) / "model", Path(given)):
        if (folder / "hyperparams.yaml").is_file() and (folder / "README.md").is_file():
            return folder.resolve()
    raise RecipeError(
        f"--model {given}: no exported model there. Give a run's folder such as "
        "results/enhance_mimic/1, after the stage has ended (with --export=True), or the model "
        "folder itself."
    )


def load_enhancer(
    given: str | Path, device: str = "cpu"
) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """(a function: noisy [samples] -> enhanced [samples], a short name of its parameters)."""
    folder = model_folder(given)
    interface = "WaveformEnhancement" if (folder / "enhancer.ckpt").is_file() else None
    model = load_model(folder, "enhancer", interface, device)

    @torch.inference_mode()
    def enhance(samples):
        padded = torch.from_numpy(long_enough(samples))
        return model.enhance_batch(padded[None])[0, : len(samples)].cpu().numpy()

    parts = [path.read_bytes() for path in sorted(folder.glob("*.ckpt"))]
    return enhance, hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def long_enough(samples: np.ndarray) -> np.ndarray:
    """Zeros follow what is too short for a network."""
    return np.pad(samples, (0, max(0, SHORTEST - len(samples))))


def load_recognizer(given: str | Path, device: str = "cpu"):
    """SpeechBrain's ``EncoderASR`` or ``EncoderDecoderASR``, as the model wants."""
    folder = model_folder(given)
    settings = (folder / "hyperparams.yaml").read_text(encoding="utf-8")
    interface = re.search(r"^interface: (\w+)$", settings, re.MULTILINE)
    return load_model(folder, "recognizer", interface and interface[1], device)


def load_model(folder: Path, what: str, interface: str | None, device: str):
    """One of SpeechBrain's inference classes, quietly; RecipeError where the model has none."""
    if not interface:
        told = "Give that of a stage which trains one."
        raise RecipeError(f"--model {folder}: this model has no {what}. {told}")
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="dropout option adds dropout")
    kind = getattr(speechbrain.inference, interface)
    try:
        return kind.from_hparams(source=str(folder), run_opts={"device": device})
    except (*DAMAGES, OSError) as problem:
        raise RecipeError(
            f"--model {folder}: it is damaged ({str(problem)[:300]}). Run its stage again."
        ) from problem


def is_foreign(given: str) -> bool:
    """Whether a ``--model`` is a folder of transformers, or a name on the hub."""
    return (Path(given) / "config.json").is_file() or is_hub_name(given)


def load_foreign(given: str, device: str = "cpu") -> Callable[[np.ndarray], str]:
    """A recognizer of the package transformers, as a function: [samples] -> words in capitals.

    Nobody here trained it: its errors tell what enhancement is worth to others.
    """
    try:
        load_pipeline = package("--model").pipeline
        pipeline = load_pipeline("automatic-speech-recognition", model=given, device=device)
    except (OSError, ValueError, KeyError, TypeError) as error:  # TypeError: no tokenizer
        raise RecipeError(
            f"--model {given}: transformers cannot load a recognizer from there "
            f"({str(error).strip()[:300]}). Give a run's folder such as results/robust_asr/1, or a "
            "recognizer of transformers: its folder, or its name such as openai/whisper-small."
        ) from error

    def recognize(signal):
        signal, options = long_enough(signal), {}
        if pipeline.model.can_generate():
            most = 8 + TOKENS_A_SECOND * len(signal) // RATE
            options = {"generate_kwargs": {"max_new_tokens": most}}
        found = pipeline({"raw": signal, "sampling_rate": RATE}, **options)
        return as_words(words_of(found["text"]))

    return recognize
