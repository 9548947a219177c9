"""Read and write mono sound files."""

import io
import os
import re
from pathlib import Path

import numpy as np
import soundfile

from corpus.files import whole, write_text  # noqa: F401
from errors import RecipeError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif", ".w64", ".au")
UNKNOWN_SIZE = 0x7FFFF000  # bytes; what writes to a pipe announces this size or more


def read(path: str | Path, start: int = 0, samples: int = -1) -> tuple[np.ndarray, int]:
    """A sound file -> (float32 [samples] within -1..1, rate in Hz); channels are averaged.

    ``start`` and ``samples`` read a part. RecipeError for a missing or unreadable file.
    """
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            if start:
                file.seek(start)
            # Some codecs, such as GSM, cannot seek and are read by their length only.
            wanted = file.frames if samples < 0 else samples
            signal = file.read(wanted, dtype="float32", always_2d=True)
            return np.ascontiguousarray(signal.mean(axis=1)), file.samplerate
    except (soundfile.LibsndfileError, OSError) as problem:
        reason = str(problem).partition(": ")[2] or problem
        raise RecipeError(
            f"Cannot read {path} as sound: {reason} Accepted: what libsndfile reads "
            f"({', '.join(SUFFIXES)}). Check the path, convert the file or download it again."
        ) from problem


def write(path: str | Path, signal: np.ndarray, rate: int) -> None:
    """Write float [samples] within -1..1 as 16-bit mono wav at ``rate`` Hz, whole or not at all."""
    # In memory first: libsndfile does not say why a disk refuses a file, Python does.
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, rate, subtype="PCM_16", format="WAV")
    with whole(path) as aside:
        aside.write_bytes(buffer.getbuffer())


def is_cut_short(info: soundfile._SoundFileInfo) -> bool:
    """Whether the header announces more than the file holds (``info`` of ``soundfile.info``).

    The size that stands for "unknown" in files from a pipe announces nothing.
    """
    announced = re.search(r"^data : (\d+) \(should be", info.extra_info, re.MULTILINE)
    return announced is not None and int(announced[1]) < UNKNOWN_SIZE
