"""Muon: steps of equal size in all directions of a weight matrix.

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024 (kellerjordan.github.io/posts/muon): the
momentum of a matrix is replaced by the nearest matrix whose singular values are all 1, by five Newton-Schulz iterations.
Directions that the gradient hardly shows are learned as fast as the others. Steps are as long as AdamW's (J. Liu et al.,
"Muon is scalable for LLM training", arXiv:2502.16982), so that both take one learning rate. torch.optim.Muon takes no
convolution kernels, and computes in 16 bit.
"""

import torch

STEPS = 5
COEFFICIENTS = (
    3.4445,
    -4.7750,
    2.0315,
)  # of the blog post: singular values from .01 up come near 1 in five steps
SCALE = 0.2  # root mean square of AdamW's steps, as arXiv:2502.16982 measured it
SMALLEST = 1e-7  # norm of a momentum; what is smaller is noise of rounding, and takes shorter steps


def orthogonalised(matrices):
    """[n, rows, columns] -> the same shape, each with singular values between .7 and 1.2."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalised(matrices.mT).mT
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST)
    for _ in range(STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


def matrix_shape(parameter):
    """(rows, columns): outputs, and all else; a convolution's kernel is one row for each output channel."""
    return len(parameter), parameter[0].numel()


class Muon(torch.optim.AdamW):
    """AdamW, but Muon for the groups of parameters that say ``muon: True``.

    ``momentum``: Muon's; the other arguments are ``torch.optim.AdamW``'s.
    """

    def __init__(self, parameters, lr=1e-3, momentum=0.95, **adamw):
        super().__init__(parameters, lr=lr, **adamw)
        for group in self.param_groups:
            group.setdefault("muon", False)
            group.setdefault("momentum", momentum)

    @torch.no_grad()
    def step(self, closure=None):
        """One step of all parameters that have a gradient."""
        groups = self.param_groups
        for group in groups:
            if group["muon"]:
                self.step_of_matrices(group)
        self.param_groups = [group for group in groups if not group["muon"]]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups

    def step_of_matrices(self, group):
        """Those of one shape together."""
        shapes = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                shapes.setdefault(matrix_shape(parameter), []).append(parameter)
        for (rows, columns), parameters in shapes.items():
            momenta = torch.stack(
                [self.momentum(p, group["momentum"]).reshape(rows, columns) for p in parameters]
            )
            length = group["lr"] * SCALE * max(rows, columns) ** 0.5
            for parameter, step in zip(parameters, orthogonalised(momenta)):
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(
                    step.reshape(parameter.shape), alpha=-length
                )

    def momentum(self, parameter, share):
        """Nesterov's: the mean of past gradients, as it will be after one more of this gradient."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())  # loading asks for it, as for all of AdamW's
            state["mean"] = torch.zeros_like(parameter)
        state["mean"].lerp_(parameter.grad, 1 - share)
        return parameter.grad.lerp(state["mean"], share)


def grouped(modules, muon_models):
    """Modules by name -> what an optimizer takes: their parameters, the matrices and kernels of ``muon_models`` as a group.

    A single list where there is no such module, which makes the checkpoints those of a plain optimizer.
    """
    parameters = [
        (p, name in muon_models and p.ndim > 1)
        for name, module in modules.items()
        for p in module.parameters()
    ]
    matrices = [p for p, by_muon in parameters if by_muon]
    others = [p for p, by_muon in parameters if not by_muon]
    return [{"params": others}, {"params": matrices, "muon": True}] if matrices else others
