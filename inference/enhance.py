"""Enhance sound files: any rate, channels, length and format of libsndfile; the output is like the input."""

import argparse
import time

import torch
from tqdm import tqdm

from errors import RecipeError
from inference.batch import jobs_for, note_done, record_of, split_done
from inference.loading import fingerprint, load_enhancer
from inference.pieces import PiecewiseEnhancer, network_of
from inference.resampling import StreamResampler
from inference.sound import describe, scratch_at, write_like

DETAILS = """A folder is searched to the bottom and its names are kept. After an interruption the same command goes on
where it stopped. Each channel is enhanced by itself. The network works at its own rate, usually 16 kHz: sound above half
of that is lost. Up to --piece seconds are computed at once, longer files in pieces with the same result (below -100 dB of
difference)."""


BAR = "{desc}: {percentage:3.0f} %|{bar}| {n:.0f} of {total:.0f} s of sound, {remaining} left"


def parser():
    """The command line."""
    made = argparse.ArgumentParser("enhance.py", description=__doc__, epilog=DETAILS)
    made.add_argument("inputs", nargs="+", metavar="INPUT", help="sound files and folders of them")
    made.add_argument(
        "--model",
        required=True,
        help="a run's folder, such as results/enhance_mimic/1, or an exported model",
    )
    made.add_argument(
        "--output",
        required=True,
        help="folder for the results (for one input file also a file name)",
    )
    made.add_argument("--overwrite", action="store_true", help="replace files that exist")
    made.add_argument(
        "--piece",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="computed at once (default: %(default)s)",
    )
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    made.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    return made


def enhance_file(job, network, piece=20.0, advance=lambda share: None):
    """Enhance one file; returns its seconds of sound.

    ``advance`` is told the share of the file (of 1) that each step has done.
    """
    info = describe(job.source)
    rate = network.stft.sample_rate
    job.target.parent.mkdir(parents=True, exist_ok=True)
    signals = [
        scratch_at(job.source, rate, job.target.parent, channel) for channel in range(info.channels)
    ]
    enhancer = PiecewiseEnhancer(
        network, piece, lambda share: advance(share / info.channels), kept=5e8 / info.channels
    )
    back = StreamResampler(rate, info.samplerate)
    write_like(
        job.target, info, [back.stream(enhancer.stream(signal)) for signal in signals], info.frames
    )
    return info.frames / info.samplerate


def seconds_of(jobs):
    """Seconds of sound of each job, 0 where the file cannot be read (which shows itself later)."""
    lengths = []
    for job in jobs:
        try:
            lengths.append(describe(job.source).duration)
        except RecipeError:
            lengths.append(0.0)
    return lengths


def enhance_all(jobs, network, piece, record, model):
    """Enhance what is to do; returns (seconds of sound, messages of the files that failed)."""
    lengths, problems, total = seconds_of(jobs), [], 0.0
    with tqdm(total=sum(lengths) + 1e-3, desc="Enhancing", bar_format=BAR, delay=1) as bar:
        for job, length in zip(jobs, lengths):
            try:
                total += enhance_file(job, network, piece, lambda share: bar.update(share * length))
                note_done(job, record, model)
            except RecipeError as problem:
                problems.append(str(problem))
    return total, problems


def run(options):
    """Carry a command out; RecipeError for what cannot be done at all or failed in part."""
    if options.threads:
        torch.set_num_threads(options.threads)
    jobs = jobs_for(options.inputs, options.output)
    enhancer, folder = load_enhancer(options.model, options.device)
    record, model = record_of(options.output), fingerprint(folder)
    waiting, done = split_done(jobs, record, model, options.overwrite)
    record.parent.mkdir(parents=True, exist_ok=True)
    if not waiting:
        print(f"Nothing to do: {done} files were there already in {options.output}")
        return
    begun = time.perf_counter()
    total, problems = enhance_all(waiting, network_of(enhancer), options.piece, record, model)
    took = time.perf_counter() - begun
    already = f" ({done} were there already)" if done else ""
    print(f"{len(waiting) - len(problems)} files{already}, {total:.1f} s of sound in {took:.1f} s on {options.device}, "
          f"{torch.get_num_threads()} threads: real-time factor {took / max(total, 0.001):.4f}. Results: {options.output}")  # fmt: skip
    if problems:
        raise RecipeError("\n".join(problems))
