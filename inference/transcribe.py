"""Transcribe sound files: text to the screen, and to JSON or CSV with a confidence for each file."""

import argparse
import csv
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from corpus.audio import write_text
from errors import RecipeError
from inference.batch import find
from inference.confidence import ctc_confidence, decoder_confidence
from inference.loading import load_recognizer
from inference.sound import scratch_at

DETAILS = """Files longer than --longest seconds are cut at their quietest places and the texts joined. The confidence is the
mean probability (geometric) that the recognizer gives to what it writes: between files it compares, as a probability of
being right it is too high."""


@dataclass
class Transcript:
    """What was heard in a file."""

    file: str
    text: str
    confidence: float
    seconds: float


def parser():
    """The command line."""
    made = argparse.ArgumentParser("transcribe.py", description=__doc__, epilog=DETAILS)
    made.add_argument("inputs", nargs="+", metavar="INPUT", help="sound files and folders of them")
    made.add_argument(
        "--model",
        required=True,
        help="a run's folder, such as results/robust_asr/1, or an exported model",
    )
    made.add_argument(
        "--output",
        metavar="FILE",
        help="write file, text, confidence and seconds to a .json or .csv",
    )
    made.add_argument("--overwrite", action="store_true", help="replace an --output that exists")
    made.add_argument(
        "--longest",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="heard at once (default: %(default)s)",
    )
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    made.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    return made


def cuts(signal, rate, longest):
    """Edges (samples) of pieces of at most ``longest`` s, at the quietest 50 ms of the second half of each."""
    window, most = rate // 20, int(longest * rate)
    edges = [0]
    while len(signal) - edges[-1] > most:
        half = signal[edges[-1] + most // 2 : edges[-1] + most]
        loudness = np.square(half[: len(half) // window * window]).reshape(-1, window).mean(axis=1)
        edges.append(edges[-1] + most // 2 + int(loudness.argmin()) * window + window // 2)
    return edges + [len(signal)]


@torch.inference_mode()
def transcribe_piece(model, samples):
    """(text, confidence, number of decisions it is the mean of) of [samples]."""
    encoded = []
    listener = model.mods.encoder.register_forward_hook(
        lambda _, inputs, output: encoded.append(output)
    )
    words, tokens = model.transcribe_batch(torch.from_numpy(samples).unsqueeze(0), torch.ones(1))
    listener.remove()
    measure = decoder_confidence if "decoder" in model.mods else ctc_confidence
    return (str(words[0]).strip(), *measure(model, encoded[0], tokens[0]))


def transcribe_file(path, model, longest=20.0):
    """A sound file -> Transcript."""
    rate = model.hparams.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        signal = scratch_at(path, rate, folder)
        edges = cuts(signal, rate, longest)
        found = [
            transcribe_piece(model, padded(signal[a:b], rate)) for a, b in zip(edges, edges[1:])
        ]
    text = " ".join(words for words, _, _ in found if words)
    count = sum(number for _, _, number in found)
    confidence = (
        float(np.exp(sum(np.log(share) * number for _, share, number in found) / count))
        if count
        else 0.0
    )
    return Transcript(str(path), text, round(confidence, 4), round(len(signal) / rate, 3))


def padded(samples, rate):
    """Silence behind what is shorter than 0.1 s, which the convolutions cannot take."""
    return np.pad(samples, (0, max(0, rate // 10 - len(samples))))


def save(transcripts, path):
    """Write a .json or .csv file."""
    rows = [asdict(transcript) for transcript in transcripts]
    if path.suffix == ".json":
        write_text(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        return
    with tempfile.SpooledTemporaryFile(
        mode="w+", newline="", max_size=1 << 24, encoding="utf-8"
    ) as stream:
        table = csv.DictWriter(stream, fieldnames=list(Transcript.__dataclass_fields__))
        table.writeheader()
        table.writerows(rows)
        stream.seek(0)
        write_text(path, stream.read())


def check_output(options):
    """RecipeError for an --output that cannot be written."""
    path = Path(options.output)
    if path.suffix not in (".json", ".csv"):
        raise RecipeError(f"--output {path}: the suffix is not one of .json, .csv.")
    if path.exists() and not options.overwrite:
        raise RecipeError(
            f"--output {path} exists. Give --overwrite to replace it, or another name."
        )
    path.parent.mkdir(parents=True, exist_ok=True)


def run(options):
    """Carry a command out; RecipeError for what cannot be done at all or failed in part."""
    if options.output:
        check_output(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    files = find(options.inputs)
    model, _ = load_recognizer(options.model, options.device)
    begun, done, problems = time.perf_counter(), [], []
    for path, name in tqdm(files, desc="Transcribing", unit="file", delay=5, leave=False):
        try:
            done.append(transcribe_file(path, model, options.longest))
            tqdm.write(f"{name} ({done[-1].confidence:.2f}): {done[-1].text}")
        except RecipeError as problem:
            problems.append(str(problem))
    if options.output:
        save(done, Path(options.output))
    took, sound = time.perf_counter() - begun, sum(transcript.seconds for transcript in done)
    print(
        f"{len(done)} files, {sound:.1f} s of sound in {took:.1f} s: real-time factor {took / max(sound, 0.001):.4f}"
    )
    if problems:
        raise RecipeError("\n".join(problems))
