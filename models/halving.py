"""3 x 3 convolutions that take every other band, with less than half of the multiplications: Winograd's F(6, 3) over time.

As ``models/winograd.py``, along one axis. Two neighbouring bands are one column with twice the channels: the kernel's first two bands
are a matrix for that column, and its third one another for the first half of the next.
"""

from functools import cache

import torch

from models.borders import bordered, folded, framed
from models.winograd import INSIDE, OUTSIDE, count_tiles, missing, pieces, transforms

WORTH = 256  # so many columns of a row of tiles stay in the cache, yet are worth reading the kernel


def windows(x, size, rows):
    """Images [batch, time, columns, channels] -> their bands of ``size`` frames: [batch, rows, size, columns * channels]"""
    image, time = x.stride()[:2]
    return x.as_strided(
        (len(x), rows, size, x[0, 0].numel()), (image, INSIDE * time, time, 1), x.storage_offset()
    )


class Rows:
    """Rows of m frames, transformed by a matrix [n, m] into n frames, in memory that is used again for other images.

    ``source``, ``found`` : [frames, images * rows * columns, channels], before and after ``run``
    ``places`` : the source in the order of ``windows``, [images, rows, m, columns * channels]
    ``image`` : what is found in the order of images, [images, rows, n, columns, channels]
    """

    def __init__(self, matrix, images, rows, columns, channels):
        n, m = matrix.shape
        self.matrix = matrix
        self.source, self.found = (
            matrix.new_empty(k, images * rows * columns, channels) for k in (m, n)
        )
        self.places = self.source.view(m, images, rows, -1).permute(1, 2, 0, 3)
        self.image = self.found.view(n, images, rows, columns, channels).permute(1, 2, 0, 3, 4)

    def run(self):
        """Source -> found."""
        torch.mm(self.matrix, self.source.flatten(1), out=self.found.flatten(1))
        return self.found


def transformed_kernel(weight):
    """[out, in, 3, 3] -> (of a column [8, 2 in, out], of the next one's first half [8, in, out])"""
    kernel = torch.tensordot(transforms(weight.dtype)[2], weight.permute(2, 3, 1, 0), 1)
    return kernel[:, :2].flatten(1, 2), kernel[:, 2].contiguous()


def correlate(x, multiply, y, bias):
    """Images of whole rows [batch, ..., columns, in] -> y [batch, time, no more columns, out], by products that ``multiply`` writes."""
    to_image, to_result, _ = transforms(x.dtype)
    (time, kept, outputs), (columns, inputs) = y.shape[1:], x.shape[2:]
    rows = count_tiles(time)
    cut = windows(x, OUTSIDE, rows)
    room_for = cache(
        lambda *sizes: (Rows(to_image, *sizes, inputs), Rows(to_result, *sizes, outputs))
    )
    for images, piece in pieces(len(x), rows, columns, WORTH):
        window, found = cut[images, piece], y[images, INSIDE * piece.start : INSIDE * piece.stop]
        image, result = room_for(*window.shape[:2], columns)
        image.places.copy_(window)
        multiply(image.run(), result.source)
        result.run()
        torch.add(result.image.flatten(1, 2)[:, : found.shape[1], :kept], bias, out=found)
    return y


def slope_of_weight(x, slope, time):
    """[out, in, 3, 3], from columns of whole rows and the gradient of the result, of whole rows too and a column further on."""
    to_image, to_result, to_kernel = transforms(x.dtype)
    rows, columns, inputs, outputs = count_tiles(time), x.shape[2], x.shape[3] // 2, slope.shape[3]
    both, last_one = (
        x.new_zeros(OUTSIDE, 2 * inputs, outputs),
        x.new_zeros(OUTSIDE, inputs, outputs),
    )
    cut, cut_slopes = windows(x, OUTSIDE, rows), windows(slope, INSIDE, rows)
    room_for = cache(
        lambda *sizes: (Rows(to_image, *sizes, 2 * inputs), Rows(to_result.T, *sizes, outputs))
    )
    for images, piece in pieces(len(x), rows, columns, WORTH):
        window = cut[images, piece]
        image, result = room_for(*window.shape[:2], columns)
        image.places.copy_(window)
        result.places.copy_(cut_slopes[images, piece])
        of_image, of_slope = image.run().transpose(1, 2), result.run()
        both.baddbmm_(of_image[:, :, :-1], of_slope[:, 1:])
        last_one.baddbmm_(of_image[:, :inputs], of_slope)
    total = torch.cat([both.unflatten(1, (2, inputs)), last_one.unsqueeze(1)], dim=1)
    return torch.tensordot(to_kernel.T, total, 1).permute(3, 2, 0, 1)


class Halving(torch.autograd.Function):
    """``conv2d`` with a reflected border of 1, stride 1 (time) and 2 (freq), kernel 3 x 3."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        """x [batch, time, freq, in], weight [out, in, 3 (time), 3 (freq)] -> [batch, time, (freq + 1) // 2, out]"""
        batch, time, freq, inputs = x.shape
        columns = bordered(x, 1, 1, (missing(time), freq % 2)).unflatten(2, (-1, 2)).flatten(3)
        ctx.save_for_backward(columns if ctx.needs_input_grad[1] else None, weight)
        ctx.freq = freq
        of_column, of_next = transformed_kernel(weight)

        def multiply(found, products):
            torch.bmm(found, of_column, out=products)
            products[:, :-1].baddbmm_(found[:, 1:, :inputs], of_next)

        y = x.new_empty(batch, time, (freq + 1) // 2, len(weight))
        return correlate(columns, multiply, y, y.new_zeros(len(weight)) if bias is None else bias)

    @staticmethod
    def backward(ctx, slope):
        """Gradients of x, weight and bias, as far as they are wanted."""
        columns, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        batch, time, bands, _ = slope.shape
        inputs, found = weight.shape[1], [None, None, None]
        around = framed(
            slope, (2, 1), (2 + missing(time + 2), 0)
        )  # the gradient of a column's result is one column further on
        if of_x:
            of_column, of_next = (
                kernel.transpose(1, 2).contiguous() for kernel in transformed_kernel(weight.flip(2))
            )

            def multiply(found, products):
                torch.bmm(found[:, 1:], of_column, out=products[:, :-1])
                products[:, -1] = 0
                products[:, :, :inputs].baddbmm_(found, of_next)

            y = slope.new_empty(batch, time + 2, bands + 1, 2 * inputs)
            of_columns = correlate(around, multiply, y, y.new_zeros(2 * inputs))
            found[0] = folded(
                of_columns.unflatten(3, (2, inputs)).flatten(2, 3), 1, 1, time, ctx.freq
            )
        if of_weight:
            found[1] = slope_of_weight(columns, around[:, 2:], time)
        if of_bias:
            found[2] = slope.sum(dim=(0, 1, 2))
        return tuple(found)
