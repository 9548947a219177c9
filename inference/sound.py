"""Sound files as streams of blocks: any format of libsndfile, any rate, any number of channels."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from corpus.audio import opened
from corpus.layout import SAMPLE_RATE as RATE
from corpus.resampling import StreamResampler
from errors import RecipeError

BLOCK_SECONDS = 10


def on_disk(blocks: Iterable[np.ndarray], folder: Path | None = None) -> np.ndarray:
    """Blocks [samples] as one signal, whose memory is a file that goes away with it."""
    with tempfile.TemporaryFile(dir=folder) as file:
        for block in blocks:
            file.write(block.astype(np.float32).tobytes())
        samples = file.tell() // 4
        file.flush()
        return np.memmap(file, np.float32, "r") if samples else np.empty(0, np.float32)


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


def resampled(path: Path, channel: int | None = None) -> Iterator[np.ndarray]:
    """Blocks [samples] at 16 kHz of one channel of a file, or of the mean of all."""
    return StreamResampler(describe(path).samplerate, RATE).stream(blocks_of(path, channel))


def load(path: Path) -> np.ndarray:
    """A sound file as float32 [samples] at 16 kHz, the mean of its channels."""
    return np.concatenate([np.empty(0, np.float32), *resampled(path)])


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
    name, rate = os.fsencode(path), info.samplerate  # bytes: a name may be no text
    try:
        with soundfile.SoundFile(name, "w", rate, info.channels, **coding) as file:
            for blocks in zip(*channels, strict=True):
                file.write(np.stack(blocks, axis=1)[: info.frames - file.frames])
    except soundfile.LibsndfileError as problem:
        raise RecipeError(
            f"cannot be written: {problem} Is the disk full? Or convert the input to .wav."
        ) from problem
