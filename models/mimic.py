"""The mimic loss: the distance of a perceptual model's outputs for enhanced and clean speech.

Bagchi et al. 2018, "Spectral feature mapping with mimic loss for robust speech recognition".
"""

import torch
from torch import Tensor

from errors import one_of
from models.losses import distance_of, frame_mask, masked_mean

FORMS = ("raw", "standardised", "unit_norm")
SHORTEST = 1e-9  # length of a vector that has a direction


def channel_deviation(x: Tensor, lens: Tensor, floor: float = 1e-4) -> Tensor:
    """Standard deviation of each channel of x [batch, time, ..., channels], without padding."""
    mask = frame_mask(x, lens)
    dims = tuple(range(x.dim() - 1))
    count = mask.sum() * (x[0, 0].numel() // x.shape[-1])
    mean = (x * mask).sum(dim=dims, keepdim=True) / count
    variance = ((x - mean).square() * mask).sum(dim=dims, keepdim=True) / count
    return variance.sqrt().clamp(min=floor)


def unit(x: Tensor) -> Tensor:
    """Vectors [..., channels] scaled to length 1; those without a direction become constant 0."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * torch.where(length > SHORTEST, 1 / length.clamp(min=SHORTEST), 0)


def mimic_distance(
    perceptual_enhanced: dict[str, Tensor],
    perceptual_clean: dict[str, Tensor],
    lens: Tensor,
    kind: str = "mse",
    form: str = "unit_norm",
) -> Tensor:
    """Distance of a perceptual model's two outputs, summed over its taps, always in 32 bit. Scalar.

    The outputs are dicts, name of the tap -> [batch, time, ..., channels]; ``lens`` [batch] are
    shares of the longest utterance. ``kind`` is ``mse`` or ``l1``, and ``form`` one of

    - ``raw``: as published;
    - ``standardised``: each channel divided by its standard deviation on the clean speech, so that
      no loud channel dominates;
    - ``unit_norm``: the channels of each frame (and band) scaled to length 1, so that quiet places
      count as much as loud ones.
    """
    one_of("mimic_form", form, FORMS)
    total, distance = 0.0, distance_of(kind)
    for tap, clean in perceptual_clean.items():
        # Small differences of large numbers: in 32 bit, without operations that autocast shortens.
        enhanced, clean = perceptual_enhanced[tap].float(), clean.float()
        if form == "standardised":
            deviation = channel_deviation(clean, lens)
            enhanced, clean = enhanced / deviation, clean / deviation
        elif form == "unit_norm":
            enhanced, clean = unit(enhanced), unit(clean)
        total = total + masked_mean(distance(enhanced - clean), lens)
    return total


def balanced(
    loss: Tensor, anchor: Tensor, features: Tensor, ratio: float, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """(term, weight): the term's gradient at ``features`` is ``ratio`` times the anchor's.

    It has the direction of the gradient of ``loss``; the value is weight x loss. Gradients of two
    losses differ by orders of magnitude and move apart: a fixed weight lets one dominate.

    The term is linear in ``features``. What made the loss from them is passed backwards once, here,
    and gets no gradient itself: the perceptual model must be frozen. ``scale`` is a gradient
    scaler's, without which fp16 would lose the gradient inside of the perceptual model.
    """
    (anchor_gradient,) = torch.autograd.grad(anchor, features, retain_graph=True)
    (gradient,) = torch.autograd.grad(scale * loss, features, retain_graph=True)
    gradient = gradient / scale
    weight = ratio * anchor_gradient.norm() / gradient.norm().clamp(min=1e-12)
    linear = (features * (weight * gradient)).sum()
    return linear - linear.detach() + (weight * loss).detach(), weight
