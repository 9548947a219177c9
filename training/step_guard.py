"""Leaves out training steps whose loss or gradient is not finite, and stops a run that cannot get out of them."""

import logging
import math

import torch

from errors import RecipeError

logger = logging.getLogger(__name__)
SHOWN = 20  # utterances named


class StepGuard:
    """Judges each step of the optimizer.

    A loss of NaN has passed BatchNorm's running statistics before it is seen, and would stay in them for ever:
    buffers are put back too.

    Arguments
    ---------
    patience : int
        So many steps in a row may be left out; one more stops the run.
    """

    def __init__(self, patience):
        self.patience = patience
        self.in_a_row = 0
        self._ids, self._losses = [], []
        self._modules, self._buffers = (
            None,
            [],
        )  # of the modules, by type: (the buffers, as they were before the step)

    def begin(self, utterance_ids, modules):
        """Before a batch of a step: remember whom it is made of, and the buffers before its first batch."""
        if self._modules is not modules:
            self._modules, self._buffers = modules, with_copies(modules.buffers())
        elif not self._ids:
            for buffers, before in self._buffers:
                torch._foreach_copy_(before, buffers)  # a launch for all of them
        self._ids += utterance_ids

    def see_loss(self, loss):
        """Keep a batch's loss, a scalar on its device: it may not be finite where its gradient is."""
        self._losses.append(loss)

    def read(self, gradient_norm):
        """The gradient's length, a scalar on its device, as a number. The losses come with it: a GPU is waited for once a step."""
        length, *losses = torch.stack([x.float() for x in (gradient_norm, *self._losses)]).tolist()
        self._losses = [loss for loss in losses if not math.isfinite(loss)]
        return length

    def allows(self, length, patient=False):
        """Whether a step along a gradient that long may be made. RecipeError with the utterances when patience is at an end.

        ``patient``: not to be counted, for a gradient scaler that is still looking for its scale.
        """
        ids, losses = self._ids, self._losses
        self._ids, self._losses = [], []
        if not losses and math.isfinite(length):
            self.in_a_row = 0
            return True
        for buffers, before in self._buffers:
            torch._foreach_copy_(buffers, before)
        what = f"loss ({losses[-1]})" if losses else "gradient"
        logger.warning("Step left out: its %s is not finite. Utterances: %s", what, named(ids))
        self.in_a_row += not patient
        if self.in_a_row > self.patience:
            raise RecipeError(
                f"{self.in_a_row} steps in a row were left out (nonfinite_patience: {self.patience}): {what} not finite. "
                f"Utterances of the last one: {named(ids)}. Listen to them; or give a smaller --lr, --precision=fp32, or "
                "a larger --nonfinite_patience. The same command goes on from the last checkpoint."
            )
        return False


def with_copies(buffers):
    """[(buffers of one type, their copies)]"""
    by_type = {}
    for buffer in buffers:
        by_type.setdefault(buffer.dtype, []).append(buffer)
    return [(group, [buffer.clone() for buffer in group]) for group in by_type.values()]


def named(ids):
    """The first of many names."""
    return ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
