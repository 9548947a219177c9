"""Datasets of a run: signals and targets from the manifests."""

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler

from corpus.audio import read
from errors import RecipeError

ORDERS = ("ascending", "descending", "random", "original")


def load_signal(path, sample_rate):
    """A sound file -> tensor [samples] at the wanted rate (Hz)."""
    signal, rate = read(path)
    signal = torch.from_numpy(signal)
    if rate != sample_rate:
        from torchaudio.functional import resample

        signal = resample(signal, rate, sample_rate)
    return signal


def build_dataset(annotation, data_root, tokens, sample_rate, sorting="original", smallest=None):
    """A manifest (JSON) -> DynamicItemDataset with noisy_sig, clean_sig, tokens, words, phones and id."""
    dataset = DynamicItemDataset.from_json(str(annotation), replacements={"data_root": str(data_root or "")})
    dataset.add_dynamic_item(lambda path: load_signal(path, sample_rate), takes="noisy_wav", provides="noisy_sig")
    dataset.add_dynamic_item(lambda path: load_signal(path, sample_rate), takes="clean_wav", provides="clean_sig")
    dataset.add_dynamic_item(
        lambda text: torch.tensor(tokens.encode(text), dtype=torch.long), takes=tokens.field, provides="tokens"
    )
    dataset.set_output_keys(["id", "noisy_sig", "clean_sig", "tokens", "words", "phones"])
    if sorting not in ORDERS:
        raise RecipeError(f"sorting: {sorting!r} is not one of {', '.join(ORDERS)}.")
    if sorting in ("ascending", "descending"):
        dataset = dataset.filtered_sorted(sort_key="length", reverse=sorting == "descending", select_n=smallest)
    elif smallest:
        dataset = dataset.filtered_sorted(select_n=smallest)
    return dataset


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
