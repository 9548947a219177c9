"""Leave out training steps whose loss or gradient is not finite."""

import logging

import torch

from errors import RecipeError

logger = logging.getLogger(__name__)


class StepGuard:
    """Decides on each step of the optimizer, and puts buffers back where a step is left out.

    A loss of NaN has passed BatchNorm's running statistics before it is seen, and would stay in
    them for ever. ``patience``: so many steps in a row may be left out; one more stops the run.
    """

    def __init__(self, modules: torch.nn.ModuleDict, patience: int):
        self.modules, self.patience, self.in_a_row = modules, patience, 0
        self.ids, self.losses, self.before = [], [], []  # of the present step

    def begin(self, utterance_ids: list[str]) -> None:
        """Before each batch of a step: note its utterances, and the buffers before the first."""
        if not self.ids:
            self.before = [buffer.clone() for buffer in self.modules.buffers()]
        self.ids += utterance_ids

    def see_loss(self, loss: torch.Tensor) -> None:
        """Note a batch's loss, which may not be finite where its gradient is."""
        self.losses.append(loss.detach())

    def allows(self, gradient_norm: torch.Tensor, scaler: torch.amp.GradScaler) -> bool:
        """Whether the step may be made. RecipeError, with the utterances, at the patience's end."""
        numbers = torch.stack([x.float() for x in (gradient_norm, *self.losses)])
        ids, self.ids, self.losses = self.ids, [], []
        if numbers.isfinite().all():
            self.in_a_row = 0
            return True
        for buffer, before in zip(self.modules.buffers(), self.before, strict=True):
            buffer.copy_(before)
        what = "gradient" if numbers[1:].isfinite().all() else "loss"
        named = ", ".join(ids[:20]) + f" and {len(ids) - 20} more" * (len(ids) > 20)
        logger.warning("Step left out: its %s is not finite. Utterances: %s", what, named)
        # What fp16's scaler loses while it looks for its scale does not count.
        self.in_a_row += not (scaler.is_enabled() and scaler.get_scale() > 1)
        if self.in_a_row > self.patience:
            raise RecipeError(
                f"{self.in_a_row} steps in a row were left out (nonfinite_patience: "
                f"{self.patience}): {what} not finite. Utterances of the last one: {named}. Listen "
                "to them; or give a smaller --lr, --precision=fp32, a larger --nonfinite_patience."
            )
        return False
