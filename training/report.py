"""What a run tells: the plan before training, statistics, sound files."""

import io
import logging
import re
from pathlib import Path

import ruamel.yaml
import torch

from corpus.audio import write_text

logger = logging.getLogger(__name__)

SCORED = {
    "test": "test",
    "valid": "averaged_valid",
}  # set that is scored at the end -> how its files begin


def means(terms):
    """Lists of scalars by name -> means by name, over what is finite."""
    stacked = {name: torch.stack(values).float() for name, values in terms.items()}
    return {name: values[values.isfinite()].mean().item() for name, values in stacked.items()}


def as_yaml(overrides):
    """A dict as YAML text, for SpeechBrain's copy of the settings."""
    stream = io.StringIO()
    ruamel.yaml.YAML().dump(overrides, stream)
    return stream.getvalue()


def quieten():
    """Keep SpeechBrain's lines of every epoch, and what libraries note while they work, away from the log."""
    for name in ("matplotlib", "filelock", "PIL", "h5py", "numba"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("utils.checkpoints", "dataio.sampler", "nnet.schedulers", "utils.quirks"):
        logging.getLogger(f"speechbrain.{name}").setLevel(logging.WARNING)


def log_plan(brain):
    """One line a module: how many parameters, trained or frozen; their sum; then losses."""
    counts = {
        name: sum(p.numel() for p in module.parameters()) for name, module in brain.modules.items()
    }
    for name, count in counts.items():
        frozen = brain.is_frozen(name, 1)
        later = (
            f", trains from epoch {brain.hparams.unfreeze_epoch}"
            if frozen and not brain.is_frozen(name, 10**9)
            else ""
        )
        logger.info(
            "%s: %.2f M parameters, %s%s",
            name,
            count / 1e6,
            "frozen" if frozen else "trained",
            later,
        )
    learned = sum(count for name, count in counts.items() if not brain.is_frozen(name, 1))
    logger.info(
        "Parameters that train: %.2f M of %.2f M", learned / 1e6, sum(counts.values()) / 1e6
    )
    for name, loss in brain.losses.items():
        ratio = (
            f"gradient {loss.gradient_ratio} x that of {loss.balance_against}"
            if loss.gradient_ratio
            else None
        )
        logger.info(
            "loss %s: %s",
            name,
            ratio or (f"weight {loss.weight}" if loss.weight else "reported only"),
        )


def write_stage(brain, stage, epoch, stats):
    """One line in ``train_log.txt`` and, for validation and test, the scores by utterance and in sum.

    Files are named ``valid_*`` after each validation, ``test_*`` and ``averaged_valid_*`` after the last scoring.
    """
    folder, name = Path(brain.hparams.output_folder), stage.name.lower()
    where = {"epoch": epoch, "lr": brain.lr} if epoch is not None else {"scored": brain.scored_set}
    train = brain.state.train_stats if epoch is not None else None
    brain.hparams.train_logger.log_stats(where, train_stats=train, **{f"{name}_stats": stats})
    if epoch is None:
        name = SCORED[brain.scored_set]
    brain.board.write(folder / f"{name}_utterances.jsonl")
    lines = [f"{key}: {value:.4f}" for key, value in stats.items()]
    intervals = brain.board.intervals()
    lines += [
        f"{key} 95% interval: {low:.3f} to {high:.3f}" for key, (low, high) in intervals.items()
    ]
    text = "\n".join(lines + brain.board.not_scored_lines()) + "\n\n" + brain.board.table()
    write_text(folder / f"{name}_stats.txt", text + "\n")


def forget_epochs_after(log, epoch):
    """Drop the lines of later epochs, and one cut short, from a log: a run that goes on writes them again."""
    log = Path(log)
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(
            log, "".join(line for line in lines if line.endswith("\n") and epoch_of(line) <= epoch)
        )


def epoch_of(line):
    """The epoch that a line of the log tells of; 0 for other lines."""
    found = re.match(r"epoch: (\d+),", line)
    return int(found[1]) if found else 0
