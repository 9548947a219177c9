"""Spectra and acoustic features of waveforms."""

from collections.abc import Callable

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.processing.features import InputNormalization, spectral_magnitude
from torch import Tensor, nn

from corpus.layout import SAMPLE_RATE
from errors import one_of

N_FFT = 512  # points of the Fourier transform
WIN_LENGTH = 32  # ms: as many samples
HOP_LENGTH = 16  # ms
HOP = SAMPLE_RATE * HOP_LENGTH // 1000  # samples
BINS = N_FFT // 2 + 1
KINDS = ("log_spectrum", "fbank", "wav")
NORMALIZATIONS = ("none", "mean", "mean_variance")


def stft(wav: Tensor, hop: int = HOP) -> Tensor:
    """[batch, samples] -> complex spectrum [batch, time, freq], that of SpeechBrain's STFT."""
    frames = dict(window=torch.hamming_window(N_FFT, device=wav.device), pad_mode="constant")
    return torch.stft(wav, N_FFT, hop, **frames, return_complex=True).mT


def istft(spectrum: Tensor, samples: int) -> Tensor:
    """Complex spectrum [batch, time, freq] -> [batch, samples]."""
    window = torch.hamming_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum.mT, N_FFT, HOP, window=window, length=samples)


def log_magnitude(spectrum: Tensor) -> Tensor:
    """log(1 + |X|) of a complex spectrum, any shape; the gradient is finite where X is 0."""
    return torch.log1p(spectral_magnitude(torch.view_as_real(spectrum), power=0.5))


class Features(nn.Module):
    """Waveform [batch, samples] -> features [batch, time, freq].

    ``kind`` is ``log_spectrum`` (log1p magnitudes, which the enhancer predicts too), ``fbank``
    (``n_mels`` log-mel bands) or ``wav`` (samples are the frames). ``hop_length`` is in ms.
    ``n_fft`` (samples) and ``win_length`` (ms) are of ``fbank`` alone, for a recognizer that was
    trained elsewhere.
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
        one_of("features", kind, KINDS)
        self.kind, self.hop, self.fbank = kind, round(SAMPLE_RATE * hop_length / 1000), None
        if kind == "fbank":
            frames = dict(n_fft=n_fft, win_length=win_length, hop_length=hop_length)
            self.fbank = Fbank(sample_rate=SAMPLE_RATE, n_mels=n_mels, **frames)

    def forward(self, wav: Tensor) -> Tensor:
        """[batch, samples] -> [batch, time, freq], always computed in 32 bit."""
        if self.kind == "wav":
            return wav.float().unsqueeze(-1)
        with torch.autocast(wav.device.type, enabled=False):
            if self.fbank is not None:
                return self.fbank(wav.float())
            return log_magnitude(stft(wav.float(), self.hop))


def normalization(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Features [batch, time, freq] and lengths -> features: over each utterance, or ``none``."""
    one_of("normalization", kind, NORMALIZATIONS)
    if kind == "none":
        return lambda features, lens: features
    return InputNormalization(norm_type="sentence", std_norm=kind == "mean_variance")
