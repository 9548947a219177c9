"""What a process sets once, before anything is computed, so that a CPU computes and does not prepare to."""

import ctypes
import os
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_kernels(capacity=8192):
    """Let oneDNN keep the kernels that it has built for so many shapes; its own 1024 hold a dozen shapes of a batch.

    oneDNN reads its variable once.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(capacity))


def keep_memory():
    """Let the C library keep what freed tensors leave, for the next ones. Returns whether it does.

    Given back to the system, as glibc does by default, it comes again page by page, each one cleared, in every step. Other C libraries
    are left alone, and so is one that the environment already tunes (``MALLOC_...``, ``GLIBC_TUNABLES``).
    """
    tuned = [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]
    if tuned or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))  # never
