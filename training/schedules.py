"""Learning rate by epoch."""

import torch
from speechbrain.nnet.schedulers import LinearScheduler, NewBobScheduler, StepScheduler
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

DROP_EVERY = 3  # epochs
FINAL_SHARE = 0.05


@register_checkpoint_hooks
class Schedule:
    """The learning rate of an epoch, by SpeechBrain's schedulers.

    Arguments
    ---------
    kind : str
        ``constant``; ``step``: times ``factor`` every 3 epochs; ``newbob``: times ``factor`` after
        each epoch whose validation loss is not 0.25 % below the last one's; ``linear``: down to
        5 % of ``lr``.
    lr : float
        Of the first epoch.
    number_of_epochs : int
        For ``linear``.
    factor : float
        Of each drop.
    """

    def __init__(self, kind: str, lr: float, number_of_epochs: int, factor: float = 0.7):
        self.kind, self.initial = kind, lr
        self.step = StepScheduler(lr, decay_factor=factor, decay_drop=DROP_EVERY)
        self.linear = LinearScheduler(lr, lr * FINAL_SHARE, max(2, number_of_epochs))
        self.newbob = NewBobScheduler(lr, annealing_factor=factor, improvement_threshold=0.0025)

    def of_epoch(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 1."""
        if self.kind == "step":
            return self.step(epoch - 1)[0]
        if self.kind == "linear":
            return self.linear(epoch)[0]
        return self.newbob.hyperparam_value if self.kind == "newbob" else self.initial

    def see(self, valid_loss: float) -> None:
        """Take note of an epoch's validation."""
        self.newbob(valid_loss)

    @mark_as_saver
    def save(self, path: str) -> None:
        """The losses seen, as plain values."""
        newbob = self.newbob
        torch.save([newbob.hyperparam_value, newbob.metric_values, newbob.current_patient], path)

    @mark_as_loader
    def load(self, path: str, end_of_epoch: bool) -> None:
        """The losses seen."""
        state = torch.load(path, weights_only=True)
        self.newbob.hyperparam_value, self.newbob.metric_values, self.newbob.current_patient = state
