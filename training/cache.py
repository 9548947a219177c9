"""The frozen enhancer's speech: computed once for each utterance, then read from disk."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

logger = logging.getLogger(__name__)


class Cache:
    """Waveforms by data set and utterance, in a temporary file of ``folder``.

    The system removes the file when the process ends, however that ends. A full disk ends the
    caching, not the run.
    """

    def __init__(self, folder: str | Path):
        self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self.offsets = {}  # (set, id) -> where the samples begin (bytes)
        self.end, self.full = 0, False

    def recall(
        self, set_name: str, ids: list[str], signals: Tensor, lens: Tensor, compute: Callable
    ) -> Tensor:
        """``compute`` ([1, samples] -> [1, samples]) of each signal, as [batch, samples].

        Each signal is computed alone, as it would be used: padding, which ``lens`` [batch]
        (relative) tells, would reach the means of squeeze-and-excitation.
        """
        outputs = torch.zeros(signals.shape)  # on the CPU: copied to the device once
        counts = (lens * signals.shape[1]).round().long().tolist()
        for output, utt_id, signal, count in zip(outputs, ids, signals, counts, strict=True):
            key = (set_name, utt_id)
            if key in self.offsets:
                self.file.seek(self.offsets[key])
                output[:count] = torch.from_numpy(np.fromfile(self.file, np.float32, count))
                continue
            with torch.no_grad():
                output[:count] = compute(signal[None, :count])[0]
            if not self.full:
                self._write(key, output[:count].numpy())
        return outputs.to(signals.device)

    def _write(self, key: tuple[str, str], samples: np.ndarray) -> None:
        try:
            self.file.seek(self.end)
            if self.file.write(samples) < samples.nbytes:
                raise OSError("no room on the disk")
            self.offsets[key], self.end = self.end, self.end + samples.nbytes
        except OSError as problem:
            self.full = True
            logger.warning("From now on enhanced speech is not cached: %s", problem)
