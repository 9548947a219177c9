"""Perceptual models: the encoder of stage 1, a model that was trained elsewhere, or a control."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from errors import one_of
from models.acoustic import AcousticEncoder, mel_bank
from models.features import BINS
from models.pretrained import fetch
from models.saved import arguments, build_from

KINDS = ("encoder", "random", "filter_bank", "transformers", "transformers_random")


def build_perceptual(
    kind: str, path: str | Path | None = None, taps: Sequence[str] = ()
) -> nn.Module:
    """A perceptual model: features or waveform, names of taps -> dict of outputs.

    - ``encoder``: the acoustic encoder of stage 1, at ``path`` (.ckpt file or folder). Its sizes
      are those of the .json file there, else the published ones. Its parameters are loaded later.
    - ``transformers``: a pretrained speech model of that package, ``path`` its folder or name on
      the hub; layers that none of the ``taps`` needs are dropped.
    - ``random``, ``transformers_random``: the same with random parameters, controls.
    - ``filter_bank``: fixed mel bands, a control.
    """
    one_of("perceptual", kind, KINDS)
    if kind == "filter_bank":
        return FilterBank()
    if reads(kind) == "wav":
        return PretrainedPerceptual(path, taps, random=kind == "transformers_random")
    return build_from("perceptual_model", path, AcousticEncoder)


def parameters_of(kind: str, path: str | Path | None) -> str | Path | None:
    """The path of the parameters to load; None where a kind brings its own, or random ones."""
    return path if kind == "encoder" else None


def reads(kind: str) -> str:
    """What a perceptual model reads: ``features`` (log spectra) or ``wav``."""
    return "wav" if kind.startswith("transformers") else "features"


def compared_at(kind: str) -> str:
    """The prediction at which gradients of the mimic and the spectral loss are compared."""
    return "mask" if reads(kind) == "wav" else "enhanced_features"


class FilterBank(nn.Module):
    """A control: fixed mel bands of the log spectrum, with nothing learned."""

    def __init__(self, n_mels: int = 40):
        super().__init__()
        self.sizes = arguments(locals())
        self.register_buffer("bank", mel_bank(BINS, n_mels), persistent=False)

    def forward(self, features: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """[batch, time, freq] -> [batch, time, mels], the same under each tap's name."""
        return dict.fromkeys(taps, features @ self.bank)


class PretrainedPerceptual(nn.Module):
    """A speech model of the package transformers that reads waveforms, such as WavLM.

    Taps are ``layer_0`` (the input of the first layer), ``layer_1``, ... ``layer_N``. Layers after
    the deepest of ``taps`` are dropped. Padding counts as silence, in both signals of a comparison.
    """

    def __init__(self, source: str, taps: Sequence[str], random: bool = False):
        super().__init__()
        self.sizes = arguments(locals())
        self.network, self.normalize = fetch(source, "pretrain_perceptual_path", random)
        stack = getattr(self.network, "encoder", self.network)
        self.depth = len(stack.layers)
        numbers = [self.tap_names().index(tap) for tap in taps if tap in self.tap_names()]
        # One layer more than needed: some models normalise after the last one.
        stack.layers = stack.layers[: max(numbers, default=self.depth) + 1]

    def tap_names(self) -> list[str]:
        """All the names that ``forward`` takes as taps."""
        return [f"layer_{number}" for number in range(self.depth + 1)]

    def forward(self, wav: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """[batch, samples] -> a dict name -> output [batch, time, dim]."""
        if self.normalize:
            wav = nn.functional.layer_norm(wav, wav.shape[1:], eps=1e-7)
        states = self.network(wav, output_hidden_states=True).hidden_states
        return {tap: states[self.tap_names().index(tap)] for tap in taps}
