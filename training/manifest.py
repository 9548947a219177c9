"""Manifests: SpeechBrain's JSON form of a set of utterances, checked when they are read."""

import json
import math
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from corpus.files import read_text
from errors import RecipeError, listed

SOUNDS, TEXTS = ("noisy_wav", "clean_wav"), ("words", "phones")
FORM = (
    'one object for each utterance: {"id": {"noisy_wav": path, "clean_wav": path, '
    '"length": seconds, "words": text, "phones": text}}'
)


def read_manifest(
    path: str | Path, data_root: str | Path | None = None, texts: Iterable[str] = TEXTS
) -> dict[str, dict]:
    """The utterances by id; ``{data_root}`` in the paths of sounds is filled in.

    Of words and phones only those in ``texts`` must be there; others that are missing are "".
    RecipeError names the file, the utterances and the fields that are missing or of another type.
    """
    try:
        entries = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: this is not JSON: {error}. Accepted: {FORM}") from error
    if not isinstance(entries, dict) or not entries:
        raise RecipeError(f"{path}: holds no utterance. Accepted: {FORM}")
    fields = (*SOUNDS, *texts)
    problems = [p for name, entry in entries.items() for p in problems_of(name, entry, fields)]
    if problems:
        raise RecipeError(f"{path}: problems:\n{listed(problems)}\nAccepted: {FORM}")
    for entry in entries.values():
        entry |= {key: entry.get(key, "") for key in TEXTS}
        for key in SOUNDS:
            entry[key] = entry[key].replace("{data_root}", str(data_root or ""))
    return entries


def problems_of(name: str, entry: object, fields: tuple[str, ...]) -> list[str]:
    """What is wrong with one utterance, of which ``fields`` must hold text."""
    if not isinstance(entry, dict):
        return [f"{name}: {shown(entry)} is not an object"]
    problems, place = [], PurePosixPath(name)
    if not place.parts or place.is_absolute() or ".." in place.parts or "\0" in name:
        problems.append(f"{name!r}: this id names no file; accepted: text, also speaker/utterance")
    if "id" in entry:
        problems.append(f"{name}: id is given by the manifest's key, leave it out")
    for key in fields:
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            problems.append(f"{name}: {key} is {shown(value)}, not text")
    length = entry.get("length")
    if type(length) not in (int, float) or not 0 < length < math.inf:
        problems.append(f"{name}: length is {shown(length)}, not a number of seconds above 0")
    return problems


def shown(value: object) -> str:
    """A value for a message."""
    return "missing" if value is None else repr(value)[:40]
