"""How fast full-size networks train on this GPU: all stages, plain and as train.py does it.

``timeout -s INT 300 python -m experiments.gpu --output OUT`` writes ``report.md`` and
``speed.jsonl`` as it goes.

Sides: ``plain`` is SpeechBrain's layers and step, TF32, AdamW not fused; ``here`` is train.py.
``rate``: seconds of speech a second. ``waits``: places where the step waits for the device.
"""

import argparse
import gc
import json
import math
import os
import time
import warnings
from collections import Counter
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedData
from speechbrain.lobes.models.CRDNN import CNN_Block
from speechbrain.lobes.models.EnhanceResnet import ConvBlock
from torch.profiler import ProfilerActivity, profile

import train
from corpus.files import write_text
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
ROUNDS, TURN = (5, 0.4) if GPU else (1, 0.01)  # the median of so many turns, each of so many s
LEAN = ["--figures=False", "--tensorboard=False", "--sorting=descending", "--num_workers=0"]
LEAN += ["--batch_seconds=null"]
RANDOM = ["--perceptual=random"]
ALONE = ["--pretrained_enhance_path=null", "--output_neurons=120"]  # pieces of the mini corpus
WORK = {  # name -> stage, preset, options
    "stage 2, 2022": ("enhance_mimic", "published_2022", RANDOM),
    "stage 2, 2021": ("enhance_mimic", "published_2021", RANDOM),
    "stage 1": ("pretrain_perceptual", "published_2021", []),
    "stage 3": ("robust_asr", "published_2021", ALONE),
}
SIDES = [("plain", 8), ("here", 8), ("here", 16), ("here", 32), ("here", 64)]  # with batch size
COLUMNS = ("work", "side", "batch", "rate", "against_plain", "memory_gb", "launches", "waits")
COLUMNS += ("failed",)


class Plain(train.MimicBrain):
    """With SpeechBrain's own step."""

    optimizers_step, nonfinite_count = sb.Brain.optimizers_step, 0
    check_loss_isfinite = sb.Brain.check_loss_isfinite


def measured(work: str, side: str, batch: int, options: list[str]) -> dict:
    """Rate, memory, launches of kernels (on a CPU: operations) and waits of one training step."""
    (stage, preset, own), plain = WORK[work], side == "plain"
    gc.collect()  # of the side before
    if GPU:
        torch.cuda.reset_peak_memory_stats()
    with ExitStack() as stack:
        place = stack.enter_context(TemporaryDirectory())
        words = [f"hparams/{stage}.yaml", f"--preset={preset}", f"--output_folder={place}"]
        words += [f"--batch_size={batch}", f"--precision={'fp32' if plain else 'auto'}"]
        if plain:
            stack.enter_context(patch.object(wide_resnet, "ResnetBlock", ConvBlock))
            stack.enter_context(patch.object(acoustic, "CNNBlock", CNN_Block))
        opened = setup.opened([*words, *own, *options, *LEAN])
        hparams, run_opts, _ = stack.enter_context(opened)
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
        brain.step = 1
        for _ in range(3):
            brain.fit_batch(data)
        memory = torch.cuda.max_memory_allocated() if GPU else 0
        rates = []
        for _ in range(ROUNDS):
            count, begin = 0, time.perf_counter()
            while not count or time.perf_counter() - begin < TURN:
                brain.fit_batch(data)
                torch.cuda.synchronize() if GPU else None
                count += 1
            rates.append(SECONDS * batch * count / (time.perf_counter() - begin))
        activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * GPU]
        with warnings.catch_warnings(record=True) as told, profile(activities=activities) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn") if GPU else None
            brain.fit_batch(data)
            torch.cuda.set_sync_debug_mode("default") if GPU else None
    waits = [w for w in told if "synchronizing" in str(w.message)]
    launch = "LaunchKernel" if GPU else "aten::"
    return {
        "rate": round(median(rates), 1),
        "memory_gb": round(memory / 1e9, 2),
        "launches": sum(launch in event.name for event in seen.events()),
        "waits": dict(Counter(f"{Path(w.filename).name}:{w.lineno}" for w in waits)),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for what is found")
    parser.add_argument("--data_folder", default="", help="to measure with (default: mini corpus)")
    options = parser.parse_args(arguments)
    out, data = options.output.resolve(), f"--data_folder={options.data_folder}"
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)  # stage files are named from there
    rows, plain_rates = [], {}
    for work, (side, batch) in product(WORK, SIDES):
        row = {"work": work, "side": side, "batch": batch}
        try:
            row |= measured(work, side, batch, [data])
            if side == "plain":
                plain_rates[work] = row["rate"]
            row["against_plain"] = round(row["rate"] / plain_rates.get(work, math.nan), 2)
        except (RuntimeError, RecipeError) as problem:  # out of memory
            row["failed"] = str(problem).strip().partition("\n")[0][:200]
        rows.append(row)
        cells = [[str(row.get(key, "-")) for key in COLUMNS] for row in rows]
        device = torch.cuda.get_device_name() if GPU else "CPU"
        parts = [f"# {device}, torch {torch.__version__}", __doc__, as_table([COLUMNS, *cells])]
        write_text(out / "report.md", "\n\n".join(parts) + "\n")
        write_text(out / "speed.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        print(row, flush=True)


if __name__ == "__main__":
    main()
