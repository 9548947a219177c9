"""Which files to work on: inputs and their targets, and what is done already."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
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

    def mark(self, model: str) -> str:
        """The line of the record: the target was made from this source by this model."""
        status = self.source.stat()
        facts = {"name": self.name, "size": status.st_size, "changed": status.st_mtime_ns}
        return json.dumps({**facts, "model": model})


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


def jobs_for(inputs: Sequence[Path], output: Path) -> tuple[list[Job], Path]:
    """(the jobs of a command, the folder of its results and record).

    ``output`` is a folder, or for one input file the name of a sound file.
    """
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(inputs) != 1 or inputs[0].is_dir():
            raise RecipeError(f"--output {output} is a file, the input is not one. Give a folder.")
        folder, jobs = output.parent, [Job(find(inputs)[0][0], output, output.name)]
    else:
        found = find(inputs, leave_out=output)
        folder, jobs = output, [Job(file, output / name, name) for file, name in found]
    if twice := repeated(job.name for job in jobs):
        raise RecipeError(
            f"Several inputs have the same name, so their outputs would too:\n{listed(twice)}"
        )
    for job in jobs:
        if job.target.exists() and os.path.samefile(job.source, job.target):
            raise RecipeError(f"{job.target} would replace its own input. Give another --output.")
    return jobs, folder


def not_done(jobs: list[Job], record: Path, model: str) -> list[Job]:
    """The jobs that no earlier run finished.

    Raises RecipeError where a file that this model did not make would be replaced.
    """
    lines = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
    finished, there = set(lines.splitlines()), [job for job in jobs if job.target.exists()]
    if taken := [str(job.target) for job in there if job.mark(model) not in finished]:
        raise RecipeError(
            f"These files exist and were not made from these inputs by this model:\n{listed(taken)}"
            "\nGive --overwrite to replace them, or another --output."
        )
    return [job for job in jobs if not job.target.exists()]
