"""Frozen means: no gradient, evaluation mode, buffers untouched."""

import torch

# cuDNN refuses to pass a gradient through a recurrent layer in evaluation mode. Such layers stay
# in training mode, and their dropout, which is all that differs, is put to 0.
RECURRENT = torch.nn.modules.rnn.RNNBase


class Freezing:
    """Which modules are frozen in which epoch.

    A module is frozen in epoch e if it is in ``frozen``, and not (in ``unfrozen`` with
    e >= ``unfreeze_epoch``).
    """

    def __init__(self, frozen: list[str] | None, unfrozen: list[str] | None, unfreeze_epoch: int):
        self.frozen, self.unfrozen = set(frozen or []), set(unfrozen or [])
        self.unfreeze_epoch = unfreeze_epoch

    def is_frozen(self, name: str, epoch: int) -> bool:
        """Whether a module is frozen in an epoch (from 1)."""
        released = name in self.unfrozen and epoch >= self.unfreeze_epoch
        return name in self.frozen and not released

    def apply(self, modules: torch.nn.ModuleDict, epoch: int) -> None:
        """Freeze and release before each training step, as ``Brain.fit`` undoes ``eval()``."""
        for name in self.frozen & set(modules):
            trains = not self.is_frozen(name, epoch)
            modules[name].requires_grad_(trains).train(trains)
            for layer in modules[name].modules():
                if isinstance(layer, RECURRENT):
                    layer.train()
                    layer.usual_dropout = getattr(layer, "usual_dropout", layer.dropout)
                    layer.dropout = layer.usual_dropout if trains else 0.0
