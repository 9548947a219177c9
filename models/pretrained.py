"""Speech models of the package transformers that read waveforms: loaded, and as encoders."""

import json
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from corpus.layout import SAMPLE_RATE
from errors import RecipeError, wanted

# In training: no masking (``augment`` does it), and no layers left out, which DDP does not expect
PLAIN = dict(apply_spec_augment=False, mask_time_prob=0.0, mask_feature_prob=0.0, layerdrop=0.0)


class PretrainedEncoder(nn.Module):
    """The encoder of such a model, from its configuration, with random parameters.

    ``config`` is the configuration's dict, so that a copy needs neither the hub nor a folder.
    ``normalize``: whether it wants waveforms of mean 0 and variance 1.
    """

    def __init__(self, config: dict[str, Any], normalize: bool):
        super().__init__()
        self.sizes, self.normalize = {"config": config, "normalize": normalize}, normalize
        kinds = package("encoder")
        self.network = encoder_of(kinds.AutoModel.from_config(kinds.AutoConfig.for_model(**config)))
        self.output_size = self.network.config.hidden_size

    def forward(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features of the kind ``wav`` [batch, samples, 1] -> [batch, time, dim].

        In evaluation each utterance is encoded without its batch's padding, of which means over
        time would depend; ``lengths`` [batch] are shares of the longest. In training the padding
        counts as silence.
        """
        wav = wav.squeeze(-1)
        if self.training or lengths is None:
            return self.network(wav).last_hidden_state
        counts = (lengths * wav.shape[1]).round().long().tolist()
        each = [self.network(one[None, :n]) for one, n in zip(wav, counts, strict=True)]
        return pad_sequence([made.last_hidden_state[0] for made in each], batch_first=True)


def pretrained_encoder(source: str, key: str) -> PretrainedEncoder:
    """The encoder of a folder or hub name, with its parameters; ``key`` is the setting."""
    network, normalize = fetch(source, key)
    encoder = PretrainedEncoder(json.loads(network.config.to_json_string()), normalize)
    encoder.network.load_state_dict(network.state_dict())
    return encoder


def package(key: str) -> ModuleType:
    """The package transformers; RecipeError names the setting ``key`` where it is not installed."""
    transformers = wanted("transformers", f"{key}: a pretrained model", "take one of this recipe's")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def encoder_of(model: nn.Module) -> nn.Module:
    """The encoder of an encoder and decoder; other models are one."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def fetch(source: str, key: str, random: bool = False) -> tuple[nn.Module, bool]:
    """(encoder, whether it wants waveforms of mean 0 and variance 1) of a folder or hub name.

    ``key`` is the setting that names it, ``random`` leaves out its parameters.
    """
    refused = f"{key}: {source}"
    remedy = "Give the folder of a speech model, or its hub name such as microsoft/wavlm-base."
    if not isinstance(source, str) or source.endswith(".ckpt"):
        raise RecipeError(f"{refused} is no pretrained model. {remedy}")
    kinds = package(key)
    try:
        config = kinds.AutoConfig.from_pretrained(source)
        for name in PLAIN.keys() & vars(config).keys():
            setattr(config, name, PLAIN[name])
        front = kinds.AutoFeatureExtractor.from_pretrained(source)
        if random:
            model = kinds.AutoModel.from_config(config)
        else:
            model = kinds.AutoModel.from_pretrained(source, config=config)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip()[:300]
        raise RecipeError(
            f"{refused} cannot be loaded by transformers ({reason}). {remedy}"
        ) from error
    network = encoder_of(model.float())
    if network.main_input_name != "input_values":
        raise RecipeError(
            f"{refused} reads {network.main_input_name}, and the enhancer gives waveforms. "
            "Models such as wav2vec 2.0, HuBERT, WavLM and Moonshine read waveforms."
        )
    if front.sampling_rate != SAMPLE_RATE:
        rates = f"{front.sampling_rate} Hz, and the recipe has {SAMPLE_RATE} Hz"
        raise RecipeError(f"{refused} reads {rates}. Give a model of that rate.")
    return network, bool(getattr(front, "do_normalize", False))
