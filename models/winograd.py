"""3 x 3 convolutions with fewer multiplications: Winograd's F(6 x 6, 3 x 3), 64 in place of 324 for 6 x 6 points.

A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016: tiles of 8 x 8 points, which overlap by
2, and the kernel are transformed, multiplied point by point (64 products of matrices, tiles by channels) and transformed
back into 6 x 6 points. In 32 bit the results are those of a plain convolution to some 1e-5 of the largest. The transforms cost
what is gained unless there are many channels. Images are [batch, time, freq, channels].

Around an image, one copy makes its border and fills it up with 0 to whole tiles. Tiles have whole vectors of channels, without which
products of 100 channels take twice as long.
"""

from functools import cache, lru_cache

import numpy as np
import torch

from models.borders import bordered, folded, framed

INSIDE, OUTSIDE = 6, 8  # points on a side of a tile, behind and before the convolution
NODES = [0, 1, -1, 2, -2, 0.5, -0.5]  # where the polynomials are multiplied, beside infinity
VECTOR = 8  # numbers that a processor takes at once (AVX2; half of AVX-512's)


@lru_cache(maxsize=2)
def transforms(dtype):
    """(image [8, 8], result [6, 8], kernel [8, 3]): the paper's B', A' and G, each used on both axes.

    Toom and Cook's: the product of two polynomials is known by its values at enough places; the three evaluate them there and
    interpolate, transposed as for a filter.
    """
    image, result, kernel = (
        np.zeros((OUTSIDE, OUTSIDE)),
        np.zeros((INSIDE, OUTSIDE)),
        np.zeros((OUTSIDE, 3)),
    )
    for i, node in enumerate(NODES):
        others = np.delete(NODES, i)
        image[i, :-1] = np.poly(others)[::-1]
        result[:, i] = float(node) ** np.arange(INSIDE)
        kernel[i] = float(node) ** np.arange(3) / np.prod(node - others)
    image[-1] = np.poly(NODES)[::-1]
    result[-1, -1] = kernel[-1, -1] = 1
    return tuple(torch.tensor(matrix, dtype=dtype) for matrix in (image, result, kernel))


def count_tiles(points):
    """How many tiles cover so many points of a result."""
    return -(-points // INSIDE)


def missing(points):
    """What points lack to be whole tiles of a result."""
    return -points % INSIDE


def whole_vectors(channels):
    """So many channels and as few more as make whole vectors."""
    return -(-channels // VECTOR) * VECTOR


def windows(x, size, rows, columns):
    """Images -> their tiles of size x size points: [batch, rows, size, size, columns, channels]"""
    image, time, freq, channel = x.stride()
    shape = len(x), rows, size, size, columns, x.shape[3]
    return x.as_strided(
        shape, (image, INSIDE * time, time, freq, INSIDE * freq, channel), x.storage_offset()
    )


class Tiles:
    """Tiles of m x m points, images x rows x columns of them, transformed by a matrix [n, m] on both axes into n x n points.

    The memory is used again for other images, so that it stays in the cache, and what is found takes the place of its source. The channels
    that make whole vectors stay 0.

    ``source``, ``found`` : [points, tiles, channels'], before and after ``run``
    ``places`` : the source in the order of ``windows``, [images, rows, m, m, columns, channels]
    ``image`` : what is found in the order of images, [images, rows, n, columns, n, channels']
    """

    def __init__(self, matrix, images, rows, columns, channels):
        (n, m), sizes = matrix.shape, (images, rows, columns, whole_vectors(channels))
        memory = matrix.new_empty(max(n, m) ** 2, images * rows * columns, sizes[3])
        memory[..., channels:] = 0
        self.source, self.found = memory[: m * m], memory[: n * n]
        self.places = self.source.view(m, m, *sizes)[..., :channels].permute(2, 3, 0, 1, 4, 5)
        self.image = self.found.view(n, n, *sizes).permute(2, 3, 0, 4, 1, 5)
        between = matrix.new_empty(n, m, memory[0].numel())
        self.first = matrix, self.source.view(m, -1), between.view(n, -1)
        self.then = matrix.expand(n, n, m), between, self.found.view(n, n, -1)

    def run(self):
        """Source -> found: one axis, then the other."""
        for multiply, (matrix, x, product) in ((torch.mm, self.first), (torch.bmm, self.then)):
            multiply(matrix, x, out=product)
        return self.found


def on_both_axes(matrix, x):
    """matrix [n, m], x [m, m, in, out] -> [n * n, in, out]"""
    tiles = Tiles(matrix, 1, 1, *x.shape[2:])
    tiles.source.view(x.shape).copy_(x)
    return tiles.run()


def transformed_kernel(weight):
    """[out, in, 3, 3] -> [64, in', out'], with whole vectors of channels."""
    more_out, more_in = (whole_vectors(n) - n for n in weight.shape[:2])
    weight = torch.nn.functional.pad(weight.permute(2, 3, 1, 0), (0, more_out, 0, more_in))
    return on_both_axes(transforms(weight.dtype)[2], weight)


def pieces(batch, rows, columns, wanted):
    """Pieces of about so many tiles, as slices of images and of rows: some rows of one image, or some whole images."""
    rows_step = min(rows, max(1, round(wanted / columns)))
    images_step = max(1, round(wanted / (rows * columns))) if rows_step == rows else 1
    return [
        (part(i, images_step, batch), part(j, rows_step, rows))
        for j in range(0, rows, rows_step)
        for i in range(0, batch, images_step)
    ]


def part(first, step, end):
    """A slice of ``step`` things, or of what is left of them."""
    return slice(first, min(first + step, end))


def worth(channels):
    """So many tiles stay in the cache, yet are worth reading the kernel."""
    return max(96, channels / 2)


def correlate(x, kernel, bias, time, freq):
    """Images of whole tiles [batch, ..., ..., in], transformed kernel [64, in', out'], bias [out] -> [batch, time, freq, out]"""
    to_image, to_result, _ = transforms(x.dtype)
    rows, columns, inputs, outputs = count_tiles(time), count_tiles(freq), x.shape[3], len(bias)
    y, cut = x.new_empty(len(x), time, freq, outputs), windows(x, OUTSIDE, rows, columns)
    room_for = cache(
        lambda *sizes: (Tiles(to_image, *sizes, inputs), Tiles(to_result, *sizes, outputs))
    )
    for images, piece in pieces(len(x), rows, columns, worth(inputs)):
        window, found = cut[images, piece], y[images, INSIDE * piece.start : INSIDE * piece.stop]
        image, result = room_for(*window.shape[:2], columns)
        image.places.copy_(window)
        torch.bmm(image.run(), kernel, out=result.source)
        result.run()
        whole = result.image.reshape(len(found), -1, INSIDE * columns, kernel.shape[2])
        torch.add(whole[:, : found.shape[1], :freq, :outputs], bias, out=found)
    return y


def slope_of_weight(x, slope, time, freq):
    """[out, in, 3, 3], from images of whole tiles and the gradient of the result, of whole tiles too."""
    to_image, to_result, to_kernel = transforms(x.dtype)
    rows, columns, inputs, outputs = (
        count_tiles(time),
        count_tiles(freq),
        x.shape[3],
        slope.shape[3],
    )
    total = x.new_zeros(OUTSIDE, OUTSIDE, whole_vectors(inputs), whole_vectors(outputs))
    cut, cut_slopes = windows(x, OUTSIDE, rows, columns), windows(slope, INSIDE, rows, columns)
    room_for = cache(
        lambda *sizes: (Tiles(to_image, *sizes, inputs), Tiles(to_result.T, *sizes, outputs))
    )
    for images, piece in pieces(len(x), rows, columns, worth(inputs)):
        window = cut[images, piece]
        image, result = room_for(*window.shape[:2], columns)
        image.places.copy_(window)
        result.places.copy_(cut_slopes[images, piece])
        total.flatten(0, 1).baddbmm_(image.run().transpose(1, 2), result.run())
    found = on_both_axes(to_kernel.T, total).unflatten(0, (3, 3))
    return found[:, :, :inputs, :outputs].permute(3, 2, 0, 1)


class Winograd(torch.autograd.Function):
    """``conv2d`` with a reflected border that keeps the size ("same"), stride 1, kernel 3 x 3."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        """x [batch, time, freq, in], weight [out, in, 3 (time), 3 (freq)] -> [batch, time, freq, out]"""
        time, freq = x.shape[1:3]
        image = bordered(x, 1, 1, (missing(time), missing(freq)))
        ctx.save_for_backward(image if ctx.needs_input_grad[1] else None, weight)
        bias = x.new_zeros(len(weight)) if bias is None else bias
        return correlate(image, transformed_kernel(weight), bias, time, freq)

    @staticmethod
    def backward(ctx, slope):
        """Gradients of x, weight and bias, as far as they are wanted."""
        image, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        time, freq = slope.shape[1:3]
        around = framed(
            slope, (2, 2), (2 + missing(time + 2), 2 + missing(freq + 2))
        )  # to whole tiles of the bordered image's gradient
        found = [None, None, None]
        if of_x:
            kernel, none = (
                transformed_kernel(weight.flip(2, 3).transpose(0, 1)),
                slope.new_zeros(weight.shape[1]),
            )
            found[0] = folded(correlate(around, kernel, none, time + 2, freq + 2), 1, 1, time, freq)
        if of_weight:
            found[1] = slope_of_weight(image, around[:, 2:, 2:], time, freq)
        if of_bias:
            found[2] = slope.sum(dim=(0, 1, 2))
        return tuple(found)
