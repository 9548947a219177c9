"""Time training steps of the mini enhancer on batches whose lengths never recur, or do so with and without room.

    PYTHONPATH=. python benchmarks/shapes.py

oneDNN builds a kernel for each new shape. Lengths rounded up to ``pad_multiple`` recur; ``keep_kernels`` makes room for
the kernels of all of them. Each way is a process of its own, because oneDNN reads its variable once.
"""

import random
import statistics
import subprocess
import sys
import time

import torch

from models.enhancer import Enhancer
from training.precision import fastest
from training.process import keep_kernels, keep_memory

RATE = 16000
CHANNELS = [8, 16, 24, 32, 32]
WAYS = {  # multiple of samples, room for kernels, freed memory kept
    "each length new": (1, False, False),
    "tenths of a second": (RATE // 10, False, False),
    "each length new, with room": (1, True, False),
    "tenths of a second, with room": (RATE // 10, True, False),
    "tenths of a second, with room, memory kept": (RATE // 10, True, True),
}
STEPS, WARM_UP = 250, 100


def step(network, samples):
    """Seconds of a forward and backward pass of about 6 s of sound."""
    wavs = 0.1 * torch.randn(3 if samples < 2.2 * RATE else 2, samples)
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=fastest("cpu") == "bf16"):
        _, features, _ = network(wavs, synthesize=False)
    features.square().mean().backward()
    return time.perf_counter() - start


def measure(way):
    """Median and mean milliseconds of a step behind the warm-up."""
    multiple, room, memory = WAYS[way]
    if room:
        keep_kernels()
    if memory:
        keep_memory()
    torch.manual_seed(0)
    network, draw = Enhancer(channel_counts=CHANNELS, dense_nodes=256), random.Random(0)
    lengths = [
        -(-draw.randint(int(1.4 * RATE), 4 * RATE) // multiple) * multiple for _ in range(STEPS)
    ]
    spent = [1000 * step(network, samples) for samples in lengths][WARM_UP:]
    print(
        f"| {way} | {statistics.median(spent):.0f} ms | {statistics.mean(spent):.0f} ms |",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(sys.argv[1])
    else:
        print(
            f"{torch.get_num_threads()} threads\n| lengths | median | mean |\n|---|---|---|",
            flush=True,
        )
        for name in WAYS:
            subprocess.run([sys.executable, __file__, name], check=True)
