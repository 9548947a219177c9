"""Reflected borders of images [batch, time, freq, channels], and their gradient."""

import torch


def mirrored(size, count):
    """Pairs of places in the borders of ``size`` around ``count`` rows, and the rows that these reflect, as slices.

    A place on one side and its twin on the other make one slice: a GPU, and small networks, wait for launches more than for copies.
    """
    pairs = []
    for i in range(1, size + 1):
        (left, near), (right, far) = (size - i, i), (size + count - 1 + i, count - 1 - i)
        if near < far:
            pairs.append((slice(left, right + 1, right - left), slice(near, far + 1, far - near)))
        else:
            pairs += [
                (slice(place, place + 1), slice(row, row + 1))
                for place, row in ((left, near), (right, far))
            ]
    return pairs


def moved(rows, by):
    """A slice, so many places further on."""
    return slice(rows.start + by, rows.stop + by, rows.step)


def framed(x, before, behind):
    """x [batch, time, freq, channels] with so many frames and bands of 0, (time, freq), before and behind it."""
    (top, left), (bottom, right), (batch, frames, bands, channels) = before, behind, x.shape
    y = x.new_empty(batch, top + frames + bottom, left + bands + right, channels)
    inner = y[:, top : top + frames]
    for margin in (
        y[:, :top],
        y[:, top + frames :],
        inner[:, :, :left],
        inner[:, :, left + bands :],
    ):
        margin.zero_()
    inner[:, :, left : left + bands] = x
    return y


def bordered(x, time, freq, room=(0, 0)):
    """x [batch, time, freq, channels] with so many reflected rows on either side of time and freq.

    Behind these come ``room`` more frames and bands of 0.
    """
    batch, frames, bands, channels = x.shape
    if frames <= time or bands <= freq:
        raise ValueError(
            f"A border of {time} x {freq} cannot be reflected from {frames} frames x {bands} bands."
        )
    if any(room):
        y = framed(x, (time, freq), (time + room[0], freq + room[1]))
    else:
        y = x.new_empty(batch, frames + 2 * time, bands + 2 * freq, channels)
        y[:, time : time + frames, freq : freq + bands] = x
    for places, rows in mirrored(time, frames):
        y[:, places].copy_(y[:, moved(rows, time)])
    for places, rows in mirrored(freq, bands):
        y[:, :, places].copy_(y[:, :, moved(rows, freq)])
    return y


def folded(slope, time, freq, frames, bands):
    """Gradient of ``bordered`` -> that of its image of ``frames`` x ``bands``: each border's goes to the row that it reflects.

    The result has no gaps in memory: behind them, BatchNorm's gradient would take five times as long.
    """
    frame_range, band_range = slice(time, time + frames), slice(freq, freq + bands)
    inner = slope[:, frame_range, band_range].contiguous()
    for places, rows in mirrored(freq, bands):
        inner[:, :, rows].add_(
            slope[:, frame_range, places]
        )  # += would also copy the slice onto itself
    for places, rows in mirrored(time, frames):
        inner[:, rows].add_(slope[:, places, band_range])
        for corners, corner_bands in mirrored(freq, bands):
            inner[:, rows, corner_bands].add_(slope[:, places, corners])
    return inner


class Bordered(torch.autograd.Function):
    """``bordered`` whose gradient is summed in one copy; autograd's own makes one for each slice."""

    @staticmethod
    def forward(ctx, x, time, freq):
        """As ``bordered``."""
        ctx.sizes = time, freq, x.shape[1], x.shape[2]
        return bordered(x, time, freq)

    @staticmethod
    def backward(ctx, slope):
        """As ``folded``."""
        return folded(slope, *ctx.sizes), None, None


def with_border(x, time, freq):
    """``bordered``, with a gradient where one is wanted; in a compiled graph the plain way, which a compiler makes part of its kernels."""
    if torch.compiler.is_compiling():
        return torch.nn.functional.pad(x, (0, 0, freq, freq, time, time), mode="reflect")
    return Bordered.apply(x, time, freq) if x.requires_grad else bordered(x, time, freq)
