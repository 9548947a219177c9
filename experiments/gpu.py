"""What a large GPU is needed for: how fast the stages train, and a table of full-size networks.

``python -m experiments.gpu --output OUT [--plan PLAN ...]`` writes into OUT as it goes: how fast
(``speed.jsonl``, ``report.md``), the outcome of ``tests/test_gpu.py``, and, as far as the time
goes, what ``results.py`` makes with the other options, with learning curves.

Sides: ``plain`` is SpeechBrain's layers and step, TF32, AdamW not fused; ``here`` is train.py; the
others are a ``--compile_mode``. ``rate``: seconds of speech a second. ``share``: of the rate of a
large bf16 product, without RNNs. ``busy``: share of the time in which the device computes.
``hours``: 50 epochs of VoiceBank-DEMAND.
"""

import argparse
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedData
from speechbrain.lobes.models.CRDNN import CNN_Block
from speechbrain.lobes.models.EnhanceResnet import ConvBlock
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import train
from corpus.files import write_text
from corpus.layout import SAMPLE_RATE
from errors import RecipeError
from models import acoustic, wide_resnet
from training import setup
from training.data import make_loaders
from training.stopping import Stopper

ROOT = Path(__file__).resolve().parent.parent
GPU = torch.cuda.is_available()
SECONDS = 5  # of each utterance in a batch
ROUNDS, TURN = (5, 0.4) if GPU else (1, 0.01)  # the sides take turns, each for so many seconds
EPOCHS_HOURS = 50 * 9.4  # of speech: 50 epochs of VoiceBank-DEMAND (11,572 utterances)
SPARE = 45  # s before the end, for runs to stop and the table to be written
LEAN = ["--figures=False", "--tensorboard=False", "--sorting=descending", "--num_workers=0"]
LEAN += ["--batch_seconds=null"]
RANDOM, BANK = ["--perceptual=random"], ["--perceptual=filter_bank"]
ALONE = ["--pretrained_enhance_path=null", "--output_neurons=120"]  # pieces of the mini corpus
WORK = {  # name -> stage, preset, options, module to compile (decoders loop over tokens)
    "stage 2, 2022": ("enhance_mimic", "published_2022", RANDOM, "enhance_model"),
    "stage 2, 2021": ("enhance_mimic", "published_2021", RANDOM, "enhance_model"),
    "stage 1": ("pretrain_perceptual", "published_2021", [], "encoder"),
    "stage 3": ("robust_asr", "published_2021", ALONE, "encoder"),
}
COLUMNS = ("work", "side", "batch", "rate", "against_plain", "share", "memory_gb", "launches")
COLUMNS += ("waits", "busy", "hours", "failed")


class Plain(train.MimicBrain):
    """With SpeechBrain's own step."""

    optimizers_step, nonfinite_count = sb.Brain.optimizers_step, 0
    check_loss_isfinite = sb.Brain.check_loss_isfinite


class Side:
    """One way of training a stage at one batch size, with what train.py builds for it."""

    def __init__(self, work: str, side: str, batch: int, options: list[str], stack: ExitStack):
        (stage, _, _, compiled), plain = WORK[work], side == "plain"
        words = [f"hparams/{stage}.yaml", f"--batch_size={batch}", *options, *LEAN]
        words += [f"--precision={'fp32' if plain else 'auto'}"]
        if side not in ("plain", "here"):
            words += [f"--compile_mode={side}", f"--compile_module_keys={compiled}"]
        self.side, self.batch, self.rates = side, batch, []
        gc.collect()  # of earlier sides
        before = torch.cuda.memory_allocated() if GPU else 0
        with ExitStack() as layers:
            if plain:
                layers.enter_context(patch.object(wide_resnet, "ResnetBlock", ConvBlock))
                layers.enter_context(patch.object(acoustic, "CNNBlock", CNN_Block))
            hparams, run_opts, _ = stack.enter_context(setup.opened(words))
        setup.prepare_data(hparams)
        tokens = setup.load_parameters(hparams)
        if plain:
            hparams["opt_class"] = partial(torch.optim.AdamW, lr=hparams["lr"], weight_decay=0.0)
        brain = (Plain if plain else train.MimicBrain)(hparams, run_opts, tokens, Stopper())
        data = next(iter(make_loaders(hparams, tokens, brain.device)[0]))
        for key in ("noisy_sig", "clean_sig"):  # repeated to one length; the text is not
            sound = getattr(data, key).data.repeat(1, 5)[:, : SECONDS * SAMPLE_RATE]
            setattr(data, key, PaddedData(sound, torch.ones(batch)))
        data = data.to(brain.device)
        brain.on_fit_start()
        brain.on_stage_start(sb.Stage.TRAIN, 1)
        brain.modules.train()
        brain.step, self.step = 1, lambda: brain.fit_batch(data)
        torch.cuda.reset_peak_memory_stats() if GPU else None
        for _ in range(3):
            self.step()
        self.memory_gb = round((torch.cuda.max_memory_allocated() - before) / 1e9, 2) if GPU else 0

    def look_inside(self) -> dict:
        """Of one step: launches, waits, largest kernels, and the operations of its products."""
        activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * GPU]
        with warnings.catch_warnings(record=True) as told, profile(activities=activities) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn") if GPU else None
            self.step()
            torch.cuda.set_sync_debug_mode("default") if GPU else None
        waits = [w for w in told if "synchronizing" in str(w.message)]
        events = [event for event in seen.events() if not event.is_user_annotation]
        times, time_of = Counter(), f"self_{'device' if GPU else 'cpu'}_time_total"
        for event in events:
            if (event.device_type == DeviceType.CUDA) == GPU:
                times[event.name[:70]] += getattr(event, time_of) / 1e6  # s
        launch = ("LaunchKernel", "GraphLaunch") if GPU else ("aten::",)  # on a CPU: operations
        seconds, counter = SECONDS * self.batch, FlopCounterMode(display=False)
        with counter:
            self.step() if self.side in ("plain", "here") else None  # not seen in compiled code
        return {
            "memory_gb": self.memory_gb,
            "launches": sum(any(name in event.name for name in launch) for event in events),
            "waits": len(waits),
            "waits_at": dict(Counter(f"{Path(w.filename).name}:{w.lineno}" for w in waits)),
            "busy": round(times.total() * median(self.rates) / seconds, 2),
            "largest": {k: round(t / times.total(), 3) for k, t in times.most_common(5)},
            "operations": counter.get_total_flops() / seconds,
        }


def timed(step: Callable, seconds: float) -> float:
    """Seconds that a step takes, a mean over so many seconds."""
    count, begin = 0, time.perf_counter()
    while not count or time.perf_counter() - begin < seconds:
        step()
        torch.cuda.synchronize() if GPU else None
        count += 1
    return (time.perf_counter() - begin) / count


def measure(work: str, sides: list[tuple], options: list[str], out: Path, known: dict) -> int:
    """Sides (name, batch size) of a stage and a large product take turns; returns the batch size
    of the fastest of ours. ``known`` keeps the operations of a second of speech by work."""
    matrix = torch.randn(*[16384 if GPU else 256] * 2, device="cuda" if GPU else "cpu").bfloat16()
    built, products = [], []
    with ExitStack() as stack:
        place = stack.enter_context(TemporaryDirectory())
        for side, batch in sides:
            own = [*options, f"--output_folder={place}/{side}{batch}"]
            try:
                built.append(Side(work, side, batch, own, stack))
            except (RuntimeError, RecipeError) as problem:  # out of memory, or not compiled
                told = str(problem).strip().partition("\n")[0][:200]
                add(out, {"work": work, "side": side, "batch": batch, "failed": told})
        for _ in range(ROUNDS):
            products.append(2 * len(matrix) ** 3 / timed(lambda: matrix @ matrix, TURN / 4))
            for one in built:
                one.rates.append(SECONDS * one.batch / timed(one.step, TURN))
        rates = {(one.side, one.batch): median(one.rates) for one in built}
        for one in built:
            rate, facts = rates[one.side, one.batch], one.look_inside()
            known[work] = facts.pop("operations") or known[work]
            facts |= {"rate": round(rate, 1), "hours": round(EPOCHS_HOURS / rate, 2)}
            facts |= {"share": round(rate * known[work] / median(products), 3)}
            facts |= {"against_plain": round(rate / rates.get(sides[0], rate), 2)}
            add(out, {"work": work, "side": one.side, "batch": one.batch, **facts})
    return max((rate, batch) for (side, batch), rate in rates.items() if side != "plain")[1]


def add(out: Path, row: dict) -> None:
    """Add a row to ``speed.jsonl``, and write the report of all rows."""
    with open(out / "speed.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    rows = [json.loads(line) for line in (out / "speed.jsonl").read_text("utf-8").splitlines()]
    device = torch.cuda.get_device_name() if GPU else "CPU"
    lines = [f"# {device}, torch {torch.__version__}\n", __doc__, f"| {' | '.join(COLUMNS)} |"]
    lines += ["|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(str(row.get(key, '-')) for key in COLUMNS)} |" for row in rows]
    lines += [
        f"\n{[r[k] for k in COLUMNS[:3]]} {r.get('waits_at')} {r.get('largest')}" for r in rows
    ]
    write_text(out / "report.md", "\n".join(lines) + "\n")
    print(row, flush=True)


def speed(out: Path, data_folder: str, small: bool, seconds: float) -> None:
    """All sides: at first without compiling, then compiled, as far as the time goes."""
    batches, known, best = (2, 4) if small else (8, 16, 32, 64), {}, {}
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        for compiled in (False,) if small else (False, True):
            for work, (_, preset, options, _) in WORK.items():
                if small:
                    preset, options = "mini", BANK if options == RANDOM else options
                options = [f"--preset={preset}", f"--data_folder={data_folder}", *options]
                sides = [("plain", batches[0]), *(("here", batch) for batch in batches)]
                if compiled:
                    modes = [("reduce-overhead", batches[0]), ("default", best[work])]
                    sides = [*sides[:2], ("default", batches[0]), *modes]
                best[work] = measure(work, sides, options, out, known)
    except KeyboardInterrupt:
        print("The time for measuring is over.", flush=True)
    signal.setitimer(signal.ITIMER_REAL, 0)


def learn(out: Path, options: list[str], end: float) -> None:
    """tests/test_gpu.py, and ``results.py`` with its options, until ``end`` (monotonic clock)."""
    commands, tables = {"tests": ["-m", "pytest", "-q", "tests/test_gpu.py"]}, ROOT / "results/gpu"
    if options:
        commands["results"] = ["results.py", f"--output_folder={tables}", *options]
    processes, stopped = [], False
    for name, command in commands.items():
        with open(out / f"{name}.txt", "w", encoding="utf-8") as file:
            streams = dict(stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
            processes.append(subprocess.Popen([sys.executable, *command], cwd=ROOT, **streams))
    while any(process.poll() is None for process in processes):
        if time.monotonic() > end and not stopped:
            stopped = [os.killpg(p.pid, signal.SIGTERM) for p in processes if p.poll() is None]
        time.sleep(1)
        logs = sorted(tables.glob("*/runs/*/*/train_log.txt"))
        curves = [f"{log.parent.relative_to(tables)}\n{log.read_text('utf-8')}" for log in logs]
        write_text(out / "curves.txt", "\n".join(curves))
    for file in tables.glob("*/[!.]*.*"):  # table, its numbers, picture
        shutil.copy(file, out)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", type=Path, required=True, help="folder for what is found")
    parser.add_argument("--data_folder", default="", help="to measure with (default: mini corpus)")
    parser.add_argument("--minutes", type=float, default=9, help="for all of it (default: 9)")
    parser.add_argument("--small", action="store_true", help="tiny networks, to try it on a CPU")
    (options, of_results), begin = parser.parse_known_args(arguments), time.monotonic()
    out = options.output.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)  # stage files are named from there
    speed(out, options.data_folder, options.small, 0.4 * 60 * options.minutes)
    torch.cuda.empty_cache()
    learn(out, of_results, begin + 60 * options.minutes - SPARE)


if __name__ == "__main__":
    main()
