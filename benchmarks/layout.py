"""Time one training step of the acoustic model: SpeechBrain's layout in fp32 against ours in fp32 and bf16.

PYTHONPATH=. python benchmarks/layout.py
"""

import copy
import statistics
import time

import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.nnet.RNN import LSTM

from models.layout import without_copies

REPEATS = 7
SIZES = {
    "mini": dict(
        cnn_channels=[8, 16], rnn_layers=2, rnn_neurons=128, dnn_neurons=128, time_pooling=True
    ),
    "published": dict(cnn_channels=[100, 200], rnn_layers=4, rnn_neurons=512, dnn_neurons=512),
}


def seconds(network, features, bf16):
    """Seconds of one forward and backward pass."""
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        encoded = network(features)
    encoded.float().square().mean().backward()
    return time.perf_counter() - start


def compare(size, batch):
    """Print the medians of the three ways, taken in turn, for 2.4 s utterances (150 frames)."""
    plain = CRDNN(input_size=257, rnn_class=LSTM, activation=torch.nn.LeakyReLU, **SIZES[size])
    ours = without_copies(copy.deepcopy(plain))
    features = torch.rand(batch, 150, 257)
    ways = {
        "SpeechBrain fp32": (plain, False),
        "ours fp32": (ours, False),
        "ours bf16": (ours, True),
    }
    times = {name: [] for name in ways}
    for turn in range(REPEATS + 1):
        for name, way in ways.items():
            spent = seconds(way[0], features, way[1])
            times[name] += [spent] if turn else []  # the first turn warms up
    base = statistics.median(times["SpeechBrain fp32"])
    for name, values in times.items():
        median = statistics.median(values)
        print(
            f"| {size}, batch {batch} | {name} | {1000 * median:.0f} ms | {base / median:.2f} x |",
            flush=True,
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    compare("mini", 8)
    compare("published", 2)
