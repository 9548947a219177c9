"""The mimic loss: how differently a frozen judge hears enhanced and clean speech (Bagchi et al. 2018)."""

import torch

from models.losses import distance_of, frame_mask, masked_mean

FORMS = ("raw", "standardised", "unit_norm")
SMALLEST = 1e-18  # square of a vector's length that has a direction


def channel_deviation(x, lens, floor=1e-4):
    """Standard deviation of each channel (last dimension) of x [batch, time, ..., channels] over what is no padding."""
    mask = frame_mask(x, lens)
    dims = tuple(range(x.dim() - 1))
    count = mask.sum() * (x[0, 0].numel() // x.shape[-1])
    mean = (x * mask).sum(dim=dims, keepdim=True) / count
    variance = ((x - mean).square() * mask).sum(dim=dims, keepdim=True) / count
    return variance.sqrt().clamp(min=floor)


class UnitDistance(torch.autograd.Function):
    """Mean squared distance of vectors x and y [..., channels], each scaled to length 1 (or left at 0): [..., 1]

    By their cosine, in half of the passes through memory, and a sixth for the gradient. That of y is none. What is the same has
    no distance, to the last digit: its cosine is d / sqrt(d * d).
    """

    @staticmethod
    def forward(ctx, x, y):
        """(1 + 1 - 2 cosine) / channels"""
        of_x, of_y, of_both = (
            torch.linalg.vecdot(*pair).unsqueeze(-1) for pair in ((x, x), (y, y), (x, y))
        )
        lengths = (of_x * of_y).sqrt().clamp(min=SMALLEST)
        cosine = of_both / lengths
        ctx.save_for_backward(x, y, cosine, lengths, of_x)
        ones = sum((square > SMALLEST).to(x.dtype) for square in (of_x, of_y))
        return (ones - 2 * cosine).clamp(min=0) / x.shape[-1]

    @staticmethod
    def backward(ctx, slope):
        """Along y's direction less what of it lies along x's, for that changes x's length alone; none where x has no direction."""
        x, y, cosine, lengths, of_x = ctx.saved_tensors
        slope = -2 * slope / x.shape[-1] * (of_x > SMALLEST)
        return torch.addcmul(
            y * (slope / lengths), x, -slope * cosine / of_x.clamp(min=SMALLEST)
        ), None


def mimic_distance(judged_enhanced, judged_clean, lens, kind="mse", form="unit_norm", weights=None):
    """Distance of a judge's two outputs, summed over its taps.

    Arguments
    ---------
    judged_enhanced, judged_clean : dict
        Name of the tap -> output [batch, time, ..., channels].
    lens : torch.Tensor
        Lengths as shares of the longest utterance, [batch].
    kind : str
        ``mse`` or ``l1``.
    form : str
        ``raw``: as published; ``standardised``: each channel divided by its standard deviation on the clean speech,
        so that no loud channel decides for all; ``unit_norm``: the channels of each frame (and band) scaled to length
        1, so that quiet places count as much as loud ones.
    weights : list of float, optional
        Of the taps, in their order; 1 each by default.
    """
    total = 0.0
    with torch.autocast(
        lens.device.type, enabled=False
    ):  # small differences of large products: in 32 bit, which fp16 cannot even hold
        for (tap, clean), weight in zip(
            judged_clean.items(), weights or [1.0] * len(judged_clean), strict=True
        ):
            enhanced, clean = judged_enhanced[tap].float(), clean.float()
            total = total + weight * masked_mean(distances(enhanced, clean, lens, kind, form), lens)
    return total


def distances(enhanced, clean, lens, kind, form):
    """The distance at each place, [batch, time, ..., channels]; of all channels at once, [batch, time, ..., 1], where that is faster."""
    if (form, kind) == ("unit_norm", "mse"):
        return UnitDistance.apply(enhanced, clean.detach())
    if form == "standardised":
        deviation = channel_deviation(clean, lens)
        enhanced, clean = enhanced / deviation, clean / deviation
    elif form == "unit_norm":
        enhanced, clean = (torch.nn.functional.normalize(x, dim=-1) for x in (enhanced, clean))
    return distance_of(kind)(enhanced - clean)


def balanced(loss, anchor, features, ratio, scale=1.0):
    """A term whose gradient at ``features`` is ``ratio`` times as long as the anchor's, in the direction of ``loss``.

    A fixed weight lets one of the two losses rule: their gradients differ by orders of magnitude and move apart while
    training goes on. The judge is passed backwards once only: the term is linear in the features. ``scale``: of a gradient scaler, whose
    loss it multiplies on the way back through the judge too, where fp16 would lose it.

    Returns
    -------
    term : torch.Tensor
        Scalar with the value weight x loss and the scaled gradient.
    weight : torch.Tensor
        The weight found.
    """
    (anchor_slope,) = torch.autograd.grad(anchor, features, retain_graph=True)
    (slope,) = torch.autograd.grad(
        scale * loss, features, retain_graph=True
    )  # the anchor may go a part of the same way
    slope = slope / scale
    weight = ratio * anchor_slope.norm() / slope.norm().clamp(min=1e-12)
    linear = (features * (weight * slope)).sum()
    return linear - linear.detach() + (weight * loss).detach(), weight
