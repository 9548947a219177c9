"""Time whole epochs of a stage in two ways, in turn: the plain one, and what the recipe does.

    PYTHONPATH=. python benchmarks/step.py hparams/enhance_mimic.yaml --repeats=3 --utterances=64 [--key=value ...]

Plain: SpeechBrain's layers as they are, AdamW, 32 bit, 8 utterances a batch in ascending length, lengths as they come, nothing
remembered, scores one after the other in the main process. Both ways hear the same utterances for the same number of epochs.
Each run is a process of its own; the table gives medians in seconds, their ratios, the peak of the memory, the last
training loss, and the seconds of training after which validation is where the plain way's best epoch had it ("until"): ways that
differ in the size of a batch learn unlike much in an epoch. Only ends of epochs are looked at; inf: not reached.
``--utterances=0``: all of them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from speechbrain.nnet.RNN import AttentionalRNNDecoder

import train
from scoring.pool import as_functions
from scoring.quality import NotScored, cached_pesq
from training import report
from training.cost import peak_memory
from training.process import keep_kernels

PLAIN = [
    "--precision=fp32",
    "--batch_seconds=null",
    "--batch_size=8",
    "--valid_batch_size=8",
    "--sorting=ascending",
]
PLAIN += ["--muon_models=[]", "--memory_mb=0", "--pad_multiple=0.0001", "--keep_freed_memory=False"]
LEAN = [
    "--noprogressbar",
    "--figures=False",
    "--tensorboard=False",
    "--export=False",
    "--enhanced_folder=null",
]
NUMBERS = {"utterances": "of each set", "epochs": "of each run", "repeats": "runs of each way"}
MARK = "MEASURED "  # begins the line in which a process tells its figures


class SerialScores:
    """What a MetricPool does, at once and in this process."""

    def __init__(self, names):
        self.metrics, self.records = as_functions(names), []

    def submit(self, utt_id, predicted, target):
        """Score an utterance, [samples] each."""
        record = {"id": utt_id, "not_scored": {}}
        for name, metric in self.metrics.items():
            if (
                name == "csig"
            ):  # the first of the composite ones: one statistic beside the others, with a PESQ of its own
                cached_pesq.cache_clear()
            try:
                record[name] = metric(predicted, target)
            except NotScored as reason:
                record[name], record["not_scored"][name] = None, str(reason)
        self.records.append(record)

    def collect(self):
        """The records since the last call."""
        records, self.records = self.records, []
        return records

    def close(self):
        """Nothing to end."""


class Timed(train.MimicBrain):
    """Counts seconds from the start of each stage to its end, scores included."""

    spent, serial, last_losses, curve = defaultdict(float), False, [], []

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.serial:
            self.pools = {
                stage: SerialScores(self.quality_names(stage)) for stage in train.sb.Stage
            }

    def on_stage_start(self, stage, epoch=None):
        """Start the watch."""
        self.since = time.perf_counter()
        super().on_stage_start(stage, epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Stop it when the scores are there."""
        losses = {"loss": float(stage_loss), **report.means(self.state.terms)}
        super().on_stage_end(stage, stage_loss, epoch)
        self.spent[stage.name.lower()] += time.perf_counter() - self.since
        if stage == train.sb.Stage.TRAIN:
            self.last_losses.append(self.state.train_stats["loss"])
        if stage == train.sb.Stage.VALID:
            self.curve.append({**losses, "seconds": self.spent["train"]})


@contextmanager
def plain_layers():
    """SpeechBrain's layers as they are, in networks that are built meanwhile."""
    with ExitStack() as stack:
        for module in ("acoustic", "enhancer"):
            stack.enter_context(patch(f"models.{module}.without_copies", lambda network: network))
        stack.enter_context(patch("models.acoustic.Decoder", AttentionalRNNDecoder))
        yield


def run_stage(arguments, plain):
    """Exit code of a stage in this process."""
    if not plain:
        return train.main(arguments)
    keep_kernels(1024)  # oneDNN's own number
    with plain_layers():
        return train.main(arguments)


def measure(arguments, plain):
    """Run a stage in this process, and print what it took as a line of JSON."""
    Timed.serial = plain
    train.MimicBrain = Timed
    code = run_stage(arguments, plain)
    if code == 0:
        found = {
            **Timed.spent,
            **peak_memory(),
            "loss": Timed.last_losses[-1],
            "curve": Timed.curve,
        }
        print(MARK + json.dumps(found), flush=True)
    return code


def run_apart(arguments, plain, script=__file__):
    """The figures of a run in a process and folder of its own; ``script`` takes --plain or --here and prints a marked line."""
    with tempfile.TemporaryDirectory() as folder:
        way = ["--plain"] if plain else ["--here"]
        command = [sys.executable, script, *way, *arguments, f"--output_folder={folder}"]
        done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        sys.exit(f"A run failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return json.loads(lines[-1][len(MARK) :])


def merged(common, *more):
    """A command line in which the last value of an option counts: YAML takes each key once."""
    stage, *options = [option for part in (common, *more) for option in part]
    return [stage, *{option.split("=")[0]: option for option in options}.values()]


def read_options(arguments, description, **numbers):
    """Command line -> (options: the stage and these numbers, arguments common to both ways, overrides)."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", help="hparams/<stage>.yaml; --key=value overrides may follow")
    for name, default in numbers.items():
        parser.add_argument(
            f"--{name}", type=int, default=default, help=f"{NUMBERS[name]} (default: %(default)s)"
        )
    options, overrides = parser.parse_known_args(arguments)
    common = [options.stage, *LEAN, f"--debug_utterances={options.utterances or 'null'}"]
    common += [f"--number_of_epochs={options.epochs}"]
    return options, common, overrides


def with_until(plain, here):
    """Both ways' figures without their curves, with the seconds until the plain way's best epoch, for each loss of validation."""
    plain, here = dict(plain), dict(here)
    curves = [way.pop("curve") for way in (plain, here)]
    for name in curves[0][0].keys() - {"seconds"}:
        goal = min(epoch[name] for epoch in curves[0])
        for way, curve in zip((plain, here), curves):
            way[f"train until valid {name}"] = min(
                (e["seconds"] for e in curve if e[name] <= goal), default=float("inf")
            )
    return plain, here


def table(found):
    """Rows of the medians and their ratios, as Markdown."""
    rows = ["| | plain | here | ratio |", "|---|---|---|---|"]
    for key in found["plain"][0]:
        plain, here = (
            statistics.median(run[key] for run in found[way]) for way in ("plain", "here")
        )
        ratio = f"{plain / here:.2f}" if here else ""
        rows.append(f"| {key} | {plain:.3f} | {here:.3f} | {ratio} |")
    return "\n".join(rows)


def main(arguments):
    """Measure both ways in turn, so that what else the machine does meets both."""
    if arguments[:1] in (["--plain"], ["--here"]):
        return measure(arguments[1:], arguments[0] == "--plain")
    options, common, overrides = read_options(
        arguments, __doc__, utterances=64, epochs=2, repeats=3
    )
    found = {"plain": [], "here": []}
    for _ in range(options.repeats):
        runs = (
            run_apart(merged(common, overrides, PLAIN), True),
            run_apart(merged(common, overrides), False),
        )
        for way, figures in zip(found, with_until(*runs)):
            found[way].append(figures)
    print(
        f"{options.stage}, {options.utterances} utterances, {options.epochs} epochs, medians of {options.repeats} runs"
    )
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
