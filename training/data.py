"""Datasets of a run: signals and targets of the manifests; utterances that cannot be used."""

import logging
import math
from collections.abc import Iterable
from functools import partial
from operator import itemgetter

import numpy as np
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch, PaddedData
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler, ReproducibleRandomSampler
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from corpus.audio import is_cut_short, read
from corpus.layout import SAMPLE_RATE
from corpus.resampling import resample
from errors import RecipeError, listed
from scoring.metrics import RATES
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
    """Loaders for training, validation and test, each with this rank's share of the batches."""
    h = hparams
    common = dict(tokens=tokens, data_root=h["data_folder"], max_seconds=h["max_seconds"])
    common["rates"] = RATES.keys() & {*h["valid_metrics"], *h["test_metrics"]}
    train_only = dict(sorting=h["sorting"], piece_seconds=h.get("piece_seconds"))
    train = build_dataset(h["train_annotation"], **train_only, **common)
    if h["batch_seconds"]:
        options = dict(num_buckets=30, length_func=itemgetter("length"), seed=h["seed"])
        options |= dict(shuffle=True, batch_ordering="random")
        batches = DynamicBatchSampler(train, h["batch_seconds"], **options)
    else:
        order = SequentialSampler(train)
        if h["sorting"] == "random":
            order = ReproducibleRandomSampler(train, seed=h["seed"])
        batches = BatchSampler(order, h["batch_size"], drop_last=False)
    pin = {"pin_memory": torch.device(device).type == "cuda"}
    workers = {"num_workers": h["num_workers"], "persistent_workers": h["num_workers"] > 0}
    options = dict(batch_sampler=deal(batches, even=True), **workers, **pin)
    training = make_dataloader(train, collate_fn=partial(collate, multiple=PAD_MULTIPLE), **options)
    h["checkpointer"].add_recoverable("dataloader-TRAIN", training)  # its place in the epoch
    others = []
    for name in ("valid", "test"):
        data = build_dataset(h[f"{name}_annotation"], sorting="ascending", **common)
        batches = BatchSampler(SequentialSampler(data), h["valid_batch_size"], drop_last=False)
        options = dict(batch_sampler=deal(batches, even=False), collate_fn=collate, **pin)
        others.append(DataLoader(data, **options))
    return training, *others


def build_dataset(
    annotation: str,
    tokens: Tokens | None,
    sorting: str = "original",
    piece_seconds: float | None = None,
    max_seconds: float = math.inf,
    data_root: str | None = None,
    rates: Iterable[str] = (),
) -> DynamicItemDataset:
    """A manifest -> items with id, noisy_sig and clean_sig (float32 [samples], 16 kHz), problem.

    With ``tokens`` also tokens, tokens_bos and tokens_eos (int64 [length]), words and phones. The
    manifest must hold the texts of the tokens, and of the error rates that are scored (``rates``).
    Everything in it can be pickled, for loader processes that are spawned.
    """
    texts = {"phones" if rate == "per" else "words" for rate in rates}
    texts = {tokens.field, *texts} if tokens is not None else ()
    entries = read_manifest(annotation, data_root, texts)
    dataset = DynamicItemDataset(in_pieces(entries, piece_seconds))
    takes, sounds = ["noisy_wav", "clean_wav", "piece"], ["noisy_sig", "clean_sig", "problem"]
    load = partial(load_pair, max_seconds=max_seconds)
    dataset.add_dynamic_item(load, takes=takes, provides=sounds)
    text = []
    if tokens is not None:
        names = ["tokens", "tokens_bos", "tokens_eos"]
        dataset.add_dynamic_item(partial(targets, tokens), takes=tokens.field, provides=names)
        text = [*names, "words", "phones"]
    dataset.set_output_keys(["id", *sounds, *text])
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


def load_pair(
    noisy_path: str, clean_path: str, piece: tuple[int, int], max_seconds: float
) -> tuple[torch.Tensor | None, torch.Tensor | None, str | None]:
    """Part i of n of two parallel files [samples], and why they cannot be used, or None.

    An exception would end a loader process.
    """
    try:
        noisy, clean = (load_signal(path, max_seconds) for path in (noisy_path, clean_path))
        if len(noisy) != len(clean):
            different = f"noisy has {len(noisy)} samples, clean {len(clean)}"
            raise RecipeError(f"{different}; they must be parallel")
    except RecipeError as problem:
        return None, None, str(problem)
    i, n = piece
    part = slice(i * len(noisy) // n, (i + 1) * len(noisy) // n)
    return noisy[part], clean[part], None


def load_signal(path: str, max_seconds: float = math.inf) -> torch.Tensor:
    """A sound file -> float32 [samples] at 16 kHz; RecipeError for one that is damaged."""
    try:
        info = soundfile.info(path)
        if is_cut_short(info):
            raise RecipeError("this is cut short: its header announces more than it holds")
        if not MIN_SECONDS <= info.duration <= max_seconds:
            accepted = f"accepted: {MIN_SECONDS:g} to {max_seconds:g}"
            raise RecipeError(f"this lasts {info.duration:.3f} s; {accepted}")
        signal = resample(*read(path), SAMPLE_RATE)
        if not np.isfinite(signal).all():
            raise RecipeError("this holds samples that are not finite numbers")
    except (soundfile.LibsndfileError, OSError) as problem:
        raise RecipeError(f"{path} cannot be read as sound: {problem}") from problem
    except RecipeError as problem:
        raise RecipeError(f"{path}: {problem}") from problem
    return torch.from_numpy(signal)


class NoUtterance:
    """A batch of which nothing is left."""

    id = ()

    def __len__(self):
        return 0

    def pin_memory(self):
        return self


def collate(items: list[dict], multiple: int = 1) -> PaddedBatch | NoUtterance:
    """Good items -> batch, sounds padded to a multiple of samples; ``problems`` of the others."""
    good = [item for item in items if item["problem"] is None]
    batch = PaddedBatch(good) if good else NoUtterance()
    for key in ("noisy_sig", "clean_sig") if good else ():
        sound, lens = getattr(batch, key)
        longer = torch.nn.functional.pad(sound, (0, -sound.shape[1] % multiple))
        setattr(batch, key, PaddedData(longer, lens * (sound.shape[1] / longer.shape[1])))
    batch.problems = [f"{item['id']}: {item['problem']}" for item in items if item["problem"]]
    return batch


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
