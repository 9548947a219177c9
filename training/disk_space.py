"""What to say when the disk is full."""

import errno
import shutil
from contextlib import contextmanager

import torch

from errors import RecipeError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def explain_full_disk(folder, needed, clean_up=lambda: None):
    """Turn the failure of a write inside the block into a RecipeError that says how much room is missing.

    ``needed``: function that returns bytes; ``clean_up``: removes what the failed write left. Other failures pass.
    """
    try:
        yield
    except (
        OSError,
        RuntimeError,
    ) as error:  # torch's own writer raises RuntimeError and keeps the cause to itself
        free, wanted = shutil.disk_usage(folder).free, needed()
        if getattr(error, "errno", None) not in NO_ROOM and free > wanted:
            raise
        clean_up()
        free = shutil.disk_usage(folder).free
        raise RecipeError(
            f"{folder}: no room on the disk to save {wanted / 1e6:.1f} MB ({error}); {free / 1e6:.1f} MB are free, "
            f"{max(wanted - free, 0) / 1e6:.1f} MB are missing. What was saved before is whole. Make room (or ask for a "
            "larger quota), and the same command goes on from there."
        ) from error


def size_of(values):
    """Bytes of all tensors in objects, among them the states of those that have a ``state_dict``."""
    return sum(
        _bytes(value.state_dict() if hasattr(value, "state_dict") else value) for value in values
    )


def _bytes(value):
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(_bytes(part) for part in value.values())
    return sum(_bytes(part) for part in value) if isinstance(value, (list, tuple)) else 0
