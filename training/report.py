"""What a run tells: the plan before training, its statistics, its cost."""

import json
import logging
import re
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from speechbrain import Stage

from corpus.audio import write
from corpus.files import write_text
from corpus.layout import SAMPLE_RATE
from scoring.metrics import METRICS
from training.needs import needs_of, reached_by_losses

logger = logging.getLogger(__name__)
# SpeechBrain's loggers complain of a missing torchvision when imported; nothing here uses it.
logging.getLogger("speechbrain.utils.train_logger").addFilter(lambda r: "torchvision" not in r.msg)


def quieten() -> None:
    """Keep what libraries note while they work away from the log."""
    for name in ("matplotlib", "filelock", "PIL", "h5py", "numba"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("utils.checkpoints", "dataio.sampler", "nnet.schedulers", "utils.quirks"):
        logging.getLogger(f"speechbrain.{name}").setLevel(logging.WARNING)


def log_plan(brain: Any) -> None:
    """The preset; a line a module: parameters, and when it trains; a line a loss."""
    logger.info("Preset in force: %s", brain.hparams.preset)
    h, epochs = vars(brain.hparams), range(1, brain.hparams.number_of_epochs + 1)
    for name, module in brain.modules.items():
        count = sum(p.numel() for p in module.parameters()) / 1e6
        free = [epoch for epoch in epochs if not brain.freezing.is_frozen(name, epoch)]
        trains = [epoch for epoch in free if name in reached_by_losses(h, epoch)]
        when = "not trained by any loss" if free else "frozen"
        when = f"trained in epochs {trains[0]} to {trains[-1]}" if trains else when
        logger.info("%s: %.2f M parameters, %s", name, count, when)
    for name, loss in brain.losses.items():
        how = f"weight {loss.weight}"
        if loss.gradient_ratio:
            how = f"gradient {loss.gradient_ratio} x that of {loss.balance_against}"
        trains = any(loss.trains(epoch) for epoch in epochs)
        logger.info("loss %s: %s", name, how if trains else "reported only")


def forget_epochs_after(log: str | Path, epoch: int) -> None:
    """Drop the lines of later epochs, and a torn one: a resumed run writes them again."""
    log = Path(log)
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and epoch_of(line) <= epoch]
        write_text(log, "".join(kept))


def epoch_of(line: str) -> int:
    """The epoch that a line of the log tells of; 0 for other lines."""
    found = re.match(r"epoch: (\d+),", line)
    return int(found[1]) if found else 0


def write_stage(brain: Any, stage: Stage, epoch: int | None, stats: dict[str, float]) -> None:
    """A line in ``train_log.txt``; scores by utterance and in sum, ``valid_*`` or ``test_*``."""
    name = stage.name.lower()
    where = {"scored": "test"} if epoch is None else {"epoch": epoch, "lr": brain.lr}
    train_stats = None if epoch is None else brain.state.train_stats
    logs = {"train_stats": train_stats, f"{name}_stats": stats}
    brain.hparams.train_logger.log_stats(where, **logs)
    losses = {key: value for key, value in stats.items() if key not in METRICS}
    brain.scores.write(brain.hparams.output_folder, name, losses)


def save_sounds(
    folder: str | Path, ids: list[str], signals: torch.Tensor, lens: torch.Tensor
) -> None:
    """Write signals [batch, samples] to ``<folder>/<id>.wav``, each without its padding."""
    counts = (lens * signals.shape[1]).round().int().tolist()
    for utt_id, signal, count in zip(ids, signals.float().cpu(), counts, strict=True):
        file = Path(folder) / f"{utt_id}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, signal[:count].numpy(), SAMPLE_RATE)


def write_cost(brain: Any) -> None:
    """Leave ``cost.json``: seconds of training, peak memory (GB), each module's parameters, and
    whether it is used after training, as a perceptual model is not."""
    h = vars(brain.hparams)
    used = needs_of(h, h["test_metrics"], losses=False).modules()
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes on macOS, else KiB
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    cost = {
        "training_seconds": round(brain.state.training_seconds, 2),
        "peak_memory_gb": round(host / 1e9, 3),
        "peak_gpu_memory_gb": round(gpu / 1e9, 3),
        "modules": {
            name: {"parameters": sum(p.numel() for p in module.parameters()), "used": name in used}
            for name, module in brain.modules.items()
        },
    }
    write_text(Path(brain.hparams.output_folder) / "cost.json", json.dumps(cost, indent=1) + "\n")
