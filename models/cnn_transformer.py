"""CNN and transformer as an enhancer: the network of the results published in 2021.

Parameters are named as in SpeechBrain's ``CNNTransformerSE``, so published checkpoints load.
"""

from collections.abc import Sequence

from speechbrain.lobes.models.transformer.Transformer import get_lookahead_mask
from speechbrain.lobes.models.transformer.TransformerSE import CNNTransformerSE
from speechbrain.nnet.CNN import Conv1d
from speechbrain.nnet.containers import Sequential
from speechbrain.nnet.normalization import LayerNorm
from torch import Tensor, nn

from models.enhancer import Enhancer
from models.features import BINS
from models.saved import arguments


def convolutions(channels: Sequence[int], causal: bool) -> Sequential:
    """Convolutions over time of 3 frames, each with LayerNorm and LeakyReLU."""
    layers = Sequential(input_shape=[None, None, BINS])
    padding = "causal" if causal else "same"
    for number, count in enumerate(channels, 1):
        convolution = dict(out_channels=count, kernel_size=3, padding=padding)
        layers.append(Conv1d, layer_name=f"conv{number}", **convolution)
        layers.append(LayerNorm, layer_name=f"norm{number}")
        layers.append(nn.LeakyReLU(), layer_name=f"act{number}")
    return layers


class CNNTransformer(Enhancer):
    """Convolutions over time, transformer layers, a linear layer with ReLU: the mask.

    ``channels`` are those of the convolutions, the last one the transformer's width; each layer has
    so many ``heads`` and neurons (``feed_forward``). A ``causal`` one reads no later frames.
    """

    def __init__(
        self,
        channels: Sequence[int] = (1024, 512, 256, 256),
        layers: int = 8,
        heads: int = 8,
        feed_forward: int = 512,
        dropout: float = 0.1,
        causal: bool = False,
        mask_domain: str = "features",
        mask_weight: float = 1.0,
    ):
        super().__init__(mask_domain, mask_weight)
        self.sizes = arguments(locals())
        self.causal, self.custom_emb_module = causal, convolutions(channels, causal)
        sizes = dict(nhead=heads, num_layers=layers, d_ffn=feed_forward, dropout=dropout)
        lobe = CNNTransformerSE(d_model=channels[-1], output_size=BINS, causal=causal, **sizes)
        self.encoder, self.output_layer = lobe.encoder, lobe.output_layer

    def mask(self, noisy_features: Tensor) -> Tensor:
        """Features [batch, time, freq] -> mask [batch, time, freq], 0 or more."""
        future = get_lookahead_mask(noisy_features) if self.causal else None
        x, _ = self.encoder(src=self.custom_emb_module(noisy_features), src_mask=future)
        return self.output_layer(x).relu()
