"""Files and folders: whole writes, text in UTF-8, folders walked with links and without junk."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ruamel.yaml
from filelock import FileLock, Timeout
from tqdm.contrib.concurrent import thread_map

from errors import RecipeError

PATIENCE = 10  # s; the data workers of a killed run hold its lock until they notice
JUNK = ("Thumbs.db", "desktop.ini", "__MACOSX")  # and all names that begin with a dot


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path to write to in the block, which becomes ``path`` at its end: whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with whole(path) as aside:
        # File names that are not UTF-8 are written with escapes.
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_text(path: str | Path) -> str:
    """UTF-8 text, with or without a byte order mark; RecipeError names the file and the line."""
    try:
        data = Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise RecipeError(
            f"{path}, line {line}: this is not UTF-8. Save the file with the encoding UTF-8."
        ) from problem
    except OSError as problem:
        _refuse(problem)


def parse_yaml(text: str, where: str | Path) -> Any:
    """Plain YAML (no Python objects) -> its value; RecipeError names the place."""
    try:
        return ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except (ruamel.yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: odd dates
        reason = " ".join(str(error).split())[:300]
        raise RecipeError(f"{where}: this is not YAML of plain values: {reason}") from error


@contextmanager
def alone_in(folder: str | Path) -> Iterator[None]:
    """Hold the folder's lock; RecipeError when another run has it. It ends with the process."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        lock = FileLock(Path(folder) / "run.lock")
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        told = f"another run is at work in {folder}. Wait for it, or stop it; or give this one its"
        raise RecipeError(f"output_folder: {told} own --output_folder or --seed.") from None
    except OSError as problem:
        told = f"{folder} cannot be made or written: {problem.strerror}. Give another."
        raise RecipeError(f"output_folder: {told}") from problem
    try:
        yield
    finally:
        lock.release()


def typed_path(text: str) -> Path:
    """A path as a user typed it, for argparse; ``~`` is the home folder also after ``=``."""
    if not text.strip():
        raise ValueError("empty, as from a variable of the shell that is not set")
    return Path(os.path.expanduser(text))


def is_junk(name: str) -> bool:
    """Whether a file or folder is one that systems leave, such as ``._a.wav``."""
    return name.startswith(".") or name in JUNK


def find_files(folder: Path, suffixes: Iterable[str], leave_out: Path | None = None) -> list[Path]:
    """All files below a folder with one of the suffixes (lower case, with the dot), sorted.

    Links are followed, each folder once. Junk and the folder ``leave_out`` are left out.
    """
    suffixes, found = tuple(suffixes), []
    seen = {os.path.realpath(leave_out)} if leave_out else set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(root)
        if real in seen and root != str(folder):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_junk(name))
        files = [Path(root, name) for name in files if not is_junk(name)]
        found += [path for path in files if path.suffix.lower() in suffixes]
    return sorted(found)


def _refuse(problem: OSError):
    raise RecipeError(f"{problem.filename} cannot be read: {problem.strerror}. Check the path.")


def in_threads(function: Callable, items: list, title: str) -> list:
    """What a function returns for each item, or its RecipeError: a bad item costs only itself."""

    def call(item):
        try:
            return function(item)
        except RecipeError as problem:
            return problem

    return thread_map(call, items, desc=title, delay=5, disable=None)  # delay: s without a bar
