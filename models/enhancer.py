"""What all enhancers share: spectra, the use of the mask, synthesis."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from errors import one_of
from models.features import HOP, istft, log_magnitude, stft

MASK_DOMAINS = ("spectrum", "features")
Enhanced = tuple[Tensor | None, Tensor, Tensor]  # waveform, features, mask


class Enhancer(nn.Module):
    """Base class: noisy waveform -> enhanced waveform, enhanced features and mask.

    A subclass implements ``mask(noisy_features)``: log1p magnitudes [batch, time, freq] -> a mask
    of the same shape, not negative. It keeps its constructor's arguments in ``self.sizes``
    (``models.saved.arguments``), from which the next stage and the exports build it again.

    The mask multiplies what ``mask_domain`` says: the complex ``spectrum``, or the ``features``
    (log1p magnitudes, with the noisy phase). ``mask_weight`` is its share; the rest stays noisy.
    """

    def __init__(self, mask_domain: str = "spectrum", mask_weight: float = 1.0):
        super().__init__()
        one_of("mask_domain", mask_domain, MASK_DOMAINS)
        self.mask_domain, self.mask_weight = mask_domain, mask_weight

    def mask(self, noisy_features: Tensor) -> Tensor:
        """Features [batch, time, freq] -> mask [batch, time, freq]."""
        raise NotImplementedError

    def forward(self, noisy_wav: Tensor, synthesize: bool = True) -> Enhanced:
        """Noisy waveform [batch, samples] -> (enhanced_wav, enhanced_features, mask).

        enhanced_wav is [batch, samples], or None without ``synthesize``; the others are
        [batch, time, freq]. All are in 32 bit; autocast changes the network that gives the mask.
        """
        noisy_spec = stft(noisy_wav.float())  # complex [batch, time, freq]
        noisy_features = log_magnitude(noisy_spec)
        mask = self.mask(noisy_features).float()
        gain = self.mask_weight * mask + 1 - self.mask_weight
        if self.mask_domain == "spectrum":
            spec = gain * noisy_spec
            features = log_magnitude(spec)
        else:
            features = gain * noisy_features
            spec = torch.polar(torch.expm1(features), noisy_spec.angle())
        wav = istft(spec, noisy_wav.shape[1]) if synthesize else None
        return wav, features, mask


def resynthesize(magnitude_wav: Tensor, phase_wav: Tensor) -> Tensor:
    """Magnitudes of one signal with the phases of another: [batch, samples] each -> the same."""
    spectrum = torch.polar(stft(magnitude_wav).abs(), stft(phase_wav).angle())
    return istft(spectrum, magnitude_wav.shape[1])


def enhance_alone(
    enhance: Callable[..., Enhanced], noisy_wav: Tensor, lens: Tensor, synthesize: bool = True
) -> Enhanced:
    """An ``Enhancer``'s output for each utterance without its batch's padding, padded with 0.

    Means over time, as in squeeze-and-excitation, would reach into the padding. Shapes are those of
    ``Enhancer.forward``; ``lens`` [batch] are shares of the longest utterance.
    """
    samples = noisy_wav.shape[1]
    counts = (lens * samples).round().long().tolist()
    each = [enhance(wav[None, :n], synthesize) for wav, n in zip(noisy_wav, counts, strict=True)]
    wavs, features, masks = zip(*each, strict=True)
    frames = 1 + samples // HOP
    wav = batched(wavs, samples) if synthesize else None
    return wav, batched(features, frames), batched(masks, frames)


def batched(parts: Sequence[Tensor], length: int) -> Tensor:
    """Tensors [1, time, ...] -> [batch, length, ...], padded with 0."""
    padded = pad_sequence([part[0] for part in parts], batch_first=True)
    return pad(padded, (0, 0) * (padded.dim() - 2) + (0, length - padded.shape[1]))
