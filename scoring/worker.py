"""What a scoring process does before it imports NumPy."""

import os


def use_one_thread() -> None:
    """Keep this process's numerical libraries to one thread each."""
    for library in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM"):
        os.environ[f"{library}_THREADS"] = "1"
