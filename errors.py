"""The one error that a user is meant to read."""

from collections.abc import Collection
from importlib import import_module
from types import ModuleType
from typing import Any


class RecipeError(Exception):
    """A mistake that the user can mend.

    The message is one or a few plain lines: the wrong value, the accepted ones and the remedy.
    Entry points print it without a traceback and leave with exit code 2.
    """


def one_of(key: str, value: Any, accepted: Collection) -> None:
    """RecipeError unless the value of a setting is among the accepted ones."""
    if value not in accepted:
        raise RecipeError(f"{key}: {value!r} is not one of {', '.join(map(str, accepted))}.")


def listed(problems: list[str], shown: int = 8) -> str:
    """Join the first ``shown`` of a list of strings, one a line, and count the rest."""
    lines = [f"  - {problem}" for problem in problems[:shown]]
    if len(problems) > shown:
        lines.append(f"  ... and {len(problems) - shown} more")
    return "\n".join(lines)


def wanted(name: str, purpose: str, otherwise: str) -> ModuleType:
    """A package by its name in pip; RecipeError says what needs it, and what else can be done."""
    try:
        return import_module(name.replace("-", "_"))
    except ImportError as problem:
        raise RecipeError(
            f"{purpose} needs the package {name} ({problem}). Type `pip install {name}`, or "
            f"{otherwise}."
        ) from problem
