"""Acoustic features of a waveform."""

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.processing.features import STFT, Filterbank, InputNormalization, spectral_magnitude

from errors import RecipeError

KINDS = ("log_spectrum", "fbank")
NORMALIZATIONS = ("none", "mean", "mean_variance")


def log_magnitude(spectrum):
    """log(1 + |X|) of a complex spectrum [batch, time, freq, 2] -> [batch, time, freq].

    The root of the power is taken away from 0: its gradient is infinite there.
    """
    return torch.log1p(spectral_magnitude(spectrum, power=0.5))


def constants_to(module, device):
    """Move what a module's parts hold as plain tensors, SpeechBrain's windows and filters, which ``Module.to`` leaves behind.

    Each call would copy them to a GPU anew, and wait until all that it was given before is done.
    """
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                setattr(part, name, value.to(device))


def feature_size(kind, n_fft, n_mels):
    """Number of features a frame: the ``input_size`` of the network behind."""
    if kind not in KINDS:
        raise RecipeError(f"features: {kind!r} is not one of {', '.join(KINDS)}.")
    return n_fft // 2 + 1 if kind == "log_spectrum" else n_mels


class KeptFilterbank(Filterbank):
    """SpeechBrain's mel filter bank, but its matrix is computed once, and not on the CPU in each call."""

    matrix = None  # [bins, bands]

    def _create_fbank_matrix(self, *central_and_band):
        if self.matrix is None:
            self.matrix = super()._create_fbank_matrix(*central_and_band)
        return self.matrix


class Features(torch.nn.Module):
    """Waveform [batch, samples] -> features [batch, time, freq].

    Arguments
    ---------
    kind : str
        ``log_spectrum``: log1p of the magnitude spectrum, which the enhancer also predicts;
        ``fbank``: log-mel filter bank.
    n_fft : int
        Points of the Fourier transform (samples).
    win_length, hop_length : float
        Window and hop (ms).
    n_mels : int
        Mel bands, for ``fbank``.
    """

    def __init__(
        self,
        kind="log_spectrum",
        sample_rate=16000,
        n_fft=512,
        win_length=32,
        hop_length=16,
        n_mels=40,
    ):
        super().__init__()
        feature_size(kind, n_fft, n_mels)
        frames = dict(
            sample_rate=sample_rate, n_fft=n_fft, win_length=win_length, hop_length=hop_length
        )
        self.kind = kind
        self.transform = (
            STFT(**frames) if kind == "log_spectrum" else Fbank(n_mels=n_mels, **frames)
        )
        if kind == "fbank":
            self.transform.compute_fbanks.__class__ = KeptFilterbank
            self.transform(torch.zeros(1, n_fft))  # its matrix

    def forward(self, wav):
        """[batch, samples] -> [batch, time, freq], always computed in 32 bit."""
        with torch.autocast(wav.device.type, enabled=False):
            transformed = self.transform(wav.float())
            return log_magnitude(transformed) if self.kind == "log_spectrum" else transformed


class AsTheyAre(torch.nn.Module):
    """In a normalisation's place: none."""

    def forward(self, features, lens):
        """[batch, time, freq] -> the same."""
        return features


def normalization(kind):
    """``none``; ``mean``: each feature's mean over the utterance is taken away; ``mean_variance``: and it is divided by its deviation."""
    if kind not in NORMALIZATIONS:
        raise RecipeError(f"normalization: {kind!r} is not one of {', '.join(NORMALIZATIONS)}.")
    return (
        AsTheyAre()
        if kind == "none"
        else InputNormalization(norm_type="sentence", std_norm=kind == "mean_variance")
    )
