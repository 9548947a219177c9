"""Score folders of enhanced speech, against clean speech or alone: the same for any system."""

import argparse
import csv
import io
import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from corpus.files import find_files, read_text, typed_path, write_text
from corpus.spelling import as_words, words_of
from errors import RecipeError, listed
from inference.command import add_common, check_output, count, find, repeated
from inference.loading import RATE, is_foreign, load_foreign, load_recognizer
from inference.sound import load
from inference.transcribe import cuts, transcribe_file
from scoring import no_reference
from scoring.bootstrap import difference
from scoring.metrics import METRICS, QUALITY
from scoring.pool import MetricPool
from scoring.scoreboard import Scoreboard, intervals, means
from scoring.scores import word_errors

AT_ONCE = 64  # files whose signals wait in memory
LONGEST = 30.0  # s that Whisper reads at once
DETAILS = """Files are matched by name without suffix. Both sides are brought to 16 kHz and one
channel; lengths must agree to 0.1 s, and the longer one is cut. With each mean stands its 95 %
interval over utterances. PESQ is wide-band (P.862.2). Without --clean and --model the scores are
those of --no_reference."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("score.py", description=__doc__, epilog=DETAILS)
    add = made.add_argument
    add("systems", nargs="+", metavar="[NAME=]FOLDER", help="enhanced speech, a row for each")
    add("--clean", type=typed_path, metavar="FOLDER", help="the same, clean")
    help = f"with --clean: of {', '.join(QUALITY)} (default: all)"
    add("--metrics", nargs="+", choices=QUALITY, metavar="METRIC", help=help)
    help = f"adds DNSMOS and DistillMOS, which need no clean speech ({no_reference.INSTALL})"
    add("--no_reference", action="store_true", help=help)
    help = "what is said: a folder of .txt, or a .json or .csv of file and text"
    add("--transcripts", type=typed_path, metavar="PATH", help=help)
    help = """recognizer for the word error rate: a run's folder, or one of transformers: its
        folder, or its name on the hub such as openai/whisper-small"""
    add("--model", help=help)
    help = "a system: adds the difference of each other one to it, paired by file"
    add("--against", metavar="NAME", help=help)
    add("--output", type=typed_path, metavar="FILE", help="a .jsonl for each utterance's scores")
    add("--jobs", type=count, help="scoring processes (default: the cores that are free)")
    add_common(made)
    return made


def systems_of(texts: list[str]) -> dict[str, Path]:
    """Of each ``name=folder``; a folder alone has its own name, or its path where others share it.

    Raises RecipeError where a name comes twice.
    """
    given = []
    for text in texts:
        name, sign, folder = text.partition("=")
        if sign and folder and not Path(text).is_dir():
            given.append((name, typed_path(folder), name))
        else:
            folder = typed_path(text)
            given.append((folder.resolve().name, folder, str(folder)))
    shared = repeated(name for name, _, _ in given)
    systems = [(other if name in shared else name, folder) for name, folder, other in given]
    if twice := repeated(name for name, _ in systems):
        raise RecipeError(f"Several systems are called {twice[0]}. Give each its own NAME=FOLDER.")
    return dict(systems)


def by_name(files: Iterable[tuple[str, object]], where: Path) -> dict:
    """Name without suffix -> value; RecipeError where a name comes twice."""
    pairs = [(Path(name).stem, value) for name, value in files]
    if twice := repeated(name for name, _ in pairs):
        raise RecipeError(f"{where}: give each its own name, these come twice:\n{listed(twice)}")
    return dict(pairs)


def sounds(folder: Path, others: list[Path]) -> dict[str, Path]:
    """Name without suffix -> sound file below a folder, without the other folders inside of it."""
    if not folder.is_dir():
        raise RecipeError(f"{folder}: no such folder.")
    base = folder.resolve()
    inside = [other for other in map(Path.resolve, others) if base in other.parents]
    files = [file for file, _ in find([base])]
    files = [file for file in files if not any(other in file.parents for other in inside)]
    return by_name(((file.name, file) for file in files), folder)


def aligned(file: Path, clean_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Both signals, cut to the shorter; RecipeError where they differ by more than 0.1 s."""
    signal, clean = load(file), load(clean_file)
    if abs(len(signal) - len(clean)) > RATE / 10:
        raise RecipeError(
            f"{file} lasts {len(signal) / RATE:.2f} s and {clean_file} {len(clean) / RATE:.2f} s: "
            "another utterance?"
        )
    shorter = min(len(signal), len(clean))
    return signal[:shorter], clean[:shorter]


def texts_from(given: Path, wanted: Iterable[str]) -> dict[str, str]:
    """Name without suffix -> words in the manifests' spelling, of the wanted names."""
    if given.is_dir():
        pairs = [(file.name, file) for file in find_files(given, [".txt"])]
    else:
        pairs = [(row["file"], row["text"]) for row in rows_of(given)]
    wanted = set(wanted)
    texts = by_name(((name, text) for name, text in pairs if Path(name).stem in wanted), given)
    if missing := sorted(wanted - texts.keys()):
        raise RecipeError(f"--transcripts {given}: no text for\n{listed(missing)}")
    read = {name: read_text(text) if given.is_dir() else text for name, text in texts.items()}
    return {name: as_words(words_of(text)) for name, text in read.items()}


def rows_of(file: Path) -> list[dict[str, str]]:
    """The rows of a .json or .csv with ``file`` and ``text``; RecipeError where it is none."""
    rows, kind = None, file.suffix.lower()
    if kind in (".json", ".csv"):
        text = io.StringIO(read_text(file), newline="")
        try:
            rows = json.load(text) if kind == ".json" else list(csv.DictReader(text))
        except (json.JSONDecodeError, csv.Error) as problem:
            raise RecipeError(f"--transcripts {file}: {problem}. Write it again.") from problem
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        found = [isinstance(row, dict) and row.get(key) for key in ("file", "text")]
        if not all(isinstance(text, str) for text in found):
            raise RecipeError(
                f"--transcripts {file}: give a folder of .txt files, a .json list of objects with "
                "'file' and 'text', or a .csv whose first line is file,text with a comma. "
                f"Entry {number} is {str(row)[:80]}."
            )
    return rows


def scorers(options: argparse.Namespace, names: Iterable[str]) -> list[Callable]:
    """Functions that score a file without clean speech: (name, file) -> its record."""
    found = []
    if options.model:
        texts = texts_from(options.transcripts, names)
        if is_foreign(options.model):
            words_in = load_foreign(options.model, options.device)

            def recognize(file):
                signal = load(file)
                edges = cuts(signal, LONGEST)
                pieces = [signal[begin:end] for begin, end in pairwise(edges)]
                return " ".join(filter(None, map(words_in, pieces)))

        else:
            model = load_recognizer(typed_path(options.model), options.device)

            def recognize(file):
                return transcribe_file(file, model)["text"]

        found.append(lambda name, file: word_errors(name, texts[name], recognize(file)))
    if options.no_reference or not (options.clean or options.model):
        predict = no_reference.load(options.device)
        found.append(lambda name, file: {"id": name, **predict(load(file))})
    return found


def score(
    system: str, board: Scoreboard, files: dict, clean: dict, pool: MetricPool, alone: list
) -> list[str]:
    """Fill the board of a system; returns messages of the files that could not be scored."""
    problems = []
    names = tqdm(sorted(files), f"Scoring {system}", unit="file", delay=5, disable=None)
    for number, name in enumerate(names, start=1):
        try:
            if clean:
                pool.submit(name, *aligned(files[name], clean[name]))
            board.merge([scorer(name, files[name]) for scorer in alone])
        except (RecipeError, OSError) as problem:
            problems.append(f"{system}, {name}: {problem}")
        if number % AT_ONCE == 0:
            board.merge(pool.collect())
    board.merge(pool.collect())
    return problems


def table(boards: dict[str, Scoreboard], against: str | None = None) -> str:
    """A row for each system, means with intervals, and its differences to one of them."""
    lines = [(name, len(b.records), b.columns(), ".2f") for name, b in boards.items()]
    for name, _, columns, _ in lines[:] if against else ():
        if name != against:
            pairs = difference(columns, boards[against].columns())
            count = max(map(len, pairs.values()), default=0)
            lines.append((f"{name} - {against}", count, pairs, "+.2f"))
    shown = [metric for metric in METRICS if any(metric in line[2] for line in lines)]
    rows = [["system", "files", *(METRICS[metric].title for metric in shown)]]
    for title, count, columns, form in lines:
        cells, ends = {}, intervals(columns)
        for name, mean in means(columns).items():
            low, high = ends[name]
            cells[name] = f"{mean:{form}}"
            if low == low:  # one file has no interval: NaN
                cells[name] += f" [{low:{form}}, {high:{form}}]"
        rows.append([title, str(count), *(cells.get(key, "-") for key in shown)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    if bool(options.transcripts) != bool(options.model):
        raise RecipeError("A word error rate needs both --transcripts and --model (a recognizer).")
    if options.metrics and not options.clean:
        raise RecipeError(f"--metrics {' '.join(options.metrics)}: give --clean FOLDER too.")
    if options.output:
        check_output(options.output, options.overwrite)
    systems, problems = systems_of(options.systems), []
    if options.against and options.against not in systems:
        raise RecipeError(f"--against {options.against}: not one of {', '.join(systems)}.")
    folders = [options.clean or next(iter(systems.values())), *systems.values()]
    first = sounds(folders[0], folders)
    files = {name: sounds(folder, folders) for name, folder in systems.items()}
    for name, found in files.items():
        if lonely := sorted(found.keys() ^ first.keys()):
            raise RecipeError(
                f"{name}: its files are not those of {folders[0]}. "
                f"On one side only:\n{listed(lonely)}"
            )
    alone, clean = scorers(options, first), first if options.clean else {}
    boards = {name: Scoreboard() for name in systems}
    with MetricPool(options.metrics or QUALITY, jobs=options.jobs) as pool:
        for name, board in boards.items():
            problems += score(name, board, files[name], clean, pool, alone)
    print(table(boards, options.against))
    for name, board in boards.items():
        for line in board.not_scored_lines():
            print(f"{name}: {line}")
    if options.output:
        rows = [{"system": name, **row} for name, board in boards.items() for row in board.records]
        write_text(options.output, "".join(json.dumps(row) + "\n" for row in rows))
    return problems
