"""Frozen means: no gradient, evaluation mode, buffers untouched."""

import torch

# Layers that behave differently in training mode, apart from what gradients do. A recurrent layer is not among them:
# cuDNN refuses to run a gradient through one that is in evaluation mode.
RECURRENT = torch.nn.modules.rnn.RNNBase


def is_frozen(name, frozen, unfrozen, unfreeze_epoch, epoch):
    """Whether a module is frozen in an epoch (from 1): listed, and not released by the second list yet."""
    released = name in unfrozen and epoch is not None and epoch >= unfreeze_epoch
    return name in frozen and not released


def freeze(module):
    """No gradient and evaluation mode, but for recurrent layers, whose dropout alone is put to 0."""
    module.requires_grad_(False)
    hold_still(module)


def hold_still(module):
    """Evaluation mode for each layer of a frozen module. Call it after every ``train()`` of a parent."""
    module.eval()
    for layer in module.modules():
        if isinstance(layer, RECURRENT):
            layer.train()
            layer.dropout_in_training = getattr(layer, "dropout_in_training", layer.dropout)
            layer.dropout = 0.0


def release(module):
    """Trainable again, with the dropout that its recurrent layers had before they were frozen."""
    module.requires_grad_(True)
    module.train()
    for layer in module.modules():
        if isinstance(layer, RECURRENT):
            layer.dropout = getattr(layer, "dropout_in_training", layer.dropout)
