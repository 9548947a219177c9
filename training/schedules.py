"""Learning rate by epoch."""

import torch
from speechbrain.nnet.schedulers import LinearScheduler, NewBobScheduler, StepScheduler
from speechbrain.utils.checkpoints import mark_as_loader, register_checkpoint_hooks

KINDS = ("constant", "step", "linear", "newbob")


@register_checkpoint_hooks
class Schedule(NewBobScheduler):
    """The learning rate of an epoch, by SpeechBrain's schedulers. Call it with validation losses.

    ``constant``; ``step``: times ``factor`` every 3 epochs; ``newbob``: times ``factor`` after
    each epoch whose validation loss is not 0.25 % below the last one's; ``linear``: down to 5 %.
    """

    def __init__(self, kind: str, lr: float, number_of_epochs: int, factor: float = 0.7):
        super().__init__(lr, annealing_factor=factor, improvement_threshold=0.0025)
        self.kind, self.initial = kind, lr
        self.step = StepScheduler(lr, decay_factor=factor, decay_drop=3)
        self.linear = LinearScheduler(lr, lr * 0.05, max(2, number_of_epochs))

    def of_epoch(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 1."""
        if self.kind == "step":
            return self.step(epoch - 1)[0]
        if self.kind == "linear":
            return self.linear(epoch)[0]
        return self.hyperparam_value if self.kind == "newbob" else self.initial

    @mark_as_loader
    def load(self, path: str, end_of_epoch: bool) -> None:
        """What ``NewBobScheduler.save`` wrote, as plain values alone."""
        vars(self).update(torch.load(path, weights_only=True))
