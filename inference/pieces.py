"""An enhancer over signals of any length: in pieces, in bounded memory, and equal to the whole.

A convolution reads a few frames around its own, which an overlap supplies. The squeeze-and-excitation
blocks (arXiv:1709.01507) read all: they weigh channels by means over the whole signal. So the pieces
go through the network once for each block, to collect its means, and once more for the output.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet

SHORTEST = 2  # frames that the convolutions' reflecting padding needs


class MeanGate(torch.nn.Module):
    """In place of a squeeze-and-excitation block: collects means over pieces, then gates by them."""

    def __init__(self, block: torch.nn.Module):
        super().__init__()
        self.block, self.total, self.count, self.gate, self.core = block, 0.0, 0, None, slice(None)

    def forward(self, x):
        """[1, time, freq, channels] -> the gate [1, 1, 1, channels] when it is known, else 1."""
        if self.gate is not None:
            return self.gate
        core = x[:, self.core]  # without the overlap
        self.total = self.total + core.double().sum(dim=(1, 2), keepdim=True)
        self.count += core.shape[1] * core.shape[2]
        return x.new_ones(())

    def settle(self):
        """All pieces are through: compute the gate."""
        self.gate = self.block((self.total / self.count).float())


class PiecewiseEnhancer:
    """SpeechBrain's EnhanceResnet over a signal of any length.

    Arguments
    ---------
    network : EnhanceResnet
        In evaluation mode.
    seconds : float
        Length of a piece; shorter signals are computed at once.
    advance : callable
        Called with the share of the work (of 1) that each step has done.
    """

    def __init__(
        self,
        network: EnhanceResnet,
        seconds: float = 20.0,
        advance: Callable[[float], None] = lambda share: None,
    ):
        self.network, self.advance = network, advance
        self.blocks = list(network.CNN.values())
        self.hop, rate = network.stft.hop_length, network.stft.sample_rate
        self.size = max(int(seconds * rate / self.hop), 1)  # frames of a piece
        # 3 convolutions a block, and the windows
        self.context = 3 * len(self.blocks) + network.stft.n_fft // self.hop
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def stream(self, signal) -> Iterator[np.ndarray]:
        """Noisy signal (anything that slices to float32 arrays) -> blocks of the enhanced one."""
        pieces = self.pieces(1 + len(signal) // self.hop, len(signal))
        if len(pieces) == 1:
            yield self.at_once(signal[: len(signal)])
            self.advance(1.0)
            return
        gates = [MeanGate(block.se_block) for block in self.blocks]
        for depth, gate in enumerate(gates, start=1):
            for first, last in pieces:
                overlap = first - max(0, first - self.context)
                gate.core = slice(overlap, overlap + last - first)
                self.convolved(self.spectrum(signal, first, last), gates[:depth])
                self.advance((last - first) / pieces[-1][1] / (len(gates) + 1))
            gate.settle()
        for first, last in pieces:
            yield self.synthesized(signal, first, last, gates)
            self.advance((last - first) / pieces[-1][1] / (len(gates) + 1))

    def at_once(self, samples: np.ndarray) -> np.ndarray:
        """[samples] -> as many enhanced ones; zeros follow what is too short for the network."""
        missing = max(0, (SHORTEST - 1) * self.hop - len(samples))
        padded = torch.nn.functional.pad(torch.from_numpy(samples).to(self.device), (0, missing))
        return filled(self.network(padded.unsqueeze(0))[0][0], len(samples)).cpu().numpy()

    def pieces(self, frames: int, samples: int) -> list[tuple[int, int]]:
        """(first, last + 1) frame of each piece, all about equally long."""
        count = max(1, round(frames / self.size)) if samples else 1
        edges = [frames * index // count for index in range(count + 1)]
        return list(zip(edges, edges[1:], strict=False))

    def spectrum(self, signal, first: int, last: int) -> torch.Tensor:
        """Spectrum [1, time, freq, 2] of a piece and the overlap around it."""
        begin = max(0, first - self.context) * self.hop
        samples = torch.from_numpy(signal[begin : (last + self.context) * self.hop]).to(self.device)
        return self.network.stft(samples.unsqueeze(0))

    def convolved(self, spectrum: torch.Tensor, gates: list[MeanGate]) -> torch.Tensor:
        """[1, time, freq, 2] -> [1, time, freq', channels] after as many blocks as there are gates."""
        x = self.network.extract_feats(spectrum)
        with installed(self.blocks, gates):
            for block, _ in zip(self.blocks, gates, strict=False):
                x = block(x)
        return x

    def synthesized(self, signal, first: int, last: int, gates: list[MeanGate]) -> np.ndarray:
        """The enhanced samples of a piece, without its overlap."""
        spectrum = self.spectrum(signal, first, last)
        mask = self.network.DNN(self.convolved(spectrum, gates)).clamp(min=0, max=1).unsqueeze(-1)
        weight = self.network.mask_weight
        begin = max(0, first - self.context) * self.hop
        end = min(len(signal), (last + self.context) * self.hop)
        wav = filled(self.network.istft((weight * mask + 1 - weight) * spectrum)[0], end - begin)
        is_last = last == 1 + len(signal) // self.hop
        stop = len(signal) if is_last else last * self.hop
        return wav[first * self.hop - begin : stop - begin].cpu().numpy()


def filled(wav: torch.Tensor, count: int) -> torch.Tensor:
    """[samples] cut, or filled up with zeros, to ``count`` samples."""
    return torch.nn.functional.pad(wav[:count], (0, max(0, count - len(wav))))


@contextmanager
def installed(blocks: list[torch.nn.Module], gates: list[MeanGate]) -> Iterator[None]:
    """Blocks with these gates in place of their own."""
    own = [block.se_block for block in blocks]
    try:
        for block, gate in zip(blocks, gates, strict=False):
            block.se_block = gate
        yield
    finally:
        for block, gate in zip(blocks, own, strict=True):
            block.se_block = gate
