"""Losses: pure functions, zero at identity where they compare two signals."""

import torch
from speechbrain.nnet.losses import ctc_loss, nll_loss

from errors import RecipeError

DISTANCES = {"mse": torch.square, "l1": torch.abs}


def distance_of(kind):
    """The element-wise distance of a name; an error that lists the names otherwise."""
    if kind not in DISTANCES:
        raise RecipeError(f"loss: {kind!r} is not one of {', '.join(DISTANCES)}.")
    return DISTANCES[kind]


def frame_mask(x, lens):
    """1 for the frames of each utterance, 0 for padding.

    x is [batch, time, ...], lens [batch] in shares of the longest; the mask is [batch, time, 1, ...].
    """
    frames = x.shape[1]
    valid = torch.arange(frames, device=x.device) < (lens * frames).round().clamp(min=1).unsqueeze(
        1
    )
    return valid.to(x.dtype).view(*valid.shape, *[1] * (x.dim() - 2))


def masked_mean(x, lens):
    """Mean of x [batch, time, ...] over all elements that are not padding."""
    mask = frame_mask(x, lens)
    return (x * mask).sum() / (mask.sum() * x[0, 0].numel())


def spectral_distance(enhanced_features, clean_features, lens, kind="mse"):
    """Distance of enhanced and clean features, [batch, time, freq] each. Scalar."""
    return masked_mean(distance_of(kind)(enhanced_features - clean_features), lens)


def connectionist(log_probs, tokens, lens, token_lens, blank_index=0):
    """CTC (Graves et al. 2006) of log posteriors [batch, time, n] and tokens [batch, length]. Scalar."""
    return ctc_loss(log_probs, tokens, lens, token_lens, blank_index)


def attention_nll(log_probs, tokens_eos, token_eos_lens, label_smoothing=0.1):
    """Label-smoothed negative log likelihood of log posteriors [batch, length, n]. Scalar."""
    return nll_loss(log_probs, tokens_eos, length=token_eos_lens, label_smoothing=label_smoothing)
