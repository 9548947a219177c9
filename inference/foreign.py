"""A recognizer of the package transformers, which nobody here trained: whose words tell what enhancement is worth to others."""

from pathlib import Path

from corpus.audio import read
from corpus.resampling import to_16k
from corpus.spelling import as_words, words_of
from errors import RecipeError
from models.pretrained_judge import package
from training.handover import is_hub_name

TOKENS_A_SECOND = 8  # more is no speech: a decoder that repeats itself is stopped


def is_foreign(given):
    """Whether a --model is a folder of transformers, or a name on the hub."""
    return (Path(given) / "config.json").is_file() or is_hub_name(
        given.replace(".", "")
    )  # names there have dots: small.en


def load_foreign(given, device="cpu"):
    """A function: sound file -> words in the manifests' spelling. RecipeError where it is no recognizer."""
    kinds = package("--model")
    try:
        pipeline = kinds.pipeline("automatic-speech-recognition", model=str(given), device=device)
    except (OSError, ValueError, KeyError, TypeError) as error:  # TypeError: no tokenizer
        raise RecipeError(
            f"--model {given}: transformers cannot load a recognizer from there ({str(error).strip()[:300]}). Give a run's folder such as "
            "results/robust_asr/1, the folder of a recognizer of transformers, or its name on the hub, such as openai/whisper-small."
        ) from error

    def hear(path):
        signal = to_16k(*read(path))
        options = (
            {"generate_kwargs": {"max_new_tokens": 8 + TOKENS_A_SECOND * len(signal) // 16000}}
            if pipeline.model.can_generate()
            else {}
        )
        return as_words(
            words_of(pipeline({"raw": signal, "sampling_rate": 16000}, **options)["text"])
        )

    return hear
