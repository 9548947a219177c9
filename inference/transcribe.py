"""Transcribe sound files: text and confidence to the screen, and to JSON or CSV."""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from corpus.files import typed_path, whole
from errors import RecipeError
from inference.command import check_output, command_line, find, seconds
from inference.loading import RATE, load_recognizer, long_enough
from inference.sound import on_disk, resampled

DETAILS = """Files longer than --longest seconds are cut at their quietest places and the texts
joined. The confidence is the mean probability (geometric) that the recognizer gives to what it
writes: good for comparing files, too high as a probability of being right."""
COLUMNS = ("file", "text", "confidence", "seconds")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line("transcribe.py", __doc__, DETAILS, "robust_asr")
    help = "a .json or .csv for file, text, confidence and seconds"
    made.add_argument("--output", type=typed_path, metavar="FILE", help=help)
    help = "recognized at once (default: 20)"
    made.add_argument("--longest", type=seconds, default=20.0, metavar="SECONDS", help=help)
    return made


def cuts(signal: Sequence, longest: float) -> list[int]:
    """Edges (samples) of pieces of at most ``longest`` s.

    Cuts are at the quietest 50 ms of the second half of each piece.
    """
    window, most = RATE // 20, int(longest * RATE)
    edges = [0]
    while len(signal) - edges[-1] > most:
        half = signal[edges[-1] + most // 2 : edges[-1] + most]
        power = np.square(half[: len(half) // window * window]).reshape(-1, window).mean(axis=1)
        edges.append(edges[-1] + most // 2 + int(power.argmin()) * window + window // 2)
    return [*edges, len(signal)]


@torch.inference_mode()
def transcribe_piece(model, samples: np.ndarray) -> tuple[str, list[float]]:
    """Text of [samples], and the log probability of each decision behind it."""
    encoded = []
    hook = model.mods.encoder.register_forward_hook(lambda _, __, output: encoded.append(output))
    words, tokens = model.transcribe_batch(torch.from_numpy(samples).unsqueeze(0), torch.ones(1))
    hook.remove()
    if "decoder" in model.mods:
        decisions = decoder_decisions(model.mods.decoder, encoded[0], tokens[0])
    else:  # frames of the best path that are not blank, all where all are blank
        best, index = encoded[0][0].max(dim=-1)
        decisions = best[index != 0] if (index != 0).any() else best
    return str(words[0]).strip(), decisions.tolist()


def decoder_decisions(search, encoded: torch.Tensor, tokens) -> torch.Tensor:
    """Log probabilities of the tokens and of the end; ``encoded`` is [1, time, dim].

    The decoder runs once more on its own text: scores of a beam search hold other things.
    """
    path = [search.bos_index, *map(int, tokens), search.eos_index]
    path = torch.tensor(path, device=encoded.device)
    hidden, _ = search.dec(search.emb(path[None, :-1]), encoded, encoded.new_ones(1))
    log_probs = search.fc(hidden).float().log_softmax(dim=-1)[0]
    return log_probs.gather(1, path[1:, None])[:, 0]


def transcribe_file(file: Path, model, longest: float = 20.0) -> dict:
    """A sound file of any length -> its row, by the names in ``COLUMNS``."""
    signal = on_disk(resampled(file))
    edges = cuts(signal, longest)
    texts, decisions = [], []
    for begin, end in zip(edges, edges[1:], strict=False):
        text, more = transcribe_piece(model, long_enough(signal[begin:end]))
        texts, decisions = texts + [text] * bool(text), decisions + more
    confidence = round(float(np.exp(np.mean(decisions))), 4)
    values = str(file), " ".join(texts), confidence, round(len(signal) / RATE, 3)
    return dict(zip(COLUMNS, values, strict=True))


def save(rows: list[dict], output: Path) -> None:
    """Write a .json or .csv file."""
    text = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}  # odd file names
    with whole(output) as aside, open(aside, "w", **text) as stream:
        if output.suffix.lower() == ".json":
            json.dump(rows, stream, indent=1, ensure_ascii=False)
        else:
            table = csv.DictWriter(stream, COLUMNS)
            table.writeheader()
            table.writerows(rows)


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    if options.output:
        check_output(options.output, options.overwrite, (".json", ".csv"))
    files = find(options.inputs)
    model = load_recognizer(options.model, options.device)
    begun, rows, problems = time.perf_counter(), [], []
    for file, name in tqdm(files, desc="Transcribing", unit="file", delay=5, disable=None):
        try:
            rows.append(row := transcribe_file(file, model, options.longest))
            tqdm.write(f"{name} ({row['confidence']:.2f}): {row['text']}")
        except (RecipeError, OSError) as problem:
            problems.append(f"{name}: {problem}")
    if options.output:
        save(rows, options.output)
    took, sound = time.perf_counter() - begun, sum(row["seconds"] for row in rows)
    print(
        f"{len(rows)} files, {sound:.1f} s of sound in {took:.1f} s: real-time factor "
        f"{took / max(sound, 1e-3):.4f}"
    )
    return problems
