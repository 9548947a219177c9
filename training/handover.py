"""What one stage leaves for the next: ``<output_folder>/<module>.ckpt``."""

import logging
import pickle
from pathlib import Path

import torch

from errors import RecipeError
from training.checkpoints import save_whole

logger = logging.getLogger(__name__)


class Source:
    """Where a module's parameters come from, as a stage lists it under ``loads``.

    Arguments
    ---------
    path : str or None
        File of a state dict; None starts from random parameters.
    made_by : str
        The command that makes the file, for the message when it is missing.
    partly : bool
        Whether parameters of another shape or name are left as they are (warm starts).
    """

    def __init__(self, path, made_by, partly=False):
        self.path, self.made_by, self.partly = path, made_by, partly

    def check(self, module):
        """RecipeError when the file is not there."""
        if self.path is not None and not Path(self.path).is_file():
            raise RecipeError(
                f"{module}: {self.path} does not exist. Run `{self.made_by}` first (with the same seed), or give the "
                "path of another checkpoint."
            )

    def load(self, name, module):
        """Put the parameters into the module."""
        if self.path is None or not any(True for _ in module.parameters()):
            return
        state = read_state(name, self.path)
        if self.partly:
            own = module.state_dict()
            state = {key: v for key, v in state.items() if key in own and own[key].shape == v.shape}
        try:
            module.load_state_dict(state, strict=not self.partly)
        except RuntimeError as error:
            raise RecipeError(
                f"{name}: {self.path} holds another network than this one:\n{str(error)[:600]}\n"
                "Give the sizes that it was trained with, or another path."
            ) from error
        logger.info("%s: %d tensors loaded from %s", name, len(state), self.path)


def read_state(name, path):
    """A state dict from a file; only tensors are accepted."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise RecipeError(f"{name}: {path} is not a readable file of parameters ({error}).") from error


def hand_over(modules, folder):
    """Write each module's parameters where the next stage looks for them."""
    for name, module in modules.items():
        state = {key: value.cpu() for key, value in getattr(module, "module", module).state_dict().items()}
        if state:
            save_whole(state, Path(folder) / f"{name}.ckpt")
