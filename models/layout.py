"""SpeechBrain's 2-d convolution without its copies.

SpeechBrain holds [batch, time, freq, channels] and transposes to and fro around each convolution; in that order of
memory the tensor already is PyTorch's ``channels_last`` image of time by frequency. The same parameters, seen with the
two sides of their kernels exchanged, give the same result.
"""

import torch
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.normalization import BatchNorm2d
from speechbrain.nnet.pooling import Pooling1d


def bordered(x, time, freq):
    """x [batch, time, freq, channels] with so many reflected rows on either side of time and freq."""
    batch, frames, bands, channels = x.shape
    if frames <= time or bands <= freq:
        raise ValueError(f"A border of {time} x {freq} cannot be reflected from {frames} frames x {bands} bands.")
    y = x.new_empty(batch, frames + 2 * time, bands + 2 * freq, channels)
    y[:, time : time + frames, freq : freq + bands] = x
    for dim, size, last in ((1, time, time + frames - 1), (2, freq, freq + bands - 1)):
        for i in range(1, size + 1):
            y.select(dim, size - i).copy_(y.select(dim, size + i))
            y.select(dim, last + i).copy_(y.select(dim, last - i))
    return y


class Bordered(torch.autograd.Function):
    """``bordered`` whose gradient is summed in one copy; autograd's own makes one for each slice."""

    @staticmethod
    def forward(ctx, x, time, freq):
        """As ``bordered``."""
        ctx.sizes = time, freq, x.shape[1], x.shape[2]
        return bordered(x, time, freq)

    @staticmethod
    def backward(ctx, slope):
        """Each border's gradient goes to the row that it reflects."""
        time, freq, frames, bands = ctx.sizes
        slope = slope.clone()
        for dim, size, last in ((2, freq, freq + bands - 1), (1, time, time + frames - 1)):
            for i in range(1, size + 1):
                slope.select(dim, size + i).add_(slope.select(dim, size - i))
                slope.select(dim, last - i).add_(slope.select(dim, last + i))
        return slope[:, time : time + frames, freq : freq + bands], None, None


def convolve(layer, x):
    """A ``speechbrain.nnet.CNN.Conv2d`` with "same" padding and odd kernel, on x [batch, time, freq, channels]."""
    x = x.unsqueeze(-1) if x.dim() == 3 else x  # the first layer's input has no channels
    kernel_freq, kernel_time = layer.kernel_size
    x = (Bordered.apply if x.requires_grad else bordered)(x, kernel_time // 2, kernel_freq // 2)
    stride = (layer.stride[1], layer.stride[0])
    weight = layer.conv.weight.transpose(2, 3)  # [out, in, time, freq]
    y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, layer.conv.bias, stride=stride)
    return y.permute(0, 2, 3, 1)


def merge_bands(x, size):
    """Maximum over groups of ``size`` bands: [batch, time, freq, channels] -> [batch, time, freq // size, channels]."""
    return torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), (1, size)).permute(0, 2, 3, 1)


class ChannelsLastConv2d(Conv2d):
    """SpeechBrain's Conv2d, with the same parameters and output."""

    def forward(self, x):
        """[batch, time, freq, in] -> [batch, time, freq, out]"""
        return convolve(self, x)


class ChannelsLastBatchNorm2d(BatchNorm2d):
    """SpeechBrain's BatchNorm2d, with the same parameters and output."""

    def forward(self, x):
        """[batch, time, freq, channels] -> the same shape"""
        return self.norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class FrequencyPooling(Pooling1d):
    """SpeechBrain's max Pooling1d over frequency, with the same output."""

    def forward(self, x):
        """[batch, time, freq, channels] -> [batch, time, freq // size, channels]"""
        return merge_bands(x, self.pool_layer.kernel_size[1])


def without_copies(module):
    """Let a network built of SpeechBrain's layers compute in ``channels_last`` order. Parameters stay as they are."""
    for layer in module.modules():
        if type(layer) is Conv2d:
            layer.__class__ = ChannelsLastConv2d
        elif type(layer) is BatchNorm2d:
            layer.__class__ = ChannelsLastBatchNorm2d
        elif type(layer) is Pooling1d and layer.pool_axis == 2:
            layer.__class__ = FrequencyPooling
    return module
