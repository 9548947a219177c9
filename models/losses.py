"""Distances of signals: pure functions, zero at identity."""

from collections.abc import Callable

import torch
from torch import Tensor

from errors import one_of

DISTANCES = {"mse": torch.square, "l1": torch.abs}


def distance_of(kind: str) -> Callable[[Tensor], Tensor]:
    """The element-wise distance of a name, a function of the difference."""
    one_of("loss", kind, DISTANCES)
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
