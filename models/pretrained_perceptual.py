"""A perceptual model that was trained elsewhere: a speech model of the package transformers.

Such are wav2vec 2.0, HuBERT, WavLM (self-supervised), and the encoder of Moonshine (a recognizer).
"""

from collections.abc import Sequence
from types import ModuleType

import torch

from corpus.layout import SAMPLE_RATE
from errors import RecipeError, wanted
from models.saved import arguments

KEY = "pretrain_perceptual_path"


def package(key: str = "perceptual") -> ModuleType:
    """The package transformers; RecipeError names the setting ``key`` where it is not installed."""
    purpose = f"{key}: a pretrained model"
    transformers = wanted("transformers", purpose, "take one of this recipe's own")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def fetch(source: str, random: bool) -> tuple[torch.nn.Module, bool]:
    """(network, whether it wants waveforms of mean 0 and variance 1) of a folder or hub name."""
    if not isinstance(source, str) or source.endswith(".ckpt"):
        raise RecipeError(
            f"{KEY}: {source!r} is no pretrained model. With --perceptual=transformers give the "
            f"folder of one, or its name on the hub, such as --{KEY}=microsoft/wavlm-base-plus."
        )
    kinds = package()
    try:
        config = kinds.AutoConfig.from_pretrained(source)
        front = kinds.AutoFeatureExtractor.from_pretrained(source)
        build = kinds.AutoModel.from_config if random else kinds.AutoModel.from_pretrained
        model = build(config if random else source)
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(
            f"{KEY}: {source} cannot be loaded by transformers ({str(error).strip()[:300]}). Give "
            "the folder of a speech model (config.json, preprocessor_config.json, weights), or its "
            "name on the hub."
        ) from error
    network = model.get_encoder() if config.is_encoder_decoder else model
    if network.main_input_name != "input_values":
        raise RecipeError(
            f"{KEY}: {source} reads {network.main_input_name}, and the enhancer gives waveforms. "
            "Models such as wav2vec 2.0, HuBERT, WavLM and Moonshine read waveforms."
        )
    if front.sampling_rate != SAMPLE_RATE:
        raise RecipeError(
            f"{KEY}: {source} reads {front.sampling_rate} Hz, and the recipe has {SAMPLE_RATE} Hz. "
            "Give a model of that rate."
        )
    return network, bool(getattr(front, "do_normalize", False))


class PretrainedPerceptual(torch.nn.Module):
    """Outputs of a pretrained network's layers, through which gradients pass.

    Taps are ``layer_0`` (the input of the first layer), ``layer_1``, ... ``layer_N``. Layers after
    the deepest of ``taps`` are dropped. Padding counts as silence, in both signals of a comparison.
    ``source`` is a folder or owner/name on the hub; ``random`` parameters are a control.
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

    def forward(self, wav: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """[batch, samples] -> a dict name -> output [batch, time, dim]."""
        if self.normalize:
            wav = torch.nn.functional.layer_norm(wav, wav.shape[1:], eps=1e-7)
        states = self.network(wav, output_hidden_states=True).hidden_states
        return {tap: states[self.tap_names().index(tap)] for tap in taps}
