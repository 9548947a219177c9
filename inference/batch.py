"""Which files to work on: inputs and their targets, what is done already, and what must not be overwritten."""

import json
from dataclasses import dataclass
from pathlib import Path

from errors import RecipeError, listed
from inference.sound import SUFFIXES

RECORD = ".enhanced.jsonl"  # in the output folder: one line for each file that is finished


@dataclass
class Job:
    """One file to enhance: where it is, where its result goes, and its name below the input folder."""

    source: Path
    target: Path
    name: str

    def mark(self, model):
        """What tells that the target was made from this source by this model."""
        stat = self.source.stat()
        return {
            "name": self.name,
            "size": stat.st_size,
            "changed": stat.st_mtime_ns,
            "model": model,
        }


def find(inputs):
    """(path, name to keep) of every sound file; folders are searched to the bottom.

    Raises RecipeError for a path that is not there, and where there is no sound at all.
    """
    found = []
    for given in map(Path, inputs):
        if given.is_dir():
            files = sorted(
                p
                for p in given.rglob("*")
                if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
            )
            found += [(path, str(path.relative_to(given))) for path in files]
        elif given.is_file():
            found.append((given, given.name))
        else:
            raise RecipeError(f"{given}: no such file or folder.")
    if not found:
        raise RecipeError(f"{', '.join(map(str, inputs))}: no sound files ({', '.join(SUFFIXES)}).")
    return found


def jobs_for(inputs, output):
    """The jobs of a command; ``output`` is a folder, or for one input file a file name with a sound's suffix."""
    found, output = find(inputs), Path(output)
    if names_file(output):
        if len(found) != 1 or Path(inputs[0]).is_dir():
            raise RecipeError(
                f"--output {output} names a file, and the input is more than one file. Give a folder."
            )
        return [Job(found[0][0], output, output.name)]
    names = [name for _, name in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecipeError(
            f"Several inputs have the same name, so their outputs would too:\n{listed(twice)}"
        )
    return [Job(path, output / name, name) for path, name in found]


def names_file(output):
    """Whether an --output is meant as a file."""
    return output.suffix.lower() in SUFFIXES and not output.is_dir()


def record_of(output):
    """Where the finished files of an output are noted."""
    output = Path(output)
    return (output.parent if names_file(output) else output) / RECORD


def split_done(jobs, record, model, overwrite):
    """(jobs to do, number that an earlier run has finished); RecipeError before any foreign file would be lost."""
    if overwrite:
        return jobs, 0
    finished = read_record(record)
    done = [
        job for job in jobs if job.target.exists() and finished.get(job.name) == job.mark(model)
    ]
    waiting = [job for job in jobs if job not in done]
    taken = [str(job.target) for job in waiting if job.target.exists()]
    if taken:
        raise RecipeError(f"These files exist and were not made from these inputs by this model:\n{listed(taken)}\n"
                          "Give --overwrite to replace them, or another --output.")  # fmt: skip
    return waiting, len(done)


def read_record(record):
    """Name -> mark of the files that earlier runs finished; a line that an interruption tore does not count."""
    marks = {}
    for line in record.read_text(encoding="utf-8").splitlines() if record.is_file() else []:
        try:
            mark = json.loads(line)
        except json.JSONDecodeError:
            continue
        marks[mark["name"]] = mark
    return marks


def note_done(job, record, model):
    """Add a finished file to the record."""
    with open(record, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(job.mark(model)) + "\n")
