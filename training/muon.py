"""Muon: steps of equal size in all directions of a weight matrix.

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024: the momentum of a
matrix is replaced by the nearest matrix whose singular values are all 1, by five Newton-Schulz
iterations. Steps are as long as AdamW's (J. Liu et al., arXiv:2502.16982), so that both take one
learning rate. ``torch.optim.Muon`` takes no convolution kernels, and computes in 16 bit.
"""

from collections.abc import Callable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # bring singular values from 0.01 up near 1
SCALE = 0.2  # root mean square of AdamW's steps
SMALLEST = 1e-7  # norm of a momentum; smaller ones are rounding noise and take shorter steps


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """[rows, columns] -> the same shape, with singular values between 0.7 and 1.2."""
    if len(matrix) > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    a, b, c = COEFFICIENTS
    x = matrix / matrix.norm().clamp(min=SMALLEST)
    for _ in range(5):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.AdamW):
    """AdamW, but Muon for the groups of parameters that say ``muon: True``.

    ``momentum``: Muon's; the other arguments are ``torch.optim.AdamW``'s.
    """

    def __init__(self, parameters: Any, lr: float = 1e-3, momentum: float = 0.95, **adamw: Any):
        super().__init__(parameters, lr=lr, **adamw)
        for group in self.param_groups:
            group.setdefault("muon", False)
            group.setdefault("momentum", momentum)

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """One step of all parameters that have a gradient."""
        groups = self.param_groups
        for group in groups:
            for parameter in group["params"] if group["muon"] else ():
                if parameter.grad is not None:
                    self._step_of_matrix(parameter, group)
        self.param_groups = [group for group in groups if not group["muon"]]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups

    def _step_of_matrix(self, parameter, group):
        state, share = self.state[parameter], group["momentum"]
        if not state:
            state["step"] = torch.zeros(())  # loading asks for it, as for all of AdamW's
            state["mean"] = torch.zeros_like(parameter)
        state["mean"].lerp_(parameter.grad, 1 - share)
        momentum = parameter.grad.lerp(state["mean"], share)  # Nesterov's
        matrix = momentum.flatten(1)  # a kernel is one row for each output channel
        length = group["lr"] * SCALE * max(matrix.shape) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(orthogonalised(matrix).reshape(parameter.shape), alpha=length)


def grouped(modules: dict[str, torch.nn.Module], muon_models: list[str]) -> list:
    """Modules by name -> what an optimizer takes: the matrices of ``muon_models`` as a group."""
    matrices, others = [], []
    for name, module in modules.items():
        for parameter in module.parameters():
            by_muon = name in muon_models and parameter.ndim > 1
            (matrices if by_muon else others).append(parameter)
    return [{"params": others}, {"params": matrices, "muon": True}] if matrices else others
