"""SpeechBrain's 2-d convolution without its copies.

SpeechBrain holds [batch, time, freq, channels] and transposes to and fro around each convolution; in that order of
memory the tensor already is PyTorch's ``channels_last`` image of time by frequency. The same parameters, seen with the
two sides of their kernels exchanged, give the same result.
"""

import torch
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.normalization import BatchNorm2d
from speechbrain.nnet.pooling import Pooling1d


def reflected(x, size, dim):
    """x with ``size`` reflected elements at both ends of a dimension."""
    if size == 0:
        return x
    length = x.shape[dim]
    before = x.narrow(dim, 1, size).flip(dim)
    after = x.narrow(dim, length - 1 - size, size).flip(dim)
    return torch.cat([before, x, after], dim=dim)


def convolve(layer, x):
    """A ``speechbrain.nnet.CNN.Conv2d`` with "same" padding and odd kernel, on x [batch, time, freq, channels]."""
    x = x.unsqueeze(-1) if x.dim() == 3 else x  # the first layer's input has no channels
    kernel_freq, kernel_time = layer.kernel_size
    x = reflected(reflected(x, kernel_freq // 2, 2), kernel_time // 2, 1)
    stride = (layer.stride[1], layer.stride[0])
    weight = layer.conv.weight.transpose(2, 3)  # [out, in, time, freq]
    y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, layer.conv.bias, stride=stride)
    return y.permute(0, 2, 3, 1)


def merge_bands(x, size):
    """Maximum over groups of ``size`` bands: [batch, time, freq, channels] -> [batch, time, freq // size, channels]."""
    batch, time, freq, channels = x.shape
    kept = freq // size * size
    return x[:, :, :kept].reshape(batch, time, freq // size, size, channels).amax(dim=3)


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
