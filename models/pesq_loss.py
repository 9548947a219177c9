"""PESQ as a loss: the audible disturbance of enhanced speech, by a fixed model of the ear.

It is that of ITU-T P.862 without time alignment, made differentiable (Martin-Donas et al. 2018; Kim
et al. 2019, "End-to-end multi-task denoising for joint SDR and PESQ optimization").
"""

from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from corpus.layout import SAMPLE_RATE
from errors import wanted

FAINTEST = 1e-5  # RMS of full scale; a fainter signal has no level that could be aligned
DITHER = 1e-8  # of full scale; without it a digital pause has a gradient of NaN
SHORTEST = round(0.4 * SAMPLE_RATE)  # samples; the disturbance is summed over 20 frames of 16 ms


def package() -> ModuleType:
    """The module torch_pesq; RecipeError where it is not installed."""
    otherwise = "leave the loss out with --pesq_weight=null"
    return wanted("torch-pesq", "pesq_weight: the PESQ loss", otherwise)


@lru_cache(maxsize=2)
def disturbance(device: torch.device) -> nn.Module:
    """torch-pesq's loss: two waveforms [batch, samples] -> [batch]."""
    return package().PesqLoss(1.0, sample_rate=SAMPLE_RATE).to(device)


def pesq_distance(enhanced_wav: Tensor, clean_wav: Tensor) -> Tensor:
    """Disturbance, mean over utterances: 0 at identity, about 4.5 for speech drowned in noise.

    Waveforms are [batch, samples]. Padding counts as silence. Utterances that are silent in either
    are left out. Scalar.
    """
    with torch.autocast(enhanced_wav.device.type, enabled=False):
        missing = max(0, SHORTEST - enhanced_wav.shape[1])
        enhanced = pad(enhanced_wav.float(), (0, missing))
        clean = pad(clean_wav.float(), (0, missing))
        levels = torch.stack([enhanced, clean]).detach().square().mean(dim=2).sqrt()  # RMS
        loud = levels.amin(dim=0) > FAINTEST  # [batch]
        # A tone in the place of what is silent: the model of the ear divides by the level.
        tone = torch.arange(enhanced.shape[1], device=enhanced.device).mul(0.3).sin()
        both = (wav + DITHER * tone for wav in (enhanced, clean))
        enhanced, clean = (torch.where(loud.unsqueeze(1), wav, tone) for wav in both)
        found = disturbance(enhanced.device)(clean, enhanced).float()
        return (found * loud).sum() / loud.sum().clamp(min=1)
