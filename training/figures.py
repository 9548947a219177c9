"""What a run shows: spectrograms of some utterances, a summary, a TensorBoard log."""

import json
import logging
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from speechbrain.utils.distributed import if_main_process
from torch import Tensor, distributed
from torch.utils.tensorboard import SummaryWriter

from corpus.files import read_text, whole
from corpus.layout import SAMPLE_RATE
from models.features import stft
from scoring.metrics import METRICS
from scoring.scoreboard import GROUPS, Scoreboard, intervals
from training.report import epoch_of

logger = logging.getLogger(__name__)
UTTERANCES = 3  # shown of each validation
RANGE = 70.0  # dB shown below the loudest point
GAINS = 30.0  # dB of gain shown below 0
FIRST = ("pesq", "wer", "per", "estoi")  # metrics shown before others
# Okabe and Ito, "Color Universal Design" (2008): told apart by colour-blind people.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]


class Figures:
    """Collects utterances at each validation and shows them with the statistics.

    The main process alone writes ``figures/`` and ``tensorboard/`` in the run's folder.
    """

    def __init__(self, folder: str | Path, tensorboard: bool, figures: bool):
        main, self.folder = if_main_process(), Path(folder)
        self.log = SummaryWriter(self.folder / "tensorboard") if tensorboard and main else None
        self.figures, self.chosen, self.seen = figures and main, set(), {}

    def choose(self, ids: Iterable[str]) -> None:
        """Pick the utterances to show: evenly spread, the same in every run."""
        ordered = sorted(ids)
        self.chosen = set(ordered[:: max(1, len(ordered) // UTTERANCES)][:UTTERANCES])
        if distributed.is_available() and distributed.is_initialized():
            self.chosen = set(ordered)  # the main process has some of them: its first ones

    def look(self, ids, noisy_wav: Tensor, clean_wav: Tensor, signal: Tensor, lens: Tensor) -> None:
        """Keep the chosen ones of a batch [batch, samples] with relative lengths [batch]."""
        counts = (lens * clean_wav.shape[1]).round().int().tolist()
        for index, (utt_id, count) in enumerate(zip(ids, counts, strict=True)):
            if utt_id in self.chosen and len(self.seen) < UTTERANCES and (self.figures or self.log):
                waves = {"noisy": noisy_wav, "enhanced": signal, "clean": clean_wav}
                cut = {name: wav[index, :count].detach() for name, wav in waves.items()}
                self.seen[utt_id] = {name: wav.float().cpu() for name, wav in cut.items()}

    def report_epoch(self, epoch: int, lr: float, train_stats: dict, valid_stats: dict) -> None:
        """Statistics, sounds and spectrograms of a finished epoch."""
        drawn = spectrograms(self.seen, epoch) if self.seen else None
        if self.figures and drawn:
            self.save(drawn, "spectrograms.png")
        if self.log:
            scalars = {f"{name}/train": x for name, x in train_stats.items() if name != "lr"}
            scalars |= {f"{name}/valid": x for name, x in valid_stats.items()}
            for tag, value in {"lr": lr, **scalars}.items():
                self.log.add_scalar(tag, value, epoch)
            for utt_id, waves in self.seen.items():
                for name, wav in waves.items():
                    self.log.add_audio(f"{utt_id}/{name}", wav[None], epoch, SAMPLE_RATE)
            if drawn:
                self.log.add_figure("spectrograms", drawn, epoch)
            self.log.flush()
        self.seen = {}

    def finish(self) -> None:
        """Draw the summary out of the run's log and test scores; close the TensorBoard log."""
        drawn = summary(self.folder) if self.figures else None
        if drawn:
            logger.info("Summary of the stage: %s", self.save(drawn, "summary.png"))
        if self.log:
            self.log.close()

    def save(self, drawn: Figure, name: str) -> Path:
        """Write a figure into the run's folder; returns its path."""
        path = self.folder / "figures" / name
        with whole(path) as aside:
            drawn.savefig(aside, format="png")
        return path


def spectrograms(shown: dict[str, dict], epoch: int) -> Figure:
    """Utterance -> (name -> wave [samples]) as a column of panels each, with one scale in dB.

    Below them what the enhancer kept: the level of the enhanced signal less that of the noisy one.
    """
    drawn = Figure(figsize=(1 + 2.6 * len(shown), 7), layout="constrained", dpi=100)
    levels = {u: {n: decibels(wav) for n, wav in waves.items()} for u, waves in shown.items()}
    top = max(float(level.max()) for each in levels.values() for level in each.values())
    axes = drawn.subplots(4, len(shown), sharex="col", sharey=True, squeeze=False)
    for column, (utt_id, each) in zip(axes.T, sorted(levels.items()), strict=True):
        each["gain"] = each["enhanced"] - each["noisy"]
        for panel, (name, level) in zip(column, each.items(), strict=True):
            low, high = (-GAINS, 0) if name == "gain" else (top - RANGE, top)
            look = {"vmin": low, "vmax": high, "cmap": "cividis", "origin": "lower"}
            extent = (0, len(shown[utt_id]["noisy"]) / SAMPLE_RATE, 0, SAMPLE_RATE / 2000)
            panel.imshow(level, aspect="auto", extent=extent, **look)
            panel.set_title(f"{utt_id}, {name}", fontsize=9, loc="left")
        column[-1].set_xlabel("time (s)")
    drawn.supylabel("frequency (kHz)")
    drawn.colorbar(axes[0, -1].images[0], ax=axes[:3], label="level (dB)", aspect=40, pad=0.01)
    drawn.colorbar(axes[3, -1].images[0], ax=axes[3], label="gain (dB)", pad=0.01)
    drawn.suptitle(f"validation, epoch {epoch}", fontsize=11)
    return drawn


def decibels(wav: Tensor) -> np.ndarray:
    """[samples] -> level [freq, time] in dB."""
    return 20 * stft(wav.nan_to_num(), hop=128).mT.abs().clamp(min=1e-7).log10().numpy()


def summary(folder: Path) -> Figure | None:
    """Losses and metrics by epoch, test scores by SNR and noise; None where there is nothing."""
    curves, scored = curves_of(folder / "train_log.txt"), folder / "test_utterances.jsonl"
    lines = read_text(scored).splitlines() if scored.is_file() else []
    board = Scoreboard(map(json.loads, lines))
    losses = [n for n in curves["valid"] if n in curves["train"] and n not in METRICS]
    shown = [losses] * bool(losses) + [[name] for name in first_of(curves["valid"])]
    panels = [partial(draw_curves, curves, names) for names in shown]
    for fact in GROUPS:
        groups = board.by(fact)
        if len(groups) > 1:
            panels += [partial(draw_groups, groups, fact, n) for n in first_of(board.summary())]
    if not panels:
        return None
    rows = 1 if len(panels) < 4 else 2  # of up to three
    columns = -(-len(panels[:6]) // rows)
    drawn = Figure(figsize=(4.2 * columns, 3.4 * rows + 0.4), layout="constrained", dpi=100)
    for index, draw in enumerate(panels[:6], start=1):
        axes = drawn.add_subplot(rows, columns, index)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, alpha=0.3)
        draw(axes)
        axes.title.set_fontsize(10)
    drawn.suptitle(str(folder), fontsize=11)
    return drawn


def curves_of(log: Path) -> dict[str, dict[str, dict[int, float]]]:
    """SpeechBrain's text log -> set -> name -> epoch -> value; the last line of an epoch counts."""
    curves = {"train": {}, "valid": {}}
    for line in read_text(log).splitlines() if log.is_file() else []:
        for part, name, value in re.findall(r"(train|valid) (\w+): ([^,\s]+)", line):
            curves[part].setdefault(name, {})[epoch_of(line)] = float(value)
    return curves


def first_of(names: Iterable[str]) -> list[str]:
    """The two metrics among names that the six panels of the summary have room for."""
    return [name for name in dict.fromkeys([*FIRST, *METRICS]) if name in names][:2]


def draw_curves(curves: dict, names: list[str], axes: Axes) -> None:
    """Losses, or one metric of the validation, over the epochs."""
    for name, colour in zip(names, COLOURS, strict=False):
        for part, style in (("train", "o-"), ("valid", "s--")):
            if points := sorted(curves[part].get(name, {}).items()):
                label = ("total" if name == "loss" else name) if part == "train" else None
                axes.plot(*zip(*points, strict=True), style, color=colour, label=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if metric := METRICS.get(names[0]):
        axes.set(xlabel="epoch", ylabel=metric.title, title=f"validation, {metric.label}")
        return
    lowest = min(min(line.get_ydata()) for line in axes.lines)
    title = "losses (solid: training, dashed: validation)"
    scale = "log" if lowest > 0 else "linear"
    axes.set(xlabel="epoch", ylabel="loss (no unit)", yscale=scale, title=title)
    axes.legend(fontsize=8, frameon=False)


def draw_groups(groups: dict, fact: str, name: str, axes: Axes) -> None:
    """A metric of the test with its 95 % intervals, by the values of a fact."""
    means = {v: board.summary()[name] for v, board in groups.items() if board.columns().get(name)}
    for value, mean in means.items():
        low, high = intervals(groups[value].columns())[name]
        bars = [[mean - low], [high - mean]]
        axes.errorbar([value], [mean], yerr=bars, fmt="o", capsize=3, color=COLOURS[1])
    title = f"test, {METRICS[name].label} by {fact.replace('snr', 'SNR')} with 95 % intervals"
    axes.set(xlabel=GROUPS[fact], ylabel=METRICS[name].title, title=title, xticks=list(means))
    axes.tick_params(axis="x", rotation=45 if fact == "noise" else 0)
