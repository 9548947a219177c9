"""Losses: pure functions, zero at identity where they compare two signals."""

from collections.abc import Callable

import torch
from speechbrain.nnet import losses

from errors import RecipeError

DISTANCES = {"mse": torch.square, "l1": torch.abs}


def distance_of(kind: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """The element-wise distance of a name, a function of the difference."""
    if kind not in DISTANCES:
        raise RecipeError(f"loss: {kind!r} is not one of {', '.join(DISTANCES)}.")
    return DISTANCES[kind]


def frame_mask(x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
    """1 for the frames of each utterance, 0 for padding.

    [batch, time, 1, ...] for x [batch, time, ...]; ``lens`` [batch] are shares of the longest.
    """
    frames = x.shape[1]
    counts = (lens * frames).round().clamp(min=1).unsqueeze(1)
    valid = torch.arange(frames, device=x.device) < counts
    return valid.to(x.dtype).view(*valid.shape, *[1] * (x.dim() - 2))


def masked_mean(x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
    """Mean of x [batch, time, ...] over all elements that are not padding. Scalar."""
    mask = frame_mask(x, lens)
    return (x * mask).sum() / (mask.sum() * x[0, 0].numel())


def spectral_distance(
    enhanced_features: torch.Tensor,
    clean_features: torch.Tensor,
    lens: torch.Tensor,
    kind: str = "mse",
) -> torch.Tensor:
    """Distance (``mse`` or ``l1``) of two features [batch, time, freq]. Scalar."""
    return masked_mean(distance_of(kind)(enhanced_features - clean_features), lens)


def ctc_loss(
    log_probs: torch.Tensor,
    tokens: torch.Tensor,
    lens: torch.Tensor,
    token_lens: torch.Tensor,
    blank_index: int,
) -> torch.Tensor:
    """CTC of log posteriors [batch, time, n] and tokens [batch, length]. Scalar."""
    return losses.ctc_loss(log_probs, tokens, lens, token_lens, blank_index)


def attention_nll(
    log_probs: torch.Tensor,
    tokens_eos: torch.Tensor,
    token_eos_lens: torch.Tensor,
    label_smoothing: float = 0.1,
) -> torch.Tensor:
    """Label-smoothed negative log likelihood of log posteriors [batch, length, n]. Scalar."""
    smoothing = dict(label_smoothing=label_smoothing)
    return losses.nll_loss(log_probs, tokens_eos, length=token_eos_lens, **smoothing)
