"""Change of sample rate over a stream, sample by sample the same as over the whole."""

import itertools
from math import ceil, gcd

import numpy as np
import torch
from torchaudio.transforms import Resample

from corpus.resampling import KAISER
from errors import RecipeError

LARGEST_KERNEL = 5e7  # numbers in the table of filters


class StreamResampler:
    """Brings blocks [samples] of a signal from one rate to another (Hz), with the filter of ``corpus.resampling``.

    Raises RecipeError for two rates with so small a common divisor that the table of filters would fill the memory.
    """

    def __init__(self, rate, new_rate):
        common = gcd(rate, new_rate)
        self.old, self.new = rate // common, new_rate // common  # samples of a period on both sides
        if rate == new_rate:
            return
        width = (
            KAISER["lowpass_filter_width"] / KAISER["rolloff"] * self.old / min(self.old, self.new)
        )
        if self.new * (self.old + 2 * width) > LARGEST_KERNEL:
            raise RecipeError(
                f"{rate} Hz cannot be brought to {new_rate} Hz directly. Convert the file to a usual rate first."
            )
        self.context = ceil(width / self.old) + 1  # periods that the filter reaches beyond a block
        self.kernel = Resample(rate, new_rate, **KAISER)

    def length(self, samples):
        """Number of samples that come out."""
        return ceil(samples * self.new / self.old)

    def stream(self, blocks):
        """Blocks of a signal -> blocks of the resampled signal, ``length`` of the signal's samples in sum."""
        if self.old == self.new:
            yield from blocks
            return
        held, start, done = (
            np.empty(0, np.float32),
            0,
            0,
        )  # what the filter still needs, its place, periods that are out
        for block in itertools.chain(blocks, [None]):
            held = held if block is None else np.concatenate([held, block])
            samples = start + len(held)  # so far
            ready = (
                ceil(samples / self.old) if block is None else samples // self.old - self.context
            )
            if ready <= done:
                continue
            resampled = self.kernel(torch.from_numpy(held)).numpy()
            begin = done * self.new - start // self.old * self.new
            yield resampled[
                begin : begin + min(ready * self.new, self.length(samples)) - done * self.new
            ]
            done = ready
            kept = max(0, done - self.context) * self.old
            held, start = held[kept - start :], kept
