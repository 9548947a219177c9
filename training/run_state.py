"""What a run knows besides parameters: it is kept in checkpoints, so that a resumed run computes
what an uninterrupted one does."""

import random
import time
from collections import Counter
from typing import Any

import numpy as np
import torch
from speechbrain.utils.checkpoints import (
    Checkpoint,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from training.ranks import gather, means


@register_checkpoint_hooks
class RunState:
    """Balanced weights, seconds of training, and inside an epoch its statistics and random numbers.

    Attributes
    ----------
    balance : dict
        Loss -> the weight that its gradient ratio gave it last.
    terms : dict
        Name -> list of scalars, one a step of the present stage.
    counts : Counter
        Events of the present stage.
    train_stats : dict or None
        Means of the epoch's training.
    """

    def __init__(self):
        self.balance: dict[str, Any] = {}
        self.train_stats: dict[str, float] | None = None
        self.terms: dict[str, list[torch.Tensor]] = {}
        self.counts: Counter = Counter()
        self._seconds, self._started = 0.0, None
        self._resumed, self._generators = None, None

    def begin(self, trains: bool, device: str) -> None:
        """Begin a stage with empty statistics, or with those of a checkpoint inside it."""
        if self._resumed is None:
            self._generators = None  # of a checkpoint after the epoch's last batch
        resumed, self._resumed = self._resumed or {"terms": {}, "counts": {}}, None
        self.terms = {name: list(v.to(device).unbind()) for name, v in resumed["terms"].items()}
        self.counts = Counter(resumed["counts"])
        self._started = time.monotonic() if trains else None

    def end_training(self, stats: dict[str, float]) -> None:
        """Stop the clock of an epoch's training; keep its means for the log."""
        self._seconds, self._started = self.training_seconds, None
        self.train_stats = stats

    @property
    def training_seconds(self) -> float:
        """Seconds of training so far, without validation and scoring."""
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self._seconds + running

    def add_term(self, name: str, value: torch.Tensor) -> None:
        """Keep a step's scalar for the statistics."""
        self.terms.setdefault(name, []).append(value.detach())

    def balance_by(self, name: str, weight: torch.Tensor) -> None:
        """Keep the weight of a balanced loss, unless the step went wrong."""
        last = torch.as_tensor(self.balance.get(name, 0.0), device=weight.device)
        self.balance[name] = torch.where(weight.isfinite(), weight.detach(), last)
        self.add_term(f"{name}_weight", weight)

    def count_step(self, norm: torch.Tensor, allowed: bool, longest: float) -> None:
        """Count a step of the optimizer by what became of it."""
        self.add_term("gradient_norm", norm)
        self.counts["skipped_steps"] += int(not allowed)
        self.counts["clipped_steps"] += int(allowed and float(norm) > longest)

    def counted(self) -> dict[str, int]:
        """Events of the present stage; utterances left out are those of all ranks."""
        left_out = sum(part["left_out"] for part in gather(self.counts))
        counts = {**self.counts, "left_out": left_out}
        return {name: count for name, count in counts.items() if count}

    def share_balance(self) -> None:
        """Give all ranks the mean of their balanced weights."""
        self.balance = means({name: [torch.as_tensor(w)] for name, w in self.balance.items()})

    def load_balance(self, checkpoint: Checkpoint | None) -> None:
        """The balance of a checkpoint, whether or not this process has trained."""
        if checkpoint is not None and "run_state" in checkpoint.paramfiles:
            self.load(checkpoint.paramfiles["run_state"], end_of_epoch=True)

    def restore_generators(self) -> None:
        """Go on with the random numbers of a checkpoint inside an epoch, at its next batch."""
        if self._generators is not None:
            set_generators(self._generators)
            self._generators = None

    @mark_as_saver
    def save(self, path: str) -> None:
        """Tensors and plain values alone, so that loading needs no trust."""
        state = {
            "balance": {name: float(weight) for name, weight in self.balance.items()},
            "terms": {n: torch.stack(v).float().cpu() for n, v in self.terms.items() if v},
            "counts": dict(self.counts),
            "seconds": self.training_seconds,
            "generators": generators(),
        }
        torch.save(state, path)

    @mark_as_loader
    def load(self, path: str, end_of_epoch: bool) -> None:
        """Balance and seconds always; the rest only inside an epoch."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.balance, self._seconds = state["balance"], state["seconds"]
        if not end_of_epoch:
            self._resumed, self._generators = state, state["generators"]


def seed_generators(seed: int) -> None:
    """Seed Python's, numpy's and torch's random numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def generators() -> dict[str, Any]:
    """The states of all random generators of this process, as plain values and tensors."""
    name, keys, *rest = np.random.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def set_generators(states: dict[str, Any]) -> None:
    """Put states of ``generators`` back."""
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
