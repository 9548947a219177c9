"""Read and write mono sound files, never leaving a half-written one behind."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import soundfile

from errors import RecipeError

HEADER = 4096  # bytes; more than a wav file's header, one block of most file systems


def read(path):
    """Read a sound file as ``(signal, rate)``: float32 ``[samples]`` within -1..1, and its rate in Hz.

    Several channels are averaged into one. A missing or unreadable file raises RecipeError.
    """
    try:
        signal, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as problem:
        raise RecipeError(
            f"Cannot read {path} as sound: {problem}. Accepted: what libsndfile reads (wav, flac, ogg). "
            "Check the path, or convert or download the file again."
        ) from problem
    return np.ascontiguousarray(signal[:, 0] if signal.shape[1] == 1 else signal.mean(axis=1)), rate


def write(path, signal, rate):
    """Write float ``[samples]`` within -1..1 as 16-bit PCM mono wav at ``rate`` Hz.

    The file appears whole or not at all: it is written beside its place, then moved there.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        soundfile.write(str(aside), signal, rate, subtype="PCM_16", format="WAV")
        os.replace(aside, path)
    except soundfile.LibsndfileError as problem:  # it keeps the system's reason to itself
        if shutil.disk_usage(path.parent).free > 2 * len(signal) + HEADER:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from problem
    finally:
        aside.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file that, like the sound files, appears whole or not at all."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
