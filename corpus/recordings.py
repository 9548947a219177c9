"""Find clean speech with its speaker and words, and noises, as people keep them."""

import csv
import io
import os
import re
from collections import namedtuple
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from corpus.audio import SUFFIXES, opened
from corpus.files import find_files, read_text
from errors import RecipeError, listed

TEXTS = (".txt", ".lab")
LAYOUTS = (
    "Accepted: a manifest.csv with the columns path, speaker, words; LibriSpeech (*.trans.txt with "
    "the flac files); or one folder for each speaker, with sound and text files (.txt or .lab) of "
    "the same name side by side, or below wav*/SPEAKER and txt/SPEAKER."
)
Speech = namedtuple("Speech", "path speaker words")  # the speaker is fit for file names


def find_speech(
    folder: Path, without: Sequence[str] = (), leave_out: Path | None = None
) -> list[Speech]:
    """The speech of a folder in one of the LAYOUTS, sorted by path.

    ``without`` are patterns (``digits/*``, ``ls_*``) on the path in the folder or on the speaker.
    """
    if not folder.is_dir():
        raise RecipeError(f"--speech: no such folder {folder}")
    table = folder / "manifest.csv"
    rows = _from_table(table) if table.is_file() else _from_folders(folder, leave_out)
    found, bad = {}, []
    for path, speaker, words in rows:
        names = (os.path.relpath(path, folder), speaker)
        if any(fnmatch(name, pattern) for name in names for pattern in without):
            continue
        if not speaker.strip() or not words.strip():
            bad.append(f"{path} has no {'words' if speaker.strip() else 'speaker'}")
        found[path] = Speech(path, safe_name(speaker), " ".join(words.split()))
    if bad:
        raise RecipeError(f"--speech: {len(bad)} recording(s):\n{listed(bad)}\n{LAYOUTS}")
    if not found:
        raise RecipeError(f"--speech: no speech in {folder}, without {list(without)}.\n{LAYOUTS}")
    return [found[path] for path in sorted(found)]


def find_noises(
    folders: Sequence[Path], without: Sequence[str] = (), leave_out: Path | None = None
) -> tuple[dict, list[str]]:
    """Noise kind -> its sound files, one kind for each sub-folder, and what is wrong with files.

    ``without`` are patterns (``rain/*``) on the path in its folder.
    """
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise RecipeError(f"--noise: no such folder {', '.join(missing)}")
    kinds, problems = {}, []
    found = [(top, path) for top in folders for path in find_files(top, SUFFIXES, leave_out)]
    for folder, path in found:
        place = path.relative_to(folder).parts
        if any(fnmatch("/".join(place), pattern) for pattern in without):
            continue
        try:
            with opened(path) as file:
                empty = file.frames == 0
        except RecipeError:
            empty = True
        if empty or len(place) == 1:
            problems.append(f"{path} " + ("holds no sound" if empty else "is of no noise kind"))
        else:
            kinds.setdefault(safe_name(place[0]), []).append(path)
    if len(kinds) < 2:
        raise RecipeError(
            f"--noise: {', '.join(map(str, folders))}: {len(kinds)} sub-folder(s) of sound files; "
            "accepted: two or more, one for each kind, since the test has noises of its own.\n"
            f"{listed(problems)}"
        )
    return kinds, problems


def safe_name(name: str) -> str:
    """``digits/george`` -> ``digits_george``: nothing that would split a path or a name."""
    return re.sub(r"[\W_]+", "_", name).strip("_") or "speaker"


def _from_table(path):
    """Path, speaker and words of each recording in a table of any spreadsheet."""
    text = read_text(path)
    header = text.partition("\n")[0]
    table = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=header.count), restval="")
    try:
        table.fieldnames = [name.strip().lower() for name in table.fieldnames or ()]
        rows = [row for row in table if any(row.values())]
    except csv.Error as problem:
        raise RecipeError(f"{path} cannot be read: {problem}") from problem
    lacking = [name for name in ("path", "speaker", "words") if name not in table.fieldnames]
    if lacking or not rows:
        raise RecipeError(f"{path} lacks the column(s) {', '.join(lacking)}, or has no rows")
    absent = [row["path"] for row in rows if not (path.parent / row["path"]).is_file()]
    if absent:
        raise RecipeError(f"{path} names {len(absent)} missing file(s):\n{listed(absent)}")
    return [(path.parent / row["path"], row["speaker"], row["words"]) for row in rows]


def _from_folders(folder, leave_out):
    """Path, speaker and words of each recording in a tree of sound and text files."""
    texts = {path.with_suffix(""): path for path in find_files(folder, TEXTS, leave_out)}
    librispeech = {
        listing.parent / line.split()[0]: " ".join(line.split()[1:])
        for listing in texts.values()
        if listing.name.endswith(".trans.txt")
        for line in read_text(listing).splitlines()
        if line.strip()
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
