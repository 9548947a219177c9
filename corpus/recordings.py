"""Find clean speech with its speaker and words, and noises, as people keep them."""

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from corpus.audio import SUFFIXES
from corpus.files import find_files, read_text
from errors import RecipeError, listed

TEXTS = (".txt", ".lab")
LAYOUTS = (
    "Accepted: a manifest.csv with the columns path, speaker, words; LibriSpeech (*.trans.txt with "
    "the flac files); or one folder for each speaker, with sound and text files (.txt or .lab) of "
    "the same name side by side, or below wav*/SPEAKER and txt/SPEAKER."
)


@dataclass(frozen=True)
class Speech:
    """One clean recording: its file, its speaker (fit for file names), its words."""

    path: Path
    speaker: str
    words: str


def find_speech(
    folder: Path, only: Sequence[str] = (), without: Sequence[str] = (), leave_out=None
) -> list[Speech]:
    """The speech of a folder in one of the LAYOUTS, sorted by path.

    ``only`` and ``without`` are patterns (``digits/*``, ``ls_*``) on the path in the folder or on
    the speaker. RecipeError if nothing is found, or if a recording has no speaker or words.
    """
    if not folder.is_dir():
        raise RecipeError(f"--speech: no such folder {folder}")
    table = folder / "manifest.csv"
    found = _from_table(table) if table.is_file() else _from_folders(folder, leave_out)
    kept, bad = [], []
    for path, speaker, words in found:
        names = (os.path.relpath(path, folder), speaker)
        chosen = [any(fnmatch(n, p) for n in names for p in ps) for ps in (only, without)]
        if chosen[1] or only and not chosen[0]:
            continue
        kept.append(Speech(path, safe_name(speaker), " ".join(words.split())))
        if not speaker or not kept[-1].words:
            bad.append(f"{path} has no {'words' if speaker else 'speaker'}")
    if not kept:
        chosen = f", with only={list(only)} and without={list(without)}" if only or without else ""
        raise RecipeError(f"--speech: no speech in {folder}{chosen}.\n{LAYOUTS}")
    if bad:
        raise RecipeError(
            f"--speech: {len(bad)} recording(s) cannot be used:\n{listed(bad)}\n{LAYOUTS}"
        )
    speakers = {speaker for _, speaker, _ in found}
    if len(set(map(safe_name, speakers))) < len(speakers):
        raise RecipeError(
            f"--speech: two speakers differ in punctuation only, of {', '.join(sorted(speakers))}"
        )
    return sorted(kept, key=lambda item: item.path.as_posix())


def find_noises(folder: Path, leave_out=None) -> dict[str, list[Path]]:
    """Noise kind -> its sound files; one kind for each sub-folder that holds some."""
    if not folder.is_dir():
        raise RecipeError(f"--noise: no such folder {folder}")
    kinds = {}
    for path in find_files(folder, SUFFIXES, leave_out):
        place = path.relative_to(folder).parts
        if len(place) > 1:
            kinds.setdefault(safe_name(place[0]), []).append(path)
    if len(kinds) < 2:
        raise RecipeError(
            f"--noise: {folder} has {len(kinds)} sub-folder(s) with sound files "
            f"({', '.join(SUFFIXES)}); two kinds are needed at least, one sub-folder each, since "
            "the test has noises of its own."
        )
    return kinds


def safe_name(name: str) -> str:
    """``digits/george`` -> ``digits_george``: nothing that would split a path or a name."""
    return re.sub(r"[\W_]+", "_", name).strip("_") or "speaker"


def _from_table(path: Path) -> list[tuple[Path, str, str]]:
    text = read_text(path)
    header = text.partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=header.count)))
    except csv.Error as problem:
        raise RecipeError(f"{path} cannot be read: {problem}") from problem
    names = [name.strip().lower() for name in rows[0]] if rows else []
    lacking = [name for name in ("path", "speaker", "words") if name not in names]
    rows = [dict(zip(names, row, strict=False)) for row in rows[1:] if any(row)]
    if lacking or not rows:
        raise RecipeError(f"{path} lacks the column(s) {', '.join(lacking)}, or has no rows")
    absent = [row["path"] for row in rows if not (path.parent / row["path"]).is_file()]
    if absent:
        raise RecipeError(f"{path} names {len(absent)} missing file(s):\n{listed(absent)}")
    return [(path.parent / r["path"], r.get("speaker", ""), r.get("words", "")) for r in rows]


def _from_folders(folder: Path, leave_out) -> list[tuple[Path, str, str]]:
    """LibriSpeech's speaker is the first number of the file name, else the first folder."""
    texts = {path.with_suffix(""): path for path in find_files(folder, TEXTS, leave_out)}
    librispeech = {
        listing.parent / line.partition(" ")[0]: line.partition(" ")[2]
        for listing in texts.values()
        if listing.name.endswith(".trans.txt")
        for line in read_text(listing).splitlines()
    }
    found = []
    for path in find_files(folder, SUFFIXES, leave_out):
        key, place = path.with_suffix(""), path.relative_to(folder).parts
        if key in librispeech:
            found.append((path, path.stem.split("-")[0], librispeech[key]))
            continue
        if key not in texts and place[0].startswith("wav") and len(place) > 2:
            place = place[1:]
            key = folder.joinpath("txt", *place).with_suffix("")
        words = read_text(texts[key]) if key in texts else ""
        found.append((path, place[0] if len(place) > 1 else "", words))
    return found
