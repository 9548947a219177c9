"""Started by torchrun in place of train.py: the same run, with a check that the ranks stay alike.

torchrun --standalone --nproc_per_node=2 tests/ranks_main.py hparams/<stage>.yaml ...
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
import train  # noqa: E402
from training.ranks import gather  # noqa: E402


class Watched(train.MimicBrain):
    """Compares the parameters of all ranks after each epoch; only the batches differ.

    With STOP_IN=train torchrun is stopped in the first training step of rank 1, with STOP_IN=valid in its first validation batch.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.heard = []

    def compute_forward(self, batch, stage):
        if self.rank == 1 and os.environ.get("STOP_IN") == stage.name.lower():
            os.environ.pop("STOP_IN")
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(1)  # until torchrun has passed it on
        return super().compute_forward(batch, stage)

    def on_fit_batch_start(self, batch, should_step):
        super().on_fit_batch_start(batch, should_step)
        self.heard += batch.id

    def on_stage_end(self, stage, stage_loss, epoch=None):
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == train.sb.Stage.TRAIN:
            assert (
                len(
                    {
                        tuple(part)
                        for part in gather(
                            [b.double().sum().item() for b in self.modules.buffers()]
                        )
                    }
                )
                == 1
            )
            sums = gather([p.detach().double().sum().item() for p in self.modules.parameters()])
            assert all(part == sums[0] for part in sums), "the ranks' parameters differ"
            heard = gather(self.heard)
            assert heard[0] != heard[1] or not heard[0], "the ranks heard the same"


if __name__ == "__main__":
    torch.set_num_threads(1)
    train.MimicBrain = Watched
    sys.exit(train.main(sys.argv[1:]))
