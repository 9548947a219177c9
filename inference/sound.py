"""Sound files as streams of blocks: any format of libsndfile, any rate, any number of channels."""

import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from errors import RecipeError
from inference.resampling import StreamResampler

BLOCK_SECONDS = 10
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif", ".w64", ".au")


class Scratch:
    """A signal [samples], float32, on disk instead of in memory; goes away with the object."""

    def __init__(self, folder, blocks):
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


def describe(path):
    """Rate, channels, format and subtype of a sound file; RecipeError where it is none."""
    try:
        return soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError) as problem:
        raise unreadable(path, problem) from problem


def blocks_of(path, channel=None):
    """Blocks [samples] of one channel of a file, or of the mean of all."""
    try:
        with soundfile.SoundFile(str(path)) as file:
            for block in file.blocks(
                BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True
            ):
                if not np.isfinite(block).all():
                    raise RecipeError(
                        f"{path} has samples that are no numbers (NaN or infinite). Write it again without."
                    )
                yield block.mean(axis=1) if channel is None else block[:, channel]
    except (soundfile.LibsndfileError, OSError) as problem:
        raise unreadable(path, problem) from problem


def unreadable(path, problem):
    """The error for a file that cannot be read."""
    return RecipeError(
        f"Cannot read {path} as sound: {problem}. Accepted: what libsndfile reads ({', '.join(SUFFIXES)})."
    )


def scratch_at(path, rate, folder, channel=None):
    """One channel of a file (or the mean of all), brought to a rate (Hz) and kept on disk."""
    resampler = StreamResampler(describe(path).samplerate, rate)
    return Scratch(folder, resampler.stream(blocks_of(path, channel)))


def write_like(path, info, channels, frames):
    """Write channels (one stream of blocks each) to a file of the rate, channels and coding that ``info`` tells.

    The file appears whole or not at all. A name with another suffix is coded as that suffix means.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    coding = coding_for(path, info)
    try:
        with soundfile.SoundFile(str(aside), "w", info.samplerate, info.channels, **coding) as file:
            for blocks in zip(*channels, strict=True):
                file.write(np.stack(blocks, axis=1)[: frames - file.frames])
        os.replace(aside, path)
    except soundfile.LibsndfileError as problem:
        raise RecipeError(
            f"Cannot write {path}: {problem}. Give another format, such as .wav."
        ) from problem
    finally:
        aside.unlink(missing_ok=True)


def coding_for(path, info):
    """Format and subtype: the input's own, or the usual ones of another suffix."""
    suffix = path.suffix.lower().lstrip(".")
    known = {"opus": "OGG", "aif": "AIFF"}.get(suffix, suffix.upper())
    if (
        known not in soundfile.available_formats()
        or known == info.format
        or (known, info.format) == ("WAV", "WAVEX")
    ):
        return {"format": info.format, "subtype": info.subtype}
    return {"format": known, "subtype": "OPUS" if suffix == "opus" else None}
