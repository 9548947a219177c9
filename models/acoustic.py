"""The acoustic model: a recognizer's encoder and, frozen, the perceptual model; its decoder."""

from collections.abc import Sequence

import torch
from speechbrain.lobes.models.CRDNN import DNN_Block
from speechbrain.nnet.containers import Sequential
from speechbrain.nnet.embedding import Embedding
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.pooling import Pooling1d
from speechbrain.nnet.RNN import LSTM, AttentionalRNNDecoder
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from corpus.layout import SAMPLE_RATE
from models.channels_last import CNNBlock
from models.features import BINS
from models.saved import arguments


def mel_bank(bins: int, n_mels: int) -> Tensor:
    """Weights that average a spectrum's bins into mel bands: [bins, n_mels]."""
    bank = melscale_fbanks(bins, 0.0, SAMPLE_RATE / 2, n_mels, SAMPLE_RATE)
    return bank / bank.sum(dim=0, keepdim=True).clamp(min=1e-6)


class AcousticEncoder(Sequential):
    """A CRDNN, with the parameter names of SpeechBrain's, whose inner outputs can be tapped.

    Taps are ``CNN.block_0``, ``CNN.block_1``, ... (outputs of the CNN blocks), ``CNN`` (the last of
    them) and ``encoder`` (the output of the network). They go through ``forward``, which DDP needs.

    ``input_size`` counts the features of a frame. With ``mel_bands`` the network reads so many
    bands, means over the bins of a log spectrum. ``time_pooling`` frames become one after the CNN.
    ``rnn_neurons`` are those of one direction of the LSTM, ``dnn_neurons`` the output's size.
    """

    def __init__(
        self,
        input_size: int = BINS,
        mel_bands: int | None = None,
        cnn_channels: Sequence[int] = (100, 200),
        time_pooling: int = 1,
        rnn_layers: int = 4,
        rnn_neurons: int = 512,
        dnn_neurons: int = 512,
        dropout: float = 0.1,
    ):
        super().__init__(input_shape=[None, None, input_size])
        self.sizes = arguments(locals())
        bank = mel_bank(input_size, mel_bands) if mel_bands else None
        self.register_buffer("bank", bank, persistent=False)
        self.add_module("CNN", Sequential(input_shape=[None, None, mel_bands or input_size]))
        for i, channels in enumerate(cnn_channels):
            self.CNN.append(CNNBlock, channels=channels, dropout=dropout, layer_name=f"block_{i}")
        if time_pooling > 1:
            pooling = Pooling1d("max", kernel_size=time_pooling, input_dims=4, pool_axis=1)
            self.append(pooling, layer_name="time_pooling")
        rnn = dict(hidden_size=rnn_neurons, num_layers=rnn_layers, dropout=dropout)
        self.append(LSTM, layer_name="RNN", bidirectional=True, re_init=False, **rnn)
        self.append(Sequential, layer_name="DNN")
        for name in ("block_0", "block_1"):
            self.DNN.append(DNN_Block, neurons=dnn_neurons, dropout=dropout, layer_name=name)

    def tap_names(self) -> list[str]:
        """All the names that ``forward`` takes as taps."""
        return [f"CNN.{name}" for name in self.CNN] + ["CNN", "encoder"]

    def forward(
        self, features: Tensor, taps: Sequence[str] | None = None, lengths: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """[batch, time, freq] -> [batch, time', dim]; with taps: a dict name -> output.

        Those of the CNN are [batch, time, freq', channels]; after it only ``encoder`` goes on.
        All encoders accept ``lengths``; this one treats padding as silence.
        """
        x = features if self.bank is None else features @ self.bank.to(features.dtype)
        outputs = {}
        for name, block in self.CNN.items():
            outputs[f"CNN.{name}"] = outputs["CNN"] = x = block(x)
        if not taps or "encoder" in taps:
            for name, layer in self.items():
                x = x if name == "CNN" else layer(x)
                x = x[0] if isinstance(x, tuple) else x  # an RNN's (sequence, state)
            outputs["encoder"] = x
        return {tap: outputs[tap] for tap in taps} if taps else x


class AttentionDecoder(nn.Module):
    """Embedding, GRU decoder with location-aware attention, output layer.

    ``n_outputs`` counts the tokens with their specials, ``encoder_size`` is the last dimension of
    the encoder's output, ``channels`` and ``kernel_size`` are of the location convolution.
    """

    def __init__(
        self,
        n_outputs: int,
        encoder_size: int,
        embedding_size: int = 128,
        hidden_size: int = 256,
        attention_size: int = 256,
        channels: int = 20,
        kernel_size: int = 20,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.sizes = arguments(locals())
        self.embedding = Embedding(num_embeddings=n_outputs, embedding_dim=embedding_size)
        sizes = dict(hidden_size=hidden_size, enc_dim=encoder_size, input_size=embedding_size)
        sizes |= dict(attn_dim=attention_size, channels=channels, kernel_size=kernel_size)
        sizes |= dict(num_layers=1, dropout=dropout)
        self.decoder = AttentionalRNNDecoder("gru", "location", **sizes)
        self.linear = Linear(input_size=hidden_size, n_neurons=n_outputs)

    def forward(self, encoded: Tensor, lens: Tensor, tokens_bos: Tensor) -> Tensor:
        """[batch, time, dim] and tokens [batch, length] -> log posteriors [batch, length, n]."""
        with torch.autocast(encoded.device.type, enabled=False):
            hidden, _ = self.decoder(self.embedding(tokens_bos), encoded.float(), lens)
            return self.linear(hidden).log_softmax(dim=-1)
