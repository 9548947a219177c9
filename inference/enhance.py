"""Enhance sound files: any rate, channels, length and format; the output is like the input."""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from tqdm import tqdm

from corpus.files import typed_path, whole
from corpus.resampling import StreamResampler
from errors import RecipeError
from inference.batch import RECORD, Job, jobs_for, not_done
from inference.command import command_line, make_folder, seconds
from inference.loading import RATE, fingerprint, load_enhancer
from inference.sound import describe, on_disk, resampled, write_like

DETAILS = """A folder is searched to the bottom and its names are kept. After an interruption the
same command goes on where it stopped. Each channel is enhanced by itself. The network works at
16 kHz: sound above 8 kHz is lost."""
CONTEXT, FADE = RATE, RATE // 4  # samples around a piece that its network reads, that are faded


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line("enhance.py", __doc__, DETAILS, "enhance_mimic")
    help = "folder (for one input file also a file)"
    made.add_argument("--output", required=True, type=typed_path, help=help)
    help = "longer files are enhanced in pieces that are faded into each other (default: 20)"
    made.add_argument("--piece", type=seconds, default=20.0, metavar="SECONDS", help=help)
    return made


def in_pieces(
    signal: np.ndarray, enhance: Callable[[np.ndarray], np.ndarray], longest: float
) -> Iterator[np.ndarray]:
    """Noisy signal [samples] -> blocks of the enhanced one, as many samples in all.

    ``enhance`` takes and returns [samples]; it is given at most ``longest`` s and 1 s on each side.
    """
    count = max(1, int(np.ceil(len(signal) / (longest * RATE))))
    edges = [len(signal) * index // count for index in range(count + 1)]
    rising, tail = np.linspace(0, 1, 2 * FADE, dtype=np.float32), None
    for begin, end in zip(edges, edges[1:], strict=False):
        first = max(0, begin - CONTEXT)
        enhanced = enhance(signal[first : end + CONTEXT])
        piece = enhanced[max(0, begin - FADE) - first : end + FADE - first]
        if tail is not None:
            piece[: 2 * FADE] = tail + rising * (piece[: 2 * FADE] - tail)
        if end < len(signal):
            piece, tail = piece[: -2 * FADE], piece[-2 * FADE :]
        yield piece


def enhance_file(job: Job, enhance: Callable[[np.ndarray], np.ndarray], longest: float) -> float:
    """Enhance one file; returns its seconds of sound."""
    info = describe(job.source)
    back = StreamResampler(RATE, info.samplerate)
    with whole(job.target) as aside:
        signals = [
            on_disk(resampled(job.source, channel), job.target.parent)
            for channel in range(info.channels)
        ]
        channels = [back.stream(in_pieces(signal, enhance, longest)) for signal in signals]
        write_like(aside, job.target.suffix, info, channels)
    return info.frames / info.samplerate


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    jobs, folder = jobs_for(options.inputs, options.output)
    make_folder(folder)
    enhance, model_folder = load_enhancer(options.model, options.device)
    model, record = fingerprint(model_folder), folder / RECORD
    waiting = jobs if options.overwrite else not_done(jobs, record, model)
    done = len(jobs) - len(waiting)
    if not waiting:
        print(f"Nothing to do: {done} files were there already in {options.output}")
        return []
    begun, total, problems = time.perf_counter(), 0.0, []
    for job in tqdm(waiting, desc="Enhancing", unit="file", delay=1, disable=None):
        try:
            total += enhance_file(job, enhance, options.piece)
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
