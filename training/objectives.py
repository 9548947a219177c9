"""The losses of a stage, and their weighted sum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from models.mimic import balanced


@dataclass
class Objective:
    """One entry of ``losses`` in a YAML file: a scalar function of the predictions ``reads``."""

    function: Callable[..., torch.Tensor]
    reads: list[str]
    weight: float | None = 1.0  # 0: reported and not trained; None: left out
    # In place of the weight: length of this loss's gradient as a multiple of that of the loss
    # ``balance_against``, both at the prediction ``at``.
    gradient_ratio: float | None = None
    balance_against: str | None = None
    at: str | None = None
    until_epoch: int | None = None  # it trains while the epoch (from 1) is below this one

    @property
    def listed(self) -> bool:
        """Whether the stage computes it at all."""
        return self.weight is not None

    def trains(self, epoch: int) -> bool:
        """Whether it counts in the total of an epoch."""
        return bool(self.weight) and (self.until_epoch is None or epoch < self.until_epoch)


def total_loss(
    losses: dict[str, Objective], predictions: dict, epoch: int, state: Any, scale: float = 1.0
) -> torch.Tensor:
    """Weighted sum of the listed losses that train in an epoch: a scalar.

    ``state`` (RunState) gets each loss for the statistics, and keeps the weights that the gradient
    ratios gave last, which validation and test use. ``scale``: of a gradient scaler (fp16).
    """
    values = {n: loss.function(*[predictions[r] for r in loss.reads]) for n, loss in losses.items()}
    total = torch.zeros((), device=predictions["lens"].device)
    for name, loss in losses.items():
        state.add_term(name, values[name])
        if not loss.trains(epoch):
            continue
        if loss.gradient_ratio is None:
            total = total + loss.weight * values[name]
        elif torch.is_grad_enabled() and predictions[loss.at].requires_grad:
            anchor = (losses[loss.balance_against].weight or 1.0) * values[loss.balance_against]
            at, ratio = predictions[loss.at], loss.gradient_ratio
            term, weight = balanced(values[name], anchor, at, ratio, scale)
            state.balance_by(name, weight)
            total = total + term
        else:
            total = total + state.balance.get(name, 0.0) * values[name].detach()
    state.add_term("loss", total)
    return total
