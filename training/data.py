"""Datasets of a run: signals and targets from the manifests."""

import logging
import math

import soundfile
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler

from corpus.layout import MAX_SECONDS
from errors import RecipeError
from training.bad_sound import BadSound, read_checked
from training.manifest import read_manifest

logger = logging.getLogger(__name__)

SHORTEST = 0.1  # s; less has no frame left behind the judge's poolings
ORDERS = ("ascending", "descending", "random", "original")


def load_signal(path, sample_rate, longest=MAX_SECONDS, piece=(0, 1)):
    """A sound file -> tensor [samples] at the wanted rate (Hz), or BadSound; of a piece (i, n), the i-th of n parts."""
    signal, rate = read_checked(path, SHORTEST, longest)
    if isinstance(signal, BadSound):
        return signal
    signal = torch.from_numpy(signal)
    if rate != sample_rate:
        from torchaudio.functional import resample

        signal = resample(signal, rate, sample_rate)
    i, n = piece
    return signal[i * len(signal) // n : (i + 1) * len(signal) // n]


def in_pieces(entries, seconds):
    """A manifest's utterances, those longer than ``seconds`` in parts of equal length; null: each whole."""
    pieces = {}
    for name, entry in entries.items():
        n = math.ceil(entry["length"] / seconds) if seconds else 1
        for i in range(n):
            part = {"length": entry["length"] / n, "piece": (i, n)}
            pieces[f"{name}#{i + 1}" if n > 1 else name] = {**entry, **part}
    return pieces


def build_dataset(
    annotation,
    data_root,
    tokens,
    sample_rate,
    sorting="original",
    smallest=None,
    longest=MAX_SECONDS,
    piece_seconds=None,
):
    """A manifest (JSON) -> DynamicItemDataset with noisy_sig, clean_sig, tokens, words, phones and id."""
    dataset = DynamicItemDataset(in_pieces(read_manifest(annotation, data_root), piece_seconds))
    for kind in ("noisy", "clean"):
        dataset.add_dynamic_item(
            lambda path, piece: load_signal(path, sample_rate, longest, piece),
            takes=[f"{kind}_wav", "piece"],
            provides=f"{kind}_sig",
        )
    dataset.add_dynamic_item(
        lambda text: torch.tensor(tokens.encode(text), dtype=torch.long),
        takes=tokens.field,
        provides="tokens",
    )
    dataset.set_output_keys(["id", "noisy_sig", "clean_sig", "tokens", "words", "phones"])
    if sorting not in ORDERS:
        raise RecipeError(f"sorting: {sorting!r} is not one of {', '.join(ORDERS)}.")
    if sorting in ("ascending", "descending"):
        dataset = dataset.filtered_sorted(
            sort_key="length", reverse=sorting == "descending", select_n=smallest
        )
    elif smallest:
        dataset = dataset.filtered_sorted(select_n=smallest)
    return dataset


def tell_resampling(datasets, sample_rate, looked_at=20):
    """One line in the log where sound files have another rate (Hz) than the run; some of each dataset are looked at."""
    entries = [entry for dataset in datasets for entry in list(dataset.data.values())[:looked_at]]
    rates = {
        rate_of(entry[key], sample_rate) for entry in entries for key in ("noisy_wav", "clean_wav")
    } - {sample_rate}
    if rates:
        others = ", ".join(str(rate) for rate in sorted(rates))
        logger.info(
            "Sound files at %s Hz are resampled to %d Hz each time they are read",
            others,
            sample_rate,
        )


def rate_of(path, unknown):
    """A sound file's rate (Hz); ``unknown`` where it cannot be read, which is told when it shall be heard."""
    try:
        return soundfile.info(path).samplerate
    except (soundfile.LibsndfileError, OSError):
        return unknown


def batches_by_duration(dataset, seconds, seed, buckets=30):
    """A sampler of batches that hold about as many seconds of sound each, in an order of their own each epoch."""
    return DynamicBatchSampler(
        dataset,
        max_batch_length=seconds,
        num_buckets=buckets,
        length_func=lambda item: item["length"],
        shuffle=True,
        batch_ordering="random",
        seed=seed,
    )
