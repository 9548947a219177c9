"""Enhance sound files: any rate, channels, length and format; the output is like the input."""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from corpus.audio import SUFFIXES, opened
from corpus.files import typed_path, whole
from corpus.resampling import StreamResampler
from errors import RecipeError, listed
from inference.command import command_line, find, make_folder, repeated, seconds
from inference.loading import PRETRAINED, RATE, load_enhancer, model_folder
from inference.sound import describe, on_disk, resampled, write_like
from models.features import HOP, N_FFT, stft

DETAILS = """A folder is searched to the bottom and its names are kept. After an interruption the
same command goes on where it stopped. Each channel is enhanced by itself. The network works at
16 kHz: what lies above 8 kHz is multiplied by the network's gain in its highest band."""
RECORD = ".enhanced.jsonl"  # in the output folder: one line for each file that is finished
CONTEXT, FADE = RATE, RATE // 4  # samples around a piece that its network reads, that are faded
HIGHEST = slice(6000 * N_FFT // RATE, None)  # bins whose gain holds above 8 kHz too


@dataclass
class Job:
    """One file to enhance: where it is, where its result goes, and its name below the input."""

    source: Path
    target: Path
    name: str

    def mark(self, model: str) -> str:
        """The line of the record: the target was made from this source by this model."""
        status = self.source.stat()
        facts = {"name": self.name, "size": status.st_size, "changed": status.st_mtime_ns}
        return json.dumps({**facts, "model": model})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line("enhance.py", __doc__, DETAILS, "enhance_mimic", PRETRAINED)
    help = "folder (for one input file also a file)"
    made.add_argument("--output", required=True, type=typed_path, help=help)
    help = "longer files are enhanced in pieces that are faded into each other (default: 20)"
    made.add_argument("--piece", type=seconds, default=20.0, metavar="SECONDS", help=help)
    help = "leave out what lies above 8 kHz, in files of a higher rate than 16 kHz"
    made.add_argument("--no_high_band", dest="high_band", action="store_false", help=help)
    return made


def jobs_for(inputs: Sequence[Path], output: Path) -> tuple[list[Job], Path]:
    """(the jobs of a command, the folder of its results and record).

    ``output`` is a folder, or for one input file the name of a sound file.
    """
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(inputs) != 1 or inputs[0].is_dir():
            raise RecipeError(f"--output {output} is a file, the input is not one. Give a folder.")
        folder, jobs = output.parent, [Job(find(inputs)[0][0], output, output.name)]
    else:
        found = find(inputs, leave_out=output)
        folder, jobs = output, [Job(file, output / name, name) for file, name in found]
    if twice := repeated(job.name for job in jobs):
        raise RecipeError(
            f"Several inputs have the same name, so their outputs would too:\n{listed(twice)}"
        )
    for job in jobs:
        if job.target.exists() and os.path.samefile(job.source, job.target):
            raise RecipeError(f"{job.target} would replace its own input. Give another --output.")
    return jobs, folder


def not_done(jobs: list[Job], record: Path, model: str) -> list[Job]:
    """The jobs that no earlier run finished.

    Raises RecipeError where a file that this model did not make would be replaced.
    """
    lines = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
    finished, there = set(lines.splitlines()), [job for job in jobs if job.target.exists()]
    if taken := [str(job.target) for job in there if job.mark(model) not in finished]:
        raise RecipeError(
            f"These files exist and were not made from these inputs by this model:\n{listed(taken)}"
            "\nGive --overwrite to replace them, or another --output."
        )
    return [job for job in jobs if not job.target.exists()]


def in_pieces(
    signal: np.ndarray, enhance: Callable[[np.ndarray], np.ndarray], longest: float
) -> Iterator[np.ndarray]:
    """Noisy signal [samples] -> blocks of the enhanced one, as many samples in all.

    ``enhance``: [samples] -> [..., samples]. It is given ``longest`` s at most, and 1 s on each
    side.
    """
    count = max(1, int(np.ceil(len(signal) / (longest * RATE))))
    edges = [len(signal) * index // count for index in range(count + 1)]
    rising, tail = np.linspace(0, 1, 2 * FADE, dtype=np.float32), None
    for begin, end in pairwise(edges):
        first = max(0, begin - CONTEXT)
        enhanced = enhance(signal[first : end + CONTEXT])
        piece = enhanced[..., max(0, begin - FADE) - first : end + FADE - first]
        if tail is not None:
            piece[..., : 2 * FADE] = tail + rising * (piece[..., : 2 * FADE] - tail)
        if end < len(signal):
            piece, tail = piece[..., : -2 * FADE], piece[..., -2 * FADE :]
        yield piece


def with_gain(noisy: np.ndarray, enhance: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Noisy [samples] -> [3, samples]: enhanced, noisy, the gain of the highest band (0 to 1)."""
    enhanced = enhance(noisy)
    pair = torch.from_numpy(np.stack([enhanced, noisy]))
    levels = stft(pair)[..., HIGHEST].abs().mean(dim=-1)  # [2, time]
    gain = (levels[0] / levels[1].clamp(min=1e-9)).clamp(max=1).numpy()
    gain = np.interp(np.arange(len(noisy)), HOP * np.arange(len(gain)), gain)
    return np.stack([enhanced, noisy, gain.astype(np.float32)])


def with_high_band(
    pieces: Iterator[np.ndarray], back: StreamResampler, path: Path, channel: int
) -> Iterator[np.ndarray]:
    """What ``with_gain`` made of a file's channel -> blocks at the file's rate, the whole band.

    The high band is the channel less its own part below 8 kHz.
    """
    with opened(path) as file:
        for enhanced, noisy, gain in back.stream(pieces):
            block = file.read(len(noisy), "float32", True, fill_value=0)[:, channel]
            yield enhanced + gain.clip(0, 1) * (block - noisy)


def enhance_file(
    job: Job, enhance: Callable[[np.ndarray], np.ndarray], longest: float, high_band: bool = True
) -> float:
    """Enhance one file; returns its seconds of sound."""
    info = describe(job.source)
    back = StreamResampler(RATE, info.samplerate)
    channels = []
    with whole(job.target) as aside:
        for channel in range(info.channels):
            signal = on_disk(resampled(job.source, channel), job.target.parent)
            if high_band and info.samplerate > RATE:
                pieces = in_pieces(signal, partial(with_gain, enhance=enhance), longest)
                channels.append(with_high_band(pieces, back, job.source, channel))
            else:
                channels.append(back.stream(in_pieces(signal, enhance, longest)))
        write_like(aside, job.target.suffix, info, channels)
    return info.frames / info.samplerate


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    jobs, folder = jobs_for(options.inputs, options.output)
    make_folder(folder)
    record = folder / RECORD
    enhance, model = load_enhancer(options.model, options.device)
    print(f"Model: {model_folder(options.model)}")
    model += "" if options.high_band else ", no high band"
    waiting = jobs if options.overwrite else not_done(jobs, record, model)
    done = len(jobs) - len(waiting)
    if not waiting:
        print(f"Nothing to do: {done} files were there already in {options.output}")
        return []
    begun, total, problems = time.perf_counter(), 0.0, []
    for job in tqdm(waiting, desc="Enhancing", unit="file", delay=1, disable=None):
        try:
            total += enhance_file(job, enhance, options.piece, options.high_band)
            with open(record, "a", encoding="utf-8") as stream:
                stream.write(job.mark(model) + "\n")
        except (RecipeError, OSError) as problem:
            problems.append(f"{job.name}: {problem}")
    took = time.perf_counter() - begun
    already = f" ({done} were there already)" if done else ""
    print(
        f"{len(waiting) - len(problems)} files{already}, {total:.1f} s of sound in {took:.1f} s on "
        f"{options.device}, {torch.get_num_threads()} threads: real-time factor "
        f"{took / max(total, 1e-3):.4f}. Results: {options.output}"
    )
    return problems
