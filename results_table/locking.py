"""One campaign at a time in a folder."""

import fcntl
from contextlib import contextmanager
from pathlib import Path

from errors import RecipeError


@contextmanager
def only_one(folder):
    """Hold a folder; RecipeError if another process holds it. The lock goes with the process, however that ends."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / "lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecipeError(f"{folder}: another results.py works there. Wait for it, or give an --output_folder.") from None
        yield
