"""Read a manifest (SpeechBrain's JSON form) and say what is wrong with it."""

import json
import math
from pathlib import Path

from errors import RecipeError, listed

TEXTS = ("noisy_wav", "clean_wav", "words", "phones")
FORM = 'one object a utterance: {"u1": {"noisy_wav": path, "clean_wav": path, "length": s, "words": text, "phones": text}}'


def read_manifest(path, data_root=None):
    """A manifest -> dict of utterances; ``{data_root}`` in the paths of sounds is filled in.

    RecipeError that names the file, utterances and fields where something is missing or of another type.
    """
    entries = load(path)
    problems = [problem for name, entry in entries.items() for problem in problems_of(name, entry)]
    if problems:
        raise RecipeError(
            f"{path}: {len(problems)} problem(s):\n{listed(problems)}\nAccepted: {FORM}"
        )
    root = str(data_root or "")
    for entry in entries.values():
        for key in ("noisy_wav", "clean_wav"):
            entry[key] = entry[key].replace("{data_root}", root)
    return entries


def load(path):
    """The JSON object of a manifest."""
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a manifest."
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: this is not JSON: {error}. Accepted: {FORM}") from error
    if not isinstance(entries, dict) or not entries:
        raise RecipeError(f"{path}: holds no utterance. Accepted: {FORM}")
    return entries


def problems_of(name, entry):
    """What is wrong with one utterance, as a list of texts."""
    if not isinstance(entry, dict):
        return [f"{name}: {shown(entry)} is not an object"]
    reserved = [f"{name}: id is given by the manifest's key, leave it out"] if "id" in entry else []
    texts = [
        f"{name}: {key} is {shown(entry.get(key))}, not text"
        for key in TEXTS
        if not is_text(entry.get(key))
    ]
    length = entry.get("length")
    number = (
        isinstance(length, (int, float)) and not isinstance(length, bool) and 0 < length < math.inf
    )
    return (
        reserved
        + texts
        + (
            []
            if number
            else [f"{name}: length is {shown(length)}, not a number of seconds above 0"]
        )
    )


def is_text(value):
    """Whether a value is text that holds something."""
    return isinstance(value, str) and bool(value.strip())


def shown(value):
    """A value for a message."""
    return "missing" if value is None else repr(value)[:40]
