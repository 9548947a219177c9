"""Find clean speech with its speaker and words, in the ways in which people keep it."""

import csv
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from errors import RecipeError, listed

SOUNDS = (".wav", ".flac", ".ogg")
TEXTS = (".txt", ".lab")
LAYOUTS = (
    "Accepted: a manifest.csv with the columns path, speaker, words; LibriSpeech (*.trans.txt beside the flac files); "
    "or one folder per speaker with sound files and texts (.txt or .lab) of the same name."
)


@dataclass(frozen=True)
class Speech:
    """One clean recording: its file, its speaker (a name fit for file names) and its words."""

    path: Path
    speaker: str
    words: str


def find_speech(folder, only=(), without=()):
    """Return the Speech of a folder, sorted by path.

    ``only`` and ``without`` are patterns (``digits_fsdd/*``, ``ls_*``) on the path in the folder or on the speaker.
    RecipeError if the folder has none of the accepted layouts or if a recording has no words.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecipeError(f"--speech: no such folder {folder}")
    found = _from_manifest(folder) if (folder / "manifest.csv").is_file() else _from_folders(folder)
    kept = [item for item in found if _chosen(folder, item, only, without)]
    if not kept:
        chosen = f", with only={list(only)} and without={list(without)}" if only or without else ""
        raise RecipeError(f"--speech: no speech in {folder}{chosen}.\n{LAYOUTS}")
    silent = [str(item.path.relative_to(folder)) for item in kept if not item.words.strip()]
    if silent:
        raise RecipeError(
            f"--speech: {len(silent)} recording(s) have no words:\n{listed(silent)}\n{LAYOUTS}"
        )
    names = {item.speaker: safe_name(item.speaker) for item in kept}
    if len(set(names.values())) < len(names):
        raise RecipeError(
            f"--speech: two speaker names differ in punctuation only, of {', '.join(sorted(names))}"
        )
    kept = [Speech(item.path, names[item.speaker], item.words) for item in kept]
    return sorted(kept, key=lambda item: item.path.as_posix())


def safe_name(name):
    """``digits_fsdd/george`` -> ``digits_fsdd_george``: nothing that would part a path or an utterance name."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "speaker"


def sound_files(folder):
    """Return the sound files below a folder, sorted; hidden ones are left out."""
    found = (path for path in Path(folder).rglob("*") if path.suffix.lower() in SOUNDS)
    return sorted(path for path in found if not path.name.startswith("."))


def _chosen(folder, item, only, without):
    names = (item.path.relative_to(folder).as_posix(), item.speaker)

    def fits(patterns):
        return any(fnmatch(name, pattern) for name in names for pattern in patterns)

    return (not only or fits(only)) and not fits(without)


def _from_manifest(folder):
    with open(folder / "manifest.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    lacking = {"path", "speaker", "words"} - set(rows[0] if rows else ())
    if lacking:
        raise RecipeError(
            f"{folder / 'manifest.csv'} lacks the column(s) {', '.join(sorted(lacking))}, or has no rows"
        )
    absent = [row["path"] for row in rows if not (folder / row["path"]).is_file()]
    if absent:
        raise RecipeError(
            f"{folder / 'manifest.csv'} names {len(absent)} missing file(s):\n{listed(absent)}"
        )
    return [Speech(folder / row["path"], row["speaker"], row["words"] or "") for row in rows]


def _from_folders(folder):
    """LibriSpeech's speaker is the first number of the file name; else it is the folder of the file."""
    librispeech = _librispeech_words(folder)
    texts = {
        (path.parent.name, path.stem): path
        for path in sorted(folder.rglob("*"))
        if path.suffix in TEXTS
    }
    found = []
    for path in sound_files(folder):
        if path.stem in librispeech:
            found.append(Speech(path, path.stem.split("-")[0], librispeech[path.stem]))
        elif path.parent != folder:
            text = texts.get((path.parent.name, path.stem))
            words = text.read_text(encoding="utf-8-sig").strip() if text else ""
            found.append(Speech(path, path.parent.name, words))
    return found


def _librispeech_words(folder):
    words = {}
    for listing in sorted(folder.rglob("*.trans.txt")):
        for line in listing.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            words[name] = text
    return words
