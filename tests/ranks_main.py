"""Started by torchrun in place of train.py: the same run, with a check that the ranks stay alike.

torchrun --standalone --nproc_per_node=2 tests/ranks_main.py hparams/<stage>.yaml ...
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from speechbrain import Stage

sys.path.insert(0, str(Path(__file__).parent.parent))
import train
from scoring.scores import gather
from training import setup


class Watched(train.MimicBrain):
    """Compares the parameters of all ranks after each epoch; only the batches differ.

    With STOP_IN=TRAIN torchrun is stopped in the first training step of rank 1.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    def compute_forward(self, batch, stage):
        if self.rank == 1 and os.environ.get("STOP_IN") == stage.name:
            os.environ.pop("STOP_IN")
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(1)  # until torchrun has passed it on
        return super().compute_forward(batch, stage)

    def on_fit_batch_start(self, batch, should_step):
        super().on_fit_batch_start(batch, should_step)
        self.seen += batch.id

    def on_stage_end(self, stage, stage_loss, epoch=None):
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == Stage.TRAIN:
            tensors = [*self.modules.buffers(), *self.modules.parameters()]
            sums = gather([[tensor.detach().double().sum().item() for tensor in tensors]])
            assert all(part == sums[0] for part in sums), "the ranks' parameters differ"
            seen = gather([self.seen])
            assert seen[0] != seen[1] or not seen[0], "the ranks saw the same"


if __name__ == "__main__":
    torch.set_num_threads(1)
    train.MimicBrain = Watched
    sys.exit(setup.exit_code(train.run, sys.argv[1:]))
