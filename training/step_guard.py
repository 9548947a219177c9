"""Leaves out training steps whose loss or gradient is not finite, and stops a run that cannot get out of them."""

import logging

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
        self._ids, self._buffers, self._loss = [], [], None

    def begin(self, utterance_ids, modules):
        """Before a batch of a step: remember whom it is made of, and the buffers before its first batch."""
        if not self._ids:
            self._buffers = [(buffer, buffer.clone()) for buffer in modules.buffers()]
        self._ids += utterance_ids

    def see_loss(self, loss):
        """Note a loss that is not finite: its gradient may be finite all the same."""
        if not torch.isfinite(loss):
            self._loss = float(loss)

    def allows(self, gradient_norm, patient=False):
        """Whether the step may be made. RecipeError with the utterances when patience is at an end.

        ``patient``: not to be counted, for a gradient scaler that is still looking for its scale.
        """
        ids, loss, buffers = self._ids, self._loss, self._buffers
        self._ids, self._loss, self._buffers = [], None, []
        if loss is None and torch.isfinite(gradient_norm):
            self.in_a_row = 0
            return True
        for buffer, before in buffers:
            buffer.copy_(before)
        what = "gradient" if loss is None else f"loss ({loss})"
        logger.warning("Step left out: its %s is not finite. Utterances: %s", what, named(ids))
        self.in_a_row += not patient
        if self.in_a_row > self.patience:
            raise RecipeError(
                f"{self.in_a_row} steps in a row were left out (nonfinite_patience: {self.patience}): {what} not finite. "
                f"Utterances of the last one: {named(ids)}. Listen to them; or give a smaller --lr, --precision=fp32, or "
                "a larger --nonfinite_patience. The same command goes on from the last checkpoint."
            )
        return False


def named(ids):
    """The first of many names."""
    return ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
