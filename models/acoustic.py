"""The acoustic model: an encoder that is a recognizer's front and, frozen, the judge of enhanced speech."""

import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.nnet.embedding import Embedding
from speechbrain.nnet.linear import Linear

from models.layout import without_copies
from models.recurrence import Decoder


def mel_bank(bins, n_mels, sample_rate):
    """Weights that average a spectrum's bins into mel bands: [bins, n_mels], each band's sum 1 (0 where it has no bin)."""
    from torchaudio.functional import melscale_fbanks

    bank = melscale_fbanks(bins, 0.0, sample_rate / 2, n_mels, sample_rate)
    return bank / bank.sum(dim=0, keepdim=True).clamp(min=1e-6)


class AcousticEncoder(CRDNN):
    """SpeechBrain's CRDNN whose inner outputs can be tapped through ``forward`` (which DDP wrappers need).

    With ``mel_bands`` the layers are given so many mel bands, means over the bins of a log spectrum of ``input_size`` bins.
    Taps are ``CNN.block_0``, ``CNN.block_1``, ... (outputs of the CNN blocks), ``CNN`` (the last of them) and ``encoder``
    (the output of the whole network).
    """

    def __init__(self, input_size, mel_bands=None, sample_rate=16000, **sizes):
        super().__init__(input_size=mel_bands or input_size, **sizes)
        self.register_buffer(
            "bank",
            mel_bank(input_size, mel_bands, sample_rate) if mel_bands else None,
            persistent=False,
        )
        without_copies(self)

    def tap_names(self):
        """All the names that ``forward`` takes as taps."""
        return [f"CNN.{name}" for name in self.CNN] + ["CNN", "encoder"]

    def compile(self, **how):
        """Arguments of ``torch.compile``. The CNN's blocks, one by one since they are tapped; LSTMs have kernels of their own."""
        for block in self.CNN.values():
            block.compile(**how)

    def forward(self, features, taps=None):
        """[batch, time, freq] -> [batch, time', dim]; with taps: a dict name -> output, no further than needed."""
        bank = self._buffers.get(
            "bank"
        )  # the constructor of the layers calls this too, before it has one
        features = features if bank is None else features @ bank.to(features.dtype)
        if not taps:
            return super().forward(features)
        outputs, x = {}, features
        for name, block in self.CNN.items():
            x = block(x)  # [batch, time, freq', channels]
            outputs[f"CNN.{name}"] = x
        outputs["CNN"] = x
        if "encoder" in taps:
            for name, layer in self.items():
                x = x if name == "CNN" else first(layer(x))
            outputs["encoder"] = x
        return {tap: outputs[tap] for tap in taps}


def first(output):
    """The sequence of an RNN's (sequence, state), anything else unchanged."""
    return output[0] if isinstance(output, tuple) else output


class AttentionDecoder(torch.nn.Module):
    """Embedding, GRU decoder with location-aware attention and output layer, behind one ``forward``.

    Arguments
    ---------
    n_outputs : int
        Number of tokens, specials among them.
    encoder_size : int
        Last dimension of the encoder's output.
    embedding_size, hidden_size, attention_size, channels, kernel_size : int
        Sizes of the embedding, the GRU, the attention and its location convolution.
    """

    def __init__(
        self,
        n_outputs,
        encoder_size,
        embedding_size=128,
        hidden_size=256,
        attention_size=256,
        channels=20,
        kernel_size=20,
        dropout=0.1,
    ):
        super().__init__()
        self.embedding = Embedding(num_embeddings=n_outputs, embedding_dim=embedding_size)
        self.decoder = Decoder(
            rnn_type="gru",
            attn_type="location",
            hidden_size=hidden_size,
            attn_dim=attention_size,
            num_layers=1,
            enc_dim=encoder_size,
            input_size=embedding_size,
            channels=channels,
            kernel_size=kernel_size,
            dropout=dropout,
        )
        self.linear = Linear(input_size=hidden_size, n_neurons=n_outputs)

    def compile(self, **how):
        """Not compiled: a loop over tokens, which TorchInductor would write out for each length."""

    def forward(self, encoded, lens, tokens_bos):
        """Encoded [batch, time, dim], relative lengths, tokens [batch, length] -> log posteriors [batch, length, n]."""
        hidden, _ = self.decoder(self.embedding(tokens_bos), encoded, lens)
        return torch.nn.functional.log_softmax(self.linear(hidden).float(), dim=-1)
