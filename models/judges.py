"""Who judges enhanced speech: the acoustic model of stage 1, a model that was trained elsewhere, or a control."""

import torch

from errors import RecipeError
from models.acoustic import mel_bank
from models.pretrained_judge import PretrainedJudge

JUDGES = ("encoder", "filter_bank", "transformers", "transformers_random")


class FilterBankJudge(torch.nn.Module):
    """A control in the judge's place: a fixed mel filter bank on the log spectrum, with nothing learned."""

    def __init__(self, n_fft=512, n_mels=40, sample_rate=16000):
        super().__init__()
        self.register_buffer(
            "bank", mel_bank(n_fft // 2 + 1, n_mels, sample_rate), persistent=False
        )

    def forward(self, features, taps=None):
        """[batch, time, freq] -> the same bands under each tap's name, [batch, time, mels]."""
        bands = features @ self.bank
        return {tap: bands for tap in taps} if taps else bands


def build_judge(kind, encoder, path=None, taps=(), n_fft=512, n_mels=40, sample_rate=16000):
    """The judge of a name.

    Arguments
    ---------
    kind : str
        ``encoder``: the acoustic model, whose parameters are loaded later (random where no path is given);
        ``filter_bank``: fixed mel bands, a control; ``transformers``: a pretrained speech model of that package, and
        ``transformers_random``: the same with random parameters, a control.
    encoder : torch.nn.Module
        The acoustic model.
    path : str
        Folder, or owner/name on the hub, of a pretrained model.
    taps : list of str
        The layers that a pretrained model is asked for.
    n_fft, n_mels, sample_rate : int
        Points of the Fourier transform and bands of the filter bank; Hz.
    """
    if kind not in JUDGES:
        raise RecipeError(f"judge: {kind!r} is not one of {', '.join(JUDGES)}.")
    if kind == "filter_bank":
        return FilterBankJudge(n_fft, n_mels, sample_rate)
    if not is_pretrained(kind):
        return encoder
    return PretrainedJudge(path, taps, sample_rate, random=kind == "transformers_random")


def is_pretrained(kind):
    """Whether a judge brings its parameters itself, and hears waveforms."""
    return kind in ("transformers", "transformers_random")


def parameters_of(kind, path):
    """The file that an acoustic model's parameters are loaded from; None where a judge brings its own."""
    return None if is_pretrained(kind) else path


def heard_by(kind):
    """What a judge hears: ``features`` (log spectra) or ``wav``."""
    return "wav" if is_pretrained(kind) else "features"


def compared_at(kind):
    """The prediction at which the gradients of mimic and spectral loss are compared: one that both stand on."""
    return "mask" if is_pretrained(kind) else "enhanced_features"
