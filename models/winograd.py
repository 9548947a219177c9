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


def filled(x, border):
    """Image [time, freq, channels] with rows and columns of 0 behind the last, until whole tiles cover it."""
    time, freq = (-(n - border) % INSIDE for n in x.shape[:2])
    return torch.nn.functional.pad(x, (0, 0, 0, freq, 0, time)) if time or freq else x


def transformed_kernel(weight):
    """[out, in, 3, 3] -> [36, in, out]"""
    return (transforms(weight.dtype)[2] @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(OUTSIDE**2, weight.shape[1], -1)


def transformed_image(x):
    """Image [time + 2, freq + 2, in] -> [36, tiles, in]"""
    return (transforms(x.dtype)[0] @ cut(filled(x, 2), OUTSIDE)).view(OUTSIDE**2, -1, x.shape[2])


def pieces(x, freq):
    """(utterance, first row, last row) of pieces of images [batch, time + 2, ...] whose tiles stay in the cache.

    There are enough of them to be worth reading the kernel.
    """
    frames, channels = x.shape[1] - 2, x.shape[3]
    rows = INSIDE * max(1, round(max(64, channels / 2) * INSIDE / freq))
    return [(i, first, min(first + rows, frames)) for i in range(len(x)) for first in range(0, frames, rows)]


def correlate(x, weight):
    """Images [batch, time + 2, freq + 2, in], weight [out, in, 3, 3] -> [batch, time, freq, out]"""
    kernel, result = transformed_kernel(weight), transforms(x.dtype)[1]
    batch, time, freq, channels = x.shape[0], x.shape[1] - 2, x.shape[2] - 2, weight.shape[0]
    columns = -(-freq // INSIDE)
    y = x.new_empty(batch, time, freq, channels)
    for i, first, last in pieces(x, freq):
        products = torch.bmm(transformed_image(x[i, first : last + 2]), kernel)
        tiles = (result @ products.view(OUTSIDE**2, -1)).view(INSIDE, INSIDE, -1, columns, channels)
        image = tiles.permute(2, 0, 3, 1, 4).reshape(-1, INSIDE * columns, channels)
        y[i, first:last] = image[: last - first, :freq]
    return y


def slope_of_weight(x, slope):
    """Gradient of the weight [out, in, 3, 3], from the images and the gradient of the result [batch, time, freq, out]."""
    _, result, kernel = transforms(x.dtype)
    total = x.new_zeros(OUTSIDE**2, x.shape[3], slope.shape[3])
    for i, first, last in pieces(x, slope.shape[2]):
        of_tiles = result.T @ cut(filled(slope[i, first:last], 0), INSIDE)
        image = transformed_image(x[i, first : last + 2])
        total.baddbmm_(image.transpose(1, 2), of_tiles.view(OUTSIDE**2, -1, slope.shape[3]))
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
            correlate(torch.nn.functional.pad(slope, (0, 0, 2, 2, 2, 2)), turned) if of_x else None,
            slope_of_weight(x, slope) if of_weight else None,
            slope.sum(dim=(0, 1, 2)) if of_bias else None,
        )
