"""Wide ResNet with squeeze-and-excitation (arXiv:2112.06068), as an enhancer.

Parameters are named as in SpeechBrain's ``EnhanceResnet``, so its checkpoints load.
"""

from collections.abc import Sequence

import torch
from speechbrain.lobes.models.EnhanceResnet import ConvBlock
from speechbrain.nnet.containers import Sequential
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.normalization import BatchNorm2d, LayerNorm
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.channels_last import batch_norm, convolve
from models.enhancer import Enhancer
from models.features import BINS
from models.saved import arguments


class ReturningClamp(torch.autograd.Function):
    """Clamp to [0, 1] that keeps the gradient which leads back inside.

    Outside, where many points of an untrained mask lie, ``torch.clamp`` has no gradient.
    """

    @staticmethod
    def forward(ctx, x):
        """Any shape -> the same shape, in [0, 1]."""
        ctx.save_for_backward(x)
        return x.clamp(min=0, max=1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        """The gradient, but 0 where descent would lead further out."""
        (x,) = ctx.saved_tensors
        outwards = (x < 0) & (gradient > 0) | (x > 1) & (gradient < 0)
        return gradient.masked_fill(outwards, 0)


class ResnetBlock(ConvBlock):
    """SpeechBrain's block with the same parameters and output, computed in channels-last order."""

    def forward(self, x: Tensor) -> Tensor:
        """[batch, time, freq, in] -> [batch, time, freq / 2, channels]"""
        x = residual = convolve(self.downsample, x)
        for norm, layer in ((self.norm1, self.conv1), (self.norm2, self.conv2)):
            residual = self.dropout(batch_norm(norm, self.activation(residual)))
            residual = convolve(layer, residual)
        return torch.addcmul(x, residual, self.se_block(residual))


class WideResnet(Enhancer):
    """Convolutions that halve the frequencies, two dense layers, a mask clamped to [0, 1].

    ``channels`` are those of the blocks, ``dense`` the neurons of each dense layer. Training
    starts with a mask that lets most through.
    """

    def __init__(
        self,
        channels: Sequence[int] = (128, 128, 256, 256, 512, 512),
        dense: int = 1024,
        dropout: float = 0.1,
        mask_domain: str = "spectrum",
        mask_weight: float = 0.99,
    ):
        super().__init__(mask_domain, mask_weight)
        self.sizes = arguments(locals())
        self.CNN = Sequential(input_shape=[None, None, BINS])
        for count in channels:
            self.CNN.append(ResnetBlock, channels=count, normalization=BatchNorm2d, dropout=dropout)
        self.DNN = Sequential(input_shape=self.CNN.get_output_shape())
        for _ in range(2):
            self.DNN.append(Linear, n_neurons=dense, combine_dims=True)
            self.DNN.append(nn.GELU())
            self.DNN.append(LayerNorm)
            self.DNN.append(nn.Dropout(p=dropout))
        self.DNN.append(Linear, n_neurons=BINS)
        nn.init.ones_(list(self.DNN.values())[-1].w.bias)

    def mask(self, noisy_features: Tensor) -> Tensor:
        """Features [batch, time, freq] -> mask in [0, 1], same shape."""
        return ReturningClamp.apply(self.DNN(self.CNN(noisy_features)))
