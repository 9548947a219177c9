"""What a run knows besides parameters: it is kept in checkpoints, so that a resumed run computes
what an uninterrupted one does."""

import random
import time
from collections import Counter
from typing import Any

import numpy as np
import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks

from scoring.scores import gather
from training.ranks import means


@register_checkpoint_hooks
class RunState:
    """Balanced weights, seconds of training, and the statistics of the present pass."""

    def __init__(self):
        self.balance: dict[str, Any] = {}  # loss -> the weight that its gradient ratio gave last
        self.terms: dict[str, list[Any]] = {}  # name -> scalars, one a step
        self.counts: Counter = Counter()  # of events
        self.train_stats: dict[str, float] | None = None  # means of the epoch's training
        self._seconds, self._started, self._resumed = 0.0, None, False

    def begin(self, trains: bool) -> None:
        """Begin a pass with empty statistics, or with those of a checkpoint inside it."""
        if not self._resumed:
            self.terms, self.counts = {}, Counter()
        self._resumed, self._started = False, time.monotonic() if trains else None

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
        """Events of the present pass; utterances left out are those of all ranks."""
        left_out = sum(gather([self.counts["left_out"]]))
        return {name: n for name, n in {**self.counts, "left_out": left_out}.items() if n}

    def share_balance(self) -> None:
        """Give all ranks the mean of their balanced weights."""
        self.balance = means({name: [weight] for name, weight in self.balance.items()})

    def load_balance(self, checkpoint: Any) -> None:
        """The balance of a checkpoint, or None, whether or not this process has trained."""
        if checkpoint and "run_state" in checkpoint.paramfiles:
            self.load(checkpoint.paramfiles["run_state"], end_of_epoch=True)

    @mark_as_saver
    def save(self, path: str) -> None:
        """Plain values alone, so that loading needs no trust."""
        balance = {name: float(weight) for name, weight in self.balance.items()}
        terms = {name: [float(x) for x in values] for name, values in self.terms.items()}
        torch.save([balance, self.training_seconds, terms, dict(self.counts)], path)

    @mark_as_loader
    def load(self, path: str, end_of_epoch: bool) -> None:
        """Balance and seconds always; the rest only inside an epoch."""
        self.balance, self._seconds, terms, counts = torch.load(path, weights_only=True)
        if not end_of_epoch:
            self.terms, self.counts, self._resumed = terms, Counter(counts), True


def seed_generators(place: str) -> None:
    """Seed Python's, numpy's and torch's random numbers for a place in the run, in any words."""
    seed = random.Random(place).getrandbits(32)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
