"""How fast full-size networks train on this GPU: all stages, plain and as train.py does it.

``timeout -s INT 300 python -m experiments.gpu --output OUT`` writes ``report.md`` and
``speed.jsonl`` as it goes; what is compiled comes last.

Sides: ``plain`` is SpeechBrain's layers and step, TF32, AdamW not fused; ``here`` is train.py; the
others are a ``--compile_mode``. ``rate``: seconds of speech a second. ``share``: of the rate of a
large bf16 product, without RNNs. ``busy``: share of the time in which the device computes.
``waits``: places where the step waits for the device. ``hours``: 50 epochs of VoiceBank-DEMAND.
``speed.jsonl`` also has the kernels that take most of the time.
"""

import argparse
import gc
import json
import math
import os
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
from corpus.files import read_text, write_text
from corpus.layout import SAMPLE_RATE
from errors import RecipeError
from experiments.table import as_table
from models import acoustic, wide_resnet
from training import setup
from training.data import make_loaders
from training.stopping import Stopper

ROOT = Path(__file__).resolve().parent.parent
GPU = torch.cuda.is_available()
SECONDS = 5  # of each utterance in a batch
ROUNDS, TURN = (5, 0.4) if GPU else (1, 0.01)  # the sides take turns, each for so many seconds
EPOCHS_HOURS = 50 * 9.4  # of speech: 50 epochs of VoiceBank-DEMAND (11,572 utterances)
LEAN = ["--figures=False", "--tensorboard=False", "--sorting=descending", "--num_workers=0"]
LEAN += ["--batch_seconds=null"]
RANDOM = ["--perceptual=random"]
ALONE = ["--pretrained_enhance_path=null", "--output_neurons=120"]  # pieces of the mini corpus
WORK = {  # name -> stage, preset, options, module to compile (decoders loop over tokens)
    "stage 2, 2022": ("enhance_mimic", "published_2022", RANDOM, "enhance_model"),
    "stage 2, 2021": ("enhance_mimic", "published_2021", RANDOM, "enhance_model"),
    "stage 1": ("pretrain_perceptual", "published_2021", [], "encoder"),
    "stage 3": ("robust_asr", "published_2021", ALONE, "encoder"),
}
SIDES = ("plain", 8), [("here", batch) for batch in (8, 16, 32, 64)]  # name, batch size
SIDES += ([("default", 8), ("reduce-overhead", 8), ("default", 64)],)
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
        words.append(f"--precision={'fp32' if plain else 'auto'}")
        if side not in ("plain", "here"):
            words += [f"--compile_mode={side}", f"--compile_module_keys={compiled}"]
        self.side, self.batch, self.seconds, self.rates = side, batch, SECONDS * batch, []
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
        with FlopCounterMode(display=False) as counter:
            self.step() if self.side in ("plain", "here") else None  # not seen in compiled code
        return {
            "memory_gb": self.memory_gb,
            "launches": sum(any(name in event.name for name in launch) for event in events),
            "waits": dict(Counter(f"{Path(w.filename).name}:{w.lineno}" for w in waits)),
            "busy": round(times.total() * median(self.rates) / self.seconds, 2),
            "largest": {k: round(t / times.total(), 3) for k, t in times.most_common(5)},
            "operations": counter.get_total_flops() / self.seconds,
        }


def timed(step: Callable, seconds: float) -> float:
    """Seconds that a step takes, a mean over so many seconds."""
    count, begin = 0, time.perf_counter()
    while not count or time.perf_counter() - begin < seconds:
        step()
        torch.cuda.synchronize() if GPU else None
        count += 1
    return (time.perf_counter() - begin) / count


def measure(work: str, sides: list[tuple], options: list[str], out: Path) -> None:
    """Sides (name, batch size) of a stage and a large product take turns."""
    matrix = torch.randn(*[16384 if GPU else 256] * 2, device="cuda" if GPU else "cpu").bfloat16()
    built, products, operations = [], [], 0.0
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
                one.rates.append(one.seconds / timed(one.step, TURN))
        plain = next((median(one.rates) for one in built if one.side == "plain"), math.nan)
        for one in built:
            rate, facts = median(one.rates), one.look_inside()
            operations = facts.pop("operations") or operations
            facts |= {"rate": round(rate, 1), "hours": round(EPOCHS_HOURS / rate, 2)}
            facts |= {"share": round(rate * operations / median(products), 3)}
            facts |= {"against_plain": round(rate / plain, 2)}
            add(out, {"work": work, "side": one.side, "batch": one.batch, **facts})


def add(out: Path, row: dict) -> None:
    """Add a row to ``speed.jsonl``, and write the report of all rows."""
    with open(out / "speed.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    rows = [json.loads(line) for line in read_text(out / "speed.jsonl").splitlines()]
    cells = [[str(row.get(key, "-")) for key in COLUMNS] for row in rows]
    device = torch.cuda.get_device_name() if GPU else "CPU"
    parts = [f"# {device}, torch {torch.__version__}", __doc__, as_table([COLUMNS, *cells])]
    write_text(out / "report.md", "\n\n".join(parts) + "\n")
    print(row, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for what is found")
    parser.add_argument("--data_folder", default="", help="to measure with (default: mini corpus)")
    options = parser.parse_args(arguments)
    out, data = options.output.resolve(), f"--data_folder={options.data_folder}"
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)  # stage files are named from there
    plain, here, compiled = SIDES
    for sides in ([plain, *here], [plain, here[0], *compiled]):
        for work, (_, preset, own, _) in WORK.items():
            measure(work, sides, [f"--preset={preset}", data, *own], out)


if __name__ == "__main__":
    main()
