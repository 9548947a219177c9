"""What a run knows besides parameters, kept in its checkpoints so that a resumed run computes what an uninterrupted one does."""

import os
import random
from collections import Counter

import numpy as np
import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks


@register_checkpoint_hooks
class RunState:
    """Weights of balanced losses, and for checkpoints inside an epoch its random numbers and statistics so far.

    Attributes
    ----------
    balance : dict
        Loss -> the weight that balancing gave it last; validation and test report with it.
    terms : dict
        Name -> list of scalars, one a step of the present stage.
    counts : Counter
        Events of the present stage.
    train_stats : dict or None
        Statistics of the epoch's training once that is over, while its validation is not.
    """

    def __init__(self):
        self.balance, self.train_stats = {}, None
        self.terms, self.counts = {}, Counter()
        self._resumed, self._generators = None, None

    def begin(self, device):
        """Begin a stage with empty statistics, or with those of a checkpoint inside it."""
        if self._resumed is None:
            self._generators = (
                None  # of a checkpoint after the epoch's last batch: nobody asked for them
            )
        resumed, self._resumed = self._resumed or {"terms": {}, "counts": {}}, None
        self.terms = {
            name: list(values.to(device).unbind()) for name, values in resumed["terms"].items()
        }
        self.counts = Counter(resumed["counts"])

    def drop_statistics(self):
        """Forget those of the present stage: an interrupted validation is done anew."""
        self.terms, self.counts = {}, Counter()

    def restore_generators(self):
        """Go on with the random numbers of a checkpoint inside an epoch; call it when its next batch is at hand."""
        if self._generators is not None:
            set_generators(self._generators)
            self._generators = None

    @mark_as_saver
    def save(self, path):
        """Tensors and plain values alone, so that loading needs no trust."""
        terms = {
            name: torch.stack(values).float().cpu() for name, values in self.terms.items() if values
        }
        balance = {name: float(weight) for name, weight in self.balance.items()}
        state = {
            "balance": balance,
            "terms": terms,
            "counts": dict(self.counts),
            "train_stats": self.train_stats,
        }
        torch.save({**state, "generators": generators()}, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """The balance always; the rest only inside an epoch."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.balance = state["balance"]
        if not end_of_epoch:
            self._resumed, self._generators, self.train_stats = (
                state,
                state["generators"],
                state["train_stats"],
            )

    def load_balance(self, checkpoint):
        """The balance of a checkpoint, if there is one: test figures do not depend on who trained in this process."""
        if checkpoint is not None and "run_state" in checkpoint.paramfiles:
            self.load(checkpoint.paramfiles["run_state"], end_of_epoch=True)


def seed_generators(seed):
    """Seed Python's, numpy's and torch's random numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def be_deterministic():
    """Let torch choose algorithms that give the same sums each time, on a GPU too; what has none warns, by name.

    Call it before anything is computed on a GPU: cuBLAS reads its variable once.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def generators():
    """The states of all random generators of this process, as plain values and tensors."""
    name, keys, *rest = np.random.get_state()
    numpy_state = [name, keys.tolist(), *rest]
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(),
        "numpy": numpy_state,
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def set_generators(states):
    """Put states of ``generators`` back."""
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
