"""Seconds of speech that a stage trains on in a second, for several settings in turn.

    python -m experiments.speed enhance_mimic --way=--batch_size=8 --way=--batch_size=32 --runs 3

Each run is ``python train.py`` on a small mini corpus, without scores; ``--options`` are those of
all ways. The table gives medians over the runs. Measure on a machine that does nothing else.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from experiments import corpora
from experiments.table import as_table

EPOCHS = 3
LEAN = [f"--{key}=False" for key in ("figures", "tensorboard", "export")]
LEAN += ["--valid_metrics=[]", "--test_metrics=[]", "--select_by=null", "--noprogressbar"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("stage", help="pretrain_perceptual, enhance_mimic or robust_asr")
    made.add_argument("--way", action="append", required=True, help="options of train.py")
    made.add_argument("--options", default="--preset=mini", help="of train.py, for all ways")
    made.add_argument("--utterances", type=int, default=200, help="to train on (default: 200)")
    made.add_argument("--runs", type=int, default=1, help="of each way (default: 1)")
    return made


def measure(stage: str, options: str, data: Path) -> tuple[float, float]:
    """Train; returns (seconds of speech in a second, peak memory in GB, of the GPU if any)."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", f"hparams/{stage}.yaml", *LEAN]
        command += [f"--number_of_epochs={EPOCHS}", f"--output_folder={folder}"]
        command += [f"--data_folder={data}", *shlex.split(options)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        cost = json.loads((Path(folder) / "cost.json").read_text(encoding="utf-8"))
        manifest = (Path(folder) / "manifests/train.json").read_text(encoding="utf-8")
    sound = EPOCHS * sum(entry["length"] for entry in json.loads(manifest).values())
    memory = cost["peak_gpu_memory_gb"] or cost["peak_memory_gb"]
    return sound / cost["training_seconds"], memory


def main(arguments: list[str] | None = None):
    """Measure all ways in turn and print the table."""
    options = parser().parse_args(arguments)
    found = {way: [] for way in options.way}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "corpus"
        sizes = {"n_train": options.utterances, "n_valid": 2, "n_test": 2}
        corpora.make({"mini": sizes}, data, Path())
        for way in options.way * options.runs:
            found[way].append(measure(options.stage, f"{options.options} {way}", data))
    speeds = [median(speed for speed, _ in figures) for figures in found.values()]
    memories = [median(memory for _, memory in figures) for figures in found.values()]
    lines = [["way", "s of speech in a second", "ratio", "memory (GB)"]]
    for way, speed, memory in zip(found, speeds, memories, strict=True):
        lines.append([f"`{way}`", f"{speed:.1f}", f"{speed / speeds[0]:.2f}", f"{memory:.1f}"])
    print(as_table(lines))


if __name__ == "__main__":
    main()
