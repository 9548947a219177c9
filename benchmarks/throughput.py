"""Floating-point operations that a stage's training achieves a second, beside what the device does in one large product.

    PYTHONPATH=. python benchmarks/throughput.py hparams/enhance_mimic.yaml --utterances=64 [--key=value ...]

The first epoch counts operations (multiplications and additions, forward and backward), the second is timed, data
loading and optimizer with it, and the third counts how often a step waits for a GPU. Convolutions and matrix products count; recurrent layers that PyTorch's counter does not
see are counted from their sizes; the rest is left out. For a GPU known here its data sheet's peak stands beside.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch.utils.flop_counter import FlopCounterMode

import train
from benchmarks.step import LEAN, merged
from benchmarks.waits import Waits

GATES = {torch.nn.LSTM: 4, torch.nn.GRU: 3, torch.nn.RNN: 1}
SHEETS = {
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "L40": 181,
    "A10G": 70,
    "RTX 4090": 165,
}  # TFLOP/s, bf16, dense
FORWARD_AND_BACKWARD = (
    3  # a layer's gradients, of its input and of its weights, cost as much as its output each
)


@dataclass
class Figures:
    """What a run tells: operations of an epoch, seconds and seconds of sound of another, waits for a GPU of a third, by place."""

    operations: float = 0.0
    seconds: float = 0.0
    sound: float = 0.0
    steps: int = 0
    waits: Counter = field(default_factory=Counter)
    device: str = "cpu"
    precision: str = "fp32"
    loss: float = 0.0

    def rate(self):
        """TFLOP/s."""
        return self.operations / self.seconds / 1e12

    def speed(self):
        """Seconds of sound a second."""
        return self.sound / self.seconds


class Counted(train.MimicBrain):
    """Counts operations in the first epoch, measures the second, counts waits in the third."""

    figures = None

    def fit_batch(self, batch):
        """A step, under one of the counters in the first and third epoch."""
        epoch = self.hparams.epoch_counter.current
        return {1: self.counting_operations, 2: self.counting_sound, 3: self.counting_waits}[epoch](
            batch
        )

    def counting_operations(self, batch):
        """A step in which the operations are counted."""
        hooks = [
            layer.register_forward_hook(self.count_recurrent)
            for layer in unseen_layers(self.modules, self.device)
        ]
        with FlopCounterMode(display=False) as counter:
            loss = super().fit_batch(batch)
        for hook in hooks:
            hook.remove()
        self.figures.operations += counter.get_total_flops()
        return loss

    def counting_sound(self, batch):
        """A step as it always is."""
        self.figures.steps += 1
        self.figures.sound += (
            float(batch.noisy_sig.lengths.sum())
            * batch.noisy_sig.data.shape[1]
            / self.hparams.sample_rate
        )
        return super().fit_batch(batch)

    def counting_waits(self, batch):
        """A step in which the waits are counted."""
        with Waits() as waits:
            loss = super().fit_batch(batch)
        self.figures.waits += waits.found
        return loss

    def count_recurrent(self, layer, inputs, _output):
        """Add a recurrent layer's products, input [batch, time, dim] or packed."""
        data = (
            inputs[0].data
            if isinstance(inputs[0], torch.nn.utils.rnn.PackedSequence)
            else inputs[0]
        )
        frames, directions = data.numel() / data.shape[-1], 1 + layer.bidirectional
        widths = [layer.input_size] + [directions * layer.hidden_size] * (layer.num_layers - 1)
        products = sum(
            2 * GATES[type(layer)] * layer.hidden_size * (width + layer.hidden_size)
            for width in widths
        )
        self.figures.operations += FORWARD_AND_BACKWARD * directions * frames * products

    def on_stage_start(self, stage, epoch=None):
        """Start the watch."""
        synchronize(self.device)
        self.since = time.perf_counter()
        super().on_stage_start(stage, epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Stop it when the device has done everything."""
        if stage == train.sb.Stage.TRAIN and epoch == 2:
            synchronize(self.device)
            self.figures.seconds = time.perf_counter() - self.since
            self.figures.device, self.figures.precision, self.figures.loss = (
                str(self.device),
                self.precision,
                float(stage_loss),
            )
        super().on_stage_end(stage, stage_loss, epoch)


def unseen_layers(modules, device):
    """The recurrent layers whose kernels PyTorch's counter passes over; those made of single products it has seen."""
    unseen = [
        kind
        for kind in GATES
        if not operations_of(kind(8, 8).to(device), torch.zeros(2, 2, 8, device=device))
    ]
    return [layer for layer in modules.modules() if type(layer) in unseen]


def operations_of(layer, inputs):
    """What PyTorch's counter finds in a layer's forward pass."""
    with FlopCounterMode(display=False) as counter:
        layer(inputs)
    return counter.get_total_flops()


def synchronize(device):
    """Wait for a GPU."""
    if str(device).startswith("cuda"):
        torch.cuda.synchronize()


def product_rate(device, precision, size=4096):
    """TFLOP/s of one large matrix product."""
    size = size if str(device).startswith("cuda") else size // 2
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for repeats in (2, 10):  # the first ones warm up
        synchronize(device)
        begin = time.perf_counter()
        for _ in range(repeats):
            left @ right
        synchronize(device)
    return 2 * size**3 * repeats / (time.perf_counter() - begin) / 1e12


def report(found):
    """A line for each figure."""
    product = product_rate(found.device, found.precision)
    on_gpu = found.device.startswith("cuda")
    name = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(
        f"{name}, {found.precision}: {found.operations / 1e12:.3g} TFLOP in {found.seconds:.2f} s: {found.rate():.3g} TFLOP/s"
    )
    print(
        f"one large product: {product:.3g} TFLOP/s; the training reaches {100 * found.rate() / product:.0f} % of it"
    )
    for card, peak in SHEETS.items():
        if on_gpu and card in name:
            print(
                f"data sheet of {card}, bf16: {peak} TFLOP/s; the training reaches {100 * found.rate() / peak:.1f} % of it"
            )
    print(
        f"{1000 * found.seconds / found.steps:.1f} ms a step, which waits {found.waits.total() / found.steps:.1f} times for a GPU"
    )
    for place, times in found.waits.most_common():
        print(f"  {times / found.steps:.1f} x {place}")


def measure(arguments):
    """Train three epochs; (exit code, Figures)."""
    Counted.figures, train.MimicBrain = Figures(), Counted
    common = [
        *LEAN,
        "--number_of_epochs=3",
        "--valid_metrics=[]",
        "--test_metrics=[]",
        "--select_by=null",
    ]
    with tempfile.TemporaryDirectory() as folder:
        return train.main(
            merged(arguments[:1], common, arguments[1:], [f"--output_folder={folder}"])
        ), Counted.figures


def main(arguments):
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", help="hparams/<stage>.yaml")
    parser.add_argument("--utterances", type=int, default=64)
    options, overrides = parser.parse_known_args(arguments)
    code, found = measure([options.stage, f"--debug_utterances={options.utterances}", *overrides])
    if code == 0:
        report(found)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
