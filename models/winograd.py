"""3 x 3 convolutions with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016: tiles of 6 x 6 points, which overlap by
2, and the kernel are transformed, multiplied point by point (36 products of matrices, tiles by channels) and transformed
back into 4 x 4 points. In 32 bit the results are those of a plain convolution to 1e-5 of the largest. The transforms cost
what is gained unless there are many channels. Images are [batch, time, freq, channels].

Around an image, one copy makes its border and fills it up with 0 to whole tiles. Tiles have whole vectors of channels, without which
products of 100 channels take twice as long.
"""

from functools import lru_cache

import torch

from models.borders import bordered, folded, framed

INSIDE, OUTSIDE = 4, 6  # points on a side of a tile, behind and before the convolution
VECTOR = 8  # numbers that a processor takes at once (AVX2; half of AVX-512's)

IMAGE = [  # the paper's B', A' and G
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
RESULT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
KERNEL = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]  # times 24


@lru_cache(maxsize=2)
def transforms(dtype):
    """(image [6, 6], result [4, 6], kernel [6, 3]): each is used on both axes."""
    kernel = torch.tensor(KERNEL, dtype=torch.float64) / 24
    return tuple(matrix.to(dtype) for matrix in (torch.tensor(IMAGE), torch.tensor(RESULT), kernel))


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
    """Images -> their tiles of size x size points, 4 apart: [batch, rows, size, size, columns, channels]"""
    image, time, freq, channel = x.stride()
    shape = len(x), rows, size, size, columns, x.shape[3]
    return x.as_strided(shape, (image, INSIDE * time, time, freq, INSIDE * freq, channel), x.storage_offset())


class Tiles:
    """rows x columns tiles of m x m points, transformed by a matrix [n, m] on both axes into tiles of n x n points.

    The memory is used again for other images, so that it stays in the cache, and what is found takes the place of its source. The channels
    that make whole vectors stay 0.

    ``source``, ``found`` : [points, tiles, channels'], before and after ``run``
    ``places`` : the source in the order of ``windows``, [rows, m, m, columns, channels]
    ``image`` : what is found in the order of an image, [rows, n, columns, n, channels']
    """

    def __init__(self, matrix, rows, columns, channels):
        (n, m), sizes = matrix.shape, (rows, columns, whole_vectors(channels))
        memory = matrix.new_empty(max(n, m) ** 2, rows * columns, sizes[2])
        memory[..., channels:] = 0
        self.source, self.found = memory[: m * m], memory[: n * n]
        self.places = self.source.view(m, m, *sizes)[..., :channels].permute(2, 0, 1, 3, 4)
        self.image = self.found.view(n, n, *sizes).permute(2, 0, 3, 1, 4)
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
    tiles = Tiles(matrix, 1, *x.shape[2:])
    tiles.source.view(x.shape).copy_(x)
    return tiles.run()


def transformed_kernel(weight):
    """[out, in, 3, 3] -> [36, in', out'], with whole vectors of channels."""
    more_out, more_in = (whole_vectors(n) - n for n in weight.shape[:2])
    weight = torch.nn.functional.pad(weight.permute(2, 3, 1, 0), (0, more_out, 0, more_in))
    return on_both_axes(transforms(weight.dtype)[2], weight)


def pieces(rows, columns, wanted):
    """(first, last) rows of tiles of pieces with about so many tiles."""
    step = max(1, round(wanted / columns))
    return [(first, min(first + step, rows)) for first in range(0, rows, step)]


def worth(channels):
    """So many tiles stay in the cache, yet are worth reading the kernel."""
    return max(64, channels / 2)


def correlate(x, kernel, bias, time, freq):
    """Images of whole tiles [batch, ..., ..., in], transformed kernel [36, in', out'], bias [out] -> [batch, time, freq, out]"""
    to_image, to_result, _ = transforms(x.dtype)
    rows, columns, inputs, outputs = count_tiles(time), count_tiles(freq), x.shape[3], len(bias)
    y, cut = x.new_empty(len(x), time, freq, outputs), windows(x, OUTSIDE, rows, columns)
    for first, last in pieces(rows, columns, worth(inputs)):
        image, result = Tiles(to_image, last - first, columns, inputs), Tiles(to_result, last - first, columns, outputs)
        for window, found in zip(cut[:, first:last], y[:, INSIDE * first : INSIDE * last]):
            image.places.copy_(window)
            torch.bmm(image.run(), kernel, out=result.source)
            result.run()
            whole = result.image.reshape(-1, INSIDE * columns, kernel.shape[2])
            torch.add(whole[: len(found), :freq, :outputs], bias, out=found)
    return y


def slope_of_weight(x, slope, time, freq):
    """[out, in, 3, 3], from images of whole tiles and the gradient of the result, of whole tiles too."""
    to_image, to_result, to_kernel = transforms(x.dtype)
    rows, columns, inputs, outputs = count_tiles(time), count_tiles(freq), x.shape[3], slope.shape[3]
    total = x.new_zeros(OUTSIDE, OUTSIDE, whole_vectors(inputs), whole_vectors(outputs))
    cut, cut_slopes = windows(x, OUTSIDE, rows, columns), windows(slope, INSIDE, rows, columns)
    for first, last in pieces(rows, columns, worth(inputs)):
        image, result = Tiles(to_image, last - first, columns, inputs), Tiles(to_result.T, last - first, columns, outputs)
        for window, slope_window in zip(cut[:, first:last], cut_slopes[:, first:last]):
            image.places.copy_(window)
            result.places.copy_(slope_window)
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
        around = framed(slope, (2, 2), (2 + missing(time + 2), 2 + missing(freq + 2)))  # to whole tiles of the bordered image's gradient
        found = [None, None, None]
        if of_x:
            kernel, none = transformed_kernel(weight.flip(2, 3).transpose(0, 1)), slope.new_zeros(weight.shape[1])
            found[0] = folded(correlate(around, kernel, none, time + 2, freq + 2), 1, 1, time, freq)
        if of_weight:
            found[1] = slope_of_weight(image, around[:, 2:, 2:], time, freq)
        if of_bias:
            found[2] = slope.sum(dim=(0, 1, 2))
        return tuple(found)
