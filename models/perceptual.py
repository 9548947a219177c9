"""Perceptual models: the encoder of stage 1, a model that was trained elsewhere, or a control."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from corpus.layout import SAMPLE_RATE
from errors import RecipeError, wanted
from models.acoustic import AcousticEncoder, mel_bank
from models.features import BINS
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
    if kind not in KINDS:
        raise RecipeError(f"perceptual: {kind!r} is not one of {', '.join(KINDS)}.")
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
        self.network, self.normalize = fetch(source, random)
        self.network.config.apply_spec_augment = False
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


def package(key: str = "perceptual") -> ModuleType:
    """The package transformers; RecipeError names the setting ``key`` where it is not installed."""
    transformers = wanted("transformers", f"{key}: a pretrained model", "take one of this recipe's")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def fetch(source: str, random: bool) -> tuple[nn.Module, bool]:
    """(network, whether it wants waveforms of mean 0 and variance 1) of a folder or hub name."""
    refused = f"pretrain_perceptual_path: {source}"
    remedy = "Give the folder of a speech model, or its hub name such as microsoft/wavlm-base."
    if not isinstance(source, str) or source.endswith(".ckpt"):
        raise RecipeError(f"{refused} is no pretrained model. {remedy}")
    kinds = package()
    try:
        config = kinds.AutoConfig.from_pretrained(source)
        front = kinds.AutoFeatureExtractor.from_pretrained(source)
        build = kinds.AutoModel.from_config if random else kinds.AutoModel.from_pretrained
        model = build(config if random else source)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip()[:300]
        raise RecipeError(
            f"{refused} cannot be loaded by transformers ({reason}). {remedy}"
        ) from error
    network = model.get_encoder() if config.is_encoder_decoder else model
    if network.main_input_name != "input_values":
        raise RecipeError(
            f"{refused} reads {network.main_input_name}, and the enhancer gives waveforms. "
            "Models such as wav2vec 2.0, HuBERT, WavLM and Moonshine read waveforms."
        )
    if front.sampling_rate != SAMPLE_RATE:
        rates = f"{front.sampling_rate} Hz, and the recipe has {SAMPLE_RATE} Hz"
        raise RecipeError(f"{refused} reads {rates}. Give a model of that rate.")
    return network, bool(getattr(front, "do_normalize", False))
