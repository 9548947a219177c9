"""Kill tiny runs of the stages at random moments, repeat the same commands, compare with runs that nobody killed.

    PYTHONPATH=. python benchmarks/kill_campaign.py --kills 24

Each trial is one stage. Its process gets SIGKILL some times (at a random moment of the run, of the synthesis of the
corpus, or while a checkpoint is being written), the same command is given again each time, and at last it is left alone.
Logs, figures by utterance and parameters must then be those of the undisturbed run, to the last digit.
"""

import argparse
import importlib
import itertools
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("pretrain_perceptual", "enhance_mimic", "robust_asr")
EPOCHS = 3
TINY = [
    "--mini_sizes={n_train: 12, n_valid: 4, n_test: 4}", f"--number_of_epochs={EPOCHS}", "--precision=fp32", "--noprogressbar",
    "--batch_seconds=10", "--ckpt_interval_steps=2", "--figures=False", "--tensorboard=False",
]  # fmt: skip
KILLS_A_TRIAL = 3
FORK = "train"  # module that is imported once, in this process, for --fork
LIMIT = 600  # s a run may take


def start(folder, stage):
    """Start a stage in a folder of its own."""
    for name in ("hparams", "models"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    arguments = [f"hparams/{stage}.yaml", *TINY]
    with open(folder / "output.txt", "a") as output:
        if (
            __name__ == "__main__" and FORK in sys.modules
        ):  # never out of a process that has computed
            return Forked(folder, arguments, output)
        command = [sys.executable, str(ROOT / "train.py"), *arguments]
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)


class Forked:
    """A process that begins where this one is: everything imported, nothing computed. As ``subprocess.Popen``."""

    def __init__(self, folder, arguments, output):
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=self._run, args=(folder, arguments, output))
        self._process.start()
        self.kill = self._process.kill

    @staticmethod
    def _run(folder, arguments, output):
        os.chdir(folder)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
        sys.exit(sys.modules[FORK].main(arguments))

    def poll(self):
        """Exit code, or None."""
        return self._process.exitcode

    def wait(self, timeout=None):
        """Exit code after the end."""
        self._process.join(timeout)
        return self._process.exitcode


def finish(folder, stage):
    """Run a stage to its end; returns the seconds that its work took, without the imports."""
    process, begin = start(folder, stage), None
    while process.poll() is None:
        if begin is None and is_running(folder, stage):
            begin = time.monotonic()
        time.sleep(0.01)
    if process.wait():
        raise SystemExit(
            f"{stage} ended with {process.wait()}:\n{(folder / 'output.txt').read_text()[-3000:]}"
        )
    return time.monotonic() - begin


def is_synthesizing(folder, stage, epoch):
    """Whether the corpus is being made."""
    return (folder / "mini_corpus/started.json").exists() and not (
        folder / "mini_corpus/complete.json"
    ).exists()


def is_running(folder, stage, epoch=0):
    """Whether the run is at work and so many epochs are behind it."""
    results = folder / "results" / stage / "1"
    log = results / "train_log.txt"
    done = log.read_text().count("\n") if log.exists() else 0
    return (results / "running.json").exists() and done >= epoch


def is_saving(folder, stage, epoch):
    """Whether a checkpoint is half written."""
    return any((folder / "results" / stage / "1" / "save").glob("SAVING+*"))


# Name of the moment -> (what to wait for, s of which a random share passes after it; None: what an epoch takes)
MOMENTS = {
    "synthesis": (is_synthesizing, 1.0),
    "anywhere": (is_running, None),
    "saving": (is_saving, 0.02),
}


def kill_once(folder, stage, moment, seconds, draw):
    """Start a run and kill it at a moment. Returns whether it was alive then."""
    waits_for, span = MOMENTS[moment]
    process, epoch = start(folder, stage), draw.randrange(EPOCHS)
    begin = time.monotonic()
    while (
        process.poll() is None
        and not waits_for(folder, stage, epoch)
        and time.monotonic() - begin < LIMIT
    ):
        time.sleep(0.001)
    time.sleep(draw.uniform(0, seconds / EPOCHS if span is None else span))
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


def figures(folder, stage):
    """All that a finished run says: texts by file name, parameters by file name."""
    results = folder / "results" / stage / "1"
    names = ("valid_stats.txt", "test_stats.txt", "valid_utterances.jsonl", "test_utterances.jsonl")
    texts = {name: (results / name).read_text() for name in names}
    # The test alone may stand there twice: a run killed behind it tests again.
    texts["train_log.txt"] = list(
        dict.fromkeys((results / "train_log.txt").read_text().splitlines())
    )
    return texts, {
        path.name: torch.load(path, weights_only=True) for path in sorted(results.glob("*.ckpt"))
    }


def differences(found, expected):
    """Names of the files that differ."""
    (texts, states), (other_texts, other_states) = found, expected
    wrong = [name for name in other_texts if texts[name] != other_texts[name]]
    for name, state in other_states.items():
        if name not in states or any(
            not torch.equal(states[name][key], value) for key, value in state.items()
        ):
            wrong.append(name)
    return wrong


def same_corpus(folder, other):
    """Whether two corpora hold the same bytes."""
    files = sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    return all(
        (folder / file).is_file() and (folder / file).read_bytes() == (other / file).read_bytes()
        for file in files
    )


def trial(folder, reference, stage, moments, seconds, draw):
    """Kill a stage at each of some moments, let it finish, and compare. Returns (kills, differing files)."""
    folder.mkdir(parents=True)
    begins_with_synthesis = stage == STAGES[0]
    if not begins_with_synthesis:
        shutil.copytree(reference / "mini_corpus", folder / "mini_corpus")
        for earlier in STAGES[: STAGES.index(stage)]:
            shutil.copytree(reference / "results" / earlier, folder / "results" / earlier)
    kills = list(
        itertools.takewhile(lambda moment: kill_once(folder, stage, moment, seconds, draw), moments)
    )
    finish(folder, stage)
    wrong = differences(figures(folder, stage), figures(reference, stage))
    if not same_corpus(folder / "mini_corpus", reference / "mini_corpus"):
        wrong.append("mini_corpus")
    return kills, wrong


def moments_of(stage, turn, draw):
    """What a trial does: one kill while saving, the others anywhere, the first one of stage 1 in the synthesis."""
    moments = ["saving"] + ["anywhere"] * (KILLS_A_TRIAL - 1)
    draw.shuffle(moments)
    return ["synthesis"] + moments[1:] if stage == STAGES[0] else moments


def campaign(folder, kills, seed):
    """Trials until there were so many kills. Returns the kills by (stage, moment), and the number of trials that differed."""
    draw, counts, lost, turn = random.Random(seed), {}, 0, 0
    reference = folder / "reference"
    reference.mkdir(parents=True)
    seconds = {stage: finish(reference, stage) for stage in STAGES}
    while sum(counts.values()) < kills:
        stage = STAGES[turn % len(STAGES)]
        place = folder / f"trial_{turn}"
        done, wrong = trial(
            place, reference, stage, moments_of(stage, turn, draw), seconds[stage], draw
        )
        for moment in done:
            counts[stage, moment] = counts.get((stage, moment), 0) + 1
        lost += bool(wrong)
        print(
            f"trial {turn}: {stage}, killed: {', '.join(done)}; differs: {', '.join(wrong) or 'nothing'}",
            flush=True,
        )
        if not wrong:
            shutil.rmtree(place)
        turn += 1
    return counts, lost, turn


def main():
    """Print a line a trial, then the sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument(
        "--folder", type=Path, help="kept, with the trials that differ (default: a temporary one)"
    )
    parser.add_argument(
        "--fork", action="store_true", help="import torch once for all runs (on a busy machine)"
    )
    options = parser.parse_args()
    if options.fork:
        importlib.import_module(FORK)
    with tempfile.TemporaryDirectory() as temporary:
        counts, lost, trials = campaign(
            options.folder or Path(temporary), options.kills, options.seed
        )
    for (stage, moment), count in sorted(counts.items()):
        print(f"{stage:20} {moment:10} {count} kills")
    print(
        f"{sum(counts.values())} kills in {trials} trials, {lost} trials differ from the undisturbed run"
    )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
