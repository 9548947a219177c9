"""A judge that was trained elsewhere: a speech model of the package transformers that hears waveforms.

Such are wav2vec 2.0, HuBERT, WavLM and their like (self-supervised), and Moonshine (a recognizer, of which the encoder is taken).
"""

import torch

from errors import RecipeError, wanted


def package(key="judge"):
    """The package transformers; RecipeError, which names the setting that wants it, where it is not installed."""
    transformers = wanted(
        "transformers", f"{key}: a pretrained model", "take one of this recipe's own"
    )
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def fetch(source, random):
    """(network, whether it wants each waveform with mean 0 and variance 1, Hz) of a folder or of the hub's owner/name."""
    if not isinstance(source, str) or source.endswith(".ckpt"):
        raise RecipeError(
            f"pretrain_perceptual_path: {source!r} is no pretrained model. With --judge=transformers give the folder of one, or its name "
            "on the hub, such as --pretrain_perceptual_path=microsoft/wavlm-base-plus."
        )
    kinds = package()
    try:
        config, front = (
            kinds.AutoConfig.from_pretrained(source),
            kinds.AutoFeatureExtractor.from_pretrained(source),
        )
        model = (
            kinds.AutoModel.from_config(config)
            if random
            else kinds.AutoModel.from_pretrained(source)
        )
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(
            f"pretrain_perceptual_path: {source} cannot be loaded by transformers ({str(error).strip()[:300]}). Give the folder of a speech "
            "model (config.json, preprocessor_config.json, weights), or its name on the hub."
        ) from error
    network = model.get_encoder() if config.is_encoder_decoder else model
    if network.main_input_name != "input_values":
        raise RecipeError(
            f"pretrain_perceptual_path: {source} hears {network.main_input_name}, not waveforms, which the enhancer is judged by. Models such "
            "as wav2vec 2.0, HuBERT, WavLM and Moonshine hear waveforms."
        )
    return network, bool(getattr(front, "do_normalize", False)), front.sampling_rate


class PretrainedJudge(torch.nn.Module):
    """Outputs of a pretrained network's layers, through which gradients pass.

    Taps are ``layer_0`` (what its convolutions give to the first layer), ``layer_1``, ... ``layer_N``. Layers that no tap
    needs are dropped. Padding is heard as silence, on both sides of the comparison.

    Arguments
    ---------
    source : str
        Folder of the model, or owner/name on the hub.
    taps : list of str
        The deepest of them decides how many layers are kept.
    sample_rate : int
        Hz; an error unless it is the model's.
    random : bool
        Random parameters in place of the trained ones: a control.
    """

    def __init__(self, source, taps, sample_rate=16000, random=False):
        super().__init__()
        self.network, self.normalize, rate = fetch(source, random)
        if rate != sample_rate:
            raise RecipeError(
                f"pretrain_perceptual_path: {source} hears {rate} Hz, but sample_rate is {sample_rate}."
            )
        self.network.config.apply_spec_augment = False
        stack = getattr(self.network, "encoder", self.network)
        self.depth = len(stack.layers)
        wanted = max(
            (self.tap_names().index(tap) for tap in taps if tap in self.tap_names()),
            default=self.depth,
        )
        stack.layers = stack.layers[
            : wanted + 1
        ]  # one more than needed: behind the last one some models normalise

    def tap_names(self):
        """All the names that ``forward`` takes as taps."""
        return [f"layer_{number}" for number in range(self.depth + 1)]

    def forward(self, wav, taps):
        """[batch, samples] -> a dict name -> output [batch, time, dim]."""
        if self.normalize:
            wav = torch.nn.functional.layer_norm(wav, wav.shape[1:], eps=1e-7)
        states = self.network(wav, output_hidden_states=True).hidden_states
        return {tap: states[self.tap_names().index(tap)] for tap in taps}
