"""What the commands share: options, their inputs, checks of what a user types, exit codes."""

import argparse
import errno
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from corpus.audio import SUFFIXES
from corpus.files import find_files, typed_path
from errors import RecipeError, listed


def command_line(
    name: str, does: str, details: str, stage: str, default: Path | None = None
) -> argparse.ArgumentParser:
    """Options of a command that runs a model over sound files; ``default`` is its model folder."""
    made = argparse.ArgumentParser(name, description=does, epilog=details)
    add = made.add_argument
    add("inputs", nargs="+", type=typed_path, metavar="INPUT", help="sound files, folders of them")
    help = f"a run's folder, such as results/{stage}/1, or an exported model"
    help += f" (default: {default.name}/ of this recipe)" if default else ""
    add("--model", required=not default, default=default, type=typed_path, help=help)
    add_common(made)
    return made


def add_common(made: argparse.ArgumentParser) -> None:
    """Options of all commands."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = ["cpu", *["cuda"] * bool(gpus), *(f"cuda:{gpu}" for gpu in range(gpus))]
    best, help = "cuda" if gpus else "cpu", "cpu, cuda or cuda:N (default: %(default)s)"
    add = made.add_argument
    add("--overwrite", action="store_true", help="replace an --output that exists")
    add("--device", choices=devices, default=best, metavar="DEVICE", help=help)
    add("--threads", type=count, help="CPU threads (default: all cores)")


def number(kind: type, least: float, most: float, what: str) -> Callable[[str], float]:
    """A function: the text of an option -> its value."""

    def convert(text):
        with suppress(ValueError):
            if least <= kind(text) <= most:
                return kind(text)
        raise argparse.ArgumentTypeError(f"{text} is not {what}")

    return convert


count = number(int, 1, 1000, "a whole number from 1 to 1000")  # of processes or threads
seconds = number(float, 1, 1e6, "a number of seconds from 1 on")  # that networks can work on
share = number(float, 0, 1, "a number from 0 to 1")


def find(inputs: Sequence[Path], leave_out: Path | None = None) -> list[tuple[Path, str]]:
    """(path, name to keep) of every sound file; folders are searched to the bottom.

    Raises RecipeError for a path that is not there, and where there is no sound at all.
    """
    found = []
    for given in inputs:
        if given.is_dir():
            files = find_files(given, SUFFIXES, leave_out)
            found += [(file, str(file.relative_to(given))) for file in files]
        elif given.is_file():
            found.append((given, given.name))
        else:
            raise RecipeError(f"{given}: no such file or folder.")
    if not found:
        raise RecipeError(f"{', '.join(map(str, inputs))}: no sound files ({', '.join(SUFFIXES)}).")
    return found


def repeated(names: Iterable[str]) -> list[str]:
    """The names that come more than once."""
    return sorted(name for name, times in Counter(names).items() if times > 1)


def check_output(output: Path, overwrite: bool, suffixes: Sequence[str] = ()) -> None:
    """RecipeError, before any work is done, for an ``--output`` file that cannot be written."""
    if suffixes and output.suffix.lower() not in suffixes:
        raise RecipeError(f"--output {output}: the suffix is not one of {', '.join(suffixes)}.")
    if output.is_dir() or output.exists() and not overwrite:
        raise RecipeError(f"--output {output} exists. Give another name, or --overwrite.")
    make_folder(output.parent)


def make_folder(folder: Path) -> None:
    """Make an output folder; RecipeError where that cannot be, or nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no permission to write there")
    except OSError as problem:
        raise RecipeError(
            f"--output: {folder} cannot be used ({problem.strerror}). Give another place."
        ) from problem


def carry_out(
    parser: argparse.ArgumentParser, run: Callable, arguments: list[str] | None = None
) -> int:
    """Parse and run; returns the exit code.

    ``run`` takes the options and returns messages of the files that failed. Codes: 0; 1 where
    some files failed and the others are done; 2 for what the user can mend; 130 after Ctrl-C.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
    options = parser.parse_args(arguments)
    if threads := getattr(options, "threads", None):
        torch.set_num_threads(threads)
    try:
        problems = run(options)
    except (RecipeError, OSError) as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    if problems:
        print(f"{parser.prog}: {len(problems)} failed:\n{listed(problems, 100)}", file=sys.stderr)
    return int(bool(problems))
