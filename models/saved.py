"""What is needed to build a saved module again: its class and sizes, in a JSON file.

``<name>.json`` lies in the folder of ``<name>.ckpt``:
{"class": "models.wide_resnet.WideResnet", "sizes": {"dense": 256, ...}}
"""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from corpus.files import read_text, write_text
from errors import RecipeError

# What a module's file is called in the folder of an exported model, and in that of stage 1
OTHER_NAMES = {"enhance_model": "enhancer", "perceptual_model": "encoder"}


def file_of(name: str, path: str | Path) -> Path:
    """The .ckpt file that a path means for a module: itself, or one in a folder."""
    if not Path(path).is_dir():
        return Path(path)
    other = Path(path) / f"{OTHER_NAMES.get(name, name)}.ckpt"
    return other if other.is_file() else other.with_stem(name)


def arguments(constructor_locals: dict[str, Any]) -> dict[str, Any]:
    """A constructor's arguments by name, from ``locals()`` at its begin: what ``sizes`` holds."""
    given = {k: v for k, v in constructor_locals.items() if k not in ("self", "__class__")}
    return {k: list(v) if isinstance(v, (list, tuple)) else v for k, v in given.items()}


def write_sizes(module: nn.Module, ckpt_path: str | Path) -> None:
    """Write a module's class and ``sizes``; nothing for a module without."""
    path = Path(ckpt_path).with_suffix(".json")
    if hasattr(module, "sizes"):
        name = f"{type(module).__module__}.{type(module).__qualname__}"
        write_text(path, json.dumps({"class": name, "sizes": module.sizes}, indent=1) + "\n")
    else:
        path.unlink(missing_ok=True)


def build_from(
    name: str, path: str | Path | None, otherwise: Callable[..., nn.Module], **changes: Any
) -> nn.Module:
    """Build the module that a checkpoint belongs to; its parameters are loaded later.

    ``path`` is as for ``file_of``. Where the file has no JSON file, ``otherwise`` builds the
    module. ``changes`` replace single sizes.
    """
    path = file_of(name, path).with_suffix(".json") if path else None
    if path is None or not path.is_file():
        return otherwise(**changes)
    try:
        saved = json.loads(read_text(path))
        module_name, _, class_name = saved["class"].rpartition(".")
        module_class = getattr(import_module(module_name), class_name)
        if not issubclass(module_class, nn.Module):
            raise TypeError(f"{saved['class']} is no nn.Module")
        return module_class(**{**saved["sizes"], **changes})
    except (AttributeError, ImportError, KeyError, RuntimeError, TypeError, ValueError) as problem:
        raise RecipeError(
            f"{path}: no module can be built from this file ({problem}). Give a checkpoint whose "
            "folder holds the .json file that was written with it, or run its stage again."
        ) from problem
