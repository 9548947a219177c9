"""Started by torchrun in place of train.py: the same run, with a check that the ranks stay alike.

    torchrun --standalone --nproc_per_node=2 tests/ranks_main.py hparams/<stage>.yaml ...
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
import train  # noqa: E402
from training.ranks import gather  # noqa: E402


class Watched(train.MimicBrain):
    """Compares the parameters of all ranks after each epoch; only the batches differ."""

    def on_fit_batch_start(self, batch, should_step):
        super().on_fit_batch_start(batch, should_step)
        self.heard = getattr(self, "heard", []) + list(batch.id)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == train.sb.Stage.TRAIN:
            assert len({tuple(part) for part in gather([b.double().sum().item() for b in self.modules.buffers()])}) == 1
            sums = gather([p.detach().double().sum().item() for p in self.modules.parameters()])
            assert all(part == sums[0] for part in sums), "the ranks' parameters differ"
            heard = gather(self.heard)
            assert heard[0] != heard[1], "the ranks heard the same"


if __name__ == "__main__":
    torch.set_num_threads(1)
    train.MimicBrain = Watched
    sys.exit(train.main(sys.argv[1:]))
