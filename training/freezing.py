"""Frozen means: no gradient, evaluation mode, buffers untouched."""

import torch

# cuDNN refuses to pass a gradient through a recurrent layer in evaluation mode. Such layers stay
# in training mode, and their dropout, which is all that differs, is put to 0.
RECURRENT = torch.nn.modules.rnn.RNNBase


class Freezing:
    """Which modules are frozen in which epoch, and the hand that holds them so.

    A module is frozen in epoch e if it is in ``frozen``, and not (in ``unfrozen`` with
    e >= ``unfreeze_epoch``).
    """

    def __init__(self, frozen: list[str] | None, unfrozen: list[str] | None, unfreeze_epoch: int):
        self.frozen, self.unfrozen = set(frozen or []), set(unfrozen or [])
        self.unfreeze_epoch = unfreeze_epoch
        self._held: set[str] = set()  # frozen at the last call of ``apply``

    def is_frozen(self, name: str, epoch: int) -> bool:
        """Whether a module is frozen in an epoch (from 1)."""
        released = name in self.unfrozen and epoch >= self.unfreeze_epoch
        return name in self.frozen and not released

    def apply(self, modules: torch.nn.ModuleDict, epoch: int) -> None:
        """Freeze and release modules for a step of an epoch.

        Call it before each step: ``Brain.fit`` puts all modules into training mode after
        ``on_stage_start``, so that an ``eval()`` there is undone.
        """
        frozen = {name for name in modules if self.is_frozen(name, epoch)}
        for name, module in modules.items():
            if name in frozen and (module.training or name not in self._held):
                freeze(module)
            elif name in self._held - frozen:
                release(module)
        self._held = frozen


def freeze(module: torch.nn.Module) -> None:
    """No gradient and evaluation mode."""
    module.requires_grad_(False)
    module.eval()
    for layer in module.modules():
        if isinstance(layer, RECURRENT):
            layer.train()
            layer.dropout_in_training = getattr(layer, "dropout_in_training", layer.dropout)
            layer.dropout = 0.0


def release(module: torch.nn.Module) -> None:
    """Trainable again, with the dropout that recurrent layers had before."""
    module.requires_grad_(True)
    module.train()
    for layer in module.modules():
        if isinstance(layer, RECURRENT):
            layer.dropout = getattr(layer, "dropout_in_training", layer.dropout)
