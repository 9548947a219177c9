"""Where a program waits until a GPU has done all that it was given, which keeps the next kernels from it meanwhile."""

import traceback
import warnings
from collections import Counter
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent


class Waits(warnings.catch_warnings):
    """Counts them while it is entered, by the line of this project that asked and the line that waited.

    PyTorch tells of its own calls alone; what is waited for inside of cuDNN stays unseen. Without a GPU: none.
    """

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __enter__(self):
        super().__enter__()
        if torch.cuda.is_available():
            warnings.simplefilter("always")
            warnings.showwarning = self.note
            torch.cuda.set_sync_debug_mode("warn")
        return self

    def __exit__(self, *problem):
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("default")
        return super().__exit__(*problem)

    def note(self, message, *_args, **_kwargs):
        """Called for each warning."""
        if "synchroniz" in str(message):
            frames = [
                f
                for f in traceback.extract_stack()
                if Path(f.filename) != Path(__file__) and "warnings.py" not in f.filename
            ]
            own = [
                frame
                for frame in frames
                if ROOT in Path(frame.filename).parents and "benchmarks" not in frame.filename
            ]
            self.found[
                f"{place(own[-1])}: {own[-1].line} ({place(frames[-1])})"
                if own
                else place(frames[-1])
            ] += 1


def place(frame):
    """File and line."""
    return f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"
