"""One campaign at a time in a folder."""

import fcntl
from contextlib import contextmanager
from pathlib import Path

from errors import RecipeError


@contextmanager
def only_one(folder):
    """Hold a folder, and give the lock's descriptor; RecipeError if another process, or a child of one, holds it."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / "lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecipeError(
                f"{folder}: another results.py, or a run that it left, works there (`fuser {folder}/lock` names its process). "
                "Wait for it, or give an --output_folder."
            ) from None
        yield file.fileno()
