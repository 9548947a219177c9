"""Sound files as streams of blocks: any format of libsndfile, any rate, any number of channels."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from corpus.audio import SUFFIXES
from corpus.resampling import StreamResampler
from errors import RecipeError

BLOCK_SECONDS = 10


class Scratch:
    """A signal [samples], float32, on disk in place of memory; goes away with the object."""

    def __init__(self, folder: str | Path | None, blocks: Iterable[np.ndarray]):
        self.file = tempfile.TemporaryFile(dir=folder)
        for block in blocks:
            self.file.write(np.ascontiguousarray(block, np.float32).tobytes())
        self.samples = self.file.tell() // 4

    def __len__(self):
        return self.samples

    def __getitem__(self, part):
        start, stop, _ = part.indices(self.samples)
        self.file.seek(4 * start)
        return np.frombuffer(self.file.read(4 * max(0, stop - start)), np.float32).copy()


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A sound file to read from; RecipeError where it is none, also in the midst of reading."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise OSError("there is no such file")
        with soundfile.SoundFile(os.fsencode(path)) as file:  # bytes: a name may be no text
            yield file
    except (soundfile.LibsndfileError, OSError, TypeError) as problem:  # TypeError: raw samples
        raise RecipeError(
            f"Cannot read {path} as sound: {problem}. Accepted: what libsndfile reads "
            f"({', '.join(SUFFIXES)})."
        ) from problem


def describe(path: Path) -> soundfile.SoundFile:
    """A closed sound file: its rate, channels, frames, format and subtype."""
    with opened(path) as file:
        return file


def blocks_of(path: Path, channel: int | None = None) -> Iterator[np.ndarray]:
    """Blocks [samples] of one channel of a file, or of the mean of all."""
    with opened(path) as file:
        while len(block := file.read(BLOCK_SECONDS * file.samplerate, "float32", True)):
            if not np.isfinite(block).all():
                raise RecipeError(
                    f"{path} has samples that are no numbers (NaN or infinite). Write it without."
                )
            yield block.mean(axis=1) if channel is None else block[:, channel]


def resampled(path: Path, rate: int, channel: int | None = None) -> Iterator[np.ndarray]:
    """Blocks [samples] of one channel of a file, or of the mean of all, at a rate (Hz)."""
    resampler = StreamResampler(describe(path).samplerate, rate)
    return resampler.stream(blocks_of(path, channel))


def load(path: Path, rate: int) -> np.ndarray:
    """A sound file as float32 [samples] at a rate (Hz), the mean of its channels."""
    return np.concatenate([np.empty(0, np.float32), *resampled(path, rate)])


def write_like(
    path: Path, suffix: str, info: soundfile.SoundFile, channels: list[Iterable[np.ndarray]]
) -> None:
    """Write channels (one stream of blocks each) with the rate and frames that ``info`` tells.

    The coding is also that of ``info``, unless ``suffix`` means another one.
    """
    kind = suffix.lower().lstrip(".")
    kind = {"opus": "OGG", "aif": "AIFF"}.get(kind, kind.upper())
    coding = {"format": kind, "subtype": "OPUS" if suffix.lower() == ".opus" else None}
    same = kind == info.format or (kind, info.format) == ("WAV", "WAVEX")
    if same or kind not in soundfile.available_formats():
        coding = {"format": info.format, "subtype": info.subtype}
    try:
        with soundfile.SoundFile(
            os.fsencode(path), "w", info.samplerate, info.channels, **coding
        ) as file:
            for blocks in zip(*channels, strict=True):
                file.write(np.stack(blocks, axis=1)[: info.frames - file.frames])
    except soundfile.LibsndfileError as problem:
        raise RecipeError(
            f"cannot be written: {problem} Is the disk full? Or convert the input to .wav."
        ) from problem
