"""Training steps of the three stages on one device, the plain way and here, in one process.

    PYTHONPATH=. python benchmarks/device.py [--utterances=240] [--batches 8 32] [--precisions fp32 bf16] [--key=value ...]

Plain is that of ``benchmarks/step.py``, which measures validation and test too, each run in a process of its own; on a machine
that is paid by the minute this one takes a third of the time. It is for GPUs: on a CPU, memory that one way keeps serves the other. The published sizes are the default. Each row's second epoch is timed;
the first counts operations, the third the waits for a GPU (``benchmarks/throughput.py``).
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext

import torch

from benchmarks.step import PLAIN, merged, plain_layers
from benchmarks.throughput import measure, product_rate

STAGES = {
    "pretrain_perceptual": ["--decoding_by=ctc_greedy"],
    "enhance_mimic": ["--pretrain_perceptual_path=null"],
    "robust_asr": [
        "--input_signal=noisy",
        "--targets=characters",
        "--output_neurons=32",
        "--decoding_by=ctc_greedy",
    ],
}
STOPPED = (130, 143)  # by Ctrl-C or SIGTERM
HEAD = "| stage | way | precision | utterances a batch | ms a step | s of sound a second | ratio | TFLOP/s | waits a step | GPU memory, GB | loss |"


def ways(batches, precisions):
    """(Name, options) of each way, the plain one first."""
    yield "plain", PLAIN
    for precision in precisions:
        for size in batches:
            yield (
                "here",
                [f"--precision={precision}", f"--batch_size={size}", "--batch_seconds=null"],
            )


def run(stage, way, options):
    """The figures of one way."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    arguments = merged([f"hparams/{stage}.yaml"], STAGES[stage], options)
    with plain_layers() if way == "plain" else nullcontext():
        return measure(arguments)


def row(stage, way, options, found, plain):
    """A line of the table; ``plain``: the plain way's seconds of sound a second."""
    size = next(option.split("=")[1] for option in options if option.startswith("--batch_size"))
    memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else float("nan")
    cells = [
        stage,
        way,
        found.precision,
        size,
        f"{1000 * found.seconds / found.steps:.1f}",
        f"{found.speed():.0f}",
        f"{found.speed() / plain:.2f}",
    ]
    cells += [
        f"{found.rate():.3g}",
        f"{found.waits.total() / found.steps:.1f}",
        f"{memory:.1f}",
        f"{found.loss:.4g}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments):
    """Print each row as soon as it is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=240)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    options, overrides = parser.parse_known_args(arguments)
    print(
        f"{torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}, PyTorch {torch.__version__}"
    )
    print(f"{HEAD}\n{'|---' * HEAD.count(' | ')}|---|", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as manifests:
        common = [
            "--preset=published",
            f"--debug_utterances={options.utterances}",
            f"--manifest_folder={manifests}",
            *overrides,
        ]
        for stage in options.stages:
            plain = float("nan")
            for name, own in ways(options.batches, options.precisions):
                code, found = run(stage, name, [*common, *own])
                if code in STOPPED:
                    return code
                if code:
                    failed = code
                    continue
                plain = found.speed() if name == "plain" else plain
                print(row(stage, name, own, found, plain), flush=True)
                common = [*common, "--skip_prep=True"]  # the manifests are there
    if torch.cuda.is_available():
        print(
            "One large product, TFLOP/s:",
            {precision: round(product_rate("cuda", precision)) for precision in options.precisions},
        )
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
