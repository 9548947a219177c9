"""Perceptual models: the encoder of stage 1, a model that was trained elsewhere, or a control."""

from collections.abc import Sequence
from pathlib import Path

import torch

from errors import RecipeError
from models.acoustic import AcousticEncoder, mel_bank
from models.features import BINS
from models.pretrained_perceptual import PretrainedPerceptual
from models.saved import build_from

KINDS = ("encoder", "random", "filter_bank", "transformers", "transformers_random")


class FilterBank(torch.nn.Module):
    """A control: fixed mel bands of the log spectrum, with nothing learned."""

    def __init__(self, n_mels: int = 40):
        super().__init__()
        self.sizes = dict(n_mels=n_mels)
        self.register_buffer("bank", mel_bank(BINS, n_mels), persistent=False)

    def forward(
        self, features: torch.Tensor, taps: Sequence[str] | None = None
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """[batch, time, freq] -> [batch, time, mels], the same under each tap's name."""
        bands = features @ self.bank
        return {tap: bands for tap in taps} if taps else bands


def build_perceptual(
    kind: str, path: str | Path | None = None, taps: Sequence[str] = ()
) -> torch.nn.Module:
    """A perceptual model: features or waveform, names of taps -> dict of outputs.

    - ``encoder``: the acoustic encoder of stage 1, at ``path`` (.ckpt file or folder). Its sizes
      are those of the .json file there, else the published ones. Its parameters are loaded later.
    - ``random``: the same with random parameters, a control.
    - ``filter_bank``: fixed mel bands, a control.
    - ``transformers``: a pretrained speech model of that package, ``path`` its folder or name on
      the hub; layers that none of the ``taps`` needs are dropped.
    - ``transformers_random``: the same with random parameters, a control.
    """
    if kind not in KINDS:
        raise RecipeError(f"perceptual: {kind!r} is not one of {', '.join(KINDS)}.")
    if kind == "filter_bank":
        return FilterBank()
    if reads(kind) == "wav":
        return PretrainedPerceptual(path, taps, random=kind == "transformers_random")
    return build_from(path, AcousticEncoder, name="encoder")


def parameters_of(kind: str, path: str | Path | None) -> str | Path | None:
    """The path of the parameters to load; None where a kind brings its own, or random ones."""
    return path if kind == "encoder" else None


def reads(kind: str) -> str:
    """What a perceptual model reads: ``features`` (log spectra) or ``wav``."""
    return "wav" if kind.startswith("transformers") else "features"


def compared_at(kind: str) -> str:
    """The prediction at which gradients of the mimic and the spectral loss are compared."""
    return "mask" if reads(kind) == "wav" else "enhanced_features"
