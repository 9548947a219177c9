"""SpeechBrain's 2-d convolution without its copies.

SpeechBrain holds [batch, time, freq, channels] and transposes to and fro around each convolution; in that order of
memory the tensor already is PyTorch's ``channels_last`` image of time by frequency. The same parameters, seen with the
two sides of their kernels exchanged, give the same result.
"""

import torch
from speechbrain.lobes.models.EnhanceResnet import ConvBlock
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.normalization import BatchNorm2d
from speechbrain.nnet.pooling import Pooling1d

from models.borders import with_border
from models.winograd import Winograd

WIDE = 64  # channels; with fewer, copies and transforms cost what they gain


class WideConvolution(torch.autograd.Function):
    """``conv2d`` in ``channels_last`` order, except for the weights' gradient.

    With many channels a CPU is faster at that in the other order, copies included.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, stride):
        """x [batch, in, time, freq], weight [out, in, time, freq] -> [batch, out, time, freq]"""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.biases = stride, None if bias is None else list(bias.shape)
        return torch.nn.functional.conv2d(x, weight, bias, stride=stride)

    @staticmethod
    def backward(ctx, slope):
        """Gradients of x, weight and bias, as far as they are wanted."""
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        geometry = (ctx.biases, ctx.stride, (0, 0), (1, 1), False, (0, 0), 1)  # padding, dilation, not transposed, groups
        gradients = torch.ops.aten.convolution_backward
        found = [None, None, None]
        if of_x:
            found[0] = gradients(slope, x, weight, *geometry, (True, False, False))[0]
        if of_weight or of_bias:
            rows = (tensor.contiguous() for tensor in (slope, x, weight))
            found[1:] = gradients(*rows, *geometry, (False, of_weight, of_bias))[1:]
        return *found, None


def convolution(x, weight, bias, stride):
    """x [batch, time, freq, in] in a reflected border, weight [out, in, time, freq] -> [batch, time', freq', out]"""
    wide, (time, freq) = is_wide(x, weight), weight.shape[2:]
    if wide and stride == (1, 1) and (time, freq) == (3, 3):
        return Winograd.apply(x, weight, bias)
    image = with_border(x, time // 2, freq // 2).permute(0, 3, 1, 2)  # in ``channels_last`` order
    if wide:
        return WideConvolution.apply(image, weight, bias, stride).permute(0, 2, 3, 1)
    return torch.nn.functional.conv2d(image, weight, bias, stride=stride).permute(0, 2, 3, 1)


def is_wide(x, weight):
    """Whether the ways to convolve many channels pay: on a CPU, in 32 bit, not in an exported graph."""
    in_full = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
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
    return module
