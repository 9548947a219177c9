"""Score folders of enhanced speech against clean speech, any system's, by one ruler."""

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from corpus.audio import read, write_text
from corpus.resampling import to_16k
from corpus.spelling import as_words, words_of
from errors import RecipeError, listed
from inference.batch import find
from inference.foreign import is_foreign, load_foreign
from inference.loading import load_recognizer
from inference.transcribe import transcribe_file
from scoring.bootstrap import paired_interval, paired_ratio_interval
from scoring.pool import MetricPool
from scoring.scoreboard import RATES, Scoreboard
from scoring.words import ErrorRates, percent

METRICS = ("pesq", "stoi", "estoi", "csig", "cbak", "covl", "si_sdr")
SHOWN = {"pesq": "PESQ", "stoi": "STOI %", "estoi": "eSTOI %", "csig": "CSIG", "cbak": "CBAK", "covl": "COVL",
         "si_sdr": "SI-SDR dB", "wer": "WER %", "cer": "CER %"}  # fmt: skip
DETAILS = """Files are matched by name without suffix. Both sides are brought to 16 kHz and one channel; lengths must agree to
0.1 s, and the longer one is cut. Beside each mean stands its 95 % interval over utterances. PESQ is wide-band (P.862.2)."""


@dataclass
class System:
    """One folder to score, and its name in the table."""

    name: str
    files: dict


def parser():
    """The command line."""
    made = argparse.ArgumentParser("score.py", description=__doc__, epilog=DETAILS)
    made.add_argument(
        "systems",
        nargs="+",
        metavar="[NAME=]FOLDER",
        help="enhanced speech; several systems make several rows",
    )
    made.add_argument("--clean", required=True, metavar="FOLDER", help="the same utterances, clean")
    made.add_argument(
        "--metrics",
        nargs="+",
        default=METRICS,
        choices=METRICS,
        metavar="METRIC",
        help=f"of {', '.join(METRICS)}",
    )
    made.add_argument(
        "--transcripts",
        metavar="PATH",
        help="what is said: a folder of .txt, or a .json or .csv of file and text",
    )
    made.add_argument(
        "--model",
        help="recognizer for the word error rate: a run's folder such as results/robust_asr/1, or one of "
        "transformers: its folder, or its name on the hub such as openai/whisper-small",
    )
    made.add_argument(
        "--against",
        metavar="NAME",
        help="a system: the table goes on with what each other one has more than it, paired by file",
    )
    made.add_argument(
        "--output",
        metavar="FILE",
        help="write the scores of every utterance to a .jsonl, for each system",
    )
    made.add_argument(
        "--jobs", type=int, help="scoring processes (default: the cores that are free)"
    )
    made.add_argument(
        "--device", default="cpu", help="of the recognizer: cpu or cuda (default: %(default)s)"
    )
    return made


def by_stem(folder):
    """Name without suffix -> sound file, below a folder; RecipeError where two files share a name."""
    if not Path(folder).is_dir():
        raise RecipeError(f"{folder}: no such folder.")
    files = [path for path, _ in find([folder])]
    stems = [path.stem for path in files]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise RecipeError(f"{folder}: several files are called\n{listed(twice)}")
    return dict(zip(stems, files))


def system_of(text):
    """A ``name=folder`` or a folder alone -> System."""
    name, given, folder = (
        text.partition("=") if not Path(text).exists() else (Path(text).name, "=", text)
    )
    return System(name, by_stem(folder if given else text))


def check_match(system, clean):
    """RecipeError where a system's files lack a clean side or the reverse."""
    lonely, missing = (
        sorted(system.files.keys() - clean.keys()),
        sorted(clean.keys() - system.files.keys()),
    )
    if lonely or missing:
        parts = [f"without clean file:\n{listed(lonely)}"] * bool(lonely) + [
            f"missing:\n{listed(missing)}"
        ] * bool(missing)
        raise RecipeError(
            f"{system.name}: its files are not those of the clean folder. " + "\n".join(parts)
        )


def aligned(path, clean_path):
    """Both signals at 16 kHz, cut to the shorter; RecipeError where they differ by more than 0.1 s."""
    signal, clean = (to_16k(*read(file)) for file in (path, clean_path))
    if abs(len(signal) - len(clean)) > 1600:
        raise RecipeError(
            f"{path} lasts {len(signal) / 16000:.2f} s and {clean_path} {len(clean) / 16000:.2f} s: another utterance?"
        )
    count = min(len(signal), len(clean))
    return np.ascontiguousarray(signal[:count]), np.ascontiguousarray(clean[:count])


def texts_from(path):
    """Name without suffix -> words in the manifests' spelling."""
    path = Path(path)
    if path.is_dir():
        texts = {
            file.stem: file.read_text(encoding="utf-8") for file in sorted(path.rglob("*.txt"))
        }
    elif path.suffix in (".json", ".csv") and path.is_file():
        with open(path, encoding="utf-8", newline="") as stream:
            rows = json.load(stream) if path.suffix == ".json" else list(csv.DictReader(stream))
        texts = {Path(row["file"]).stem: row["text"] for row in rows}
    else:
        raise RecipeError(
            f"--transcripts {path}: give a folder of .txt files, or a .json or .csv with file and text."
        )
    return {name: as_words(words_of(text)) for name, text in texts.items()}


def quality(system, clean, metrics, jobs):
    """Records of the signal metrics."""
    with MetricPool(list(metrics), jobs=jobs) as pool:
        for name in tqdm(
            sorted(system.files), desc=f"Scoring {system.name}", unit="file", delay=5, leave=False
        ):
            pool.submit(name, *aligned(system.files[name], clean[name]))
        return pool.collect()


def recognizer(given, device):
    """A function: sound file -> words."""
    if is_foreign(given):
        return load_foreign(given, device)
    model, _ = load_recognizer(given, device)
    return lambda path: transcribe_file(path, model).text


def word_errors(system, texts, hear):
    """Records of a recognizer's errors on a system's files."""
    missing = sorted(system.files.keys() - texts.keys())
    if missing:
        raise RecipeError(f"--transcripts: no text for\n{listed(missing)}")
    rates = ErrorRates()
    for name, path in tqdm(
        sorted(system.files.items()),
        desc=f"Recognizing {system.name}",
        unit="file",
        delay=5,
        leave=False,
    ):
        rates.add(name, texts[name], hear(path))
    return rates.records


def table(boards, against=None):
    """System -> Scoreboard as text: a row for each system, means with intervals, and its differences to one of them."""
    columns = [name for name in SHOWN if any(name in board.summary() for board in boards.values())]
    rows = [["system", "files", *[SHOWN[name] for name in columns]]]
    for system, board in boards.items():
        means, ends = board.summary(), board.intervals()
        rows.append(
            [system, str(len(board.records)), *[cell(means[name], ends[name]) for name in columns]]
        )
    for system in [name for name in boards if against and name != against]:
        found = [
            difference(boards[system].records, boards[against].records, name) for name in columns
        ]
        rows.append(
            [f"{system} - {against}", "", *[cell(mean, ends, "+.2f") for mean, ends in found]]
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows
    )


def difference(records, others, name):
    """(difference, 95 % interval) of a metric of two systems, over the files that have it in both."""
    errors, length = RATES.get(name, (name, None))
    both = [
        (a, b)
        for a, b in zip(records, others, strict=True)
        if a[errors] is not None and b[errors] is not None
    ]
    ours, theirs = (
        ([record[errors] for record in column] for column in zip(*both)) if both else ([], [])
    )
    if length is None:
        gain = sum(ours) - sum(theirs)
        return gain / len(both) if both else float("nan"), paired_interval(ours, theirs)
    lengths = [a[length] for a, _ in both]
    return percent(sum(ours) - sum(theirs), sum(lengths)), paired_ratio_interval(
        ours, theirs, lengths
    )


def cell(mean, interval, form=".2f"):
    """A mean and its interval."""
    return f"{mean:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"


def run(options):
    """Carry a command out."""
    if bool(options.transcripts) != bool(options.model):
        raise RecipeError("A word error rate needs both --transcripts and --model (a recognizer).")
    clean, systems = by_stem(options.clean), [system_of(text) for text in options.systems]
    if options.against and options.against not in [system.name for system in systems]:
        raise RecipeError(
            f"--against {options.against}: not one of {', '.join(system.name for system in systems)}."
        )
    texts = texts_from(options.transcripts) if options.transcripts else None
    hear = recognizer(options.model, options.device) if options.model else None
    boards = {}
    for system in systems:
        check_match(system, clean)
        boards[system.name] = board = Scoreboard()
        board.merge(quality(system, clean, options.metrics, options.jobs))
        if hear:
            board.merge(word_errors(system, texts, hear))
    print(table(boards, options.against))
    for name, board in boards.items():
        print(
            "\n".join(f"{name}: {line}" for line in board.not_scored_lines()),
            end="\n" if board.not_scored_lines() else "",
        )
    if options.output:
        rows = [
            json.dumps({"system": name, **record})
            for name, board in boards.items()
            for record in board.records
        ]
        write_text(options.output, "\n".join(rows) + "\n")
