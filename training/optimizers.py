"""The optimizer by its name."""

from functools import partial

import torch

from errors import RecipeError
from training.muon import Muon


def build_optimizer(kind, **settings):
    """A function that makes the optimizer of given parameters: AdamW, or Muon for matrices and kernels beside it.

    ``settings``: lr, weight_decay. ``fused``: one kernel for all of AdamW's parameters.
    """
    if kind == "adamw":
        return partial(torch.optim.AdamW, fused=True, **settings)
    if kind == "muon":
        return partial(Muon, fused=True, **settings)
    raise RecipeError(f"optimizer_kind: {kind!r} is not one of adamw, muon.")
