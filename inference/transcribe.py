"""Transcribe sound files: text and confidence to the screen, and to JSON or CSV."""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from corpus.files import typed_path, whole
from errors import RecipeError
from inference.command import check_output, command_line, find, seconds, share
from inference.loading import RATE, load_recognizer, long_enough
from inference.sound import on_disk, resampled

DETAILS = """Files longer than --longest seconds are cut at their quietest places and the texts
joined. The confidence is exp(-H), H being the mean entropy of the recognizer's outputs: good for
comparing files, no probability of being right. With several --noisy_share each file is recognized
with all of them, and its text of the highest confidence is kept."""
COLUMNS = ("file", "text", "confidence", "seconds")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line("transcribe.py", __doc__, DETAILS, "robust_asr")
    help = "a .json or .csv for file, text, confidence and seconds"
    made.add_argument("--output", type=typed_path, metavar="FILE", help=help)
    help = "recognized at once (default: 20)"
    made.add_argument("--longest", type=seconds, default=20.0, metavar="SECONDS", help=help)
    help = "parts of the noisy signal in the enhanced one, such as 0 0.3 1 (default: 0)"
    add = made.add_argument
    add("--noisy_share", nargs="+", type=share, default=[0.0], metavar="SHARE", help=help)
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
def transcribe_piece(
    model, samples: np.ndarray, noisy_share: float = 0.0
) -> tuple[str, list[float]]:
    """Text of [samples], and the entropy (nats) of each output: of a frame (CTC), or a token.

    ``noisy_share`` of the signal that the model's enhancer gives are noisy (observation adding).
    """

    def mix(_, noisy, enhanced):  # [batch, samples], each the first of a tuple
        return torch.lerp(enhanced[0], noisy[0], noisy_share), *enhanced[1:]

    encoded = []
    with ExitStack() as hooks:  # a hook's handle removes it at the end
        keep = model.mods.encoder.register_forward_hook(lambda *call: encoded.append(call[-1]))
        hooks.enter_context(keep)
        if noisy_share:
            hooks.enter_context(model.mods.enhance_model.register_forward_hook(mix))
        words, tokens = model.transcribe_batch(torch.from_numpy(samples)[None], torch.ones(1))
    log_probs = encoded[0]  # [1, time, outputs], or what the decoder reads
    if "decoder" in model.mods:  # once more on its own text: a beam's scores hold other things
        search = model.mods.decoder
        path = [[search.bos_index, *map(int, tokens[0])]]
        path = torch.tensor(path, device=log_probs.device)
        hidden, _ = search.dec(search.emb(path), log_probs, log_probs.new_ones(1))
        log_probs = search.fc(hidden).float().log_softmax(dim=-1)
    entropies = torch.special.entr(log_probs[0].exp()).sum(dim=-1)
    return str(words[0]).strip(), entropies.tolist()


def transcribe_file(
    file: Path, model, longest: float = 20.0, shares: Sequence[float] = (0.0,)
) -> dict:
    """A sound file of any length -> its row, by the names in ``COLUMNS``.

    Of several noisy ``shares`` the row of the highest confidence, with its ``noisy_share``.
    """
    signal = on_disk(resampled(file))
    edges, rows = cuts(signal, longest), []
    for noisy_share in shares:
        texts, entropies = [], []
        for begin, end in pairwise(edges):
            text, more = transcribe_piece(model, long_enough(signal[begin:end]), noisy_share)
            texts, entropies = texts + [text] * bool(text), entropies + more
        confidence = round(float(np.exp(-np.mean(entropies))), 4)
        values = str(file), " ".join(texts), confidence, round(len(signal) / RATE, 3)
        row = dict(zip(COLUMNS, values, strict=True))
        rows.append({**row, "noisy_share": noisy_share} if len(shares) > 1 else row)
    return max(rows, key=lambda row: row["confidence"])


def save(rows: list[dict], output: Path) -> None:
    """Write a .json or .csv file."""
    text = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}  # odd file names
    with whole(output) as aside, open(aside, "w", **text) as stream:
        if output.suffix.lower() == ".json":
            json.dump(rows, stream, indent=1, ensure_ascii=False)
        else:
            table = csv.DictWriter(stream, rows[0] if rows else COLUMNS)
            table.writeheader()
            table.writerows(rows)


def run(options: argparse.Namespace) -> list[str]:
    """Carry a command out; returns messages of the files that failed."""
    if options.output:
        check_output(options.output, options.overwrite, (".json", ".csv"))
    files = find(options.inputs)
    model = load_recognizer(options.model, options.device)
    if any(options.noisy_share) and "enhance_model" not in model.mods:
        raise RecipeError("--noisy_share: this recognizer has no enhancer inside. Leave it out.")
    begun, rows, problems = time.perf_counter(), [], []
    for file, name in tqdm(files, desc="Transcribing", unit="file", delay=5, disable=None):
        try:
            rows.append(row := transcribe_file(file, model, options.longest, options.noisy_share))
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
