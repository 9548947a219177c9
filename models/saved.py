"""A module's sizes beside its parameters: ``<name>.json`` with ``<name>.ckpt``."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from corpus.files import read_text, write_text


def write_sizes(module: torch.nn.Module, ckpt_path: str | Path) -> None:
    """Write the class and ``module.sizes`` (constructor arguments), where the module has them."""
    if hasattr(module, "sizes"):
        name = f"{type(module).__module__}.{type(module).__qualname__}"
        text = json.dumps({"class": name, "sizes": module.sizes}, indent=2)
        write_text(Path(ckpt_path).with_suffix(".json"), text + "\n")


def build_from(ckpt_path: str | Path, otherwise: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A module of the class and sizes in the JSON; without a JSON what ``otherwise`` builds."""
    sizes_file = Path(ckpt_path).with_suffix(".json")
    if not sizes_file.is_file():
        return otherwise()
    saved = json.loads(read_text(sizes_file))
    package, _, name = saved["class"].rpartition(".")
    return getattr(import_module(package), name)(**saved["sizes"])
