"""What one stage leaves for the next: ``<output_folder>/<module>.ckpt``, with its sizes."""

import io
import logging
import pickle
import re
from pathlib import Path

import torch
from speechbrain.utils.fetching import fetch

from corpus.files import whole
from errors import RecipeError
from models.saved import file_of, write_sizes

logger = logging.getLogger(__name__)


class Source:
    """Where a module's parameters come from, as a stage lists it under ``loads``.

    ``path`` is a file, the folder of a run or of an exported model, or a repository of the hub
    (owner/name[/file.ckpt]); None: random parameters. ``made_by`` is the command that makes the
    file. ``partly``: parameters of another shape or name stay as they are (warm starts).
    """

    def __init__(self, path: str | None, made_by: str, partly: bool = False):
        self.path, self.made_by, self.partly = path, made_by, partly

    def check(self, name: str) -> None:
        """RecipeError when the file is not there; a hub is asked when it is loaded."""
        if self.path and not is_hub_name(self.path) and not find(name, self.path).is_file():
            raise RecipeError(
                f"{name}: {find(name, self.path)} does not exist. Run `{self.made_by}` first "
                "(with the same seed), or give the path of another checkpoint."
            )

    def load(self, name: str, module: torch.nn.Module) -> None:
        """Put the parameters into the module."""
        own = module.state_dict()
        if self.path and own:
            state = read_state(name, find(name, self.path))
            if self.partly:
                state = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
            put(name, module, own | state if self.partly else state, self.path)


def put(name: str, module: torch.nn.Module, state: dict, origin: object) -> None:
    """Put a state dict into a module; RecipeError where it is that of another network."""
    there, here = (
        {key: tuple(getattr(value, "shape", ())) for key, value in parameters.items()}
        for parameters in (state, module.state_dict())
    )
    if odd := [key for key in there | here if there.get(key) != here.get(key)]:
        raise RecipeError(
            f"{name}: {origin} holds another network than this one: {len(odd)} parameters differ, "
            f"such as {odd[0]}: {there.get(odd[0])} there, {here.get(odd[0])} here. Give the kind "
            "and sizes that it was trained with (its .json file holds them), or another path."
        )
    module.load_state_dict(state)
    logger.info("%s: loaded from %s", name, origin)


def find(name: str, path: str | Path) -> Path:
    """The file that a path means for a module: itself, one in a folder, or one from the hub."""
    if is_hub_name(path):
        owner, repository, *file = str(path).split("/")
        return fetched(name, f"{owner}/{repository}", *file or [f"{name}.ckpt"])
    return file_of(name, path)


def is_hub_name(path: str | Path) -> bool:
    """Whether a path reads owner/name or owner/name/file.ckpt, and no folder is called owner."""
    found = re.fullmatch(
        r"([\w-][\w.-]*)/([\w-][\w.-]*(?<!\.ckpt)|[\w.-]+/[\w.-]+\.ckpt)", f"{path}"
    )
    return bool(found) and found[1] != "results" and not Path(found[1]).exists()


def fetched(key: str, source: str, file: str) -> Path:
    """A file of a folder or of a repository on the hub; ``key`` is named when it is missing."""
    try:
        return Path(fetch(file, source)).resolve(strict=True)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{key}: {source}/{file} is no file here, and the hub does not give it "
            f"({str(error)[:300]}). Check the path, or download the repository and give its folder."
        ) from error


def read_state(name: str, path: Path) -> dict[str, torch.Tensor]:
    """A state dict from a file; only tensors are accepted."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        told = f"{name}: {path} is not a readable file of parameters ({str(error)[:200]})"
        raise RecipeError(f"{told}. Copy it again, or give another path.") from error


def hand_over(modules: dict[str, torch.nn.Module], folder: str | Path) -> None:
    """Write the parameters and sizes of each module to ``<folder>/<name>.ckpt`` and ``.json``."""
    for name, module in modules.items():
        state = {key: value.cpu() for key, value in module.state_dict().items()}
        if state:
            data = io.BytesIO()  # torch's own writer does not say that a disk is full
            torch.save(state, data)
            path = Path(folder) / f"{name}.ckpt"
            with whole(path) as aside:
                aside.write_bytes(data.getbuffer())
            write_sizes(module, path)
