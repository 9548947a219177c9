"""The enhancer's network as one file for other runtimes: features [batch, time, freq] -> mask, the same shape.

    python -m inference.portable --model results/enhance_mimic/1 --output mask.onnx

``.onnx`` wants ``pip install onnx onnxscript``; ``.pt2`` is torch.export's format and wants nothing more. Batch and time
are free. The spectrum around the network is left to the runtime's own Fourier transform: the model's ``hyperparams.yaml``
has its sizes, docs/using.md its lines.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

from errors import RecipeError
from inference.command import carry_out
from inference.loading import load_enhancer
from inference.pieces import network_of

SUFFIXES = (".onnx", ".pt2")


class MaskNetwork(torch.nn.Module):
    """log1p magnitudes [batch, time, freq] -> the factors of the noisy spectrum, same shape, in [1 - mask_weight, 1]."""

    def __init__(self, enhancer):
        super().__init__()
        self.cnn, self.dnn, self.weight = enhancer.CNN, enhancer.DNN, enhancer.mask_weight

    def forward(self, features):
        return self.weight * self.dnn(self.cnn(features)).clamp(min=0, max=1) + 1 - self.weight


def write_portable(enhancer, path):
    """Write the mask network of a ``speechbrain.lobes.models.EnhanceResnet`` (or subclass); the suffix says in which form."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise RecipeError(f"--output {path}: the suffix must be one of {', '.join(SUFFIXES)}.")
    bins = enhancer.stft.n_fft // 2 + 1
    shapes = (
        {
            0: torch.export.Dim("batch", min=1, max=1024),
            1: torch.export.Dim("time", min=8, max=10**6),
        },
    )
    with torch.no_grad():
        program = torch.export.export(
            MaskNetwork(enhancer).eval(), (torch.rand(2, 50, bins),), dynamic_shapes=shapes
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".part.{path.name}")
    if path.suffix == ".pt2":
        torch.export.save(program, aside)
    else:
        write_onnx(program, aside)
    aside.replace(path)


def write_onnx(program, path):
    """A program of torch.export as ONNX, weights inside of the file."""
    logging.getLogger("torch.onnx").setLevel(
        logging.ERROR
    )  # it lists what it would do for torchvision
    try:
        torch.onnx.export(
            program,
            (),
            path,
            input_names=["features"],
            output_names=["mask"],
            external_data=False,
            verbose=False,
        )
    except ModuleNotFoundError as missing:
        raise RecipeError(
            f"ONNX needs the package {missing.name}: pip install onnx onnxscript, or write a .pt2 file."
        ) from None


def parser():
    """The command line."""
    made = argparse.ArgumentParser(
        "python -m inference.portable", description=__doc__.splitlines()[0]
    )
    made.add_argument(
        "--model",
        required=True,
        help="a run's folder, such as results/enhance_mimic/1, or an exported model",
    )
    made.add_argument("--output", required=True, help="file to write: .onnx or .pt2")
    return made


def run(options):
    """Carry the command out."""
    enhancer, folder = load_enhancer(options.model)
    write_portable(network_of(enhancer), options.output)
    print(f"{options.output}: the mask network of {folder}")


if __name__ == "__main__":
    sys.exit(carry_out(parser(), run))
