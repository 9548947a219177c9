"""SpeechBrain's 2-d convolution without its copies.

SpeechBrain holds [batch, time, freq, channels] and transposes to and fro around each convolution; in that order of
memory the tensor already is PyTorch's ``channels_last`` image of time by frequency. The same parameters, seen with the
two sides of their kernels exchanged, give the same result.
"""

import torch
from speechbrain.lobes.models.CRDNN import CNN_Block
from speechbrain.lobes.models.EnhanceResnet import ConvBlock
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.normalization import BatchNorm2d
from speechbrain.nnet.pooling import Pooling1d

from models.borders import with_border
from models.halving import Halving
from models.winograd import Winograd

WIDE = 64  # channels; with fewer, copies and transforms cost what they gain
WAYS = {(1, 1): Winograd, (1, 2): Halving}  # for many channels, by stride (time, freq)


def convolution(x, weight, bias, stride):
    """x [batch, time, freq, in] in a reflected border, weight [out, in, time, freq] -> [batch, time', freq', out]"""
    if is_wide(x, weight) and weight.shape[2:] == (3, 3) and stride in WAYS:
        return WAYS[stride].apply(x, weight, bias)
    time, freq = weight.shape[2:]
    image = with_border(x, time // 2, freq // 2).permute(0, 3, 1, 2)  # in ``channels_last`` order
    return torch.nn.functional.conv2d(image, weight, bias, stride=stride).permute(0, 2, 3, 1)


def is_wide(x, weight):
    """Whether the ways to convolve many channels pay: on a CPU, in 32 bit, not in an exported graph."""
    in_full = (
        x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    )
    return in_full and min(weight.shape[:2]) >= WIDE and not torch.compiler.is_compiling()


def convolve(layer, x):
    """A ``speechbrain.nnet.CNN.Conv2d`` with "same" padding and odd kernel, on x [batch, time, freq, channels]."""
    x = x.unsqueeze(-1) if x.dim() == 3 else x  # the first layer's input has no channels
    weight = layer.conv.weight.transpose(2, 3)  # [out, in, time, freq]
    return convolution(x, weight, layer.conv.bias, (layer.stride[1], layer.stride[0]))


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


class WeighedConvBlock(ConvBlock):
    """SpeechBrain's ConvBlock, with the same parameters and output, without its product in place.

    That one is of a view, and its gradient copies the whole tensor three times.
    """

    def forward(self, x):
        """[batch, time, freq, in] -> [batch, time, freq // 2, channels]"""
        x = self.downsample(x)
        residual = x
        for norm, conv in ((self.norm1, self.conv1), (self.norm2, self.conv2)):
            residual = conv(self.dropout(norm(self.activation(residual))))
        return torch.addcmul(x, residual, self.se_block(residual))


def without_copies(module):
    """Let a network built of SpeechBrain's layers compute in ``channels_last`` order. Parameters stay as they are."""
    for layer in module.modules():
        if type(layer) is Conv2d:
            layer.__class__ = ChannelsLastConv2d
        elif type(layer) is BatchNorm2d:
            layer.__class__ = ChannelsLastBatchNorm2d
        elif type(layer) is Pooling1d and layer.pool_axis == 2:
            layer.__class__ = FrequencyPooling
        elif type(layer) is ConvBlock:
            layer.__class__ = WeighedConvBlock
        elif type(layer) is CNN_Block:
            for activation in (
                layer.act_1,
                layer.act_2,
            ):  # nothing else reads their input, a LayerNorm's output
                if isinstance(activation, (torch.nn.LeakyReLU, torch.nn.ReLU)):
                    activation.inplace = True
    return module
