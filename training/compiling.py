"""SpeechBrain's ``--compile`` for networks that go on under their own names."""

from errors import RecipeError


def compile_networks(modules, names, mode, fullgraph, dynamic):
    """Let TorchInductor compile networks in place: parameters keep their names, in checkpoints and for the next stage.

    Arguments
    ---------
    modules : dict
        Name -> network; one whose ``compile`` says so is compiled in parts.
    names : list of str
        Those to compile.
    mode, fullgraph, dynamic
        As for ``torch.compile``.
    """
    from torch._functorch import config  # takes seconds

    unknown = sorted(set(names) - set(modules))
    if unknown:
        raise RecipeError(
            f"--compile_module_keys: {', '.join(unknown)} not among {', '.join(modules)}."
        )
    config.donated_buffer = False  # a balanced loss passes a network backwards more than once
    for name in names:
        modules[name].compile(mode=mode, fullgraph=fullgraph, dynamic=dynamic)
