"""Spectra and acoustic features of waveforms."""

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.processing.features import InputNormalization, spectral_magnitude

from corpus.layout import SAMPLE_RATE
from errors import RecipeError

N_FFT = 512  # points of the Fourier transform, samples of a window
WIN_LENGTH = 1000 * N_FFT / SAMPLE_RATE  # ms
HOP_LENGTH = 16  # ms
BINS = N_FFT // 2 + 1
KINDS = ("log_spectrum", "fbank")
NORMALIZATIONS = ("none", "mean", "mean_variance")


def samples_of(milliseconds: float) -> int:
    """Number of samples of a window or hop."""
    return round(SAMPLE_RATE * milliseconds / 1000)


def stft(wav: torch.Tensor, hop_length: float = HOP_LENGTH) -> torch.Tensor:
    """[batch, samples] -> complex spectrum [batch, time, freq], that of SpeechBrain's STFT."""
    hop, window = samples_of(hop_length), torch.hamming_window(N_FFT, device=wav.device)
    frames = dict(n_fft=N_FFT, hop_length=hop, window=window, pad_mode="constant")
    return torch.stft(wav, **frames, return_complex=True).mT


def istft(spectrum: torch.Tensor, samples: int) -> torch.Tensor:
    """Complex spectrum [batch, time, freq] -> [batch, samples]."""
    hop, window = samples_of(HOP_LENGTH), torch.hamming_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum.mT, N_FFT, hop, window=window, length=samples)


def log_magnitude(spectrum: torch.Tensor) -> torch.Tensor:
    """log(1 + |X|) of a complex spectrum, any shape; the gradient is finite where X is 0."""
    return torch.log1p(spectral_magnitude(torch.view_as_real(spectrum), power=0.5))


def constants_to(module: torch.nn.Module, device: str | torch.device) -> None:
    """Move the plain tensors of a module's parts (SpeechBrain's filters) to a device.

    ``Module.to`` leaves them behind, and each call would copy them again.
    """
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                setattr(part, name, value.to(device))


def feature_size(kind: str, n_mels: int = 40) -> int:
    """Features per frame: the ``input_size`` of the network that reads them."""
    if kind not in KINDS:
        raise RecipeError(f"features: {kind!r} is not one of {', '.join(KINDS)}.")
    return BINS if kind == "log_spectrum" else n_mels


class Features(torch.nn.Module):
    """Waveform [batch, samples] -> features [batch, time, freq].

    ``kind`` is ``log_spectrum`` (log1p magnitudes, which the enhancer predicts too) or ``fbank``
    (``n_mels`` log-mel bands). ``hop_length`` is in ms. ``n_fft`` (samples) and ``win_length`` (ms)
    are of ``fbank`` alone, for a recognizer that was trained elsewhere.
    """

    def __init__(
        self,
        kind: str = "log_spectrum",
        hop_length: float = HOP_LENGTH,
        n_mels: int = 40,
        n_fft: int = N_FFT,
        win_length: float = WIN_LENGTH,
    ):
        super().__init__()
        self.size = feature_size(kind, n_mels)
        self.hop_length, self.fbank = hop_length, None
        if kind == "fbank":
            frames = dict(n_fft=n_fft, win_length=win_length, hop_length=hop_length)
            self.fbank = Fbank(sample_rate=SAMPLE_RATE, n_mels=n_mels, **frames)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """[batch, samples] -> [batch, time, freq], always computed in 32 bit."""
        with torch.autocast(wav.device.type, enabled=False):
            if self.fbank is not None:
                return self.fbank(wav.float())
            return log_magnitude(stft(wav.float(), self.hop_length))


class NoNormalization(torch.nn.Module):
    """Features as they are."""

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """[batch, time, freq] -> the same."""
        return features


def normalization(kind: str) -> torch.nn.Module:
    """Features and lengths -> features: ``none``, or each utterance's ``mean`` (and variance)."""
    if kind not in NORMALIZATIONS:
        raise RecipeError(f"normalization: {kind!r} is not one of {', '.join(NORMALIZATIONS)}.")
    if kind == "none":
        return NoNormalization()
    return InputNormalization(norm_type="sentence", std_norm=kind == "mean_variance")
