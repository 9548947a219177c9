"""CRDNN as an enhancer: convolutional, recurrent (light GRU) and dense layers predict the mask."""

from collections.abc import Sequence

from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.nnet.linear import Linear
from torch import Tensor

from models.enhancer import Enhancer
from models.features import BINS
from models.saved import arguments


class CRDNNEnhancer(Enhancer):
    """SpeechBrain's ``CRDNN`` and a linear layer with ReLU; the default sizes are published."""

    def __init__(
        self,
        cnn_channels: Sequence[int] = (128, 256),
        rnn_layers: int = 4,
        rnn_neurons: int = 512,
        dnn_neurons: int = 512,
        dropout: float = 0.15,
        mask_domain: str = "features",
        mask_weight: float = 1.0,
    ):
        super().__init__(mask_domain, mask_weight)
        self.sizes = arguments(locals())
        sizes = {k: v for k, v in self.sizes.items() if not k.startswith("mask_")}
        self.model = CRDNN(input_size=BINS, cnn_blocks=len(cnn_channels), **sizes)
        self.output = Linear(input_size=dnn_neurons, n_neurons=BINS)

    def mask(self, noisy_features: Tensor) -> Tensor:
        """Features [batch, time, freq] -> mask [batch, time, freq], 0 or more."""
        return self.output(self.model(noisy_features)).relu()
