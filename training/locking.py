"""One run in a folder at a time."""

import datetime
import json
import logging
import os
import platform
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from errors import RecipeError

logger = logging.getLogger(__name__)

PATIENCE = 10  # s; data workers of a killed run hold its lock until they notice, 5 s at most


@contextmanager
def only_run_in(folder, patience=PATIENCE):
    """Hold the folder's lock inside the block; RecipeError when another run has it.

    The operating system keeps the lock and lets go of it when the process ends, however it ends: a lock cannot be stale.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / "run.lock"), folder / "running.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("%s is in use; waiting %d s for its run to end", folder, patience)
        wait_for(lock, folder, owner, patience)
    try:
        owner.write_text(json.dumps(description()), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def wait_for(lock, folder, owner, patience):
    """Try for some seconds, then say who has the lock."""
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise RecipeError(
            f"output_folder: another run is at work in {folder} ({told(owner)}). Two runs would overwrite each other's "
            "checkpoints: wait for it, stop it, or give this one its own --output_folder or --seed."
        ) from None


def description():
    """Who runs here."""
    now = datetime.datetime.now().isoformat(sep=" ", timespec="seconds")
    return {"process": os.getpid(), "host": platform.node(), "since": now}


def told(owner):
    """What the owner's file says, as text."""
    try:
        return ", ".join(
            f"{key} {value}" for key, value in json.loads(owner.read_text(encoding="utf-8")).items()
        )
    except (OSError, ValueError, AttributeError):
        return "its running.json cannot be read"
