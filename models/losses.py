"""Losses: pure functions, zero at identity where they compare two signals."""

from collections.abc import Callable

import torch
from speechbrain.nnet import losses
from torch import Tensor

from errors import RecipeError

DISTANCES = {"mse": torch.square, "l1": torch.abs}


def distance_of(kind: str) -> Callable[[Tensor], Tensor]:
    """The element-wise distance of a name, a function of the difference."""
    if kind not in DISTANCES:
        raise RecipeError(f"loss: {kind!r} is not one of {', '.join(DISTANCES)}.")
    return DISTANCES[kind]


def frame_mask(x: Tensor, lens: Tensor) -> Tensor:
    """1 for the frames of each utterance, 0 for padding.

    [batch, time, 1, ...] for x [batch, time, ...]; ``lens`` [batch] are shares of the longest.
    """
    frames = x.shape[1]
    counts = (lens * frames).round().clamp(min=1).unsqueeze(1)
    valid = torch.arange(frames, device=x.device) < counts
    return valid.to(x.dtype).view(*valid.shape, *[1] * (x.dim() - 2))


def masked_mean(x: Tensor, lens: Tensor) -> Tensor:
    """Mean of x [batch, time, ...] over all elements that are not padding. Scalar."""
    mask = frame_mask(x, lens)
    return (x * mask).sum() / (mask.sum() * x[0, 0].numel())


def spectral_distance(
    enhanced_features: Tensor, clean_features: Tensor, lens: Tensor, kind: str = "mse"
) -> Tensor:
    """Distance (``mse`` or ``l1``) of two features [batch, time, freq]. Scalar."""
    return masked_mean(distance_of(kind)(enhanced_features - clean_features), lens)


def ctc_loss(
    log_probs: Tensor, tokens: Tensor, lens: Tensor, token_lens: Tensor, blank_index: int
) -> Tensor:
    """CTC of log posteriors [batch, time, n] and tokens [batch, length]. Scalar."""
    return losses.ctc_loss(log_probs, tokens, lens, token_lens, blank_index)


def attention_nll(
    log_probs: Tensor, tokens_eos: Tensor, token_eos_lens: Tensor, label_smoothing: float = 0.1
) -> Tensor:
    """Label-smoothed negative log likelihood of log posteriors [batch, length, n]. Scalar."""
    return losses.nll_loss(log_probs, tokens_eos, token_eos_lens, label_smoothing)
