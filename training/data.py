"""Datasets of a run: signals and targets of the manifests; utterances that cannot be used."""

import logging
import math
from functools import partial
from operator import itemgetter

import numpy as np
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch, PaddedData
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler
from torch.utils.data import DataLoader

from corpus.audio import is_cut_short, read
from corpus.layout import SAMPLE_RATE
from corpus.resampling import resample
from errors import RecipeError, listed
from training.manifest import read_manifest
from training.ranks import deal
from training.tokens import Tokens, targets

logger = logging.getLogger(__name__)

ORDERS = ("ascending", "descending", "random", "original")
ACTIONS = ("error", "skip")
MIN_SECONDS = 0.1  # shorter speech has no frame after the perceptual model's poolings
PAD_MULTIPLE = 1600  # samples; few different shapes, since on a CPU each new one costs time


def make_loaders(
    hparams: dict, tokens: Tokens | None, device: str
) -> tuple[DataLoader, DataLoader, DataLoader]:
    """Loaders for training, validation and test, each with this rank's share of the batches.

    The training's place in its epoch is kept in checkpoints. Without ``tokens`` the manifests need
    no text.
    """
    common = dict(data_root=hparams["data_folder"], max_seconds=hparams["max_seconds"])
    train_only = dict(sorting=hparams["sorting"], piece_seconds=hparams.get("piece_seconds"))
    train = build_dataset(hparams["train_annotation"], tokens, **train_only, **common)
    valid = build_dataset(hparams["valid_annotation"], tokens, "ascending", **common)
    test = build_dataset(hparams["test_annotation"], tokens, "ascending", **common)

    pin = {"pin_memory": torch.device(device).type == "cuda"}
    options = {"collate_fn": partial(collate, multiple=PAD_MULTIPLE), **pin}
    if hparams["batch_seconds"]:
        buckets = dict(num_buckets=30, length_func=itemgetter("length"), seed=hparams["seed"])
        options["batch_sampler"] = DynamicBatchSampler(
            train, hparams["batch_seconds"], shuffle=True, batch_ordering="random", **buckets
        )
    else:
        shuffle = hparams["sorting"] == "random"
        options |= {"batch_size": hparams["batch_size"], "shuffle": shuffle}
    options["num_workers"] = hparams["num_workers"]
    if hparams["num_workers"]:
        # A generator of its own: a resumed run draws from torch's what an undisturbed one draws.
        options |= {"persistent_workers": True, "generator": torch.Generator()}
    training = make_dataloader(train, **deal(train, options, even=True))
    hparams["checkpointer"].add_recoverable("dataloader-TRAIN", training)
    options = {"batch_size": hparams["valid_batch_size"], "collate_fn": collate, **pin}
    others = [DataLoader(data, **deal(data, options, even=False)) for data in (valid, test)]
    return training, *others


def build_dataset(
    annotation: str,
    tokens: Tokens | None,
    sorting: str = "original",
    piece_seconds: float | None = None,
    max_seconds: float = math.inf,
    data_root: str | None = None,
) -> DynamicItemDataset:
    """A manifest -> items with id, noisy_sig and clean_sig (float32 [samples], 16 kHz).

    With ``tokens`` also tokens, tokens_bos and tokens_eos (int64 [length]), words and phones.
    Everything in it can be pickled, for loader processes that are spawned.
    """
    if sorting not in ORDERS:
        raise RecipeError(f"sorting: {sorting!r} is not one of {', '.join(ORDERS)}.")
    entries = read_manifest(annotation, data_root, needs_text=tokens is not None)
    dataset = DynamicItemDataset(in_pieces(entries, piece_seconds))
    load = partial(load_signal, max_seconds=max_seconds)
    dataset.add_dynamic_item(load, takes=["noisy_wav", "piece"], provides="noisy_sig")
    dataset.add_dynamic_item(load, takes=["clean_wav", "piece"], provides="clean_sig")
    text = []
    if tokens is not None:
        names = ["tokens", "tokens_bos", "tokens_eos"]
        dataset.add_dynamic_item(partial(targets, tokens), takes=tokens.field, provides=names)
        text = [*names, "words", "phones"]
    dataset.set_output_keys(["id", "noisy_sig", "clean_sig", *text])
    if sorting in ("ascending", "descending"):
        dataset = dataset.filtered_sorted(sort_key="length", reverse=sorting == "descending")
    return dataset


def in_pieces(entries: dict[str, dict], seconds: float | None) -> dict[str, dict]:
    """Utterances longer than ``seconds`` in parts of equal length: part i of n, piece = (i, n)."""
    pieces = {}
    for name, entry in entries.items():
        n = math.ceil(entry["length"] / seconds) if seconds else 1
        for i in range(n):
            part = {"length": entry["length"] / n, "piece": (i, n)}
            pieces[f"{name}#{i + 1}" if n > 1 else name] = {**entry, **part}
    return pieces


class BadSound(str):
    """In place of a file's samples: why there are none. An exception would end a loader process."""


def load_signal(
    path: str, piece: tuple[int, int] = (0, 1), max_seconds: float = math.inf
) -> torch.Tensor | BadSound:
    """Part i of n of a sound file -> float32 [samples] at 16 kHz."""
    try:
        info = soundfile.info(path)
        if is_cut_short(info):
            return BadSound(f"{path} is cut short: its header announces more than it holds")
        if not MIN_SECONDS <= info.duration <= max_seconds:
            accepted = f"accepted: {MIN_SECONDS:g} to {max_seconds:g}"
            return BadSound(f"{path} lasts {info.duration:.3f} s; {accepted}")
        signal = resample(*read(path), SAMPLE_RATE)
    except (soundfile.LibsndfileError, OSError) as problem:
        return BadSound(f"{path} cannot be read as sound: {problem}")
    except RecipeError as problem:
        return BadSound(f"{path}: {problem}")
    if not np.isfinite(signal).all():
        return BadSound(f"{path} holds samples that are not finite numbers")
    i, n = piece
    return torch.from_numpy(signal[i * len(signal) // n : (i + 1) * len(signal) // n])


class NoUtterance:
    """A batch of which nothing is left."""

    id = ()

    def __len__(self):
        return 0

    def pin_memory(self):
        return self


def collate(items: list[dict], multiple: int = 1) -> PaddedBatch | NoUtterance:
    """Good items -> batch, sounds padded to a multiple of samples; ``problems`` of the others."""
    found = [problem_of(item) for item in items]
    good = [item for item, problem in zip(items, found, strict=True) if problem is None]
    batch = PaddedBatch(good) if good else NoUtterance()
    for key in ("noisy_sig", "clean_sig") if good else ():
        sound, lens = getattr(batch, key)
        longer = torch.nn.functional.pad(sound, (0, -sound.shape[1] % multiple))
        setattr(batch, key, PaddedData(longer, lens * (sound.shape[1] / longer.shape[1])))
    batch.problems = [problem for problem in found if problem]
    return batch


def problem_of(item: dict) -> str | None:
    """Why an utterance cannot be used, or None."""
    for sound in (item["noisy_sig"], item["clean_sig"]):
        if isinstance(sound, BadSound):
            return f"{item['id']}: {sound}"
    noisy, clean = len(item["noisy_sig"]), len(item["clean_sig"])
    if noisy != clean:
        return f"{item['id']}: noisy has {noisy} samples, clean {clean}; they must be parallel"
    return None


class BadUtterances:
    """What to do about them: ``error`` stops the run, ``skip`` leaves them out and counts."""

    def __init__(self, action: str):
        self.action, self.told = action, set()

    def meet(self, problems: list[str], may_be_empty: bool = True) -> int:
        """RecipeError, or each problem logged once; returns their number."""
        if problems and (self.action == "error" or not may_be_empty):
            raise RecipeError(
                f"{len(problems)} utterance(s) of a batch cannot be used:\n{listed(problems)}\n"
                "Mend or remove them, or leave such ones out with --on_bad_utterance=skip "
                "(several processes: a batch of nothing else stops all the same)."
            )
        for problem in problems:
            if problem not in self.told:
                logger.warning("Left out: %s", problem)
        self.told.update(problems)
        return len(problems)
