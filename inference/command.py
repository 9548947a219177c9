"""What the commands share: options, checks of what a user types, exit codes."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from errors import RecipeError, listed

MODEL = "a run's folder, such as results/{}/1, or an exported model"


def path(text: str) -> Path:
    """A path as typed; ``~`` is the home folder, unless there is something of that very name."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path")
    try:
        return Path(text) if Path(text).exists() else Path(text).expanduser()
    except (RuntimeError, OSError):  # no such user; a name that is too long, which shows itself later
        return Path(text)


def count(text: str) -> int:
    """A number of processes or threads."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def seconds(text: str) -> float:
    """A length of sound that networks can work on at once."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds of 1 or more")
    return value


def device(text: str) -> str:
    """``cpu``, ``cuda`` or ``cuda:N`` of a GPU that is there."""
    kind, _, number = text.partition(":")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if text == "cpu" or kind == "cuda" and (not number or number.isdecimal()):
        if text == "cpu" or int(number or 0) < there:
            return text
        raise argparse.ArgumentTypeError(f"{text} is not there: this machine has {there} GPUs")
    raise argparse.ArgumentTypeError(f"{text} is not one of cpu, cuda, cuda:0, cuda:1, ...")


def add_device_options(made: argparse.ArgumentParser) -> None:
    """``--device`` and ``--threads``."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    made.add_argument(
        "--device", type=device, default=best, help="cpu or cuda (default: cuda where there is one)"
    )
    made.add_argument("--threads", type=count, help="CPU threads (default: all cores)")


def check_output(file: Path, overwrite: bool, suffixes: Iterable[str] = ()) -> None:
    """RecipeError, before any work is done, for an ``--output`` file that cannot be written."""
    if suffixes and file.suffix.lower() not in suffixes:
        raise RecipeError(f"--output {file}: the suffix is not one of {', '.join(suffixes)}.")
    if file.is_dir() or file.exists() and not overwrite:
        remedy = "another name" if file.is_dir() else "--overwrite to replace it, or another name"
        raise RecipeError(f"--output {file} exists. Give {remedy}.")
    make_folder(file.parent)


def make_folder(folder: Path) -> None:
    """Make an output folder; RecipeError where that cannot be, or nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RecipeError(
            f"--output: {folder} cannot be made ({problem.strerror}). Give another place."
        ) from problem
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RecipeError(f"--output: no permission to write in {folder}. Give another place.")


def carry_out(
    parser: argparse.ArgumentParser, run: Callable, arguments: list[str] | None = None
) -> int:
    """Parse and run; returns the exit code.

    ``run`` takes the options and returns messages of the files that failed. Codes: 0; 1 where
    some files failed and the others are done; 2 for what the user can mend; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # a file's name may be no text
        stream.reconfigure(errors="backslashreplace")
    try:
        options = parser.parse_args(arguments)
        if getattr(options, "threads", None):
            torch.set_num_threads(min(options.threads, os.cpu_count()))
        problems = run(options)
    except (RecipeError, OSError) as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    if problems:
        problems = list(dict.fromkeys(problems))
        print(f"{parser.prog}: {len(problems)} failed:\n{listed(problems, 100)}", file=sys.stderr)
    return int(bool(problems))
