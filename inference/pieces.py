"""An enhancer over signals of any length: in pieces, in bounded memory, and equal to the whole.

A convolution sees a few frames around its own, which an overlap supplies. The squeeze-and-excitation blocks
(arXiv:1709.01507) see all: they weigh channels by means over the whole signal. So all pieces go through the network a
block at a time, each time with the means of the whole. What the blocks made is kept for the next one up to ``kept``
bytes; pieces beyond are computed anew from their samples at every block.
"""

from contextlib import contextmanager

import torch
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet

SHORTEST = 2  # frames that the convolutions' reflecting padding needs


class MeanGate(torch.nn.Module):
    """In the place of a squeeze-and-excitation block: collects its input's mean over pieces, then gates by that."""

    def __init__(self, block):
        super().__init__()
        self.block, self.total, self.count, self.gate, self.core = block, 0.0, 0, None, slice(None)

    def forward(self, x):
        """[1, time, freq, channels] -> the gate [1, 1, 1, channels] when it is known, else 1"""
        if self.gate is not None:
            return self.gate
        core = x[:, self.core]
        self.total = self.total + core.double().sum(dim=(1, 2), keepdim=True)
        self.count += core.shape[1] * core.shape[2]
        self.seen = x
        return x.new_ones(())

    def settle(self):
        """The pieces are through: compute the gate."""
        self.gate, self.seen = self.block((self.total / self.count).float()), None

    def gated(self, ungated, residual):
        """A block's output [1, time, freq, channels] from the one without gate."""
        return ungated + residual * (self.gate - 1)


class PiecewiseEnhancer:
    """SpeechBrain's EnhanceResnet over a signal of any length.

    Arguments
    ---------
    network : EnhanceResnet
        In evaluation mode.
    seconds : float
        Length of a piece; shorter signals are computed at once.
    advance : callable
        Told the share of the work (of 1) that each step has done.
    kept : float
        Bytes that may be kept between blocks.
    """

    def __init__(self, network, seconds=20.0, advance=lambda share: None, kept=5e8):
        self.network, self.advance, self.kept = network, advance, kept
        self.blocks = list(network.CNN.values())
        self.hop, self.rate = network.stft.hop_length, network.stft.sample_rate
        self.size = max(int(seconds * self.rate / self.hop), 1)  # frames of a piece
        self.context = (
            3 * len(self.blocks) + network.stft.n_fft // self.hop
        )  # 3 convolutions a block, and the windows
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def stream(self, signal):
        """Noisy signal (anything that slices to float32 arrays) -> blocks of the enhanced one, of the same length."""
        pieces = self.pieces(1 + len(signal) // self.hop, len(signal))
        if len(pieces) == 1:
            yield self.at_once(signal[: len(signal)])
            self.advance(1.0)
            return
        gates, store = [MeanGate(block.se_block) for block in self.blocks], {}
        share = [(last - first) / pieces[-1][1] / (len(gates) + 1) for first, last in pieces]
        for level, gate in enumerate(gates):
            for index, piece in enumerate(pieces):
                self.measure(signal, piece, gates, level, store)
                self.advance(share[index])
            gate.settle()
        for index, piece in enumerate(pieces):
            yield self.synthesize(signal, piece, gates, store)
            self.advance(share[index])

    def at_once(self, samples):
        """[samples] -> as many enhanced ones; silence goes behind what is too short for the network."""
        missing = max(0, (SHORTEST - 1) * self.hop - len(samples))
        padded = torch.nn.functional.pad(torch.from_numpy(samples).to(self.device), (0, missing))
        return filled(self.network(padded.unsqueeze(0))[0][0], len(samples)).cpu().numpy()

    def pieces(self, frames, samples):
        """(first, last + 1) frame of each piece, all about equally long."""
        count = max(1, round(frames / self.size)) if samples else 1
        edges = [frames * index // count for index in range(count + 1)]
        return list(zip(edges, edges[1:]))

    def spectrum(self, signal, piece):
        """(spectrum [1, time, freq, 2] of a piece with its context, its first sample, its number of samples)."""
        first, last = piece
        begin = max(0, first - self.context) * self.hop
        samples = torch.from_numpy(signal[begin : (last + self.context) * self.hop]).to(self.device)
        return self.network.stft(samples.unsqueeze(0)), begin, len(samples)

    def entering(self, signal, piece, gates, level, store):
        """What a piece brings to a block [1, time, freq, channels]: kept from the block before, or computed anew."""
        if piece in store:
            return gates[level - 1].gated(*store.pop(piece))
        x = self.network.extract_feats(self.spectrum(signal, piece)[0])
        with installed(self.blocks, gates):
            for block in self.blocks[:level]:
                x = block(x)
        return x

    def measure(self, signal, piece, gates, level, store):
        """A piece through one block, for the block's gate."""
        x = self.entering(signal, piece, gates, level, store)
        begin = max(0, piece[0] - self.context)
        gates[level].core = slice(piece[0] - begin, piece[1] - begin)
        with installed(self.blocks, gates):
            ungated = self.blocks[level](x)
        size = 2 * ungated.numel() * ungated.element_size()
        if (len(store) + 1) * size <= self.kept:
            store[piece] = ungated, gates[level].seen

    def synthesize(self, signal, piece, gates, store):
        """The enhanced samples of a piece, without its context."""
        x = self.entering(signal, piece, gates, len(gates), store)
        mask = self.network.DNN(x).clamp(min=0, max=1).unsqueeze(-1)
        spectrum, begin, count = self.spectrum(signal, piece)
        weight = self.network.mask_weight
        wav = filled(self.network.istft((weight * mask + 1 - weight) * spectrum)[0], count)
        at_end = begin + count == len(signal) and piece[1] == 1 + len(signal) // self.hop
        end = len(signal) if at_end else piece[1] * self.hop
        return wav[piece[0] * self.hop - begin : end - begin].cpu().numpy()


def filled(wav, count):
    """[samples] cut, or filled up with silence, to ``count`` samples."""
    return torch.nn.functional.pad(wav[:count], (0, max(0, count - len(wav))))


@contextmanager
def installed(blocks, gates):
    """Blocks with these gates in the place of their own."""
    own = [block.se_block for block in blocks]
    try:
        for block, gate in zip(blocks, gates):
            block.se_block = gate
        yield
    finally:
        for block, gate in zip(blocks, own):
            block.se_block = gate


def network_of(module):
    """The EnhanceResnet inside of an exported enhancer."""
    return next(part for part in module.modules() if isinstance(part, EnhanceResnet))
