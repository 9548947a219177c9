"""Predictions made on demand: a stage computes what its losses and metrics read, nothing else."""


def makes(*names, needs=(), module=None):
    """Mark a method ``f(self, flow)`` as the maker of predictions; it returns one value for each name.

    ``needs`` names the predictions that it reads, ``module`` the network that it calls.
    """

    def mark(method):
        method.makes, method.needs, method.module = names, tuple(needs), module
        return method

    return mark


def makers_of(owner):
    """Name of a prediction -> method of an object, or of a class, that makes it."""
    kind = owner if isinstance(owner, type) else type(owner)
    methods = [getattr(owner, name) for name in dir(kind) if hasattr(getattr(kind, name), "makes")]
    return {name: method for method in methods for name in method.makes}


def closure(names, makers, aliases):
    """All predictions that these names stand on, themselves among them.

    ``aliases`` maps a prediction to the ones that it needs under the present settings.
    """
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting.extend(makers[name].needs if name in makers else ())
        waiting.extend(aliases.get(name, ()))
    return found


def modules_of(names, makers):
    """The networks that make these predictions."""
    return {makers[name].module for name in names if name in makers and makers[name].module}


class Flow(dict):
    """Predictions of one batch by name, made when first asked for."""

    def __init__(self, makers, batch, stage):
        super().__init__()
        self.makers, self.batch, self.stage = makers, batch, stage

    def __missing__(self, name):
        method = self.makers[name]
        values = method(self)
        self.update(zip(method.makes, values if len(method.makes) > 1 else (values,)))
        return self[name]

    def take(self, names):
        """The values of several predictions, in order."""
        return [self[name] for name in names]
