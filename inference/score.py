"""Score folders of enhanced speech against clean speech: the same metrics for any system."""

import argparse
import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from corpus.files import find_files, read_text, write_text
from corpus.spelling import as_words, words_of
from errors import RecipeError, listed
from inference.batch import find, typed
from inference.command import add_common, check_output, count
from inference.loading import RATE, is_foreign, load_foreign, load_recognizer
from inference.sound import describe, load
from inference.transcribe import transcribe_file
from scoring.bootstrap import interval
from scoring.metrics import METRICS, QUALITY, RATES
from scoring.pool import MetricPool
from scoring.scoreboard import Scoreboard, mean_or_rate
from scoring.words import word_errors

AT_ONCE = 64  # files whose signals wait in memory
DETAILS = """Files are matched by name without suffix. Both sides are brought to 16 kHz and one
channel; lengths must agree to 0.1 s, and the longer one is cut. With each mean stands its 95 %
interval over utterances. PESQ is wide-band (P.862.2)."""


@dataclass
class System:
    """One folder to score, its name in the table, and what came out."""

    name: str
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    board: Scoreboard = field(default_factory=Scoreboard)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("score.py", description=__doc__, epilog=DETAILS)
    add = made.add_argument
    add("systems", nargs="+", metavar="[NAME=]FOLDER", help="enhanced speech, a row for each")
    add("--clean", required=True, metavar="FOLDER", help="the same utterances, clean")
    help = f"of {', '.join(QUALITY)} (default: all)"
    add("--metrics", nargs="+", default=QUALITY, choices=QUALITY, metavar="METRIC", help=help)
    help = "what is said: a folder of .txt, or a .json or .csv of file and text"
    add("--transcripts", metavar="PATH", help=help)
    help = """recognizer for the word error rate: a run's folder, or one of transformers: its folder,
        or its name on the hub such as openai/whisper-small"""
    add("--model", help=help)
    help = "a system: adds the difference of each other one to it, paired by file"
    add("--against", metavar="NAME", help=help)
    add("--output", metavar="FILE", help="a .jsonl for the scores of every utterance")
    add("--jobs", type=count, help="scoring processes (default: the cores that are free)")
    add_common(made)
    return made


def systems_of(texts: list[str]) -> list[System]:
    """Each ``name=folder``; a folder alone is named by its last part, or whole where others are too."""
    given = []
    for text in texts:
        name, sign, folder = text.partition("=")
        named = bool(sign and folder) and not typed(text).is_dir()
        folder = typed(folder if named else text)
        given.append((name if named else folder.resolve().name, folder, named))
    times = Counter(name for name, _, _ in given)
    systems = [
        System(name if named or times[name] == 1 else str(folder), folder)
        for name, folder, named in given
    ]
    twice = [name for name, n in Counter(system.name for system in systems).items() if n > 1]
    if twice:
        raise RecipeError(f"Several systems are called {twice[0]}. Give each its own NAME=FOLDER.")
    return systems


def by_name(files: Iterable[tuple[str, object]], where: Path) -> dict:
    """Name without suffix -> value; RecipeError where a name comes twice."""
    pairs = [(Path(name).stem, value) for name, value in files]
    twice = sorted(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
    if twice:
        raise RecipeError(
            f"{where}: give each a name of its own, these come twice:\n{listed(twice)}"
        )
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


def check_match(system: System, clean: dict[str, Path]) -> None:
    """RecipeError where a system's files lack a clean side or the reverse."""
    odd = {
        "without clean file": sorted(system.files.keys() - clean.keys()),
        "missing": sorted(clean.keys() - system.files.keys()),
    }
    parts = [f"{what}:\n{listed(names)}" for what, names in odd.items() if names]
    if parts:
        raise RecipeError(
            f"{system.name}: its files are not those of the clean folder. " + "\n".join(parts)
        )


def signal_at(file: Path) -> np.ndarray:
    """[samples] at 16 kHz within -1..1."""
    signal = load(file, RATE)
    return signal if describe(file).samplerate == RATE else signal.clip(-1, 1)


def aligned(file: Path, clean_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Both signals, cut to the shorter; RecipeError where they differ by more than 0.1 s."""
    signal, clean = signal_at(file), signal_at(clean_file)
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


def recognizer(given: str, device: str) -> Callable[[Path], str]:
    """A function: sound file -> words."""
    if is_foreign(given):
        return load_foreign(given, device)
    model = load_recognizer(given, device)
    return lambda file: transcribe_file(file, model).text


def score(
    system: System, clean: dict[str, Path], pool: MetricPool, texts=None, recognize=None
) -> list[str]:
    """Fill a system's board; returns messages of the files that could not be scored."""
    problems, words = [], []
    names = tqdm(sorted(clean), f"Scoring {system.name}", unit="file", delay=5, disable=None)
    for number, name in enumerate(names, start=1):
        try:
            signals = aligned(system.files[name], clean[name])
            if recognize:
                words.append(word_errors(name, texts[name], recognize(system.files[name])))
            pool.submit(name, *signals)
        except (RecipeError, OSError) as problem:
            problems.append(f"{system.name}, {name}: {problem}")
        if number % AT_ONCE == 0:
            system.board.merge(pool.collect())
    system.board.merge(pool.collect())
    system.board.merge(words)
    return problems


def table(systems: list[System], against: str | None = None) -> str:
    """A row for each system, means with intervals, and its differences to one of them."""
    means = {system.name: system.board.summary() for system in systems}
    columns = [name for name in METRICS if any(name in found for found in means.values())]
    rows = [["system", "files", *(METRICS[name].title for name in columns)]]
    for system in systems:
        found, ends = means[system.name], system.board.intervals()
        cells = [cell(found[name], ends[name]) if name in found else "-" for name in columns]
        rows.append([system.name, str(len(system.board.records)), *cells])
    for base in [system for system in systems if system.name == against]:
        for system in [system for system in systems if system is not base]:
            cells = [cell(*difference(system, base, name), "+.2f") for name in columns]
            rows.append([f"{system.name} - {base.name}", "", *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def difference(system: System, base: System, name: str) -> tuple[float, tuple[float, float]]:
    """(difference, 95 % interval) of a metric, over the files that have it in both systems."""
    key, *length = RATES.get(name, (name,))
    others = {record["id"]: record for record in base.board.records}
    pairs = [(record, others.get(record["id"], {})) for record in system.board.records]
    rows = [
        (ours[key] - theirs[key], *(ours[name] for name in length))
        for ours, theirs in pairs
        if ours.get(key) is not None and theirs.get(key) is not None
    ]
    return mean_or_rate(rows), interval(*zip(*rows, strict=True))


def cell(mean: float, ends: tuple[float, float], form: str = ".2f") -> str:
    """A mean and its interval."""
    return f"{mean:{form}} [{ends[0]:{form}}, {ends[1]:{form}}]"


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    if bool(options.transcripts) != bool(options.model):
        raise RecipeError("A word error rate needs both --transcripts and --model (a recognizer).")
    output = options.output and typed(options.output)
    if output:
        check_output(output, options.overwrite)
    systems, problems = systems_of(options.systems), []
    names = [system.name for system in systems]
    if options.against and options.against not in names:
        raise RecipeError(f"--against {options.against}: not one of {', '.join(names)}.")
    folders = [typed(options.clean), *(system.folder for system in systems)]
    clean = sounds(folders[0], folders)
    for system in systems:
        system.files = sounds(system.folder, folders)
        check_match(system, clean)
    texts = texts_from(typed(options.transcripts), clean) if options.transcripts else None
    recognize = recognizer(options.model, options.device) if options.model else None
    with MetricPool(list(options.metrics), jobs=options.jobs) as pool:
        for system in systems:
            problems += score(system, clean, pool, texts, recognize)
    print(table(systems, options.against))
    for system in systems:
        for line in system.board.not_scored_lines():
            print(f"{system.name}: {line}")
    if output:
        rows = (
            {"system": system.name, **row} for system in systems for row in system.board.records
        )
        write_text(output, "".join(json.dumps(row) + "\n" for row in rows))
    return problems
