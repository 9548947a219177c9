"""Train stage 2 at mini size for many minutes and watch what it holds: memory, file handles, processes, /dev/shm.

    PYTHONPATH=. python benchmarks/soak.py --minutes 30

The run is ended by SIGTERM; it must leave with 143 and leave nothing behind. Exit code 1 when memory grew by 2 % or more.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.kill_campaign import ROOT

OPTIONS = [
    "--mini_sizes={n_train: 48, n_valid: 8, n_test: 8}", "--number_of_epochs=100000", "--pretrain_perceptual_path=null",
    "--noprogressbar", "--num_workers=1", "--metric_jobs=1", "--figures=False",
]  # fmt: skip
ALLOWED = 0.02  # growth of memory from the second quarter to the last
EVERY = 2.0  # s between two looks
MB = 2**20


def look(process):
    """What a process and its children hold now; None when it has ended."""
    try:
        family = [process, *process.children(recursive=True)]
        memory = sum(member.memory_info().rss for member in family) / MB
        handles = process.num_fds()
    except psutil.Error:
        return None
    shared = [path for path in Path("/dev/shm").iterdir()] if Path("/dev/shm").is_dir() else []
    own = process.memory_info().rss / MB
    return {
        "own_mb": own,
        "all_mb": memory,
        "handles": handles,
        "processes": len(family),
        "shm": len(shared),
    }


def watch(process, minutes):
    """Looks, one every few seconds, each with the time since the beginning."""
    begin, looks = time.monotonic(), []
    while time.monotonic() - begin < 60 * minutes:
        time.sleep(EVERY)
        found = look(process)
        if found is None:
            raise SystemExit(f"the run ended by itself after {time.monotonic() - begin:.0f} s")
        looks.append({"s": time.monotonic() - begin, **found})
    return looks


def quarters(looks, key):
    """Medians of the second and of the last quarter."""
    quarter = len(looks) // 4
    parts = looks[quarter : 2 * quarter], looks[-quarter:]
    return [statistics.median(look[key] for look in part) for part in parts]


def report(looks):
    """Print a line for each thing held; returns the growth of the training process's memory."""
    for key in ("own_mb", "all_mb", "handles", "processes", "shm"):
        early, late = quarters(looks, key)
        most = max(look[key] for look in looks)
        print(f"{key:10} second quarter {early:9.1f}   last quarter {late:9.1f}   most {most:9.1f}")
    early, late = quarters(looks, "own_mb")
    return late / early - 1


def main():
    """Start, watch, stop, count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--looks", type=Path, help="write all looks to this JSON file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "output.txt", "w") as output:
        for name in ("hparams", "models"):
            (Path(folder) / name).symlink_to(ROOT / name)
        command = [sys.executable, str(ROOT / "train.py"), "hparams/enhance_mimic.yaml", *OPTIONS]
        run = psutil.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        while (
            not list(Path(folder).glob("results/enhance_mimic/1/save/CKPT*")) and run.poll() is None
        ):
            time.sleep(0.5)  # the first epoch fills caches
        looks = watch(run, options.minutes)
        left, begin = run.children(recursive=True), time.monotonic()
        run.terminate()
        code, seconds = run.wait(timeout=120), time.monotonic() - begin
        alive = psutil.wait_procs(left, timeout=10)[1]
        epochs = len(
            (Path(folder) / "results/enhance_mimic/1/train_log.txt").read_text().splitlines()
        )
    growth = report(looks)
    if options.looks:
        options.looks.write_text(json.dumps(looks))
    print(f"{epochs} epochs in {options.minutes:g} minutes; memory grew by {100 * growth:.2f} %")
    print(f"SIGTERM: exit code {code} after {seconds:.1f} s, {len(alive)} processes left behind")
    return 1 if growth >= ALLOWED or alive or code != 143 else 0


if __name__ == "__main__":
    sys.exit(main())
