"""Read and write mono sound files."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from corpus.files import whole
from errors import RecipeError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif", ".w64", ".au")
UNKNOWN_SIZE = 0x7FFFF000  # bytes; what writes to a pipe announces this size or more


@contextmanager
def opened(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """A sound file to read from; RecipeError if it is missing or damaged, also while it is read."""
    try:
        if not Path(path).is_file():  # a pipe would wait for ever
            raise OSError("there is no such file.")
        with soundfile.SoundFile(os.fsencode(path)) as file:  # bytes: a name may be no text
            yield file
    except (soundfile.LibsndfileError, OSError, TypeError) as problem:  # TypeError: raw samples
        reason = getattr(problem, "error_string", problem)
        raise RecipeError(
            f"{path} cannot be read as sound: {reason} Accepted: what libsndfile reads "
            f"({', '.join(SUFFIXES)}). Convert the file or get it again."
        ) from problem


def read(path: str | Path, start: int = 0, samples: int = -1) -> tuple[np.ndarray, int]:
    """A sound file, or a part -> (float32 [samples], the mean of the channels; rate in Hz)."""
    with opened(path) as file:
        if file.seekable():  # GSM is not
            file.seek(start)
            start = 0
        wanted = file.frames if samples < 0 else start + samples
        signal = file.read(wanted, dtype="float32", always_2d=True)[start:]
        return np.ascontiguousarray(signal.mean(axis=1)), file.samplerate


def write(path: str | Path, signal: np.ndarray, rate: int) -> None:
    """Write float [samples] within -1..1 as 16-bit mono wav at ``rate`` Hz, whole or not at all."""
    # In memory first: libsndfile does not say why a disk refuses a file, Python does.
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, rate, subtype="PCM_16", format="WAV")
    with whole(path) as aside:
        aside.write_bytes(buffer.getbuffer())


def is_cut_short(info: soundfile._SoundFileInfo) -> bool:
    """Whether the header announces more than the file holds (``info`` of ``soundfile.info``)."""
    announced = re.search(r"^data : (\d+) \(should be", info.extra_info, re.MULTILINE)
    return announced is not None and int(announced[1]) < UNKNOWN_SIZE
