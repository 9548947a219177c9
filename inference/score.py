"""Score folders of enhanced speech against clean speech: the same metrics for any system's output."""

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

from corpus.files import find_files, read_text, whole
from corpus.spelling import as_words, words_of
from errors import RecipeError, listed
from inference.batch import find
from inference.command import add_device_options, check_output, count, path
from inference.loading import RATE, is_foreign, load_foreign, load_recognizer
from inference.sound import describe, load
from inference.transcribe import transcribe_file
from scoring.bootstrap import paired_interval, paired_ratio_interval
from scoring.metrics import METRICS, QUALITY, RATES
from scoring.pool import MetricPool
from scoring.scoreboard import Scoreboard
from scoring.words import ErrorRates

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
    add("--clean", required=True, type=path, metavar="FOLDER", help="the same utterances, clean")
    add("--metrics", nargs="+", default=QUALITY, choices=QUALITY, metavar="METRIC",
        help=f"of {', '.join(QUALITY)}")  # fmt: skip
    add("--transcripts", type=path, metavar="PATH",
        help="what is said: a folder of .txt, or a .json or .csv of file and text")  # fmt: skip
    add("--model", help="recognizer for the word error rate: a run's folder such as "
        "results/robust_asr/1, or one of transformers: its folder, or its name on the hub such as "
        "openai/whisper-small")  # fmt: skip
    add("--against", metavar="NAME", help="a system: adds the difference of each other one to it, "
        "paired by file")  # fmt: skip
    add("--output", type=path, metavar="FILE", help="a .jsonl for the scores of every utterance")
    add("--overwrite", action="store_true", help="replace an --output that exists")
    add("--jobs", type=count, help="scoring processes (default: the cores that are free)")
    add_device_options(made)
    return made


def systems_of(texts: list[str]) -> list[System]:
    """Each ``name=folder``, or a folder alone, whose name or whole path becomes the system's name."""
    given = []
    for text in texts:
        name, sign, folder = text.partition("=")
        named = bool(sign and folder) and not path(text).is_dir()
        given.append((name if named else None, folder if named else text))
    last = Counter(path(folder).resolve().name for name, folder in given if not name)
    systems = []
    for name, folder in given:
        alone = path(folder).resolve().name
        systems.append(System(name or (alone if last[alone] == 1 else folder), path(folder)))
    twice = [name for name, n in Counter(system.name for system in systems).items() if n > 1]
    if twice:
        raise RecipeError(f"Several systems are called {twice[0]}. Give each its own NAME=FOLDER.")
    return systems


def by_name(files: Iterable[tuple[str, object]], where: Path) -> dict:
    """Name without suffix -> value; RecipeError where a name comes twice."""
    pairs = [(Path(name).stem, value) for name, value in files]
    twice = sorted(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
    if twice:
        raise RecipeError(f"{where}: give each a name of its own, these come twice:\n{listed(twice)}")
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
    elif given.suffix.lower() in (".json", ".csv") and given.is_file():
        pairs = [(row["file"], row["text"]) for row in rows_of(given)]
    else:
        raise RecipeError(
            f"--transcripts {given}: give a folder of .txt files, or a .json or .csv with file and "
            "text."
        )
    wanted = set(wanted)
    texts = by_name(((name, text) for name, text in pairs if Path(name).stem in wanted), given)
    missing = sorted(wanted - texts.keys())
    if missing:
        raise RecipeError(f"--transcripts {given}: no text for\n{listed(missing)}")
    read = {name: read_text(text) if given.is_dir() else text for name, text in texts.items()}
    return {name: as_words(words_of(text)) for name, text in read.items()}


def rows_of(file: Path) -> list[dict[str, str]]:
    """The rows of a .json or .csv with ``file`` and ``text``; RecipeError where it is none."""
    text = read_text(file)
    try:
        if file.suffix.lower() == ".json":
            rows = json.loads(text)
        else:
            rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (json.JSONDecodeError, csv.Error) as problem:
        raise RecipeError(f"--transcripts {file}: {problem}. Write the file again.") from problem
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        if not (isinstance(row, dict) and all(isinstance(row.get(k), str) for k in ("file", "text"))):
            raise RecipeError(
                f"--transcripts {file}, entry {number}: wanted are 'file' and 'text' (in a .csv a "
                f"first line file,text with commas), found {str(row)[:100]}."
            )
    return rows


def recognizer(given: str, device: str) -> Callable[[Path], str]:
    """A function: sound file -> words."""
    if is_foreign(given):
        return load_foreign(given, device)
    model = load_recognizer(path(given), device)
    return lambda file: transcribe_file(file, model).text


def bar(names: Iterable[str], what: str) -> Iterable[str]:
    """The names with a progress bar, which is silent in a pipe."""
    return tqdm(names, desc=what, unit="file", delay=5, leave=False, disable=None)


def score(system: System, clean: dict[str, Path], options, texts, recognize) -> list[str]:
    """Fill a system's board; returns messages of the files that could not be scored."""
    problems, rates = [], ErrorRates()
    with MetricPool(list(options.metrics), jobs=options.jobs) as pool:
        for number, name in enumerate(bar(sorted(clean), f"Scoring {system.name}"), start=1):
            try:
                signals = aligned(system.files[name], clean[name])
                if recognize:
                    rates.add(name, texts[name], recognize(system.files[name]))
                pool.submit(name, *signals)
            except (RecipeError, OSError) as problem:
                problems.append(f"{system.name}: {problem}")
            if number % AT_ONCE == 0:
                system.board.merge(pool.collect())
        system.board.merge(pool.collect())
    system.board.merge(rates.records)
    return problems


def table(systems: list[System], against: str | None = None) -> str:
    """A row for each system, means with intervals, and its differences to one of them."""
    means = {system.name: system.board.summary() for system in systems}
    columns = [name for name in METRICS if any(name in found for found in means.values())]
    rows = [["system", "files", *map(title, columns)]]
    for system in systems:
        found, ends = means[system.name], system.board.intervals()
        cells = [cell(found[name], ends[name]) if name in found else "-" for name in columns]
        rows.append([system.name, str(len(system.board.records)), *cells])
    for base in systems:
        for system in systems if base.name == against else []:
            if system is not base:
                pairs = [difference(system, base, name) for name in columns]
                cells = [cell(gain, ends, "+.2f") for gain, ends in pairs]
                rows.append([f"{system.name} - {base.name}", "", *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def title(name: str) -> str:
    """The head of a metric's column."""
    metric = METRICS[name]
    return f"{metric.label} {metric.unit}" if metric.unit in ("%", "dB") else metric.label


def difference(system: System, base: System, name: str) -> tuple[float, tuple[float, float]]:
    """(difference, 95 % interval) of a metric, over the files that have it in both systems."""
    errors, length = RATES.get(name, (name, None))
    others = {record["id"]: record for record in base.board.records}
    pairs = [(record, others.get(record["id"], {})) for record in system.board.records]
    pairs = [(a, b) for a, b in pairs if a.get(errors) is not None and b.get(errors) is not None]
    if not pairs:
        return float("nan"), (float("nan"), float("nan"))
    ours, theirs = ([record[errors] for record in side] for side in zip(*pairs, strict=True))
    gain = sum(ours) - sum(theirs)
    if length is None:
        return gain / len(pairs), paired_interval(ours, theirs)
    lengths = [record[length] for record, _ in pairs]
    share = 100 * gain / sum(lengths) if sum(lengths) else float("nan")
    return share, paired_ratio_interval(ours, theirs, lengths)


def cell(mean: float, interval: tuple[float, float], form: str = ".2f") -> str:
    """A mean and its interval."""
    return f"{mean:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    if bool(options.transcripts) != bool(options.model):
        raise RecipeError("A word error rate needs both --transcripts and --model (a recognizer).")
    if options.output:
        check_output(options.output, options.overwrite)
    systems, problems = systems_of(options.systems), []
    names = [system.name for system in systems]
    if options.against and options.against not in names:
        raise RecipeError(f"--against {options.against}: not one of {', '.join(names)}.")
    folders = [options.clean, *(system.folder for system in systems)]
    clean = sounds(options.clean, folders)
    for system in systems:
        system.files = sounds(system.folder, folders)
        check_match(system, clean)
    texts = texts_from(options.transcripts, clean) if options.transcripts else None
    recognize = recognizer(options.model, options.device) if options.model else None
    for system in systems:
        problems += score(system, clean, options, texts, recognize)
    print(table(systems, options.against))
    for system in systems:
        for line in system.board.not_scored_lines():
            print(f"{system.name}: {line}")
    if options.output:
        with whole(options.output) as aside, open(aside, "w", encoding="utf-8") as stream:
            for system in systems:
                for record in system.board.records:
                    stream.write(json.dumps({"system": system.name, **record}) + "\n")
    return problems
