"""What a run costs: seconds of training, memory, parameters."""

import json
import sys
import time
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks

from scoring.scoreboard import replace

try:
    import resource
except ImportError:  # Windows: no peak of the host's memory there
    resource = None


@register_checkpoint_hooks
class Stopwatch:
    """Seconds of the training passes, without validation and scoring; kept in checkpoints, so a resumed run counts on."""

    def __init__(self):
        self.seconds, self.started = 0.0, None

    def start(self):
        """Begin a pass."""
        self.started = time.monotonic()

    def stop(self):
        """End a pass."""
        self.seconds += time.monotonic() - self.started
        self.started = None

    @mark_as_saver
    def save(self, path):
        """Into a checkpoint."""
        Path(path).write_text(json.dumps(self.seconds), encoding="utf-8")

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Out of a checkpoint."""
        self.seconds = json.loads(Path(path).read_text(encoding="utf-8"))


def peak_memory():
    """Most memory that this process has held so far (GB), that of the GPU apart; scoring processes do not count."""
    unit = (
        1 if sys.platform == "darwin" else 1024
    )  # ru_maxrss is in bytes on macOS, in KiB on Linux
    host = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
        if resource
        else float("nan")
    )
    gpu = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
    return {"peak_memory_gb": round(host, 3), "peak_gpu_memory_gb": round(gpu, 3)}


def write_cost(brain, used):
    """Leave ``cost.json`` in the output folder: training_seconds, memory, and each module's parameters.

    ``used``: names of the modules that still work after training, as a judge does not.
    """
    modules = {
        name: {"parameters": sum(p.numel() for p in module.parameters()), "used": name in used}
        for name, module in brain.modules.items()
    }
    cost = {
        "training_seconds": round(brain.stopwatch.seconds, 2),
        **peak_memory(),
        "modules": modules,
    }
    replace(Path(brain.hparams.output_folder) / "cost.json", json.dumps(cost, indent=1) + "\n")
