"""Where a stage's time goes, part by part, the plain way and here.

    PYTHONPATH=. python benchmarks/parts.py hparams/enhance_mimic.yaml --utterances=200 [--key=value ...]

Each way runs in a process of its own, and the last of its epochs (two) is counted: kernels are built in the first. The table gives
ms for each second of sound, since the two ways have batches of different sizes, and the share of the stage. ``plain`` is
that of ``benchmarks/step.py``.
"""

import json
import sys
import time
from collections import defaultdict
from contextlib import contextmanager

import torch

import train
from benchmarks.step import MARK, PLAIN, Timed, merged, read_options, run_apart, run_stage
from training.flow import Flow


class Watch:
    """Seconds by part; what a part calls counts for that and not for itself."""

    def __init__(self):
        self.spent, self.inner, self.prefix = defaultdict(float), [], None

    @contextmanager
    def part(self, name):
        """Time a part, as far as the watch runs."""
        if self.prefix is None:
            yield
            return
        self.inner.append(0.0)
        start = now()
        yield
        took = now() - start
        self.spent[f"{self.prefix}: {name}"] += took - self.inner.pop()
        if self.inner:
            self.inner[-1] += took


def now():
    """Seconds, with all that a GPU was given behind it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


WATCH = Watch()


class WatchedFlow(Flow):
    """Times the makers of predictions by their first prediction's name."""

    def __missing__(self, name):
        with WATCH.part(self.makers[name].makes[0]):
            return super().__missing__(name)


class Watched(Timed):
    """Times a training step's and a validation's parts in the last epoch."""

    sound = defaultdict(float)  # s

    def on_stage_start(self, stage, epoch=None):
        super().on_stage_start(stage, epoch)
        counted = epoch == self.hparams.number_of_epochs and stage != train.sb.Stage.TEST
        WATCH.prefix = stage.name.lower() if counted else None
        self.since = now()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        with WATCH.part("waiting for scores, reports, checkpoint"):
            super().on_stage_end(stage, stage_loss, epoch)
        if WATCH.prefix:
            known = sum(took for name, took in WATCH.spent.items() if name.startswith(WATCH.prefix))
            WATCH.spent[f"{WATCH.prefix}: data and the rest"] += now() - self.since - known
        WATCH.prefix = None

    def fit_batch(self, batch):
        with WATCH.part("backward pass"):  # what is left of a step
            return super().fit_batch(batch)

    def compute_forward(self, batch, stage):
        if WATCH.prefix:
            self.sound[stage.name.lower()] += (
                batch.noisy_sig.lengths.sum().item()
                * batch.noisy_sig.data.shape[1]
                / self.hparams.sample_rate
            )
        return super().compute_forward(batch, stage)

    def compute_objectives(self, predictions, batch, stage):
        with WATCH.part("losses"):
            return super().compute_objectives(predictions, batch, stage)

    def weighted(self, *args):
        with WATCH.part("losses: weights, judge's backward pass"):
            return super().weighted(*args)

    def optimizers_step(self):
        with WATCH.part("optimizer"):
            super().optimizers_step()

    def score(self, predictions, stage):
        with WATCH.part("scores"):
            super().score(predictions, stage)


def measure(arguments, plain):
    """Run a stage in this process; prints ms by part and second of sound as a line of JSON."""
    Watched.serial = plain
    train.MimicBrain, train.Flow = Watched, WatchedFlow
    code = run_stage(arguments, plain)
    if code == 0:
        per_second = {
            name: 1000 * took / Watched.sound[name.split(":")[0]]
            for name, took in WATCH.spent.items()
        }
        print(MARK + json.dumps(per_second), flush=True)
    return code


def table(plain, here):
    """Parts with ms for a second of sound and shares, stages apart, the largest first."""
    rows = ["| part | plain, ms | share | here, ms | share |", "|---|---|---|---|---|"]
    for stage in ("train", "valid"):
        names = {
            name
            for found in (plain, here)
            for name, took in found.items()
            if name.startswith(stage) and took >= 0.05
        }
        sums = [
            sum(took for name, took in found.items() if name.startswith(stage))
            for found in (plain, here)
        ]
        rows.append(
            f"| **{stage}** | **{sums[0]:.1f}** | | **{sums[1]:.1f}** | ({sums[0] / sums[1]:.2f} x) |"
        )
        for name in sorted(names, key=lambda name: -plain.get(name, 0.0)):
            cells = [
                f"{found.get(name, 0.0):.1f} | {100 * found.get(name, 0.0) / total:.0f} %"
                for found, total in zip((plain, here), sums)
            ]
            rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main(arguments):
    """Measure both ways, one after the other."""
    if arguments[:1] in (["--plain"], ["--here"]):
        return measure(arguments[1:], arguments[0] == "--plain")
    _, common, overrides = read_options(arguments, __doc__, utterances=200, epochs=2)
    plain = run_apart(merged(common, overrides, PLAIN), True, __file__)
    print(table(plain, run_apart(merged(common, overrides), False, __file__)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
