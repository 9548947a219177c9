"""Which files to work on: inputs and their targets, and what is done already."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.audio import SUFFIXES
from corpus.files import find_files
from errors import RecipeError, listed

RECORD = ".enhanced.jsonl"  # in the output folder: one line for each file that is finished


@dataclass
class Job:
    """One file to enhance: where it is, where its result goes, and its name below the input."""

    source: Path
    target: Path
    name: str

    def mark(self, model: str) -> dict:
        """What tells that the target was made from this source by this model."""
        status = self.source.stat()
        facts = {"name": self.name, "size": status.st_size, "changed": status.st_mtime_ns}
        return {**facts, "model": model}


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


def jobs_for(inputs: Sequence[Path], output: Path) -> list[Job]:
    """The jobs of a command; ``output`` is a folder, or for one input file a sound file's name."""
    if names_file(output):
        if len(inputs) != 1 or inputs[0].is_dir():
            raise RecipeError(f"--output {output} is a file, the input is not one. Give a folder.")
        jobs = [Job(file, output, output.name) for file, _ in find(inputs)]
    else:
        jobs = [Job(file, output / name, name) for file, name in find(inputs, leave_out=output)]
    twice = [name for name, n in Counter(job.name for job in jobs).items() if n > 1]
    if twice:
        raise RecipeError(
            f"Several inputs have the same name, so their outputs would too:\n{listed(twice)}"
        )
    for job in jobs:
        if job.target.exists() and os.path.samefile(job.source, job.target):
            raise RecipeError(f"{job.target} would replace its own input. Give another --output.")
    return jobs


def names_file(output: Path) -> bool:
    """Whether an ``--output`` is meant as a file."""
    return output.suffix.lower() in SUFFIXES and not output.is_dir()


def record_of(output: Path) -> Path:
    """Where the finished files of an output are noted."""
    return (output.parent if names_file(output) else output) / RECORD


def split_done(jobs: list[Job], record: Path, model: str, overwrite: bool) -> tuple[list[Job], int]:
    """(jobs to do, number that an earlier run finished).

    Raises RecipeError where a file that this model did not make would be replaced.
    """
    lines = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
    finished, waiting, taken = set(lines.splitlines()), [], []
    for job in jobs:
        if overwrite or not job.target.exists():
            waiting.append(job)
        elif json.dumps(job.mark(model)) not in finished:
            taken.append(str(job.target))
    if taken:
        raise RecipeError(
            f"These files exist and were not made from these inputs by this model:\n{listed(taken)}"
            "\nGive --overwrite to replace them, or another --output."
        )
    return waiting, len(jobs) - len(waiting)


def note_done(job: Job, record: Path, model: str) -> None:
    """Add a finished file to the record."""
    with open(record, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(job.mark(model)) + "\n")
