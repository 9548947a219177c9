"""Muon: steps of equal size in all directions of a weight matrix.

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024 (kellerjordan.github.io/posts/muon): the
momentum of a matrix is replaced by the nearest matrix whose singular values are all 1, by five Newton-Schulz iterations.
Directions that the gradient hardly shows, high frequencies under loud low ones, are learned as fast as the others. Steps
are as long as AdamW's are (J. Liu et al., "Muon is scalable for LLM training", arXiv:2502.16982), so that both take one
learning rate. torch.optim.Muon takes no convolution kernels, and computes in 16 bit.
"""

import torch

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the blog post: singular values from .01 up come near 1 in five steps
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
    """Muon for matrices and kernels of convolutions, AdamW for biases and normalization.

    ``parameters``: an iterable of them; ``momentum``: Muon's; the other arguments are ``torch.optim.AdamW``'s.
    """

    def __init__(self, parameters, lr=1e-3, momentum=0.95, **adamw):
        parameters = list(parameters)
        matrices = [p for p in parameters if p.ndim > 1]
        others = [p for p in parameters if p.ndim < 2]
        super().__init__([{"params": matrices}, {"params": others}], lr=lr, **adamw)
        for group in self.param_groups:
            group["momentum"] = momentum

    @torch.no_grad()
    def step(self, closure=None):
        """One step of all parameters that have a gradient."""
        matrices, others = self.param_groups
        self.step_of_matrices(matrices)
        self.param_groups = [others]
        try:
            return super().step(closure)
        finally:
            self.param_groups = [matrices, others]

    def step_of_matrices(self, group):
        """Those of one shape together."""
        shapes = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                shapes.setdefault(matrix_shape(parameter), []).append(parameter)
        for (rows, columns), parameters in shapes.items():
            momenta = torch.stack([self.momentum(p, group["momentum"]).reshape(rows, columns) for p in parameters])
            length = group["lr"] * SCALE * max(rows, columns) ** 0.5
            for parameter, step in zip(parameters, orthogonalised(momenta)):
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(step.reshape(parameter.shape), alpha=-length)

    def momentum(self, parameter, share):
        """Nesterov's: the mean of past gradients, as it will be after one more of this gradient."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())  # loading asks for it, as for all of AdamW's
            state["mean"] = torch.zeros_like(parameter)
        state["mean"].lerp_(parameter.grad, 1 - share)
        return parameter.grad.lerp(state["mean"], share)
