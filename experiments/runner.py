"""Brings runs to their end as processes, and tells from their folders which are finished."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from corpus.files import find_files, write_text
from errors import RecipeError
from experiments.plan import Run

CODE = ("errors.py", "train.py", "data_prep.py")
PACKAGES = ("hparams", "models", "training", "scoring", "corpus", "inference")
RECORD = "run.json"  # command, key, code, status
POLL = 0.2  # s between two looks at the processes
PATIENCE = 30  # s that a process may take to end before it is killed
LAST_LINES = 12  # of a failed run's output
CHANGED = "The code has changed since this command began. Repeat it: new code has its own runs."


def code_version() -> str:
    """Hash of all files that a run's results depend on."""
    found = [file for folder in PACKAGES for file in find_files(folder, (".py", ".yaml", ".txt"))]
    digest = hashlib.sha256()
    for file in (*CODE, *found):
        digest.update(f"{file}\n".encode() + Path(file).read_bytes())
    return digest.hexdigest()[:8]


def read_record(run: Run) -> dict:
    """The record of a run; empty where there is none."""
    path = run.folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_record(run: Run, **changes):
    """Change the record of a run."""
    record = {**read_record(run), "command": run.command, "key": run.key, **changes}
    write_text(run.folder / RECORD, json.dumps(record, indent=1) + "\n")


def finished(run: Run) -> bool:
    """Whether a run is there whole, made by its present command from runs of theirs."""
    record = read_record(run)
    whole = record.get("status") == "finished" and (run.folder / "cost.json").exists()
    return whole and record["key"] == run.key


def run_all(runs: list[Run], jobs: int, code: str | None = None) -> int:
    """Run all that is not finished, ``jobs`` at a time; returns how many failed.

    What needs a failed run is left out. A run that was stopped goes on from its checkpoint. With
    ``code`` given, nothing is started once the code has another version: one table, one code.
    """
    waiting = [run for run in runs if not finished(run)]
    active, failed = {}, set()
    say(f"{len(runs) - len(waiting)} of {len(runs)} runs are finished")
    try:
        while waiting or active:
            for run in list(waiting):
                if failed.intersection(run.needs):
                    say(f"{run.title}: not started, for a run that it needs has failed")
                    failed.add(run)
                    waiting.remove(run)
                elif len(active) < jobs and not {*waiting, *active}.intersection(run.needs):
                    if code and code_version() != code:
                        raise RecipeError(CHANGED)
                    say(f"{run.title}: {'goes on' if set_aside(run) else 'starts'}")
                    active[run] = start(run, jobs)
                    waiting.remove(run)
            for run in [run for run, process in active.items() if process.poll() is not None]:
                if active.pop(run).returncode == 0:
                    write_record(run, status="finished")
                    say(f"{run.title}: finished, {len(waiting) + len(active)} left")
                else:
                    failed.add(run)
                    text = (run.folder / "output.txt").read_text("utf-8", errors="replace")
                    last = text.splitlines()[-LAST_LINES:]
                    say("\n    ".join([f"{run.title}: failed", *last, f"Command: {run.command}"]))
            time.sleep(POLL)
    finally:
        stop(list(active.values()))
    return len(failed)


def set_aside(run: Run) -> bool:
    """Move what another command left in a run's folder; True if this run was begun there."""
    if not run.folder.exists():
        return False
    if read_record(run).get("key") == run.key:
        return True
    aside = run.folder.with_name(f"{run.folder.name}.{time.strftime('%Y%m%d-%H%M%S')}")
    run.folder.rename(aside)
    say(f"{run.title}: its command has changed; the old run is kept in {aside}")
    return False


def start(run: Run, jobs: int) -> subprocess.Popen:
    """Start a run in a process group of its own; the jobs share the cores."""
    write_record(run, status="started", code=code_version())
    environment = dict(os.environ)
    if jobs > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    command = [sys.executable, "train.py", *run.arguments, "--noprogressbar"]
    with open(run.folder / "output.txt", "a", encoding="utf-8") as output:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, env=environment, start_new_session=True, **streams)


def say(line: str):
    """Print a line with the time of day, at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def stop(processes: list[subprocess.Popen]):
    """End processes, politely at first; each run goes on from its checkpoint the next time."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
