"""What one stage leaves for the next: ``<output_folder>/<module>.ckpt``."""

import logging
import pickle
from pathlib import Path

import torch
from speechbrain.utils.fetching import fetch

from errors import RecipeError
from training.checkpoints import save_whole

logger = logging.getLogger(__name__)


class Source:
    """Where a module's parameters come from, as a stage lists it under ``loads``.

    Arguments
    ---------
    path : str or None
        File of a state dict, a folder with ``<module>.ckpt``, or either of them in a repository of the hub
        (owner/name[/file]); None starts from random parameters.
    made_by : str
        The command that makes the file, for the message when it is missing.
    partly : bool
        Whether parameters of another shape or name are left as they are (warm starts).
    """

    def __init__(self, path, made_by, partly=False):
        self.path, self.made_by, self.partly = path, made_by, partly

    def check(self, module):
        """RecipeError when the file is not there; a hub is asked when it is loaded."""
        if self.path is None or is_hub_name(self.path) or local_file(module, self.path).is_file():
            return
        raise RecipeError(
            f"{module}: {local_file(module, self.path)} does not exist. Run `{self.made_by}` first (with the same seed), or "
            "give the path of another checkpoint."
        )

    def load(self, name, module):
        """Put the parameters into the module."""
        if self.path is None or not any(True for _ in module.parameters()):
            return
        state = read_state(
            name,
            from_hub(name, self.path) if is_hub_name(self.path) else local_file(name, self.path),
        )
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


def local_file(module, path):
    """The file that a path means: itself, or the module's in a folder."""
    return Path(path) / f"{module}.ckpt" if Path(path).is_dir() else Path(path)


def is_hub_name(path):
    """Whether a path reads owner/name or owner/name/file.ckpt, and no folder of that owner is here."""
    parts = str(path).split("/")
    repository = (
        len(parts) == 2 and "." not in parts[1] or len(parts) == 3 and parts[2].endswith(".ckpt")
    )
    return (
        repository
        and all(parts)
        and parts[0] not in (".", "..", "results")
        and not Path(parts[0]).exists()
    )


def from_hub(module, path):
    """Fetch a module's parameters from the hub; returns the local file."""
    parts = str(path).split("/")
    return fetched(module, "/".join(parts[:2]), parts[2] if len(parts) == 3 else f"{module}.ckpt")


def fetched(key, source, file):
    """A file of a folder or of a hub's repository, as a local path; ``key`` names for whom, in the message."""
    try:
        found = Path(fetch(file, source))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{key}: {source}/{file} is no file here, and cannot be had from the hub ({str(error)[:300]}). Check the path, or "
            "download the repository and give its folder."
        ) from error
    if not found.is_file():
        raise RecipeError(f"{key}: {found} does not exist. Check the path.")
    return found


def read_state(name, path):
    """A state dict from a file; only tensors are accepted."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise RecipeError(
            f"{name}: {path} is not a readable file of parameters ({error})."
        ) from error


def hand_over(modules, folder):
    """Write each module's parameters where the next stage looks for them."""
    for name, module in modules.items():
        state = {
            key: value.cpu()
            for key, value in getattr(module, "module", module).state_dict().items()
        }
        if state:
            save_whole(state, Path(folder) / f"{name}.ckpt")
