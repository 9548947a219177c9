"""PESQ as a loss: the audible disturbance of enhanced speech, by a model of the ear in place of a judge that learned.

The model is that of ITU-T P.862 without its time alignment, made differentiable (Kim et al. 2019, "End-to-end multi-task
denoising for joint SDR and PESQ optimization", and Martin-Donas et al. 2018 before them); the package torch-pesq has it.
"""

from functools import cache, lru_cache

import torch

from errors import wanted

FAINTEST = 1e-5  # RMS of full scale; what is fainter has no level that could be aligned
SHORTEST = 0.4  # s; shorter sounds are padded: disturbance is summed over 20 frames of 16 ms


def package():
    """The module torch_pesq; RecipeError where it is not installed."""
    return wanted(
        "torch-pesq", "pesq_weight: the PESQ loss", "leave the loss out with --pesq_weight=null"
    )


@cache
def disturbance(sample_rate, device):
    """torch-pesq's loss: two waveforms [batch, samples] -> [batch]."""
    return package().PesqLoss(1.0, sample_rate=sample_rate).to(device)


def pesq_distance(enhanced_wav, clean_wav, sample_rate=16000):
    """Disturbance of enhanced speech, mean over the utterances: 0 at identity, about 4.5 for speech drowned in noise.

    Arguments
    ---------
    enhanced_wav, clean_wav : torch.Tensor
        [batch, samples]. Padding counts as silence; utterances that are silent in either are left out.
    sample_rate : int
        Hz.
    """
    with torch.autocast(enhanced_wav.device.type, enabled=False):
        missing = max(0, round(SHORTEST * sample_rate) - enhanced_wav.shape[1])
        enhanced, clean = (
            torch.nn.functional.pad(wav.float(), (0, missing)) for wav in (enhanced_wav, clean_wav)
        )
        heard = (level(enhanced) > FAINTEST) & (level(clean) > FAINTEST)
        hum = (
            torch.arange(enhanced.shape[1], device=enhanced.device).mul(0.3).sin()
        )  # in the place of what is silent
        enhanced, clean = (torch.where(heard.unsqueeze(1), wav, hum) for wav in (enhanced, clean))
        found = disturbance(sample_rate, enhanced.device)(clean, enhanced).float()
        return (found * heard).sum() / heard.sum().clamp(min=1)


def level(wav):
    """RMS of each utterance: [batch, samples] -> [batch]."""
    return wav.detach().square().mean(dim=1).sqrt()
