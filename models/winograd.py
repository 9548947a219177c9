"""3 x 3 convolutions with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016: tiles of 6 x 6 points, which overlap by
2, and the kernel are transformed, multiplied point by point (36 products of matrices, tiles by channels) and transformed
back into 4 x 4 points. In 32 bit the results are those of a plain convolution to 1e-5 of the largest. The transforms cost
what is gained unless there are many channels. Images are [batch, time, freq, channels] without gaps in memory.
"""

from functools import lru_cache

import torch

INSIDE, OUTSIDE = 4, 6  # points on a side of a tile, behind and before the convolution

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
    """(image [36, 36], result [16, 36], kernel [36, 9]): each transform on both axes at once."""
    image, result, kernel = (torch.tensor(rows, dtype=torch.float64) for rows in (IMAGE, RESULT, KERNEL))
    return tuple(torch.kron(matrix, matrix).to(dtype) for matrix in (image, result, kernel / 24))


def cut(x, size):
    """Image [time, freq, channels] -> its tiles of size x size points, 4 apart: [size * size, tiles * channels]."""
    rows, columns = ((n - size) // INSIDE + 1 for n in x.shape[:2])
    time, freq, channel = x.stride()
    shape = (size, size, rows, columns, x.shape[2])
    return x.as_strided(shape, (time, freq, INSIDE * time, INSIDE * freq, channel), x.storage_offset()).reshape(size * size, -1)


def piece(x, first, last, border=0, overlap=2):
    """Rows first to last + overlap of an image [time, freq, channels] that ``border`` rows and columns of 0 surround.

    Behind the last ones come as many of 0 as make whole tiles, which overlap by ``overlap``.
    """
    above, below = max(0, border - first), max(0, last + overlap - border - x.shape[0])
    x = x[max(0, first - border) : last + overlap - border]
    below += (first - last) % INSIDE
    right = border + (overlap - x.shape[1] - 2 * border) % INSIDE
    return torch.nn.functional.pad(x, (0, 0, border, right, above, below)) if border + above + below + right else x


def transformed_kernel(weight):
    """[out, in, 3, 3] -> [36, in, out]"""
    return (transforms(weight.dtype)[2] @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(OUTSIDE**2, weight.shape[1], -1)


def transformed_image(x):
    """A piece of an image -> [36, tiles, channels]"""
    return (transforms(x.dtype)[0] @ cut(x, OUTSIDE)).view(OUTSIDE**2, -1, x.shape[2])


def pieces(frames, freq, channels):
    """(first, last) rows of pieces of the result whose tiles stay in the cache, yet are worth reading the kernel."""
    rows = INSIDE * max(1, round(max(64, channels / 2) * INSIDE / freq))
    return [(first, min(first + rows, frames)) for first in range(0, frames, rows)]


def correlate(x, weight, border=0):
    """Images [batch, time, freq, in] in a border of 0, weight [out, in, 3, 3] -> [batch, time', freq', out]

    time' and freq' are smaller by 2 and greater by twice the border.
    """
    kernel, result = transformed_kernel(weight), transforms(x.dtype)[1]
    time, freq = (n + 2 * border - 2 for n in x.shape[1:3])
    y = x.new_empty(len(x), time, freq, len(weight))
    for first, last in pieces(time, freq, x.shape[3]):
        for image, found in zip(x, y):
            products = torch.bmm(transformed_image(piece(image, first, last, border)), kernel)
            tiles = (result @ products.view(OUTSIDE**2, -1)).view(INSIDE, INSIDE, -1, -(-freq // INSIDE), len(weight))
            whole = tiles.permute(2, 0, 3, 1, 4).flatten(0, 1).flatten(1, 2)
            found[first:last] = whole[: last - first, :freq]
    return y


def slope_of_weight(x, slope):
    """Gradient of the weight [out, in, 3, 3], from images and the gradient of the result [batch, time, freq, out]."""
    _, result, kernel = transforms(x.dtype)
    channels = slope.shape[3]
    total = x.new_zeros(OUTSIDE**2, x.shape[3], channels)
    for first, last in pieces(*slope.shape[1:3], x.shape[3]):
        for image, slope_of_image in zip(x, slope):
            tiles = result.T @ cut(piece(slope_of_image, first, last, overlap=0), INSIDE)
            of_image = transformed_image(piece(image, first, last)).transpose(1, 2)
            total.baddbmm_(of_image, tiles.view(OUTSIDE**2, -1, channels))
    return (kernel.T @ total.view(OUTSIDE**2, -1)).view(3, 3, x.shape[3], -1).permute(3, 2, 0, 1)


class Winograd(torch.autograd.Function):
    """``conv2d`` without padding, stride 1, kernel 3 x 3."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        """x [batch, time + 2, freq + 2, in], weight [out, in, 3 (time), 3 (freq)] -> [batch, time, freq, out]"""
        ctx.save_for_backward(x, weight)
        y = correlate(x, weight)
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(ctx, slope):
        """Gradients of x, weight and bias, as far as they are wanted."""
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        slope = slope.contiguous()
        turned = weight.flip(2, 3).transpose(0, 1)
        return (
            correlate(slope, turned, border=2) if of_x else None,
            slope_of_weight(x, slope) if of_weight else None,
            slope.sum(dim=(0, 1, 2)) if of_bias else None,
        )
