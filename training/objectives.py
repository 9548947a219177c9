"""A loss as a stage lists it: what it reads, what it computes, how much it counts."""


class Objective:
    """One entry of ``losses``.

    Arguments
    ---------
    function : callable
        Pure function of the predictions named by ``reads``, in that order. Returns a scalar.
    reads : list of str
        Names of predictions.
    weight : float or None
        Share in the total; 0 is reported and not trained; None leaves the loss out.
    balance_against : str
        Name of the loss whose gradient, with its weight, this one is measured by, when ``gradient_ratio`` is given.
    gradient_ratio : float or None
        Length of this loss's gradient at ``at`` as a multiple of the other's; takes the place of the weight.
    at : str
        Prediction at which the gradients are compared.
    last_epoch : int or None
        Reported but not trained after this epoch.
    """

    def __init__(
        self,
        function,
        reads,
        weight=1.0,
        balance_against=None,
        gradient_ratio=None,
        at=None,
        last_epoch=None,
    ):
        self.function, self.reads, self.weight = function, reads, weight
        self.balance_against, self.gradient_ratio, self.at = balance_against, gradient_ratio, at
        self.last_epoch = last_epoch

    @property
    def listed(self):
        """Whether the stage computes it at all."""
        return self.weight is not None

    def trains(self, epoch):
        """Whether it counts in the total of an epoch."""
        return bool(self.weight) and not (
            self.last_epoch is not None and epoch is not None and epoch > self.last_epoch
        )
