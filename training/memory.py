"""What a frozen network makes of an utterance is the same in every epoch: computed once, then remembered."""

import torch
from torch.nn.utils.rnn import pad_sequence


class Memory:
    """Outputs of a frozen network by utterance.

    Each utterance is computed alone, so that what is remembered does not depend on the batch that
    it first came in: a resumed run remembers the same.

    Arguments
    ---------
    limit_mb : float
        Size of all that is kept (MB of 32-bit samples); what comes later is computed each time.
    """

    def __init__(self, limit_mb):
        self.left = limit_mb * 1e6
        self.kept = {}

    def recall(self, ids, signals, lens, compute, multiple=1):
        """Output of ``compute`` ([1, samples] -> [1, samples]) for each of the signals [batch, samples], as [batch, samples].

        ``lens`` are the lengths as shares of the longest signal. ``compute`` sees them padded to a multiple of so many
        samples: on a CPU each new shape costs as much time as the network.
        """
        counts = (lens * signals.shape[1]).round().long().tolist()
        outputs = [
            self._one(i, signal[:count], compute, multiple)
            for i, signal, count in zip(ids, signals, counts)
        ]
        padded = pad_sequence([output.to(signals.device) for output in outputs], batch_first=True)
        return torch.nn.functional.pad(padded, (0, signals.shape[1] - padded.shape[1]))

    def _one(self, utt_id, signal, compute, multiple):
        if utt_id in self.kept:
            return self.kept[utt_id]
        with torch.no_grad():
            padded = torch.nn.functional.pad(signal, (0, -len(signal) % multiple))
            output = compute(padded.unsqueeze(0))[0, : len(signal)].float().cpu()
        size = output.numel() * output.element_size()
        if size <= self.left:
            self.left -= size
            self.kept[utt_id] = output
        return output
