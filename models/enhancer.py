"""The enhancer: a mask on the noisy spectrum.

SpeechBrain's wide ResNet with squeeze-and-excitation (arXiv:2112.06068), with the same parameter names, so that its
checkpoints load here. What differs: the output has the input's length, synthesis can be left out, and a mask outside of
[0, 1] is not lost to training, which starts with a mask that lets all through.
"""

import torch
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet

from models.features import log_magnitude
from models.layout import without_copies


class Returning(torch.autograd.Function):
    """Clamp to [0, 1] that keeps a gradient which leads back inside.

    Outside, ``torch.clamp`` has none: about half of the points of an untrained mask lie there, and do not learn.
    """

    @staticmethod
    def forward(ctx, x):
        """Any shape -> the same shape, in [0, 1]."""
        ctx.save_for_backward(x)
        return x.clamp(min=0, max=1)

    @staticmethod
    def backward(ctx, slope):
        """The slope, but 0 where descent would lead further out."""
        (x,) = ctx.saved_tensors
        return slope.masked_fill((x < 0) & (slope > 0) | (x > 1) & (slope < 0), 0)


class Enhancer(EnhanceResnet):
    """Noisy waveform -> features of the masked spectrum, and the enhanced waveform.

    Arguments are those of ``speechbrain.lobes.models.EnhanceResnet.EnhanceResnet``; ``mask_weight`` is the share of the
    mask: 1 - mask_weight of the noisy spectrum is always kept.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        without_copies(self)
        torch.nn.init.ones_(self.output_layer().bias)

    def output_layer(self):
        """The ``torch.nn.Linear`` that gives the mask, before it is clamped."""
        return list(self.DNN.values())[-1].w

    def compile(self, **how):
        """Arguments of ``torch.compile``. The mask's network alone: spectra are complex, which TorchInductor cannot compile."""
        self.CNN.compile(**how)
        self.DNN.compile(**how)

    def forward(self, noisy_wav, synthesize=True):
        """[batch, samples] -> (wav [batch, samples] or None, features [batch, time, freq], mask [batch, time, freq])"""
        with torch.autocast(noisy_wav.device.type, enabled=False):
            noisy_spec = self.stft(noisy_wav.float())  # [batch, time, freq, 2]
            noisy_features = log_magnitude(noisy_spec)
        mask = self.mask(noisy_features).float()
        with torch.autocast(noisy_wav.device.type, enabled=False):
            kept = self.mask_weight * mask + 1 - self.mask_weight
            enhanced_spec = kept.unsqueeze(-1) * noisy_spec
            wav = self.istft(enhanced_spec, sig_length=noisy_wav.shape[1]) if synthesize else None
            return wav, log_magnitude(enhanced_spec), mask

    def mask(self, features):
        """Features [batch, time, freq] -> real mask in [0, 1], same shape."""
        return Returning.apply(self.DNN(self.CNN(features)))


def resynthesize(magnitude_wav, phase_wav, stft, istft):
    """The magnitudes of one signal with the phases of another: [batch, samples] each -> [batch, samples]."""
    magnitude = torch.view_as_complex(stft(magnitude_wav).contiguous()).abs()
    phase = torch.view_as_complex(stft(phase_wav).contiguous()).angle()
    mixed = torch.view_as_real(torch.polar(magnitude, phase))
    return istft(mixed, sig_length=magnitude_wav.shape[1])
