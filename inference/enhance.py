"""Enhance sound files: any rate, channels, length and format; the output is like the input."""

import argparse
import time

import torch
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet
from tqdm import tqdm

from corpus.resampling import StreamResampler
from errors import RecipeError
from inference.batch import Job, jobs_for, note_done, record_of, split_done
from inference.command import MODEL, add_device_options, make_folder, path, seconds
from inference.loading import fingerprint, load_enhancer
from inference.pieces import PiecewiseEnhancer
from inference.sound import Scratch, describe, resampled, write_like

DETAILS = """A folder is searched to the bottom and its names are kept. After an interruption the
same command goes on where it stopped. Each channel is enhanced by itself. The network works at
16 kHz: sound above 8 kHz is lost. Files longer than --piece seconds are computed in pieces, with the
same result (below -100 dB of difference)."""
BAR = "{desc}: {percentage:3.0f} %|{bar}| {n:.0f} of {total:.0f} s of sound, {remaining} left"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("enhance.py", description=__doc__, epilog=DETAILS)
    made.add_argument(
        "inputs", nargs="+", type=path, metavar="INPUT", help="sound files and folders of them"
    )
    made.add_argument("--model", required=True, type=path, help=MODEL.format("enhance_mimic"))
    made.add_argument(
        "--output", required=True, type=path, help="folder (for one input file also a file)"
    )
    made.add_argument("--overwrite", action="store_true", help="replace files that exist")
    made.add_argument(
        *("--piece",),
        type=seconds,
        default=20.0,
        metavar="SECONDS",
        help="computed at once (default: %(default)s)",
    )
    add_device_options(made)
    return made


def enhance_file(job: Job, network: EnhanceResnet, piece: float = 20.0, advance=lambda share: None):
    """Enhance one file; returns its seconds of sound.

    ``advance`` is called with the share of the file (of 1) that each step has done.
    """
    rate = network.stft.sample_rate
    job.target.parent.mkdir(parents=True, exist_ok=True)
    info = describe(job.source)
    signals = [
        Scratch(job.target.parent, resampled(job.source, rate, channel))
        for channel in range(info.channels)
    ]
    enhancer = PiecewiseEnhancer(network, piece, lambda share: advance(share / info.channels))
    back = StreamResampler(rate, info.samplerate)
    write_like(job.target, info, [back.stream(enhancer.stream(signal)) for signal in signals])
    return info.frames / info.samplerate


def length_of(job: Job) -> float:
    """Seconds of sound, 0 where the file cannot be read (which shows itself later)."""
    try:
        info = describe(job.source)
        return info.frames / info.samplerate
    except RecipeError:
        return 0.0


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    jobs = jobs_for(options.inputs, options.output)
    record = record_of(options.output)
    make_folder(record.parent)
    network, folder = load_enhancer(options.model, options.device)
    model = fingerprint(folder)
    jobs, done = split_done(jobs, record, model, options.overwrite)
    if not jobs:
        print(f"Nothing to do: {done} files were there already in {options.output}")
        return []
    begun, lengths, total, problems = time.perf_counter(), [length_of(job) for job in jobs], 0, []
    total_seconds = sum(lengths) + 1e-3
    with tqdm(total=total_seconds, desc="Enhancing", bar_format=BAR, delay=1, disable=None) as bar:
        for job, length in zip(jobs, lengths, strict=True):
            try:
                total += enhance_file(
                    job, network, options.piece, lambda share, all=length: bar.update(share * all)
                )
                note_done(job, record, model)
            except (RecipeError, OSError) as problem:
                problems.append(f"{job.name}: {problem}")
    took = time.perf_counter() - begun
    already = f" ({done} were there already)" if done else ""
    print(
        f"{len(jobs) - len(problems)} files{already}, {total:.1f} s of sound in {took:.1f} s on "
        f"{options.device}, {torch.get_num_threads()} threads: real-time factor "
        f"{took / max(total, 1e-3):.4f}. Results: {options.output}"
    )
    return problems
